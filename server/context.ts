/**
 * What the model is shown around the cursor: bytes before and bytes after, within a budget, never cutting a
 * character. Room not used on one side is given to the other.
 */
import type { ByteOffset, DocumentText } from "./documents.ts";

export interface CursorContext {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export interface ContextBudget {
  readonly beforeBytes: number;
  readonly afterBytes: number;
}

/** Enough for any preset's window; the model host cuts further to its own. */
export const CONTEXT_BUDGET: ContextBudget = { beforeBytes: 6144, afterBytes: 1024 };

export function contextAround(
  document: Pick<DocumentText, "bytes">,
  cursor: ByteOffset,
  budget: ContextBudget,
): CursorContext {
  const { bytes } = document;
  const total = budget.beforeBytes + budget.afterBytes;
  const afterFirst = Math.min(bytes.length - cursor, budget.afterBytes);
  const beforeBytes = Math.min(cursor, total - afterFirst);
  const afterBytes = Math.min(bytes.length - cursor, total - beforeBytes);
  let start = cursor - beforeBytes;
  while (start < cursor && isContinuation(bytes[start]!)) start++;
  let end = cursor + afterBytes;
  while (end > cursor && end < bytes.length && isContinuation(bytes[end]!)) end--;
  return { before: bytes.subarray(start, cursor), after: bytes.subarray(cursor, end) };
}

/** As much of the end of `earlier` as there is room for in front of `before`. */
export function withEarlier(earlier: Uint8Array, before: Uint8Array, maxBytes: number): Uint8Array {
  let start = Math.max(0, earlier.length - Math.max(0, maxBytes - before.length));
  while (start < earlier.length && isContinuation(earlier[start]!)) start++;
  if (start === earlier.length) return before;
  return Buffer.concat([earlier.subarray(start), before]);
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
