/** The mixture behind a cursor: what scoring would have left there, whatever was asked before. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Decoder } from "../../model/decoder.ts";
import { FOLLOW_RATE } from "../../model/fitMixer.ts";
import { FollowedMixture } from "../../model/followedMixture.ts";
import { RankedMixer } from "../../model/memory/rankedMixer.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { MemoryView } from "../../model/memoryView.ts";
import { Random } from "../../model/random.ts";

const CHANNELS = 8;
const FRAME = 5;
const PATH = "new.ts";
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const line = "for (const item of items) item.count += 1;\n";

/** A row for every position and what it is read with, as a decoder with caches would tell it. */
class Rows {
  salt = 0;
  #changedFrom = Infinity;

  told(position: number): { p: Float32Array; state: Float32Array } {
    const random = new Random(1 + position + 1000 * this.salt);
    const p = Float32Array.from({ length: 256 }, () => random.uniform() ** 9 + 1e-6);
    const sum = p.reduce((a, b) => a + b, 0);
    return {
      p: p.map((x) => x / sum),
      state: Float32Array.from({ length: CHANNELS }, () => 2 * random.uniform() - 1),
    };
  }

  ran(position: number): void {
    this.#changedFrom = Math.min(this.#changedFrom, position);
  }

  takeChanged(): number {
    const from = this.#changedFrom;
    this.#changedFrom = Infinity;
    return from;
  }
}

function memory(): SuffixMemory {
  const workspace = new SuffixMemory();
  workspace.setFile("a.ts", encode(line.repeat(3)));
  return workspace;
}

interface Asking {
  readonly view: MemoryView;
  readonly rows: Rows;
  readonly followed: FollowedMixture;
}

function asking(): Asking {
  return {
    view: new MemoryView(memory()),
    rows: new Rows(),
    followed: new FollowedMixture(new RankedMixer()),
  };
}

/** What the mixture makes of two sides at the end of the text. */
function behind({ view, rows, followed }: Asking, before: Uint8Array): Float64Array {
  const { cursor, places } = view.after(PATH, before);
  const symbols = FRAME + before.length;
  const mixer = followed.behind(rows as unknown as Decoder, {
    path: PATH,
    version: view.version,
    before,
    places,
    symbols,
  });
  rows.ran(symbols);
  const out = new Float64Array(256);
  const ofMemory = new Float64Array(256);
  const match = cursor.predict(ofMemory);
  const { p, state } = rows.told(symbols - 1);
  const last = before.at(-1) ?? 10;
  const here = { network: p, memory: ofMemory, state, last, passing: 1, ...match } as const;
  mixer.mix(here, out);
  const again = new Float64Array(256);
  mixer.mix(here, again);
  expect(again).toEqual(out);
  expect(Math.abs(out.reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-9);
  return out;
}

describe("the mixture behind a cursor", () => {
  test("has learned every byte that the memory followed, and no other", () => {
    const before = encode(line.repeat(4));
    const view = new MemoryView(memory());
    const rows = new Rows();
    const { places } = view.after(PATH, before);
    expect(places.length).toBe(view.followed(PATH, before));
    const expected = new RankedMixer().copy();
    const from = before.length - places.length;
    places.forEach((place, i) => {
      const { p, state } = rows.told(FRAME + from + i - 1);
      const last = from + i === 0 ? 10 : before[from + i - 1]!;
      expected.mix({ ...place, network: p, state, last }, new Float64Array(256));
      expected.learn({ byte: before[from + i]!, rate: FOLLOW_RATE });
    });
    const learned = new FollowedMixture(new RankedMixer()).behind(rows as unknown as Decoder, {
      path: PATH,
      version: view.version,
      before,
      places,
      symbols: FRAME + before.length,
    });
    expect(learned.toJSON()).toEqual(expected.toJSON());
    expect(learned.toJSON()).not.toEqual(new RankedMixer().toJSON());
  });

  test("is a function of the text, whatever was typed and taken back before", () => {
    const text = encode(line.repeat(20) + "const a = items.length;\nconst b = a");
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(text.length), fc.nat(3)), { minLength: 1, maxLength: 5 }),
        (steps) => {
          const used = asking();
          for (const [length, typed] of steps) {
            const before = Uint8Array.of(
              ...text.subarray(0, length),
              ...encode("xyz".slice(0, typed)),
            );
            // What stands behind a place that changed is run again.
            used.rows.ran(FRAME + Math.min(length, text.length));
            expect(behind(used, before)).toEqual(behind(asking(), before));
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  test("learns anew from rows that were run again", () => {
    const before = encode(line.repeat(5));
    const used = asking();
    behind(used, before);
    used.rows.salt = 1;
    used.rows.ran(FRAME);
    const fresh = asking();
    fresh.rows.salt = 1;
    expect(behind(used, before)).toEqual(behind(fresh, before));
  });
});
