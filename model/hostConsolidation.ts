/** Consolidation in the model host: from a request to a report, which is also kept beside the model. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { consolidate } from "./consolidate.ts";
import type { Device, DeviceChoice } from "./device.ts";
import { field, readCorpus, type Fields } from "./hostInput.ts";
import type { Logger } from "./logger.ts";
import { CONSOLIDATIONS, type ConsolidationReport, type HostEvent } from "./protocol.ts";

/** Less new text than this is left for the memory, which knows it already. */
const WORTH_BYTES = 1500;

export interface HostWork {
  readonly on: { readonly device: Device; readonly reason: string };
  readonly choice: DeviceChoice;
  readonly control: { paused: boolean };
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly send: (event: HostEvent) => void;
}

export async function consolidateHere(
  params: Fields,
  { on, choice, control, signal, logger, send }: HostWork,
): Promise<ConsolidationReport> {
  const dir = field(params, "dir", "string");
  const { files, heldout } = readCorpus(field(params, "filesManifest", "string"), logger);
  const started = performance.now();
  const { replayed, ...result } = await consolidate({
    dir,
    files: [...files, ...heldout],
    device: choice,
    seed: field(params, "seed", "number"),
    worthBytes: WORTH_BYTES,
    on,
    control,
    signal,
    logger,
    onProgress: (progress) => send({ event: "consolidating", progress }),
  });
  const report = reportOf({
    outcome: result.outcome,
    files: replayed.length,
    steps: result.steps,
    seconds: (performance.now() - started) / 1000,
    heldoutBefore: result.before,
    heldoutAfter: result.after,
    changedBefore: result.changedBefore,
    changedAfter: result.changedAfter,
    changedControl: result.changedControl,
  });
  if (report.outcome === "accepted" || report.outcome === "refused") keep(dir, report, logger);
  return report;
}

/** The version before a consolidation is in use again. */
export function recordRestored(dir: string, logger: Logger): void {
  keep(dir, reportOf({ outcome: "restored" }), logger);
}

function reportOf(
  o: Pick<ConsolidationReport, "outcome"> & Partial<ConsolidationReport>,
): ConsolidationReport {
  return {
    at: new Date().toISOString(),
    files: 0,
    steps: 0,
    seconds: 0,
    heldoutBefore: null,
    heldoutAfter: null,
    changedBefore: null,
    changedAfter: null,
    changedControl: null,
    ...o,
  };
}

function keep(dir: string, report: ConsolidationReport, logger: Logger): void {
  try {
    appendFileSync(join(dir, CONSOLIDATIONS), `${JSON.stringify(report)}\n`);
  } catch (error) {
    logger.warn(`what came of a consolidation could not be written down: ${String(error)}`);
  }
}
