/**
 * The most probable whole names at a place, best first. A name's probability is the product of its bytes' and of "no
 * byte of a name follows"; it falls with every byte, so a best-first search over beginnings meets whole names in the
 * exact order of their probability until its limit of passes is reached. From there on the order is that of the names
 * met so far: a name that was not reached counts as not offered.
 */

/** 256 probabilities of the byte after the text before the name and some bytes of it. Not kept by the caller. */
export type NextByte = (bytes: readonly number[]) => Promise<Float64Array>;

export interface RankedName {
  readonly bytes: Uint8Array;
  /** Of the whole name and its end, given the text before it and the bytes that are typed. */
  readonly probability: number;
}

export interface NameSearch {
  /** First bytes of the name that are known. */
  readonly typed: Uint8Array;
  /** 1 for bytes that names are made of. */
  readonly nameBytes: Uint8Array;
  /** Names wanted. */
  readonly most: number;
  /** Distributions that may be asked for. */
  readonly passes?: number;
  readonly signal?: AbortSignal;
}

const PASSES = 64;
const LONGEST_NAME = 64;
/** Names and beginnings less probable than this are left aside. */
const FLOOR = 1e-6;

interface Node {
  readonly bytes: readonly number[];
  readonly probability: number;
  readonly whole: 0 | 1;
}

export async function searchNames(next: NextByte, o: NameSearch): Promise<RankedName[]> {
  const limit = o.passes ?? PASSES;
  const open: Node[] = [{ bytes: [...o.typed], probability: 1, whole: 0 }];
  const found: RankedName[] = [];
  const keep = ({ bytes, probability }: Node): void =>
    void found.push({ bytes: Uint8Array.from(bytes), probability });
  for (let pass = 0; found.length < o.most && pass < limit;) {
    const node = takeBest(open);
    if (node === undefined) return found;
    if (node.whole === 1) {
      keep(node);
      continue;
    }
    o.signal?.throwIfAborted();
    pass++;
    expand(node, await next(node.bytes), o.nameBytes, open);
  }
  while (found.length < o.most) {
    const node = takeBest(open);
    if (node === undefined) break;
    if (node.whole === 1) keep(node);
  }
  return found;
}

function expand(node: Node, p: Float64Array, nameBytes: Uint8Array, open: Node[]): void {
  const isFirst = node.bytes.length === 0;
  let end = 0;
  for (let byte = 0; byte < 256; byte++) {
    if (nameBytes[byte] === 0) {
      end += p[byte]!;
      continue;
    }
    const probability = node.probability * p[byte]!;
    if (probability < FLOOR || node.bytes.length >= LONGEST_NAME || (isFirst && isDigit(byte)))
      continue;
    open.push({ bytes: [...node.bytes, byte], probability, whole: 0 });
  }
  const whole = node.probability * end;
  if (!isFirst && whole >= FLOOR) open.push({ bytes: node.bytes, probability: whole, whole: 1 });
}

/** The most probable node; of equal ones the first made. */
function takeBest(open: Node[]): Node | undefined {
  let best = 0;
  for (let i = 1; i < open.length; i++)
    if (open[i]!.probability > open[best]!.probability) best = i;
  return open.splice(best, 1)[0];
}

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
