/**
 * Copying alone, the baseline without a model: the longest end of the text before the cursor that stands somewhere else
 * is looked up, and what followed there is written. Of several places of that length the continuation of the line that
 * most of them have wins; of equally frequent ones the latest in this file, then the first in the workspace.
 */

/** Longer matches say nothing more. */
const LONGEST_MATCH = 1024;

export interface Copied {
  readonly bytes: Uint8Array;
  readonly matchBytes: number;
}

interface Place {
  readonly text: Buffer;
  /** Where the continuation begins. */
  readonly at: number;
}

/** What follows the longest match, up to the end of its line or `maxBytes`; nothing without a match. */
export function suffixCopy(o: {
  /** Texts of the workspace, without the file's own. */
  readonly workspace: readonly Uint8Array[];
  readonly before: Uint8Array;
  readonly maxBytes: number;
}): Copied {
  const workspace = o.workspace.map(bufferOf);
  const before = bufferOf(o.before);
  // A match may end anywhere but at the cursor.
  const own = before.subarray(0, Math.max(0, before.length - 1));
  const stands = (length: number): boolean => {
    const needle = before.subarray(before.length - length);
    return own.includes(needle) || workspace.some((text) => text.includes(needle));
  };
  // An end of what stands somewhere stands there too, so the longest is found by halving.
  let low = 0;
  let high = Math.min(before.length, LONGEST_MATCH);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (stands(middle)) low = middle;
    else high = middle - 1;
  }
  if (low === 0) return { bytes: new Uint8Array(0), matchBytes: 0 };
  const needle = before.subarray(before.length - low);
  const places = [
    ...placesOf(own, needle)
      .map((place) => ({ text: before, at: place.at }))
      .reverse(),
    ...workspace.flatMap((text) => placesOf(text, needle)),
  ];
  const counts = new Map<string, { count: number; line: Buffer }>();
  for (const place of places) {
    const line = lineAt(place, o.maxBytes);
    const key = line.toString("latin1");
    const known = counts.get(key);
    if (known === undefined) counts.set(key, { count: 1, line });
    else known.count++;
  }
  let best: { count: number; line: Buffer } | undefined;
  for (const one of counts.values()) if (best === undefined || one.count > best.count) best = one;
  return { bytes: Uint8Array.from(best!.line), matchBytes: low };
}

function placesOf(text: Buffer, needle: Buffer): Place[] {
  const places: Place[] = [];
  for (let from = text.indexOf(needle); from >= 0; from = text.indexOf(needle, from + 1))
    places.push({ text, at: from + needle.length });
  return places;
}

function lineAt({ text, at }: Place, maxBytes: number): Buffer {
  const lineFeed = text.indexOf(10, at);
  return text.subarray(at, Math.min(lineFeed < 0 ? text.length : lineFeed, at + maxBytes));
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
