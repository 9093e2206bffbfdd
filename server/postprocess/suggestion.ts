/** From what the model said to what may be shown: the part of it that is sure enough, cleaned up. */
import type { Surroundings } from "./candidate.ts";
import { cleanUp } from "./cleanUp.ts";
import { confidentPrefix } from "./confidentPrefix.ts";

export interface Suggestion {
  readonly text: string;
  readonly confidence: number;
  /** What was sure enough, before the clean-up. */
  readonly spoken: string;
}

export function suggestionFrom(
  answer: {
    readonly text: string;
    readonly confidence: number;
    readonly perByte?: readonly number[];
  },
  around: Surroundings,
  o: { readonly minConfidence: number; readonly maxBytes: number },
): Suggestion {
  const cut = confidentPrefix(answer, o.minConfidence);
  // The budget may have ended inside a character, so the last bytes may be missing.
  const truncated = cut.truncated || Buffer.byteLength(cut.text) >= o.maxBytes - 3;
  const text = cleanUp({ text: cut.text, truncated }, around);
  return { text, confidence: cut.confidence, spoken: cut.text };
}
