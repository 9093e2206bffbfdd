/** What the network's state adds to the mixture: nothing at the beginning of a file, nothing of what comes later, and
 *  what it learns stays in its file. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RankedMixer } from "../../model/memory/rankedMixer.ts";
import { Random } from "../../model/random.ts";

const CHANNELS = 8;
const RATE = 0.007;
/** Sums of 256 doubles. */
const SUM_TOLERANCE = 1e-9;

interface Place {
  readonly network: Float32Array;
  readonly memory: Float64Array;
  readonly state: Float32Array;
  readonly byte: number;
}

function distribution(random: Random): Float64Array {
  const values = Float64Array.from({ length: 256 }, () => random.uniform() ** 12 + 1e-7);
  const sum = values.reduce((a, b) => a + b, 0);
  return values.map((value) => value / sum);
}

function place(random: Random, byte = random.below(256)): Place {
  return {
    network: Float32Array.from(distribution(random)),
    memory: distribution(random),
    state: Float32Array.from({ length: CHANNELS }, () => 2 * random.uniform() - 1),
    byte,
  };
}

/** Every distribution over the bytes of a file, by the given mixer, which learns along. */
function read(mixer: RankedMixer, places: readonly Place[], states: 0 | 1 = 1): Float64Array[] {
  return places.map(({ network, memory, state, byte }) => {
    const out = new Float64Array(256);
    const sides = { network, memory, matchLength: 3, total: 2, last: 10 };
    mixer.mix(states === 1 ? { ...sides, state } : sides, out);
    mixer.learn({ byte, rate: RATE });
    return out;
  });
}

const bits = (answers: readonly Float64Array[], places: readonly Place[], from: number): number =>
  answers
    .slice(from)
    .reduce(
      (sum, p, i) => sum - Math.log2(p[places[from + i]!.byte]!) / (answers.length - from),
      0,
    );

/** Which of two bytes comes is in the first channel alone; both sides find them equally likely. */
function toldByState(n: number, seed: number): Place[] {
  const random = new Random(seed);
  const even = new Float64Array(256).fill(0.02 / 254);
  even[65] = even[66] = 0.49;
  return Array.from({ length: n }, () => {
    const byte = 65 + random.below(2);
    const state = place(random).state;
    state[0] = byte === 65 ? -1 : 1;
    return { network: Float32Array.from(even), memory: even, state, byte };
  });
}

describe("the head that follows a file", () => {
  test("gives distributions that sum to 1, whatever the states are", () => {
    const channel = fc.oneof(
      fc.constant(0),
      fc.float({ noNaN: true, min: -1e4, max: 1e4, maxExcluded: true }),
      fc.constantFrom(1e20, -1e20, 1e-30),
    );
    fc.assert(
      fc.property(
        fc.array(fc.array(channel, { minLength: CHANNELS, maxLength: CHANNELS }), {
          minLength: 1,
          maxLength: 20,
        }),
        fc.nat(1000),
        (states, seed) => {
          const random = new Random(seed);
          const places = states.map((state) => ({
            ...place(random, random.below(4)),
            state: Float32Array.from(state),
          }));
          for (const p of read(new RankedMixer(), places)) {
            expect(Math.abs(p.reduce((a, b) => a + b, 0) - 1)).toBeLessThan(SUM_TOLERANCE);
            expect(p.every((probability) => probability >= 0)).toBe(true);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("says nothing before the first byte of a file is known", () => {
    const places = [place(new Random(3))];
    expect(read(new RankedMixer(), places)).toEqual(read(new RankedMixer(), places, 0));
  });

  test("knows nothing of later states and bytes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.nat(1000), (same, seed) => {
        const random = new Random(seed);
        const before = Array.from({ length: same }, () => place(random, random.below(6)));
        const after = (): Place[] => Array.from({ length: 5 }, () => place(random));
        const last = place(random);
        const one = read(new RankedMixer(), [...before, last, ...after()]);
        // The byte behind the last place may be any, too.
        const other = [...before, { ...last, byte: last.byte ^ 1 }, ...after()];
        expect(read(new RankedMixer(), other).slice(0, same + 1)).toEqual(one.slice(0, same + 1));
      }),
      { numRuns: 40 },
    );
  });

  test("learns what only the state tells", () => {
    const places = toldByState(1500, 7);
    const without = bits(read(new RankedMixer(), places, 0), places, 1000);
    const now = bits(read(new RankedMixer(), places), places, 1000);
    expect(without).toBeGreaterThan(0.9);
    expect(now).toBeLessThan(0.5);
  });

  test("goes on in the same mixer, and starts anew in a copy and in another file", () => {
    const places = toldByState(600, 11);
    const mixer = new RankedMixer();
    const first = read(mixer, places);
    expect(bits(read(mixer, places), places, 0)).toBeLessThan(bits(first, places, 0));
    const one = places.slice(0, 1);
    const untold = read(mixer.copy(), one, 0);
    expect(read(mixer.copy(), one)).toEqual(untold);
    mixer.beginFile();
    expect(read(mixer, one)).toEqual(untold);
  });

  test("has as many channels as it began with", () => {
    const mixer = new RankedMixer();
    const one = place(new Random(1));
    read(mixer, [one]);
    expect(() => read(mixer, [{ ...one, state: new Float32Array(CHANNELS + 1) }])).toThrow(
      /channels/,
    );
  });
});
