/** Simulated typing: an engine with known answers gives known numbers of keys, and sees nothing behind the cursor. */
import { describe, expect, test } from "vitest";
import { SHIPPED, TypingFigures, type Ask } from "../../server/cli/typing.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const { signal } = new AbortController();
const line = "return total;";
const file = { path: "a.ts", bytes: bytes(`  ${line}\nmore\n`) };

/** Answers as told for some texts before the cursor, silence for all others. */
const says =
  (answers: Record<string, { text: string; perByte?: number }>, asked: string[] = []): Ask =>
  async ({ before }) => {
    const prefix = new TextDecoder().decode(before);
    asked.push(prefix);
    const { text = "", perByte = 1 } = answers[prefix] ?? {};
    const length = bytes(text).length;
    return {
      text,
      confidence: text === "" ? 0 : perByte ** length,
      perByte: new Float32Array(length).fill(perByte),
      ms: 5,
    };
  };

async function typed(ask: Ask) {
  const figures = new TypingFigures(ask, signal);
  await figures.typeLine(file, 2, 2 + line.length);
  return figures.result();
}

describe("typing a line", () => {
  test("takes a key for every character where nothing is shown", async () => {
    expect(await typed(says({}))).toMatchObject({
      characters: line.length,
      keys: line.length,
      keystrokes_saved: 0,
      shown: 0,
      shown_wrong: null,
      ms_median: 5,
    });
  });

  test("takes one key for a suggestion that is right", async () => {
    expect(await typed(says({ "  re": { text: "turn total;" } }))).toMatchObject({
      keys: 3,
      shown: 1,
      taken: 1,
      shown_wrong: 0,
      keystrokes_saved: 1 - 3 / line.length,
    });
  });

  test("counts a wrong one once while it is typed along, and does not ask again meanwhile", async () => {
    const asked: string[] = [];
    const result = await typed(says({ "  re": { text: "turn tomato;" } }, asked));
    expect(result).toMatchObject({ keys: line.length, shown: 1, taken: 0, shown_wrong: 1 });
    // Asked again only behind the character that differed.
    expect(asked).toContain("  return tot");
    for (const prefix of ["  ret", "  return", "  return to"]) expect(asked).not.toContain(prefix);
  });

  test("shows only what is as sure as the shipped setting asks", async () => {
    const perByte = SHIPPED.minConfidence ** (1 / 6) * 1.0001;
    // Sure of six bytes and no more: "turn t", of which the half name is left off.
    const result = await typed(says({ "  re": { text: "turn total;", perByte } }));
    expect(result).toMatchObject({ shown: 1, taken: 1, keys: line.length - "turn".length + 1 });
    const unsure = await typed(says({ "  re": { text: "turn total;", perByte: 0.3 } }));
    expect(unsure).toMatchObject({ shown: 0, keys: line.length });
  });

  test("never shows the engine what follows", async () => {
    const asked: string[] = [];
    await typed(async (o) => {
      expect(o.after.length).toBe(0);
      return says({}, asked)(o);
    });
    expect(asked).toEqual(Array.from(line, (_, i) => `  ${line.slice(0, i)}`));
  });

  test("leaves lines out that are no text", async () => {
    const figures = new TypingFigures(says({}), signal);
    await figures.typeLine({ path: "a.txt", bytes: Uint8Array.from([97, 0xff, 98]) }, 0, 3);
    expect(figures.result()).toMatchObject({ lines: 0, characters: 0, keystrokes_saved: null });
  });
});
