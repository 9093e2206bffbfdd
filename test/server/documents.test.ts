/**
 * UTF-16 offsets and byte offsets of a document: exact for every text the editor can hold, surrogate pairs, lone
 * surrogates, CRLF and byte order marks included. TextEncoder is the reference.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DocumentBytes, DocumentText, byteOffset, utf16Offset } from "../../server/documents.ts";

/** Text as an editor may hold it: any code units, with what goes wrong most often made likely. */
const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "\r\n",
        "\n",
        "\r",
        "\ufeff",
        "é",
        "漢",
        "😀",
        "\ud800",
        "\udc00",
        "\udfff",
        "a",
      ),
      fc.string({ unit: "binary", maxLength: 5 }),
      fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(""));

/** Long enough for several entries of the sparse index. */
const longText = fc
  .tuple(anyText, fc.integer({ min: 1, max: 200 }))
  .map(([text, times]) => text.repeat(times));

const splitsPair = (text: string, unit: number): boolean =>
  unit > 0 && /[\ud800-\udbff]/.test(text[unit - 1]!) && /^[\udc00-\udfff]/.test(text[unit] ?? "");

describe("DocumentText", () => {
  test("has the bytes that TextEncoder gives", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(new DocumentText(text).bytes).toEqual(new TextEncoder().encode(text));
      }),
    );
  });

  test("maps an offset to the length of the encoded text before it", () => {
    fc.assert(
      fc.property(longText, fc.nat(), (text, at) => {
        const unit = text.length === 0 ? 0 : at % (text.length + 1);
        const start = splitsPair(text, unit) ? unit - 1 : unit;
        const expected = new TextEncoder().encode(text.slice(0, start)).length;
        expect(new DocumentText(text).toByte(utf16Offset(unit))).toBe(expected);
      }),
    );
  });

  test("returns to the same offset, or to the start of the character", () => {
    fc.assert(
      fc.property(longText, fc.nat(), (text, at) => {
        const document = new DocumentText(text);
        const unit = text.length === 0 ? 0 : at % (text.length + 1);
        const start = splitsPair(text, unit) ? unit - 1 : unit;
        expect(document.toUtf16(document.toByte(utf16Offset(unit)))).toBe(start);
      }),
    );
  });

  test("maps a byte inside a character to the character's start", () => {
    fc.assert(
      fc.property(anyText, fc.nat(), (text, at) => {
        const document = new DocumentText(text);
        const byte = document.bytes.length === 0 ? 0 : at % (document.bytes.length + 1);
        const unit = document.toUtf16(byteOffset(byte));
        const back = document.toByte(unit);
        expect(back).toBeLessThanOrEqual(byte);
        const next = splitsPair(text, unit + 1) ? unit + 2 : unit + 1;
        if (unit < text.length) expect(document.toByte(utf16Offset(next))).toBeGreaterThan(byte);
      }),
    );
  });

  test("clamps offsets beyond the text", () => {
    const document = new DocumentText("a😀");
    expect(document.toByte(utf16Offset(99))).toBe(5);
    expect(document.toUtf16(byteOffset(99))).toBe(3);
    expect(document.toByte(utf16Offset(-1))).toBe(0);
  });

  test("keeps a byte order mark and carriage returns as bytes", () => {
    expect([...new DocumentText("\ufeffa\r\n").bytes]).toEqual([
      0xef, 0xbb, 0xbf, 0x61, 0x0d, 0x0a,
    ]);
  });
});

describe("DocumentBytes", () => {
  test("encodes one version once and a new version again", () => {
    const cache = new DocumentBytes();
    let reads = 0;
    const version = (number: number, text: string) => ({
      uri: "file:///a",
      version: number,
      getText: () => {
        reads++;
        return text;
      },
    });
    const first = cache.of(version(1, "one"));
    expect(cache.of(version(1, "one"))).toBe(first);
    expect(reads).toBe(1);
    expect(cache.of(version(2, "two")).text).toBe("two");
    cache.delete("file:///a");
    cache.of(version(2, "two"));
    expect(reads).toBe(3);
  });
});
