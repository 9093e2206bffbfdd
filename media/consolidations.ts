/** What was learned while nobody was there, in words: one line for each consolidation. */
import type { ConsolidationReport } from "../server/protocol.ts";

export function describeConsolidation(report: ConsolidationReport): string {
  const files = `${report.files} changed ${report.files === 1 ? "file" : "files"}`;
  const scores = [
    change("held-out files", report.heldoutBefore, report.heldoutAfter),
    change("lines held back of the changed files", report.changedBefore, report.changedAfter),
  ].filter((score) => score !== "");
  const measured =
    scores.length === 0 ? "" : `: ${scores.join("; ")} (bits per byte, network alone)`;
  switch (report.outcome) {
    case "accepted":
      return `Learned ${files} in ${Math.round(report.seconds)} s${measured}`;
    case "refused":
      return `Not kept after ${files}${measured}`;
    case "nothing":
      return "Nothing that changed surprises the model";
    case "aborted":
      return "Stopped, because somebody was back";
    case "restored":
      return "The model before was taken back";
    default:
      return report.outcome satisfies never;
  }
}

function change(what: string, before: number | null, after: number | null): string {
  return before === null || after === null
    ? ""
    : `${what} ${before.toFixed(3)} → ${after.toFixed(3)}`;
}
