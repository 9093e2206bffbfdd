import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { fitMixer, mixedBits, type Recorded } from "../../model/fitMixer.ts";
import { crossFit } from "../../model/fitThreads.ts";
import { meanBits, sampleOf } from "../../model/heldout.ts";
import { RankedMixer } from "../../model/memory/rankedMixer.ts";
import { Random } from "../../model/random.ts";

/** A file of which the memory knows every even byte and the network every odd one. */
function record(seed: number, n = 400): Recorded {
  const random = new Random(seed);
  const bytes = Uint8Array.from({ length: n }, () => random.below(256));
  const network = new Float32Array(n * 256).fill(1 / 256);
  const memory = new Float32Array(n * 256).fill(1 / 256);
  bytes.forEach((byte, at) => {
    const side = at % 2 === 0 ? memory : network;
    side.fill(0.1 / 255, at * 256, (at + 1) * 256);
    side[at * 256 + byte] = 0.9;
  });
  return {
    bytes,
    network,
    memory,
    matchLength: Uint16Array.from({ length: n }, (_, at) => (at % 2 === 0 ? 12 : 0)),
    total: Float64Array.from({ length: n }, (_, at) => (at % 2 === 0 ? 5 : 0)),
  };
}

describe("fitMixer", () => {
  test("learns on some files when to believe which side, and is right on another", () => {
    const mixer = fitMixer([record(1), record(2), record(3)]);
    const bits = meanBits([mixedBits(mixer, record(9))])!;
    // Each side alone needs (−log2 0.9 + 8) / 2 = 4.08 bits.
    expect(bits).toBeLessThan(0.6);
  });

  test("scores every file without having been fitted on it", async () => {
    const files = [record(1), record(2), record(3), record(4), record(5)];
    const { mixer, scored } = await crossFit(files);
    const bits = scored.map((s) => [...s.bits]);
    // Four folds: the last file shares the first one's.
    const without = (...left: number[]) => fitMixer(files.filter((_, i) => !left.includes(i)));
    expect(bits[0]).toEqual([...mixedBits(without(0, 4), files[0]!)]);
    expect(bits[4]).toEqual([...mixedBits(without(0, 4), files[4]!)]);
    expect(bits[2]).toEqual([...mixedBits(without(2), files[2]!)]);
    expect(mixer.toJSON()).toEqual(fitMixer(files).toJSON());
    scored.forEach(({ mixed }, f) =>
      files[f]!.bytes.forEach((byte, at) =>
        expect(-Math.log2(mixed[256 * at + byte]!)).toBeCloseTo(bits[f]![at]!, 4),
      ),
    );
  });

  test("scores a file that is alone by a mixer that was never fitted", async () => {
    const { scored } = await crossFit([record(1)]);
    expect([...scored[0]!.bits]).toEqual([...mixedBits(new RankedMixer(), record(1))]);
  });

  test("scores never depend on later bytes", () => {
    const mixer = fitMixer([record(1), record(2)]);
    const whole = record(5);
    const bits = mixedBits(mixer, whole);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: whole.bytes.length - 1 }), (cut) => {
        const short: Recorded = { ...whole, bytes: whole.bytes.subarray(0, cut) };
        expect([...mixedBits(mixer, short)]).toEqual([...bits.subarray(0, cut)]);
      }),
      { numRuns: 10 },
    );
  });
});

describe("sampleOf", () => {
  test("takes the beginnings of several files within the budget", () => {
    const files = [3, 500, 10_000, 10_000].map((n, i) => ({
      path: `f${i}`,
      bytes: new Uint8Array(n),
    }));
    const sample = sampleOf(files, 4000);
    expect(sample.map((f) => f.bytes.length)).toEqual([3, 500, 1000, 1000]);
    expect(sampleOf(files, 600).reduce((sum, f) => sum + f.bytes.length, 0)).toBeLessThanOrEqual(
      600,
    );
    expect(sampleOf([], 100)).toEqual([]);
  });
});
