/** Lines that are written, weighed and chosen; the memory alone says what comes next. */
import { describe, expect, test } from "vitest";
import { Continuation } from "../../model/continuation.ts";
import type { Decoder } from "../../model/decoder.ts";
import { createFactEncoder } from "../../model/facts/encoder.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import type { AnyMixer } from "../../model/fitMixer.ts";
import { LineChoice } from "../../model/lineChoice.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { chooseLine, writeGreedily, type Written } from "../../model/writeLine.ts";

const LINE_FEED = 10;
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (line: Written): string => new TextDecoder().decode(Uint8Array.from(line.bytes));

/** A network that knows nothing, and a mixture that does not ask it. */
const decoder = {
  capacity: 512,
  draftRows: 8,
  extend: (_symbols: readonly number[], _facts: Uint16Array, rows: number) =>
    Promise.resolve({
      from: 0,
      p: new Float32Array(rows * 256),
      eom: new Float32Array(rows),
      states: new Float32Array(rows * 4),
    }),
} as unknown as Decoder;
const mixture = {
  mix: ({ memory }: { memory: Float64Array }, out: Float64Array) => out.set(memory),
} as unknown as AnyMixer;
const mixer = { rows: 0, mixer: () => mixture };

async function complete(
  files: readonly string[],
  before: string,
  o: { maxBytes?: number; givenUp?: () => boolean } = {},
): Promise<{
  greedy: Written;
  chosen: Written | undefined;
  /** Probabilities of the bytes of a line, and of its end. */
  weigh: (line: readonly number[]) => Promise<number[]>;
}> {
  const { maxBytes = 40, givenUp = () => false } = o;
  const memory = new SuffixMemory();
  files.forEach((text, i) => memory.setFile(`${i}.ts`, encode(text)));
  const cursor = memory.cursor();
  for (const byte of encode(before)) cursor.push(byte);
  const stream = createFactEncoder({ lexicon: new FactLexicon() }).stream("edited.ts");
  const text = { symbols: [1], facts: new Uint16Array(0), withFacts: false, width: 1, stream };
  const begin = (): Continuation =>
    new Continuation({
      decoder,
      mixer,
      text,
      cursor: cursor.fork(),
      names: undefined,
      last: before.charCodeAt(before.length - 1),
      canEnd: 0,
    });
  const choice = new LineChoice(encode(before), {
    copies: cursor.lines(maxBytes),
    renamed: cursor.renamedLines(maxBytes),
  });
  const { best: greedy, bound } = await writeGreedily(begin(), { maxBytes, singleLine: 1 });
  const weigh = async (line: readonly number[]): Promise<number[]> => {
    const way = begin();
    const perByte: number[] = [];
    for (const byte of [...line, LINE_FEED]) {
      await way.look(() => []);
      perByte.push(way.mixed[byte]!);
      way.push(byte);
    }
    return perByte;
  };
  return { greedy, chosen: await chooseLine({ greedy, bound, choice, begin, givenUp }), weigh };
}

describe("the chosen line", () => {
  const often = "run(item);\nthen(done);\n".repeat(6);
  const once = "// only here, far above\nlet a = 1;\nrun(count);\n";
  const before = "// only here, far above\nlet a = 1;\nrun(";

  test("has the mixture's probabilities of its own bytes, and ends", async () => {
    for (const files of [[often], [often, once], [once]]) {
      const { greedy, chosen, weigh } = await complete(files, before);
      expect([greedy.finished, chosen!.finished]).toEqual(["line", "line"]);
      const weighed = await weigh(chosen!.bytes);
      expect(chosen!.perByte).toHaveLength(chosen!.bytes.length);
      chosen!.perByte.forEach((p, i) => expect(p).toBeCloseTo(weighed[i]!, 9));
      const sum = weighed.reduce((all, p) => all + Math.log(p), 0);
      expect(chosen!.logProbability).toBeCloseTo(sum, 9);
    }
  });

  test("is the line by analogy where another name is put in", async () => {
    const files = ["if (width > 0) {\n  check(width);\n  use(width, width);\n}\n".repeat(3)];
    const { greedy, chosen } = await complete(files, "if (high > 0) {\n  check(high);\n  use(");
    expect(decode(chosen!)).toBe("high, high);");
    expect(decode(greedy)).not.toBe(decode(chosen!));
  });

  test("is the greedy one where nothing that fits is better, though that has no end", async () => {
    const { greedy, chosen } = await complete([often], before, { maxBytes: 3 });
    expect(greedy.finished).toBe("length");
    expect(chosen).toBe(greedy);
  });

  test("is none where it was given up", async () => {
    const files = ["if (width > 0) {\n  check(width);\n  use(width, width);\n}\n".repeat(3)];
    const given = await complete(files, "if (high > 0) {\n  check(high);\n  use(", {
      givenUp: () => true,
    });
    expect(given.chosen).toBeUndefined();
  });
});
