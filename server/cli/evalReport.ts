/** What `eval` found: the shape of its JSON line, and the same in words. */
import type { ByteKind } from "../../model/index.ts";
import type { BaselineResult } from "./baselines.ts";
import type { ClassResult } from "./classFigures.ts";
import type { Primed } from "./compressors.ts";
import type { IdentifierResult } from "./identifierFigures.ts";
import type { LineResult } from "./lineFigures.ts";
import type { LanguageServerResult } from "./offeredFigures.ts";
import { clock, plural, size } from "./terminal.ts";
import type { TypingResult } from "./typing.ts";

export interface EvalResult {
  readonly files: number;
  readonly bytes: number;
  readonly bpb: number | null;
  readonly bpb_network: number | null;
  readonly bpb_memory: number | null;
  readonly line_exact_match: number | null;
  readonly lines: number;
  readonly identifier_top1: number | null;
  readonly identifiers: number;
  readonly seconds: number;
  readonly bytes_per_s: number;
  readonly device: string;
  readonly session: boolean;
  readonly skipped: readonly { path: string; reason: string }[];
  readonly bpb_by_class: Partial<Record<ByteKind, ClassResult>>;
  /** Null where a part of the model is off: completions always use both. */
  readonly line_completion: LineResult | null;
  /** The same lines with what a language server offers; null where none is asked. */
  readonly line_completion_with_list: LineResult | null;
  readonly identifier_completion: IdentifierResult | null;
  readonly typing: TypingResult | null;
  /** Names in scope: whether they were used, and where they came from. */
  readonly candidates: CandidateSources;
  readonly baselines: BaselineResult | null;
}

export interface CandidateSources {
  readonly used: boolean;
  /** Names of other files that language servers or tree-sitter gave in training. */
  readonly lexicon_names: number;
  readonly names_before_cursor: true;
  /** Whether a language server's own list was among them in a further column. */
  readonly completion_list: boolean;
}

const number = (value: number | null): string => (value === null ? "off" : value.toFixed(4));
const percent = (value: number | null): string =>
  value === null ? "not measured" : `${(value * 100).toFixed(1)} %`;
const latency = (r: { ms_median: number | null; ms_p95: number | null }): string =>
  r.ms_median === null || r.ms_p95 === null
    ? ""
    : `, ${r.ms_median.toFixed(1)} ms (95 %: ${r.ms_p95.toFixed(1)} ms)`;

export function evalSummary(r: EvalResult): string {
  return [
    `${plural(r.files, "file")}, ${size(r.bytes)}, ${clock(r.seconds)} on ${r.device}`,
    `bits per byte      ${number(r.bpb)}`,
    `  network alone    ${number(r.bpb_network)}`,
    `  memory alone     ${number(r.bpb_memory)}`,
    ...Object.entries(r.bpb_by_class).map(
      ([kind, c]) =>
        `  ${kind.padEnd(15)}  ${c.bpb.toFixed(4)} over ${size(c.bytes)} (network ${number(c.bpb_network)}, memory ${number(c.bpb_memory)})`,
    ),
    `lines completed    ${percent(r.line_exact_match)} of ${r.lines} exactly`,
    ...(r.line_completion === null ? [] : [`  ${lineWords(r.line_completion)}`]),
    ...(r.line_completion_with_list === null
      ? []
      : [
          `  with the server's list ${percent(r.line_completion_with_list.exact)} exactly; ${lineWords(r.line_completion_with_list)}`,
        ]),
    `identifiers        ${percent(r.identifier_top1)} of ${r.identifiers} first choice throughout`,
    ...identifierWords(r),
    ...typingWords(r.typing),
    ...baselineWords(r.baselines),
  ].join("\n");
}

function lineWords(r: LineResult): string {
  if (r.lines === 0) return "not measured";
  return `first ${r.prefix_bytes!.toFixed(1)} bytes right (${percent(r.prefix_share)} of the rest), edit similarity ${r.edit_similarity!.toFixed(3)}${latency(r)}`;
}

function identifierWords({ identifier_completion: r, candidates: c }: EvalResult): string[] {
  if (r === null || r.sampled === 0) return [];
  const sources = `names in scope ${c.used ? "used" : "not used"}: ${plural(c.lexicon_names, "name")} of the lexicon and the names before the cursor${c.completion_list ? "" : ", no language server's list"}`;
  return [
    `  ${plural(r.sampled, "identifier")} in code, ${percent(r.in_scope)} of them in scope; ${sources}`,
    ...r.typed.map(
      (t) =>
        `  ${plural(t.typed, "byte")} typed    first ${percent(t.top1)}, among five ${percent(t.top5)}${t.top1_without_candidates === null ? "" : ` (without candidates ${percent(t.top1_without_candidates)}, ${percent(t.top5_without_candidates)})`}${t.top1_with_list === null ? "" : ` (with the server's list ${percent(t.top1_with_list)}, ${percent(t.top5_with_list)})`}${latency(t)}`,
    ),
    ...serverWords(r.language_server),
  ];
}

function serverWords(s: LanguageServerResult | null): string[] {
  if (s === null) return [];
  return [
    `  ${s.name}: asked ${s.asked} times${latency(s)}, ${percent(s.in_time)} while the editor waits, ${s.late} too late; ${plural(s.lists, "list")}, the name in ${percent(s.lists_with_name)}; ${s.complete} complete, the name in ${percent(s.complete_with_name)}`,
  ];
}

function typingWords(r: TypingResult | null): string[] {
  if (r === null || r.lines === 0) return [];
  return [
    `keys saved         ${percent(r.keystrokes_saved)} of ${plural(r.characters, "character")} in ${plural(r.lines, "line")}, from confidence ${r.min_confidence}${latency(r)}`,
    `  ${plural(r.shown, "suggestion")} shown, ${percent(r.shown_wrong)} of them wrong`,
  ];
}

function baselineWords(r: BaselineResult | null): string[] {
  if (r === null) return [];
  const compressed = ([name, one]: readonly [string, Primed]): string =>
    `${name.padEnd(17)}  ${"bpb" in one ? `${one.bpb.toFixed(4)} bpb, primed with the workspace` : one.missing}`;
  return [
    `suffix copy        ${percent(r.suffix_copy.exact)} of ${r.suffix_copy.lines} exactly; ${lineWords(r.suffix_copy)}`,
    `count model        ${percent(r.count_model.exact)} of ${r.count_model.lines} exactly; ${lineWords(r.count_model)}`,
    ...Object.entries(r.compressors).map(compressed),
    ...(r.bytegpt === null ? [] : [`bytegpt.py         ${JSON.stringify(r.bytegpt)}`]),
  ];
}
