/** Windows are a function of seed and step, whatever memory they are written to. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createFactEncoder } from "../../model/facts/encoder.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import { Sampler } from "../../model/sampler.ts";
import { SKIP } from "../../model/windows.ts";
import { tinyConfig, tinyFiles } from "../support/tinyModel.ts";

const config = tinyConfig({ renameRate: 0.4, factDropout: 0.4, fimRate: 0.3, auxWeight: 0.1 });
const make = (): Sampler =>
  new Sampler(tinyFiles, config, createFactEncoder({ lexicon: new FactLexicon() }), 5);

describe("windows", () => {
  test("are the same in memory that others were written to before", () => {
    const reusing = make();
    fc.assert(
      fc.property(
        fc.array(fc.record({ step: fc.nat(500), batch: fc.integer({ min: 1, max: 5 }) }), {
          minLength: 1,
          maxLength: 8,
        }),
        (calls) => {
          for (const { step, batch } of calls) {
            const plain = make().step(step, { batch });
            expect(reusing.step(step, { batch, reuse: 1 })).toEqual(plain);
          }
        },
      ),
    );
  });

  test("keep what they hold where nothing is reused", () => {
    const sampler = make();
    const first = sampler.step(0);
    const held = first.map((w) => Array.from(w.symbols));
    sampler.step(1);
    sampler.step(1, { reuse: 1 });
    expect(first.map((w) => Array.from(w.symbols))).toEqual(held);
  });

  test("predict at each position the symbol that follows, where they score one", () => {
    for (const w of make().step(3, { batch: 20 })) {
      let scored = 0;
      for (let t = 0; t + 1 < w.symbols.length; t++) {
        const target = w.targets![t]!;
        if (target === SKIP) continue;
        scored++;
        expect(target).toBe(w.symbols[t + 1]);
      }
      expect(scored).toBeGreaterThan(0);
    }
  });
});
