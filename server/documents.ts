/**
 * Open documents as bytes. The editor counts UTF-16 code units, the model counts UTF-8 bytes; the two
 * brands below keep them apart. A lone surrogate has no UTF-8 form and is encoded as U+FFFD, three bytes,
 * exactly as TextEncoder does, so offsets stay exact even in text that is not valid Unicode.
 */

export type ByteOffset = number & { readonly brand: "byte" };
export type Utf16Offset = number & { readonly brand: "utf16" };

export const byteOffset = (value: number): ByteOffset => value as ByteOffset;
export const utf16Offset = (value: number): Utf16Offset => value as Utf16Offset;

/** Code units between two entries of the sparse index; a look-up scans at most this many. */
const STRIDE = 512;

const encoder = new TextEncoder();

/** One version of a document's text with its bytes and the map between the two. Immutable. */
export class DocumentText {
  readonly text: string;
  readonly bytes: Uint8Array;
  /** Byte offset at each multiple of STRIDE code units. */
  private readonly byteAtStride: Uint32Array;

  constructor(text: string) {
    this.text = text;
    this.bytes = encoder.encode(text);
    this.byteAtStride = new Uint32Array(Math.floor(text.length / STRIDE) + 1);
    let bytes = 0;
    for (let unit = 0; unit < text.length; unit++) {
      if (unit % STRIDE === 0) this.byteAtStride[unit / STRIDE] = bytes;
      bytes += bytesOfUnit(text, unit);
    }
    if (text.length % STRIDE === 0) this.byteAtStride[text.length / STRIDE] = bytes;
  }

  /** An offset between the halves of a surrogate pair means the start of the character. */
  toByte(offset: Utf16Offset): ByteOffset {
    const end = Math.min(Math.max(offset, 0), this.text.length);
    const start = Math.floor(end / STRIDE);
    let bytes = this.byteAtStride[start]!;
    for (let unit = start * STRIDE; unit < end; unit++) bytes += bytesOfUnit(this.text, unit);
    // A pair's bytes are counted at its second half, so stopping between the halves yields its start.
    return byteOffset(bytes);
  }

  /** An offset inside a character means the start of the character. */
  toUtf16(offset: ByteOffset): Utf16Offset {
    const target = Math.min(Math.max(offset, 0), this.bytes.length);
    let low = 0;
    let high = this.byteAtStride.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.byteAtStride[middle]! <= target) low = middle;
      else high = middle - 1;
    }
    let unit = low * STRIDE;
    let bytes = this.byteAtStride[low]!;
    if (isSecondHalf(this.text, unit)) unit -= 1;
    while (unit < this.text.length) {
      const width = isFirstHalf(this.text, unit) ? 2 : 1;
      const size = width === 2 ? 4 : bytesOfUnit(this.text, unit);
      if (bytes + size > target) break;
      bytes += size;
      unit += width;
    }
    return utf16Offset(unit);
  }
}

function isHigh(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}

function isLow(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}

function isFirstHalf(text: string, unit: number): boolean {
  return isHigh(text.charCodeAt(unit)) && isLow(text.charCodeAt(unit + 1));
}

function isSecondHalf(text: string, unit: number): boolean {
  return unit > 0 && isLow(text.charCodeAt(unit)) && isHigh(text.charCodeAt(unit - 1));
}

/** UTF-8 bytes to count when passing one code unit: a pair counts nothing at its first half and four at its second. */
function bytesOfUnit(text: string, unit: number): number {
  const code = text.charCodeAt(unit);
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  if (isHigh(code)) return isFirstHalf(text, unit) ? 0 : 3;
  if (isLow(code)) return isSecondHalf(text, unit) ? 4 : 3;
  return 3;
}

interface VersionedText {
  readonly uri: string;
  readonly version: number;
  getText(): string;
}

/** Keeps the byte form of the newest version of each open document. */
export class DocumentBytes {
  private readonly byUri = new Map<string, { version: number; text: DocumentText }>();

  of(document: VersionedText): DocumentText {
    const known = this.byUri.get(document.uri);
    if (known !== undefined && known.version === document.version) return known.text;
    const text = new DocumentText(document.getText());
    this.byUri.set(document.uri, { version: document.version, text });
    return text;
  }

  delete(uri: string): void {
    this.byUri.delete(uri);
  }
}
