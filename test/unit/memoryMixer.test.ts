/** The mixture of memory and network: normalized, blind to the byte to come, better than either side once fitted. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../model/errors.ts";
import { MIX_BUCKETS, Mixer, crossFitBits, type MixSample } from "../../model/memory/mixer.ts";
import { MixtureWeights } from "../../model/memory/mixtureWeights.ts";
import { RankedMixer, mixerFromJSON } from "../../model/memory/rankedMixer.ts";

/** Sums of 256 doubles. */
const SUM_TOLERANCE = 1e-9;

const distribution = fc
  .array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 256, maxLength: 256 })
  .filter((values) => values.some((value) => value > 0.01))
  .map((values) => {
    const sum = values.reduce((a, b) => a + b, 0);
    return Float64Array.from(values, (value) => value / sum);
  });

const samples = fc.array(
  fc.record({
    pNetwork: fc.double({ min: 1e-6, max: 1, noNaN: true }),
    pMemory: fc.double({ min: 1e-6, max: 1, noNaN: true }),
    bucket: fc.nat(MIX_BUCKETS - 1),
  }),
  { minLength: 1, maxLength: 60 },
);

const bitsOf = (mixer: Mixer, list: readonly MixSample[]) =>
  list.reduce((sum, sample) => sum - Math.log2(mixer.probability(sample)), 0);

describe("Mixer", () => {
  test("gives a distribution that sums to 1, from float32 networks too", () => {
    fc.assert(
      fc.property(
        distribution,
        distribution,
        fc.nat(32),
        samples,
        (network, memory, matchLength, list) => {
          const mixer = new Mixer();
          mixer.fit(list);
          const out = new Float64Array(256);
          for (const given of [network, Float32Array.from(network)]) {
            mixer.mix({ network: given, memory, matchLength, total: 3, last: 10 }, out);
            const sum = out.reduce((a, b) => a + b, 0);
            expect(Math.abs(sum - 1)).toBeLessThan(SUM_TOLERANCE);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test("gives the byte of a sample what `probability` says", () => {
    fc.assert(
      fc.property(
        distribution,
        distribution,
        fc.nat(32),
        fc.nat(255),
        (network, memory, matchLength, byte) => {
          const mixer = new Mixer();
          const input = { network, memory, matchLength, total: 1, last: 10 };
          const out = new Float64Array(256);
          mixer.mix(input, out);
          const sample = {
            pNetwork: network[byte]!,
            pMemory: memory[byte]!,
            bucket: mixer.bucketOf(input),
          };
          expect(out[byte]).toBeCloseTo(mixer.probability(sample), 9);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("leans by default to the side that is surer", () => {
    const mixer = new Mixer();
    const flat = new Float64Array(256).fill(1 / 256);
    const sure = new Float64Array(256).fill(0.002 / 255);
    sure[65] = 0.998;
    const lambda = (memory: Float64Array, network: Float64Array, matchLength: number) =>
      mixer.lambda[mixer.bucketOf({ memory, network, matchLength, total: 1, last: 10 })]!;
    expect(lambda(sure, flat, 32)).toBeGreaterThan(0.8);
    expect(lambda(flat, sure, 1)).toBeLessThan(0.2);
  });

  test("fitting all samples alike never loses to either side alone", () => {
    fc.assert(
      fc.property(samples, (list) => {
        const oneBucket = list.map((sample) => ({ ...sample, bucket: 0 }));
        const mixer = new Mixer();
        mixer.fit(oneBucket);
        const alone = (side: "pNetwork" | "pMemory") =>
          oneBucket.reduce((sum, sample) => sum - Math.log2(sample[side]), 0);
        // λ is kept off 0 and 1, which costs at most this much per sample.
        const margin = -Math.log2(0.99) * list.length;
        expect(bitsOf(mixer, oneBucket)).toBeLessThanOrEqual(
          Math.min(alone("pNetwork"), alone("pMemory")) + margin,
        );
      }),
      { numRuns: 100 },
    );
  });

  test("learns which bucket to trust whom in", () => {
    const list = Array.from({ length: 2000 }, (_, i) =>
      i % 2 === 0
        ? { pNetwork: 0.9, pMemory: 0.1, bucket: 3 }
        : { pNetwork: 0.1, pMemory: 0.9, bucket: 7 },
    );
    const mixer = new Mixer();
    mixer.fit(list);
    expect(mixer.lambda[3]).toBeLessThan(0.05);
    expect(mixer.lambda[7]).toBeGreaterThan(0.95);
  });

  test("cross-fitting never scores a group with its own weights", () => {
    // Two groups that contradict each other: each is scored with what the other taught.
    const group = (pMemory: number) =>
      Array.from({ length: 500 }, () => ({ pNetwork: 1 - pMemory, pMemory, bucket: 5 }));
    expect(crossFitBits([group(0.9), group(0.1)], 2)).toBeGreaterThan(-Math.log2(0.2));
    expect(crossFitBits([group(0.9), group(0.9)], 2)).toBeLessThan(-Math.log2(0.85));
  });

  test("comes back from JSON as it was", () => {
    fc.assert(
      fc.property(samples, (list) => {
        const mixer = new Mixer();
        mixer.fit(list);
        const back = Mixer.fromJSON(JSON.parse(JSON.stringify(mixer)));
        expect(back.lambda).toEqual(mixer.lambda);
        expect(back.fittedOn).toBe(list.length);
      }),
      { numRuns: 20 },
    );
  });

  test.each([
    ["nothing", null],
    ["another kind", { ...new Mixer().toJSON(), kind: "cubic" }],
    ["too few weights", { ...new Mixer().toJSON(), lambda: [0.5] }],
    ["a weight above 1", { ...new Mixer().toJSON(), lambda: new Array(MIX_BUCKETS).fill(1.5) }],
    ["no number", { ...new Mixer().toJSON(), lambda: new Array(MIX_BUCKETS).fill("x") }],
  ])("refuses %s with a hint", (_, value) => {
    let error: unknown;
    try {
      Mixer.fromJSON(value);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).hint).toBeTruthy();
  });
});

describe("RankedMixer", () => {
  test("gives a distribution that sums to 1, before and after learning", () => {
    fc.assert(
      fc.property(
        distribution,
        distribution,
        fc.nat(32),
        fc.nat(255),
        (network, memory, matchLength, byte) => {
          const mixer = new RankedMixer();
          const out = new Float64Array(256);
          for (let round = 0; round < 3; round++) {
            mixer.mix(
              { network: Float32Array.from(network), memory, matchLength, total: 3, last: 10 },
              out,
            );
            const sum = out.reduce((a, b) => a + b, 0);
            expect(Math.abs(sum - 1)).toBeLessThan(SUM_TOLERANCE);
            expect(out.every((probability) => probability >= 0)).toBe(true);
            mixer.learn({ byte, rate: 0.05 });
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test("learns to follow the side that is right", () => {
    const mixer = new RankedMixer();
    const point = (byte: number) => {
      const values = new Float64Array(256).fill(0.5 / 255);
      values[byte] = 0.5;
      return values;
    };
    const out = new Float64Array(256);
    for (let i = 0; i < 500; i++) {
      const right = i % 200;
      mixer.mix(
        { network: point(right), memory: point(right + 50), matchLength: 8, total: 2, last: 10 },
        out,
      );
      mixer.learn({ byte: right, rate: 0.02 });
    }
    mixer.mix({ network: point(1), memory: point(2), matchLength: 8, total: 2, last: 10 }, out);
    expect(out[1]).toBeGreaterThan(0.9);
  });

  test("a copy learns without changing the original", () => {
    const mixer = new RankedMixer();
    const before = mixer.toJSON();
    const copy = mixer.copy();
    const flat = new Float64Array(256).fill(1 / 256);
    copy.mix(
      { network: flat, memory: flat, matchLength: 0, total: 0, last: 10 },
      new Float64Array(256),
    );
    copy.learn({ byte: 3, rate: 0.1 });
    expect(mixer.toJSON()).toEqual(before);
    expect(copy.toJSON().values).not.toEqual(before.values);
  });

  test("either kind comes back from JSON as it was", () => {
    const ranked = new RankedMixer();
    // Halves hold these exactly.
    ranked.weights.side[3] = 0.25;
    ranked.weights.memory[7] = -3;
    ranked.weights.correction[5] = -0.125;
    const back = mixerFromJSON(JSON.parse(JSON.stringify(ranked))) as RankedMixer;
    expect(back).toBeInstanceOf(RankedMixer);
    for (const part of ["side", "memory", "correction"] as const)
      back.weights[part].forEach((value, i) =>
        expect(Math.abs(value - ranked.weights[part][i]!)).toBeLessThan(1e-3),
      );
    expect([back.weights.side[3], back.weights.memory[7], back.weights.correction[5]]).toEqual([
      0.25, -3, -0.125,
    ]);
    expect(back.toJSON()).toEqual(ranked.toJSON());
    expect(mixerFromJSON(JSON.parse(JSON.stringify(new Mixer())))).toBeInstanceOf(Mixer);
    expect(() => mixerFromJSON({ kind: "logistic" })).toThrow(/earlier version/);
    expect(() => mixerFromJSON({ kind: "layered" })).toThrow(CheckpointError);
    const cut = { ...ranked.toJSON(), values: "AAAA" };
    expect(() => mixerFromJSON(cut)).toThrow(CheckpointError);
    const short = MixtureWeights.unfitted().serialize().slice(0, 40);
    expect(() => mixerFromJSON({ ...cut, values: short })).toThrow(CheckpointError);
  });

  test("of an earlier version begins anew, with the linear mixture that it had", () => {
    const linear = new Mixer();
    linear.lambda[11] = 0.125;
    const old = { kind: "layered", linear: linear.toJSON(), values: "AAAA", fittedOn: 9 };
    const mixer = mixerFromJSON(JSON.parse(JSON.stringify(old))) as RankedMixer;
    expect(mixer.linear.lambda).toEqual(linear.lambda);
    expect(mixer.toJSON().values).toEqual(new RankedMixer().toJSON().values);
  });
});
