/** All clean-up steps in order: characters first, then extent, then what stands around, then the end of the text. */
import type { Candidate, CleanUp, Surroundings } from "./candidate.ts";
import { dropControlCharacters } from "./dropControlCharacters.ts";
import { dropRepeats } from "./dropRepeats.ts";
import { limitLines } from "./limitLines.ts";
import { limitScope } from "./limitScope.ts";
import { trimSuffix } from "./trimSuffix.ts";
import { trimTrailingSpace } from "./trimTrailingSpace.ts";
import { wholeIdentifiers } from "./wholeIdentifiers.ts";

const STEPS: readonly CleanUp[] = [
  dropControlCharacters,
  limitLines,
  limitScope,
  trimSuffix,
  dropRepeats,
  wholeIdentifiers,
  trimTrailingSpace,
];

export function cleanUp(candidate: Candidate, around: Surroundings): string {
  return STEPS.reduce((text, step) => step(text, around), candidate).text;
}
