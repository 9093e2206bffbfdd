/** The bytes worth asking about at a place, best first, and what every source counted of each: the workspace and the file
 *  at several orders and in several kinds of hashed contexts. */

import type { Analogies } from "./analogies.ts";
import {
  ANALOGY_VOTES,
  COUNT_INPUTS,
  OWN_CONTEXTS,
  OWN_KINDS,
  OWN_ORDERS,
  WORKSPACE_CONTEXTS,
  WORKSPACE_INPUTS,
  WORKSPACE_KINDS,
  WORKSPACE_ORDERS,
} from "./blendWeights.ts";
import type { CodeContext } from "./codeContext.ts";
import type { Levels } from "./levels.ts";
import { NO_CONTEXT, type OwnContexts } from "./ownContexts.ts";
import { CANDIDATES } from "./placeEvidence.ts";
import type { SegmentWalk } from "./segment.ts";

/** Bytes less probable than this in the escape blend are not asked about. */
const CANDIDATE_FLOOR = 1e-4;

export class Evidence {
  readonly candidate = new Uint8Array(CANDIDATES);
  /** Rank of a byte; −1 where it is no candidate. The reader puts the −1 back. */
  readonly candidateOf = new Int8Array(256).fill(-1);
  /** [input, rank]. */
  readonly counts = new Int32Array(COUNT_INPUTS * CANDIDATES);
  /** How much each input counted at all. */
  readonly total = new Float64Array(COUNT_INPUTS);
  /** The same, for the reader to take from what was asked about. */
  readonly left = new Float64Array(COUNT_INPUTS);

  /** Returns how many candidates there are. */
  gather(
    o: {
      workspace: Levels;
      own: Levels | undefined;
      walks: readonly SegmentWalk[];
      ownContexts: OwnContexts | undefined;
      context: CodeContext;
      analogies: Analogies | undefined;
    },
    escape: Float64Array,
  ): number {
    let candidates = this.rank(escape);
    const { analogies } = o;
    if (analogies !== undefined) {
      candidates = this.include(analogies.workspace.byte, candidates);
      candidates = this.include(analogies.own.byte, candidates);
    }
    this.counts.fill(0);
    this.left.fill(0);
    const { workspace, own } = o;
    for (let level = 0; level < 2 && level < workspace.levels; level++)
      this.addLevel(workspace, level, level);
    this.addOrders(workspace, WORKSPACE_ORDERS, 2);
    if (own !== undefined && own.levels > 0) {
      this.addLevel(own, 0, WORKSPACE_INPUTS);
      this.addOrders(own, OWN_ORDERS, WORKSPACE_INPUTS + 1);
    }
    const { hash } = o.context;
    for (const walk of o.walks) this.addTables(walk, hash);
    if (o.ownContexts !== undefined)
      for (let k = 0; k < OWN_KINDS.length; k++)
        this.addOwn(o.ownContexts, hash[OWN_KINDS[k]!]!, OWN_CONTEXTS + k);
    if (analogies !== undefined && analogies.total > 0) {
      for (let rank = 0; rank < candidates; rank++)
        this.counts[ANALOGY_VOTES * CANDIDATES + rank] = analogies.votes[this.candidate[rank]!]!;
      this.left[ANALOGY_VOTES] = analogies.total;
    }
    this.total.set(this.left);
    return candidates;
  }

  private include(byte: number, candidates: number): number {
    if (byte < 0 || this.candidateOf[byte]! >= 0 || candidates === CANDIDATES) return candidates;
    this.candidate[candidates] = byte;
    this.candidateOf[byte] = candidates;
    return candidates + 1;
  }

  /** The most probable bytes of the escape blend, best first, equal ones by value. */
  private rank(escape: Float64Array): number {
    const { candidate, candidateOf } = this;
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

  private addLevel(levels: Levels, level: number, input: number): void {
    const { counts, candidateOf } = this;
    const row = input * CANDIDATES;
    const byteOf = levels.byteOf[level]!;
    const countOf = levels.countOf[level]!;
    const end = levels.start[level]! + levels.size[level]!;
    for (let i = levels.start[level]!; i < end; i++) {
      const rank = candidateOf[byteOf[i]!]!;
      if (rank >= 0) counts[row + rank] = countOf[i]!;
    }
    this.left[input] = levels.total[level]!;
  }

  /** Each order is answered by the shortest level that reaches it. */
  private addOrders(levels: Levels, orders: readonly number[], input: number): void {
    let level = levels.levels - 1;
    for (let i = 0; i < orders.length; i++) {
      while (level >= 0 && levels.order[level]! < orders[i]!) level--;
      if (level < 0) return;
      this.addLevel(levels, level, input + i);
    }
  }

  private addTables(walk: SegmentWalk, hash: Int32Array): void {
    const { counts, candidateOf, left } = this;
    for (let k = 0; k < walk.contexts.length; k++) {
      const table = walk.contexts[k]!;
      const context = table.find(hash[WORKSPACE_KINDS[k]!]!);
      if (context < 0) continue;
      const row = (WORKSPACE_CONTEXTS + k) * CANDIDATES;
      const end = table.end(context);
      let total = 0;
      for (let i = table.first(context); i < end; i++) {
        const count = table.count[i]!;
        const rank = candidateOf[table.byte[i]!]!;
        if (rank >= 0) counts[row + rank]! += walk.sign * count;
        total += count;
      }
      left[WORKSPACE_CONTEXTS + k]! += walk.sign * total;
    }
  }

  private addOwn(own: OwnContexts, hash: number, input: number): void {
    const slot = own.find(hash);
    if (slot === NO_CONTEXT) return;
    const { counts, candidateOf } = this;
    const row = input * CANDIDATES;
    let total = 0;
    for (let entry = own.first(slot); entry !== 0; entry = own.next[entry]!) {
      const count = own.count[entry]!;
      const rank = candidateOf[own.byte[entry]!]!;
      if (rank >= 0) counts[row + rank] = count;
      total += count;
    }
    this.left[input] = total;
  }
}
