/**
 * What is new in a file that changed: the lines that the version before does not have. Some of the new lines, in one
 * place, are held back: they are not learned from, so that they can say whether the others were learned.
 */
import type { CorpusFile } from "./bytes.ts";
import { Random } from "./random.ts";

/** Bytes [from, to) of a file. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface ChangedText {
  readonly file: CorpusFile;
  /** The new lines, neighbours joined, in order. */
  readonly fresh: readonly Range[];
  readonly freshBytes: number;
  /** No byte of it is learned from; undefined where too little is new to hold any of it back. */
  readonly heldBack: Range | undefined;
  /** The new bytes in `heldBack`. */
  readonly measured: readonly Range[];
  /** The file without what is held back. */
  readonly learned: readonly CorpusFile[];
}

const HELD_BACK_SHARE = 0.2;
/** Of the new bytes, at most: a single long line cannot be held back of a few short ones. */
const MOST_HELD_BACK = 0.5;
const NEWLINE = 10;

/** Of a file that has new lines; undefined for one that only lost some. `before` is undefined for a new file. */
export function changedText(
  file: CorpusFile,
  before: Uint8Array | undefined,
  seed: number,
): ChangedText | undefined {
  const lines = freshLines(file.bytes, before);
  if (lines.length === 0) return undefined;
  const heldBack = chooseHeldBack(lines, seed);
  const fresh = joined(lines);
  return {
    file,
    fresh,
    freshBytes: total(fresh),
    heldBack,
    measured: heldBack === undefined ? [] : joined(lines.filter((l) => isIn(l, heldBack))),
    learned:
      heldBack === undefined
        ? [file]
        : [file.bytes.subarray(0, heldBack.from), file.bytes.subarray(heldBack.to)]
            .filter((bytes) => bytes.length > 0)
            .map((bytes) => ({ path: file.path, bytes })),
  };
}

/** Lines, newline included, that occur more often than in the version before. */
function freshLines(now: Uint8Array, before: Uint8Array | undefined): Range[] {
  const known = new Map<string, number>();
  if (before !== undefined)
    for (const line of linesOf(before)) {
      const text = textOf(before, line);
      known.set(text, (known.get(text) ?? 0) + 1);
    }
  return linesOf(now).filter((line) => {
    const text = textOf(now, line);
    const left = known.get(text) ?? 0;
    if (left > 0) known.set(text, left - 1);
    return left === 0;
  });
}

/** A fifth of the new bytes, or a line more, from a place that the seed chooses. */
function chooseHeldBack(lines: readonly Range[], seed: number): Range | undefined {
  const wanted = HELD_BACK_SHARE * total(lines);
  // The last place from which the wanted bytes are still to come.
  let last = lines.length;
  for (let bytes = 0; last > 0 && bytes < wanted;) bytes += size(lines[--last]!);
  const first = new Random(seed, 0x30000).below(last + 1);
  let end = first;
  let bytes = 0;
  for (; bytes < wanted; end++) bytes += size(lines[end]!);
  if (bytes > MOST_HELD_BACK * total(lines)) return undefined;
  return { from: lines[first]!.from, to: lines[end - 1]!.to };
}

function linesOf(bytes: Uint8Array): Range[] {
  const lines: Range[] = [];
  for (let from = 0; from < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, from);
    const to = newline < 0 ? bytes.length : newline + 1;
    lines.push({ from, to });
    from = to;
  }
  return lines;
}

function joined(lines: readonly Range[]): Range[] {
  const out: Range[] = [];
  for (const line of lines) {
    const previous = out.at(-1);
    if (previous !== undefined && previous.to === line.from)
      out[out.length - 1] = { from: previous.from, to: line.to };
    else out.push(line);
  }
  return out;
}

const size = (range: Range): number => range.to - range.from;
const total = (ranges: readonly Range[]): number => ranges.reduce((sum, r) => sum + size(r), 0);
const isIn = (inner: Range, outer: Range): boolean =>
  inner.from >= outer.from && inner.to <= outer.to;
const textOf = (bytes: Uint8Array, { from, to }: Range): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
