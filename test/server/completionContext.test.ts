/** The window around the cursor: within the budget, never cutting a character, no room wasted. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contextAround } from "../../server/context.ts";
import { DocumentText, utf16Offset } from "../../server/documents.ts";

const around = (text: string, at: number, beforeBytes: number, afterBytes: number) => {
  const document = new DocumentText(text);
  const { before, after } = contextAround(document, document.toByte(utf16Offset(at)), {
    beforeBytes,
    afterBytes,
  });
  return { before: Buffer.from(before).toString(), after: Buffer.from(after).toString() };
};

describe("contextAround", () => {
  test("takes what is left and right of the cursor", () => {
    expect(around("hello world", 5, 3, 3)).toEqual({ before: "llo", after: " wo" });
  });

  test("gives room that one side does not need to the other", () => {
    expect(around("hello world", 11, 3, 3)).toEqual({ before: " world", after: "" });
    expect(around("hello world", 0, 3, 3)).toEqual({ before: "", after: "hello " });
  });

  test("never cuts a character and never exceeds the budget", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 80 }),
        fc.nat(),
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 0, max: 40 }),
        (text, at, beforeBytes, afterBytes) => {
          const document = new DocumentText(text);
          const cursor = document.toByte(utf16Offset(at % (text.length + 1)));
          const window = contextAround(document, cursor, { beforeBytes, afterBytes });
          expect(window.before.length + window.after.length).toBeLessThanOrEqual(
            beforeBytes + afterBytes,
          );
          const decoder = new TextDecoder("utf-8", { fatal: true });
          decoder.decode(window.before);
          decoder.decode(window.after);
        },
      ),
    );
  });
});
