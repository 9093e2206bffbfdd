/** Completions: drafts must not change them, facts and memory must not leak into them. */
import { describe, expect, test } from "vitest";
import { Candidates } from "../../model/candidates/candidates.ts";
import { CandidateWeights } from "../../model/candidates/candidateWeights.ts";
import { Completer } from "../../model/completer.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Decoder } from "../../model/decoder.ts";
import { nameBytes } from "../../model/facts/byteKinds.ts";
import { Mixer } from "../../model/memory/mixer.ts";
import { MixtureWeights } from "../../model/memory/mixtureWeights.ts";
import { RankedMixer } from "../../model/memory/rankedMixer.ts";
import type { MemoryCursor } from "../../model/memory/memoryCursor.ts";
import { SuffixMemory, type CursorOptions } from "../../model/memory/suffixMemory.ts";
import { Trainer } from "../../model/trainer.ts";
import {
  tinyConfig,
  tinyFiles,
  tinyLexicon,
  tinySampler,
  tinySpectrum,
} from "../support/tinyModel.ts";

class Undrafted extends SuffixMemory {
  override cursor(o: CursorOptions): MemoryCursor {
    const undrafted = (cursor: MemoryCursor): MemoryCursor => ({
      push: (byte) => cursor.push(byte),
      read: (bytes) => cursor.read(bytes),
      predict: (out) => cursor.predict(out),
      draft: () => new Uint8Array(0),
      lines: (maxBytes) => cursor.lines(maxBytes),
      renamedLines: (maxBytes) => cursor.renamedLines(maxBytes),
      fork: () => undrafted(cursor.fork()),
    });
    return undrafted(super.cursor(o));
  }
}

async function completer(
  memory: SuffixMemory,
  candidates?: Candidates,
  mixer = new RankedMixer(),
): Promise<{ completer: Completer; runs: () => number }> {
  const device = await createCpuDevice({ threads: 0 });
  const config = tinyConfig({ context: 192 });
  const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 5 });
  const sampler = tinySampler(config);
  for (let step = 0; step < 100; step++)
    await trainer.step({ step, factor: 1, windows: sampler.step(step) });
  for (const f of tinyFiles) memory.setFile(f.path, f.bytes);
  const decoder = await Decoder.create(device, config, trainer.params);
  let runs = 0;
  const extend = decoder.extend.bind(decoder);
  decoder.extend = (...a) => {
    runs++;
    return extend(...a);
  };
  return {
    completer: new Completer({
      decoder,
      memory,
      mixer,
      lexicon: tinyLexicon(),
      facts: "on",
      candidates,
    }),
    runs: () => runs,
  };
}

const text = new TextEncoder();
const ask = {
  path: "new.ts",
  after: text.encode("\n}\n"),
  maxBytes: 24,
  singleLine: 0,
} as const;

describe("completion", () => {
  test("is the same with and without drafts, in fewer passes with them", async () => {
    const drafted = await completer(new SuffixMemory());
    const plain = await completer(new Undrafted());
    for (const before of [
      "const counter = new Cou",
      "for (let i = 0; i <",
      "  private count",
      "x",
    ]) {
      for (const singleLine of [0, 1] as const) {
        const o = { ...ask, singleLine, before: text.encode(before) };
        const a = await drafted.completer.complete(o);
        const b = await plain.completer.complete(o);
        expect(a.text).toBe(b.text);
        expect(a.confidence).toBeCloseTo(b.confidence, 6);
      }
    }
    expect(drafted.runs()).toBeLessThan(plain.runs());
  });

  test("does not remember what was typed and taken back, nor the completions before it", async () => {
    const used = (await completer(new SuffixMemory())).completer;
    const fresh = (await completer(new SuffixMemory())).completer;
    const o = { ...ask, before: text.encode("import { Counter } fro") };
    await used.complete({
      ...ask,
      before: text.encode("import { Counter } of wrong(thing);\nlet zzz = "),
    });
    await used.complete({ ...ask, before: text.encode("import { Cou") });
    expect((await used.complete(o)).text).toBe((await fresh.complete(o)).text);
    // Long enough that what was read for the keystroke before is not read again.
    const long = "for (const item of items) item.count += 1;\n".repeat(30);
    const starts = [700, 860, 1290, 1290].map((length) => long.slice(0, length));
    for (const [i, end] of ["for (const", "item", "for (const it", "for"].entries()) {
      const typed = { ...ask, before: text.encode(starts[i]! + end) };
      const a = await used.complete(typed);
      const b = await (await completer(new SuffixMemory())).completer.complete(typed);
      expect([a.text, a.confidence]).toEqual([b.text, b.confidence]);
    }
  });

  test("leaves the file's own saved text out of its memory", async () => {
    const memory = new SuffixMemory();
    const one = await completer(memory);
    const secret = text.encode("const token = 'only-in-this-file-9481';\n".repeat(3));
    const before = text.encode("const token = 'only-in-");
    memory.setFile("other.ts", secret);
    expect((await one.completer.complete({ ...ask, path: "new.ts", before })).text).toContain(
      "this-file",
    );
    memory.removeFile("other.ts");
    memory.setFile("new.ts", secret);
    expect((await one.completer.complete({ ...ask, path: "new.ts", before })).text).not.toContain(
      "9481",
    );
  });

  test("ends a single line as a longer match did, with the probabilities of its own bytes", async () => {
    const memory = new SuffixMemory();
    // A mixture that believes counts alone, so that byte by byte the more frequent line is written.
    const mixer = new RankedMixer(new Mixer(), MixtureWeights.unfitted());
    const one = await completer(memory, undefined, mixer);
    const here = "// only here, far above\nlet a = 1;\nrun(";
    memory.setFile("often.ts", text.encode("run(item);\nthen(done);\n".repeat(6)));
    memory.setFile("once.ts", text.encode(`${here}count);\n`));
    const o = { ...ask, after: new Uint8Array(0), maxBytes: 12, before: text.encode(here) };
    const byBytes = await one.completer.complete({ ...o, singleLine: 0 });
    expect(byBytes.text).toMatch(/^item\);\n/);
    const line = await one.completer.complete({ ...o, singleLine: 1 });
    expect([line.text, line.finished]).toEqual(["count);", "line"]);
    expect(line.perByte).toHaveLength(line.bytes.length);
    const product = line.perByte.reduce((all, p) => all * p, 1);
    expect(line.confidence).toBeCloseTo(product, 6);
    // What does not fit is no line.
    const short = await one.completer.complete({ ...o, singleLine: 1, maxBytes: 4 });
    expect([short.text, short.finished]).toEqual(["item", "length"]);
  });

  test("stops when it is told to", async () => {
    const one = await completer(new SuffixMemory());
    const abort = new AbortController();
    abort.abort();
    const c = await one.completer.complete({
      ...ask,
      before: text.encode("const "),
      signal: abort.signal,
    });
    expect(c.finished).toBe("aborted");
    expect(c.text).toBe("");
  });
});

describe("whole names", () => {
  const candidates = (): Candidates =>
    new Candidates({ lexicon: tinyLexicon(), weights: new CandidateWeights() });
  const search = { path: "new.ts", nameBytes: nameBytes("new.ts"), most: 3, passes: 12 } as const;
  const shown = (names: readonly { bytes: Uint8Array; probability: number }[] | undefined) =>
    names?.map(({ bytes, probability }) => [new TextDecoder().decode(bytes), probability]);

  test("are ranked alike with and without drafts, and by candidates only where they are on", async () => {
    const drafted = await completer(new SuffixMemory(), candidates());
    const plain = await completer(new Undrafted(), candidates());
    const before = text.encode("const counterOfThings = 1;\nconst again = ");
    for (const typed of ["", "c"]) {
      const o = { ...search, before, typed: text.encode(typed) };
      const a = await drafted.completer.names({ ...o, compare: 1 });
      const b = await plain.completer.names({ ...o, compare: 1 });
      const off = await plain.completer.names({ ...o, candidates: "off" });
      // Rows of another chunk of the network sum in another order.
      const near = (names: ReturnType<typeof shown>) =>
        names?.map(([name, p]) => [name, expect.closeTo(p as number, 4) as number]);
      expect(shown(a.names)).toEqual(near(shown(b.names)));
      expect(shown(a.without)).toEqual(near(shown(b.without)));
      expect(shown(b.without)).toEqual(near(shown(off.names)));
      expect(off.without).toBeUndefined();
      expect(shown(b.names)).not.toEqual(shown(b.without));
    }
    expect(drafted.runs()).toBeLessThan(plain.runs());
  });

  test("are those of the list where it is complete, in completions and in searches", async () => {
    const { completer: c } = await completer(new SuffixMemory(), candidates());
    const list = { names: ["countless", "counsel"], complete: 1 } as const;
    const before = text.encode("counter.");
    const none = new Uint8Array(0);
    const { names } = await c.names({ ...search, before, typed: none, list, passes: 64 });
    expect(
      shown(names)!
        .map(([name]) => name)
        .sort(),
    ).toEqual(["counsel", "countless"]);
    const o = { ...ask, before: text.encode("counter.coun"), after: none, list } as const;
    const completion = await c.complete(o);
    expect(/^(tless|sel)(\W|$)/.test(completion.text), completion.text).toBe(true);
  });
});
