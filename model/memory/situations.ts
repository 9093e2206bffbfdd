/** Which weights of each set speak for the next byte: classes of what is known before it comes. */

import { SETS, SET_STARTS } from "./blendWeights.ts";
import type { CodeContext } from "./codeContext.ts";
import type { Levels } from "./levels.ts";
import { MAX_ORDER } from "./segment.ts";

const LONGER_MATCH = [2, 3, 4, 6, 8, 12, 20, 32, 80] as const;
const SURER = [0.07, 0.15, 0.3, 0.5, 0.75, 0.9, 0.98] as const;
const MARKS = "().,:;\"'`<>[]{}=/-+*#&|!@\t";
const COLUMN_SHIFT = 1;
export const BYTE_CLASSES = 8 + MARKS.length;

/** Class of a longest match; 0 is "nothing counted". */
const orderClass = Uint8Array.from(
  { length: MAX_ORDER + 1 },
  (_, order) => 1 + LONGER_MATCH.filter((bound) => order >= bound).length,
);

export const byteClass = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 97 && byte <= 122) return 0;
  if (byte >= 65 && byte <= 90) return 1;
  if (byte >= 48 && byte <= 57) return 2;
  if (byte === 32) return 3;
  if (byte === 10) return 4;
  if (byte === 95 || byte === 36) return 5;
  if (byte >= 128) return 6;
  return 8 + MARKS.indexOf(String.fromCharCode(byte)); // 7 is any other
});

/** What a line begins with, in 8 classes; 0 in its indentation. */
const lineClass = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0) return 0;
  if (byte >= 97 && byte <= 122) return 2;
  if ((byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 95)) return 1;
  const mark = String.fromCharCode(byte);
  return "/*#".includes(mark) ? 3 : "\"'`".includes(mark) ? 4 : "})]".includes(mark) ? 5 : 7;
});

/** Writes one situation of each set, in the common numbering. `sure` is the escape blend's best probability. */
export function chooseSituations(
  o: {
    workspace: Levels;
    own: Levels | undefined;
    context: CodeContext;
    sure: number;
  },
  into: Int32Array,
): void {
  const { workspace, own, context } = o;
  const wordLength = context.wordLength;
  let sure = 0;
  while (sure < SURER.length && o.sure > SURER[sure]!) sure++;
  into[0] = workspace.levels === 0 ? 0 : orderClass[workspace.order[0]!]!;
  into[1] = own === undefined || own.levels === 0 ? 0 : orderClass[own.order[0]!]!;
  into[2] = byteClass[context.last(1)]!;
  into[3] = sure * 8 + Math.min(7, wordLength);
  into[4] = Math.min(15, context.column >> COLUMN_SHIFT) * 8 + lineClass[context.lineMark]!;
  into[5] = byteClass[context.last(2)]! * 5 + Math.min(4, wordLength);
  for (let set = 0; set < SETS; set++) into[set]! += SET_STARTS[set]!;
}
