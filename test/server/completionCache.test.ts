/** A suggestion is reused while it is typed along, and never when anything around the cursor changed. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CompletionCache } from "../../server/completionCache.ts";
import { DocumentText, utf16Offset } from "../../server/documents.ts";

const place = (marked: string, uri = "file:///a.ts") => {
  const at = marked.indexOf("|");
  const document = new DocumentText(marked.replace("|", ""));
  return { uri, document, offset: document.toByte(utf16Offset(at)) };
};

describe("CompletionCache", () => {
  test("answers at the same place", () => {
    const cache = new CompletionCache();
    cache.store(place("foo.|;"), { text: "bar()", confidence: 0.5 });
    expect(cache.find(place("foo.|;"))).toEqual({ text: "bar()", confidence: 0.5, typedBytes: 0 });
  });

  test("answers with the rest while the suggestion is typed", () => {
    const cache = new CompletionCache();
    cache.store(place("foo.|;"), { text: "bär😀()", confidence: 0.5 });
    expect(cache.find(place("foo.b|;"))?.text).toBe("är😀()");
    expect(cache.find(place("foo.bär|;"))?.text).toBe("😀()");
    expect(cache.find(place("foo.bär😀(|;"))?.text).toBe(")");
  });

  test("says nothing once the suggestion is typed whole or something else was typed", () => {
    const cache = new CompletionCache();
    cache.store(place("foo.|;"), { text: "bar", confidence: 0.5 });
    expect(cache.find(place("foo.bar|;"))).toBeUndefined();
    expect(cache.find(place("foo.bx|;"))).toBeUndefined();
  });

  test("says nothing when the text around changed or it is another document", () => {
    const cache = new CompletionCache();
    cache.store(place("foo.|;"), { text: "bar", confidence: 0.5 });
    expect(cache.find(place("fxo.|;"))).toBeUndefined();
    expect(cache.find(place("foo.b|)"))).toBeUndefined();
    expect(cache.find(place("foo.|;", "file:///b.ts"))).toBeUndefined();
  });

  test("remembers silence", () => {
    const cache = new CompletionCache();
    cache.store(place("foo|"), { text: "", confidence: 0 });
    expect(cache.find(place("foo|"))?.text).toBe("");
    expect(cache.find(place("foox|"))).toBeUndefined();
  });

  test("gives exactly the untyped rest for any suggestion and any typed share of it", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 40 }),
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }),
        fc.string({ unit: "grapheme", maxLength: 40 }),
        fc.nat(),
        (before, suggestion, after, typed) => {
          const characters = Array.from(suggestion);
          const share = typed % characters.length;
          const head = characters.slice(0, share).join("");
          const cache = new CompletionCache();
          const at = (text: string) => {
            const document = new DocumentText(text + after);
            return { uri: "u", document, offset: document.toByte(utf16Offset(text.length)) };
          };
          cache.store(at(before), { text: suggestion, confidence: 1 });
          expect(cache.find(at(before + head))?.text).toBe(characters.slice(share).join(""));
        },
      ),
    );
  });
});
