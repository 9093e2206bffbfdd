/**
 * A file's text as an editor would show it, in UTF-8: UTF-16 with its byte order mark is decoded, a notebook
 * becomes its script. All other bytes stay as they are, invalid ones included.
 */
import { isNotebook, notebookScript } from "./notebook.ts";

/** A notebook's pictures may be much larger than its code; one of more than this is not opened. */
export const MAX_NOTEBOOK_KIB = 32 * 1024;

/** `bytes` itself where there is nothing to change. */
export function readableText(path: string, bytes: Uint8Array): Uint8Array {
  const decoded = decodeUtf16(bytes) ?? bytes;
  if (!isNotebook(path)) return decoded;
  const script = notebookScript(new TextDecoder().decode(decoded));
  return script === undefined ? decoded : new TextEncoder().encode(script);
}

/** Undefined where the bytes are not UTF-16, or broken. The mark does not stay. */
function decodeUtf16(bytes: Uint8Array): Uint8Array | undefined {
  const [a, b, c, d] = bytes;
  const isLittle = a === 0xff && b === 0xfe;
  if (!isLittle && !(a === 0xfe && b === 0xff)) return undefined;
  // Four bytes begin UTF-32.
  if (isLittle && c === 0 && d === 0) return undefined;
  try {
    const text = new TextDecoder(isLittle ? "utf-16le" : "utf-16be", { fatal: true }).decode(bytes);
    return new TextEncoder().encode(text);
  } catch {
    return undefined;
  }
}
