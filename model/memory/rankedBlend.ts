/** The distribution over the next byte, refined: the most probable bytes of the escape blend are asked one after the
 *  other "is it this one, if none before it?", each answered by a logistic mixture of what the counts of every order
 *  say about it; what is left goes to all other bytes in the escape blend's proportions. So the 256 probabilities sum
 *  to 1 by construction. `learn` corrects the weights after a byte is known, never before.
 *  Source: logistic mixing as in PAQ (Mahoney 2005) over symbol ranking instead of bits. */

import {
  BYTE_CLASSES,
  COUNT_INPUTS,
  INPUTS,
  OWN_ORDERS,
  OWN_SITUATIONS,
  RANKS,
  STATES,
  WORKSPACE_ORDERS,
  WORKSPACE_SITUATIONS,
  evidenceState,
  logistic,
  logit,
  type BlendWeights,
} from "./blendWeights.ts";
import { escapeBlend } from "./escapeBlend.ts";
import type { Levels } from "./levels.ts";
import { MAX_ORDER } from "./segment.ts";

const CANDIDATES = 32;
/** Bytes less probable than this in the escape blend are not asked about. */
const CANDIDATE_FLOOR = 1e-4;
/** Asking stops when the bytes asked about hold all but this much. */
const SETTLED = 0.002;
const LOWEST = 1e-4;
const HIGHEST = 1 - 2e-4;
const CONSTANT_INPUT = 0.3;
const LEVELS = MAX_ORDER + 1;
const NO_LEVEL = -1;

const rankClass = Uint8Array.from({ length: CANDIDATES }, (_, rank) =>
  rank < 5 ? rank : rank < 8 ? 5 : rank < 12 ? 6 : rank < 18 ? 7 : 8,
);

/** Situation of a longest match; 0 is "nothing counted". */
const orderClass = Uint8Array.from({ length: LEVELS }, (_, order) => {
  const bounds = [2, 3, 4, 5, 6, 8, 12, 18, 32];
  const found = bounds.findIndex((bound) => order < bound);
  return 1 + (found === -1 ? bounds.length : found);
});

const byteClass = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 97 && byte <= 122) return 0;
  if (byte >= 65 && byte <= 90) return 1;
  if (byte >= 48 && byte <= 57) return 2;
  if (byte === 32) return 3;
  if (byte === 10) return 4;
  if (byte === 95 || byte === 36) return 5;
  return byte >= 128 ? 6 : BYTE_CLASSES - 1;
});

const OWN_SET = WORKSPACE_SITUATIONS * RANKS * INPUTS;
const CLASS_SET = OWN_SET + OWN_SITUATIONS * RANKS * INPUTS;
const RANK_STRIDE = INPUTS;

export interface Lesson {
  /** What came after the last prediction. */
  readonly byte: number;
  readonly rate: number;
  /** Evidence forgets beyond this many outcomes. */
  readonly seenLimit: number;
}

export class RankedBlend {
  weights: BlendWeights;
  private readonly escape = new Float64Array(256);
  private readonly candidate = new Uint8Array(CANDIDATES);
  private readonly candidateOf = new Int8Array(256).fill(-1);
  private readonly counts = new Int32Array(2 * LEVELS * CANDIDATES);
  private readonly levelOf = new Int16Array(COUNT_INPUTS);
  private readonly left = new Float64Array(COUNT_INPUTS);
  private readonly summed = new Float64Array(INPUTS);
  // Of the last prediction, for `learn`:
  private asked = 0;
  private readonly input = new Float64Array(CANDIDATES * INPUTS);
  private readonly state = new Int32Array(CANDIDATES * COUNT_INPUTS);
  private readonly answer = new Float64Array(CANDIDATES);
  private workspaceSet = 0;
  private ownSet = 0;
  private classSet = 0;

  constructor(weights: BlendWeights) {
    this.weights = weights;
  }

  /** Writes 256 probabilities that sum to 1. `last` is the byte before, or a line end at the beginning of a file. */
  predict(
    o: { workspace: Levels; own: Levels | undefined; last: number },
    out: Float64Array,
  ): void {
    const { workspace, own } = o;
    const { escape, candidate, candidateOf, levelOf, left, input, state, answer, summed } = this;
    const { belief, weight } = this.weights;
    escapeBlend(workspace, own, escape);
    const candidates = this.rank();
    this.gatherCounts(workspace, 0);
    if (own !== undefined) this.gatherCounts(own, LEVELS);
    this.chooseLevels(workspace, own);
    const ownLevels = own === undefined ? 0 : own.levels;
    this.workspaceSet =
      (workspace.levels === 0 ? 0 : orderClass[workspace.order[0]!]!) * RANKS * INPUTS;
    this.ownSet = OWN_SET + (ownLevels === 0 ? 0 : orderClass[own!.order[0]!]!) * RANKS * INPUTS;
    this.classSet = CLASS_SET + byteClass[o.last]! * RANKS * INPUTS;

    out.set(escape);
    let mass = 1;
    let escapeMass = 1;
    let rank = 0;
    for (; rank < candidates && mass > SETTLED; rank++) {
      const offset = rankClass[rank]! * RANK_STRIDE;
      const a = this.workspaceSet + offset;
      const b = this.ownSet + offset;
      const c = this.classSet + offset;
      for (let i = 0; i < INPUTS; i++) summed[i] = weight[a + i]! + weight[b + i]! + weight[c + i]!;
      const inputs = rank * INPUTS;
      const states = rank * COUNT_INPUTS;
      let sum = 0;
      for (let i = 0; i < COUNT_INPUTS; i++) {
        const total = left[i]!;
        if (total <= 0) {
          state[states + i] = -1;
          input[inputs + i] = 0;
          continue;
        }
        const count = this.counts[levelOf[i]! * CANDIDATES + rank]!;
        const evidence = i * STATES + evidenceState(count, total);
        const value = belief[evidence]!;
        state[states + i] = evidence;
        input[inputs + i] = value;
        sum += value * summed[i]!;
        left[i] = total - count;
      }
      const byte = candidate[rank]!;
      const share = logit(Math.min(escape[byte]! / escapeMass, 1 - 1e-6));
      input[inputs + COUNT_INPUTS] = share;
      input[inputs + COUNT_INPUTS + 1] = CONSTANT_INPUT;
      sum += share * summed[COUNT_INPUTS]! + CONSTANT_INPUT * summed[COUNT_INPUTS + 1]!;
      const yes = Math.min(HIGHEST, Math.max(LOWEST, logistic(sum)));
      answer[rank] = yes;
      out[byte] = mass * yes;
      mass *= 1 - yes;
      escapeMass -= escape[byte]!;
    }
    this.asked = rank;
    let rest = 0;
    for (let i = rank; i < candidates; i++) candidateOf[candidate[i]!] = -1;
    for (let byte = 0; byte < 256; byte++) if (candidateOf[byte]! < 0) rest += escape[byte]!;
    const scale = mass / rest;
    for (let byte = 0; byte < 256; byte++)
      if (candidateOf[byte]! < 0) out[byte] = escape[byte]! * scale;
    for (let i = 0; i < rank; i++) candidateOf[candidate[i]!] = -1;
  }

  /** Moves the weights towards what came after the last prediction. */
  learn(o: Lesson): void {
    const { candidate, input, state, answer } = this;
    const { hits, seen, belief, weight } = this.weights;
    for (let rank = 0; rank < this.asked; rank++) {
      const hit = candidate[rank] === o.byte ? 1 : 0;
      const step = o.rate * (hit - answer[rank]!);
      const offset = rankClass[rank]! * RANK_STRIDE;
      const inputs = rank * INPUTS;
      for (let i = 0; i < INPUTS; i++) {
        const change = step * input[inputs + i]!;
        weight[this.workspaceSet + offset + i]! += change;
        weight[this.ownSet + offset + i]! += change;
        weight[this.classSet + offset + i]! += change;
      }
      const states = rank * COUNT_INPUTS;
      for (let i = 0; i < COUNT_INPUTS; i++) {
        const evidence = state[states + i]!;
        if (evidence < 0) continue;
        if (seen[evidence]! >= o.seenLimit) {
          seen[evidence]! /= 2;
          hits[evidence]! /= 2;
        }
        seen[evidence]! += 1;
        hits[evidence]! += hit;
        belief[evidence] = logit(hits[evidence]! / seen[evidence]!);
      }
      if (hit === 1) break;
    }
    this.asked = 0;
  }

  /** The most probable bytes of the escape blend, best first, equal ones by value. */
  private rank(): number {
    const { escape, candidate, candidateOf } = this;
    let candidates = 0;
    for (let byte = 0; byte < 256; byte++) {
      const probability = escape[byte]!;
      if (probability < CANDIDATE_FLOOR) continue;
      let at: number;
      if (candidates < CANDIDATES) at = candidates++;
      else if (probability > escape[candidate[CANDIDATES - 1]!]!) at = CANDIDATES - 1;
      else continue;
      while (at > 0 && escape[candidate[at - 1]!]! < probability) {
        candidate[at] = candidate[at - 1]!;
        at--;
      }
      candidate[at] = byte;
    }
    for (let rank = 0; rank < candidates; rank++) candidateOf[candidate[rank]!] = rank;
    return candidates;
  }

  private gatherCounts(levels: Levels, firstLevel: number): void {
    const { counts, candidateOf } = this;
    counts.fill(0, firstLevel * CANDIDATES, (firstLevel + levels.levels) * CANDIDATES);
    for (let level = 0; level < levels.levels; level++) {
      const row = (firstLevel + level) * CANDIDATES;
      const levelByte = levels.byteOf[level]!;
      const levelCount = levels.countOf[level]!;
      const end = levels.start[level]! + levels.size[level]!;
      for (let i = levels.start[level]!; i < end; i++) {
        const rank = candidateOf[levelByte[i]!]!;
        if (rank >= 0) counts[row + rank] = levelCount[i]!;
      }
    }
  }

  /** Which level answers each count input, and its total; a missing one has total 0. */
  private chooseLevels(workspace: Levels, own: Levels | undefined): void {
    const { levelOf, left } = this;
    left.fill(0);
    levelOf.fill(NO_LEVEL);
    for (let i = 0; i < 2 && i < workspace.levels; i++) {
      levelOf[i] = i;
      left[i] = workspace.total[i]!;
    }
    this.chooseOrders({ levels: workspace, orders: WORKSPACE_ORDERS, input: 2, firstLevel: 0 });
    if (own === undefined || own.levels === 0) return;
    const first = WORKSPACE_ORDERS.length + 2;
    levelOf[first] = LEVELS;
    left[first] = own.total[0]!;
    this.chooseOrders({ levels: own, orders: OWN_ORDERS, input: first + 1, firstLevel: LEVELS });
  }

  private chooseOrders(o: {
    levels: Levels;
    orders: readonly number[];
    input: number;
    firstLevel: number;
  }): void {
    let level = o.levels.levels - 1;
    for (let i = 0; i < o.orders.length; i++) {
      const order = o.orders[i]!;
      while (level >= 0 && o.levels.order[level]! < order) level--;
      if (level < 0) return;
      this.levelOf[o.input + i] = o.firstLevel + level;
      this.left[o.input + i] = o.levels.total[level]!;
    }
  }
}
