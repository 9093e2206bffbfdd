/** What the memory's counts say to one question after the other: "is it this byte, if none before it?". The questions are
 *  the mixture's, in its order, so every count is taken from what the bytes asked about before have left of its total. */

import { ANALOGY_OWN, ANALOGY_WORKSPACE, COUNT_INPUTS } from "./blendWeights.ts";
import { EVIDENCE_STATES, evidenceState, logit } from "./evidence.ts";
import { CANDIDATES, type PlaceEvidence } from "./placeEvidence.ts";
import type { Expected } from "./analogies.ts";

/** Counts, and what the plain distribution says. */
export const EVIDENCE_INPUTS = COUNT_INPUTS + 1;

const NOT_COUNTED = -1;
const LEAST_LEFT = 1e-12;
const SHARE_BOUND = 1e-6;

/** Part of what is left, kept inside (0, 1) where rounding or a zero would leave it. */
export function shareOf(probability: number, left: number): number {
  const ratio = probability / Math.max(left, LEAST_LEFT);
  return Math.min(1 - SHARE_BOUND, Math.max(SHARE_BOUND, ratio));
}

export class EvidenceInputs {
  private evidence: PlaceEvidence | undefined;
  private readonly rankOf = new Int8Array(256);
  private readonly left = new Float64Array(COUNT_INPUTS);
  private plainLeft = 1;
  private workspaceAsked = false;
  private ownAsked = false;

  /** Another place, before its first question. */
  begin(evidence: PlaceEvidence | undefined): void {
    this.evidence = evidence;
    if (evidence === undefined) return;
    this.left.set(evidence.total);
    this.plainLeft = 1;
    this.workspaceAsked = false;
    this.ownAsked = false;
    this.rankOf.fill(NOT_COUNTED);
    for (let rank = 0; rank < evidence.candidates; rank++)
      this.rankOf[evidence.candidate[rank]!] = rank;
  }

  /** Appends the inputs that say anything about a byte, numbered from `first` on, at `from` of `input` and `index`;
   *  returns where they end. */
  ask(byte: number, o: InputList, from: number): number {
    const { evidence, left } = this;
    if (evidence === undefined) return from;
    const { counts, belief } = evidence;
    const { input, index, first } = o;
    const rank = this.rankOf[byte]!;
    let at = from;
    for (let i = 0; i < COUNT_INPUTS; i++) {
      const total = left[i]!;
      if (total <= 0) continue;
      const count = rank === NOT_COUNTED ? 0 : Math.min(total, counts[i * CANDIDATES + rank]!);
      input[at] = belief[i * EVIDENCE_STATES + evidenceState(count, total)]!;
      index[at++] = first + i;
      left[i] = total - count;
    }
    const { workspace, own } = evidence;
    if (!this.workspaceAsked && workspace.byte >= 0) {
      input[at] = expectation(belief, ANALOGY_WORKSPACE, workspace, byte);
      index[at++] = first + ANALOGY_WORKSPACE;
      this.workspaceAsked = byte === workspace.byte;
    }
    if (!this.ownAsked && own.byte >= 0) {
      input[at] = expectation(belief, ANALOGY_OWN, own, byte);
      index[at++] = first + ANALOGY_OWN;
      this.ownAsked = byte === own.byte;
    }
    const plain = rank === NOT_COUNTED ? 0 : evidence.escape[byte]!;
    input[at] = logit(shareOf(plain, this.plainLeft));
    index[at++] = first + COUNT_INPUTS;
    this.plainLeft -= plain;
    return at;
  }
}

/** Where inputs are written: their values and their numbers. */
export interface InputList {
  readonly input: Float64Array;
  readonly index: Uint8Array;
  /** Number of the first. */
  readonly first: number;
}

/** Once the byte expected was asked about, nothing is left to say. */
function expectation(
  belief: Float32Array,
  input: number,
  expected: Expected,
  byte: number,
): number {
  const hit = byte === expected.byte ? 1 : 0;
  return belief[input * EVIDENCE_STATES + expected.class * 2 + hit]!;
}
