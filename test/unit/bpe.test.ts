import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_TOKEN_BYTES, TokenTrie, trainBpe } from "../../model/bpe.ts";

const file = (text: string, i = 0) => ({ path: `f${i}.ts`, bytes: new TextEncoder().encode(text) });
/** Positions at which a token ended. */
const ends = (trie: TokenTrie, text: string): number[] => {
  let node = 0;
  return [...Buffer.from(text, "latin1")].flatMap((byte, t) => {
    const step = trie.step(node, byte);
    node = step.node;
    return step.ended ? [t] : [];
  });
};

describe("a workspace's byte pair encoding", () => {
  test("merges the most frequent pair first", () => {
    const tokens = trainBpe([file("abab\nabab\nabab\ncd\ncd\n")], 260);
    expect(tokens[0]).toBe("ab");
    expect(tokens[1]).toBe("abab");
  });

  test("has the size asked for, or fewer tokens where nothing repeats", () => {
    const many = Array.from({ length: 40 }, (_, i) =>
      file(`function computeArea${i % 7}(width: number) { return width * ${i}; }\n`, i),
    );
    expect(trainBpe(many, 290)).toHaveLength(34);
    expect(trainBpe([file("qwertz")], 4096)).toEqual([]);
  });

  test("keeps tokens inside words and runs, within their length, and apart", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("let x", " = ", "veryLongIdentifierName", "();\n", "\t\t"), {
          maxLength: 60,
        }),
        (parts) => {
          const tokens = trainBpe([file(parts.join(""))], 400);
          expect(new Set(tokens).size).toBe(tokens.length);
          for (const token of tokens) {
            expect(token.length).toBeLessThanOrEqual(MAX_TOKEN_BYTES);
            expect(token).toMatch(/^( ?[\w$\x80-\xff]+|[ \t]+|[\r\n]+|[^\w$\s\x80-\xff]+)$/);
          }
        },
      ),
    );
  });

  test("is the same whatever the order of files", () => {
    const files = [file("alpha beta alpha\n", 0), file("gamma beta gamma\n", 1)];
    const tokens = trainBpe(files.concat(files), 280);
    expect(tokens.length).toBeGreaterThan(4);
    expect(trainBpe(files.concat(files).toReversed(), 280)).toEqual(tokens);
  });
});

describe("where tokens end", () => {
  const trie = new TokenTrie(["re", "ret", "return", " x"]);

  test("is where no token goes on, or at the byte that none has there", () => {
    expect(ends(trie, "return x;")).toEqual([5, 7, 8]);
    // "retu" begins a token and breaks off at "b": one patch, nothing is taken back.
    expect(ends(trie, "retub")).toEqual([4]);
    expect(ends(trie, "re;")).toEqual([2]);
  });

  test("never depends on later bytes", () => {
    const text = fc.string({ unit: fc.constantFrom(..."return x;ab"), maxLength: 40 });
    fc.assert(
      fc.property(text, text, (before, after) => {
        const alone = ends(trie, before);
        expect(ends(trie, before + after).filter((t) => t < before.length)).toEqual(alone);
      }),
    );
  });

  test("splits any bytes whatever the vocabulary", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const text = Buffer.from(bytes).toString("latin1");
        const none = ends(new TokenTrie([]), text);
        expect(none).toEqual([...bytes].map((_, t) => t));
      }),
    );
  });
});
