/** Embeddings are asked for once per text, in small parts, and only for the newest question. */
import { describe, expect, test } from "vitest";
import { Embedder } from "../../server/embedder.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function embedder() {
  const asked: string[][] = [];
  const waiting: (() => void)[] = [];
  const created = new Embedder((texts) => {
    asked.push([...texts]);
    return new Promise((resolve) =>
      waiting.push(() => resolve(texts.map((text) => [text.length, 0]))),
    );
  });
  const answerAll = async () => {
    for (let turn = 0; turn < 20; turn++) {
      waiting.splice(0).forEach((answer) => answer());
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { created, asked, answerAll };
}

describe("Embedder", () => {
  test("gives a vector per text in order, asking once for equal ones", async () => {
    const { created, asked, answerAll } = embedder();
    const answer = created.embed(["a", "bb", "a", "ccc"].map(bytes));
    await answerAll();
    expect((await answer).map((vector) => vector[0])).toEqual([1, 2, 1, 3]);
    expect(asked.flat()).toEqual(["a", "bb", "ccc"]);
    expect(Math.max(...asked.map((texts) => texts.length))).toBeLessThan(3);
    await created.embed([bytes("bb")]);
    expect(asked.flat()).toHaveLength(3);
  });

  test("stops an older question for a newer one, and keeps what it learned", async () => {
    const { created, asked, answerAll } = embedder();
    const older = created
      .embed(["q1", "x", "y", "z", "w"].map(bytes))
      .catch((error: Error) => error);
    const newer = created.embed(["q2", "v"].map(bytes));
    await answerAll();
    expect(await older).toMatchObject({ code: "NG_SUPERSEDED" });
    expect(await newer).toHaveLength(2);
    expect(asked.flat()).not.toContain("z");
    await created.embed([bytes("x")]);
    expect(asked.flat().filter((text) => text === "x")).toHaveLength(1);
  });

  test("forgets with the model", async () => {
    const { created, asked, answerAll } = embedder();
    const first = created.embed([bytes("a")]);
    await answerAll();
    await first;
    created.forget();
    const second = created.embed([bytes("a")]);
    await answerAll();
    await second;
    expect(asked).toEqual([["a"], ["a"]]);
  });
});
