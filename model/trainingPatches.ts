/**
 * How many patches of a window the trunk is given in training. The patch rule's bound (config.ts, maxPatches) holds for
 * any text, and code ends patches half as often; rows that no patch fills cost as much as those that one does.
 */
import { maxPatches, type ModelConfig } from "./config.ts";
import { patchWindow } from "./patches.ts";
import { corpusSpectrum, type HeadSpectrum } from "./spectrum.ts";

/** Share of positions that may go unlearned: those behind a window's last patch that has a row. */
const UNLEARNED = 0.005;
/** Windows that are looked at. */
const WINDOWS = 512;
/** Rows of matrix units. */
const MULTIPLE = 16;

/**
 * The smallest multiple of 16 at which windows of this text lose at most half a percent of their positions; the rule's own bound
 * where the text is shorter than a window. The same for the same bytes, so that a resumed run goes on as it began.
 */
export function trainingPatches(config: ModelConfig, text: Uint8Array): number {
  const N = config.context;
  const bound = maxPatches(config, N);
  if (text.length < N) return bound;
  const apart = Math.max(1, Math.floor((text.length - N) / WINDOWS));
  /** Positions that are lost at each capacity. */
  const lost = new Float64Array(bound + 1);
  let positions = 0;
  for (let at = 0; at + N <= text.length; at += apart) {
    const { ends, count } = patchWindow(config, text.subarray(at, at + N), bound);
    for (let capacity = 0; capacity < count; capacity++) lost[capacity]! += N - ends[capacity]!;
    positions += N;
  }
  let capacity = MULTIPLE;
  while (capacity < bound && lost[capacity]! > UNLEARNED * positions) capacity += MULTIPLE;
  return Math.min(capacity, bound);
}

/** What a trainer is told of the text that it will learn. */
export const learnedText = (
  config: ModelConfig,
  text: Uint8Array,
): { readonly spectrum: HeadSpectrum; readonly patches: number } => ({
  spectrum: corpusSpectrum(text),
  patches: trainingPatches(config, text),
});
