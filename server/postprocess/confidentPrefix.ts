/**
 * The longest beginning of a suggestion that is right as a whole with at least the wanted probability. A model that
 * is sure of a call but not of its arguments then offers the call alone, instead of everything or nothing.
 */

export interface ConfidentPrefix {
  readonly text: string;
  /** Probability of the text kept. */
  readonly confidence: number;
  /** Something was left off, perhaps in the middle of a character or a name. */
  readonly truncated: boolean;
}

export function confidentPrefix(
  answer: {
    readonly text: string;
    readonly confidence: number;
    readonly perByte?: readonly number[];
  },
  minConfidence: number,
): ConfidentPrefix {
  const { text, confidence, perByte } = answer;
  const whole = { text, confidence, truncated: false };
  if (perByte === undefined || confidence >= minConfidence) return whole;
  const bytes = Buffer.from(text);
  let kept = 0;
  let probability = 1;
  while (kept < Math.min(bytes.length, perByte.length)) {
    const next = probability * perByte[kept]!;
    if (next < minConfidence) break;
    probability = next;
    kept++;
  }
  if (kept === bytes.length) return { ...whole, confidence: probability };
  // Back to the start of the character that did not fit.
  while (kept > 0 && (bytes[kept]! & 0xc0) === 0x80) kept--;
  return { text: bytes.toString("utf8", 0, kept), confidence: probability, truncated: true };
}
