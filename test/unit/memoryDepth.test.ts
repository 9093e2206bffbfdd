/** Large workspaces are sorted, and asked, by shorter contexts: counts stay those of an index built from scratch. */
import { describe, expect, test } from "vitest";
import { Levels } from "../../model/memory/levels.ts";
import { SHALLOW_ROW_DEPTH } from "../../model/memory/rowIndex.ts";
import { MAX_ORDER } from "../../model/memory/segment.ts";
import { SegmentSet } from "../../model/memory/segmentSet.ts";
import type { MemoryCursor } from "../../model/memory/memoryCursor.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { Random } from "../../model/random.ts";

/** Above this, segments are rebuilt only when a quarter of them is gone. */
const SMALL_BYTES = 256 * 1024;

const passage = Uint8Array.from({ length: 400 }, (_, i) => 97 + ((i * i) % 23));

/** Random letters with a long passage that all files share. */
function file(length: number, seed: number): Uint8Array {
  const random = new Random(seed);
  const bytes = Uint8Array.from({ length }, () => 97 + random.below(4));
  for (let at = 50; at + passage.length < length; at += 3000) bytes.set(passage, at);
  return bytes;
}

const files = new Map(
  Array.from({ length: 12 }, (_, i) => [`f${i}`, file(30_000 + 1000 * i, i)] as const),
);

function setOf(deep: number, without: readonly string[] = []): SegmentSet {
  const set = new SegmentSet({ hashed: 0, deep });
  for (const [path, bytes] of files) if (!without.includes(path)) set.add(path, bytes);
  return set;
}

/** What followed the contexts of every 40th place, at all orders. */
function counted(set: SegmentSet, exclude?: string): string[] {
  const walks = set.walks(exclude);
  const levels = new Levels();
  const seen: string[] = [];
  for (const [i, byte] of passage.entries()) {
    for (const walk of walks) walk.push(byte);
    if (i % 40 !== 39) continue;
    levels.fromWalks(walks);
    for (let level = 0; level < levels.levels; level++) {
      const from = levels.start[level]!;
      const to = from + levels.size[level]!;
      const bytes = levels.byteOf[level]!.subarray(from, to);
      const counts = levels.countOf[level]!.subarray(from, to);
      const followers = Array.from(bytes, (b, at) => `${b}:${counts[at]}`).sort();
      seen.push(`${i} order ${levels.order[level]} ${levels.total[level]} ${followers.join()}`);
    }
  }
  return seen;
}

const longest = (seen: readonly string[]): number =>
  Math.max(...seen.map((line) => Number(line.split(" ")[2])));

/** All that a cursor behind the text says, and says while it reads on. */
function told(cursor: MemoryCursor, more: Uint8Array): number[] {
  const p = new Float64Array(256);
  const values: number[] = [];
  for (const byte of more) {
    const { matchLength, total } = cursor.predict(p);
    values.push(matchLength, total, ...p, ...cursor.draft(8), -1);
    for (const line of cursor.lines(20)) values.push(...line.bytes, -2);
    cursor.push(byte);
  }
  return values;
}

describe("reading many bytes at once", () => {
  test.each([0, 3, MAX_ORDER - 1, MAX_ORDER, MAX_ORDER + 1, 430, 5000])(
    "leaves a cursor where %i single bytes leave it",
    (length) => {
      const memory = new SuffixMemory();
      for (const [path, bytes] of files) memory.setFile(path, bytes);
      for (const exclude of ["f3", "other.ts"]) {
        // 400 bytes of it stand in every file: contexts of more than the depth would match.
        const text = files.get("f3")!.subarray(0, length + 60);
        for (const before of [0, 20]) {
          const one = memory.cursor({ exclude });
          const many = memory.cursor({ exclude });
          for (const cursor of [one, many])
            for (const byte of text.subarray(0, Math.min(before, length))) cursor.push(byte);
          for (const byte of text.subarray(before, length)) one.push(byte);
          many.read(text.subarray(before, Math.max(before, length)));
          const more = text.subarray(Math.max(before, length)).subarray(0, 24);
          expect(told(many, more)).toEqual(told(one, more));
        }
      }
    },
  );
});

describe("the depth of a workspace's index", () => {
  test("is smaller where the workspace is large", () => {
    expect(longest(counted(setOf(Infinity)))).toBe(MAX_ORDER);
    expect(longest(counted(setOf(1000)))).toBe(SHALLOW_ROW_DEPTH);
  });

  test("changes no count of shorter contexts", () => {
    const short = (seen: readonly string[]): string[] =>
      seen.filter((line) => Number(line.split(" ")[2]) < SHALLOW_ROW_DEPTH);
    const whole = short(counted(setOf(Infinity)));
    expect(whole.length).toBeGreaterThan(0);
    expect(short(counted(setOf(1000)))).toEqual(whole);
  });

  test("does not keep a file from being left out", () => {
    for (const path of ["f0", "f7"])
      expect(counted(setOf(1000), path)).toEqual(counted(setOf(1000, [path])));
  });

  test("is one for segments of both kinds, also where files are gone", () => {
    const bytes = [...files.values()].reduce((sum, b) => sum + b.length, 0);
    expect(bytes).toBeGreaterThan(SMALL_BYTES);
    // The first segment is built below the limit, the second above it.
    const set = new SegmentSet({ hashed: 0, deep: bytes - 40_000 });
    for (const [path, content] of files) if (path !== "f3") set.add(path, content);
    set.settle();
    set.remove("f5");
    set.settle();
    set.add("f3", files.get("f3")!);
    set.add("f12", passage);
    set.add("f13", file(60_000, 99));
    const now = setOf(1000, ["f5"]);
    now.add("f12", passage);
    now.add("f13", file(60_000, 99));
    expect(counted(set)).toEqual(counted(now));
    const without = setOf(1000, ["f5", "f3"]);
    without.add("f12", passage);
    without.add("f13", file(60_000, 99));
    expect(counted(set, "f3")).toEqual(counted(without));
  });
});
