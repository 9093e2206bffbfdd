/** The distribution over the next byte, refined: the most probable bytes of the escape blend are asked one after the
 *  other "is it this one, if none before it?". Each question is answered by logistic mixtures of what every count says
 *  about it, one mixture per set of situations; their answers are mixed again and refined by how often such answers
 *  were right. What is left goes to all other bytes in the escape blend's proportions, so the 256 probabilities sum to 1
 *  by construction. `learn` corrects everything after a byte is known, never before.
 *  Source: logistic mixing in two layers and adaptive probability maps as in PAQ (Mahoney 2005), over symbol ranking
 *  instead of bits. */

import { Expected, type Analogies } from "./analogies.ts";
import {
  ANALOGY_OWN,
  ANALOGY_WORKSPACE,
  COMBINING_SET,
  COUNT_INPUTS,
  INPUTS,
  RANKS,
  REFINE_HASHED_AT,
  REFINE_HASHES,
  REFINE_LIMIT,
  REFINE_RANKS,
  REFINE_STEPS,
  SETS,
  SET_STARTS,
  unrefinedAt,
  type BlendWeights,
} from "./blendWeights.ts";
import type { CodeContext } from "./codeContext.ts";
import { Evidence } from "./candidates.ts";
import { escapeBlend } from "./escapeBlend.ts";
import { EVIDENCE_STATES, evidenceState, logistic, logit } from "./evidence.ts";
import type { Levels } from "./levels.ts";
import type { OwnContexts } from "./ownContexts.ts";
import { CANDIDATES, type PlaceEvidence } from "./placeEvidence.ts";
import type { SegmentWalk } from "./segment.ts";
import { chooseSituations } from "./situations.ts";
import { stepSix, sumSix } from "./sixSets.ts";

/** Asking stops when the bytes asked about hold all but this much. */
const SETTLED = 0.002;
const LOWEST = 1e-4;
const HIGHEST = 1 - 2e-5;
const CONSTANT_INPUT = 0.3;
const NOTHING_EXPECTED = new Expected();
const ANSWER_LIMIT = 12;
/** Of the rate of the first layer. */
const COMBINE_RATE = 0.1;
const REFINE_RATE = 0.02;

/** What fresh refinement tables hold: the logistic function at each step. */
const unrefined = Float64Array.from({ length: REFINE_STEPS + 1 }, (_, step) =>
  Math.fround(unrefinedAt(step)),
);

const rankClass = Uint8Array.from({ length: CANDIDATES }, (_, rank) =>
  rank < 5 ? rank : rank < 8 ? 5 : rank < 12 ? 6 : rank < 18 ? 7 : 8,
);

export interface Lesson {
  /** What came after the last prediction. */
  readonly byte: number;
  readonly rate: number;
  /** Evidence forgets beyond this many outcomes. */
  readonly seenLimit: number;
}

/** All that is known of the place to predict. */
export interface Place {
  readonly workspace: Levels;
  readonly own: Levels | undefined;
  readonly walks: readonly SegmentWalk[];
  readonly ownContexts: OwnContexts | undefined;
  readonly context: CodeContext;
  readonly analogies: Analogies | undefined;
}

export class RankedBlend {
  weights: BlendWeights;
  private readonly escape = new Float64Array(256);
  private readonly evidence = new Evidence();
  // Of the last prediction, for `learn`:
  private asked = 0;
  private readonly input = new Float64Array(CANDIDATES * INPUTS);
  /** Numbers of the inputs that say anything, which are not 0: the others change no sum. */
  private readonly active = new Uint8Array(CANDIDATES * INPUTS);
  private readonly actives = new Uint8Array(CANDIDATES);
  private readonly state = new Int32Array(CANDIDATES * COUNT_INPUTS);
  /** Where the weights of each set begin. */
  private readonly row = new Int32Array(CANDIDATES * SETS);
  private readonly setAnswer = new Float64Array(CANDIDATES * SETS);
  private readonly step = new Float64Array(SETS);
  private readonly answer = new Float64Array(CANDIDATES);
  private readonly situation = new Int32Array(SETS);
  /** Lower step of each answer in the two refinements, and how far it is to the upper one. */
  private readonly byByte = new Int32Array(CANDIDATES);
  private readonly byHash = new Int32Array(CANDIDATES);
  private readonly between = new Float64Array(CANDIDATES);

  constructor(weights: BlendWeights) {
    this.weights = weights;
  }

  /** Writes 256 probabilities that sum to 1; returns what they were made of, which holds until the next call. */
  predict(place: Place, out: Float64Array): PlaceEvidence {
    const { escape, evidence, answer } = this;
    escapeBlend(place.workspace, place.own, escape);
    const candidates = evidence.gather(place, escape);
    const { candidate, candidateOf } = evidence;
    chooseSituations({ ...place, sure: escape[candidate[0]!]! }, this.situation);
    const { context } = place;
    const tableByByte = context.last(1) * REFINE_RANKS;
    const tableByHash =
      (Math.imul(context.last(1), 0x9e35) + context.last(2) * 0x2f11 + context.last(3) * 0x11) &
      (REFINE_HASHES - 1);
    let mass = 1;
    let escapeMass = 1;
    let rank = 0;
    for (; rank < candidates && mass > SETTLED; rank++) {
      const byte = candidate[rank]!;
      this.fillInputs(rank, escape[byte]! / escapeMass);
      if (place.analogies !== undefined) {
        this.fillExpected(rank, ANALOGY_WORKSPACE, place.analogies.workspace);
        this.fillExpected(rank, ANALOGY_OWN, place.analogies.own);
      }
      this.findActive(rank);
      const sum = this.mixSets(rank);
      answer[rank] = clamped(logistic(sum));
      const yes = this.refined(rank, sum, tableByByte, tableByHash);
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
    return {
      candidates,
      candidate,
      counts: evidence.counts,
      total: evidence.total,
      escape,
      situation: this.situation,
      workspace: place.analogies?.workspace ?? NOTHING_EXPECTED,
      own: place.analogies?.own ?? NOTHING_EXPECTED,
      belief: this.weights.belief,
    };
  }

  private fillInputs(rank: number, share: number): void {
    const { input, state } = this;
    const { belief } = this.weights;
    const { counts, left } = this.evidence;
    const inputs = rank * INPUTS;
    const states = rank * COUNT_INPUTS;
    for (let i = 0; i < COUNT_INPUTS; i++) {
      const total = left[i]!;
      if (total <= 0) {
        state[states + i] = -1;
        input[inputs + i] = 0;
        continue;
      }
      const count = counts[i * CANDIDATES + rank]!;
      const known = i * EVIDENCE_STATES + evidenceState(count, total);
      state[states + i] = known;
      input[inputs + i] = belief[known]!;
      left[i] = total - count;
    }
    input[inputs + COUNT_INPUTS] = logit(Math.min(share, 1 - 1e-6));
    input[inputs + COUNT_INPUTS + 1] = CONSTANT_INPUT;
  }

  /** Once the byte expected was asked about, nothing is left to say. */
  private fillExpected(rank: number, input: number, expected: Expected): void {
    if (expected.byte < 0 || this.isRefuted(rank, expected.byte)) return;
    const hit = this.evidence.candidate[rank] === expected.byte ? 1 : 0;
    const known = input * EVIDENCE_STATES + expected.class * 2 + hit;
    this.state[rank * COUNT_INPUTS + input] = known;
    this.input[rank * INPUTS + input] = this.weights.belief[known]!;
  }

  private isRefuted(rank: number, byte: number): boolean {
    const at = this.evidence.candidateOf[byte]!;
    return at >= 0 && at < rank;
  }

  /** Brings them to the front. */
  private findActive(rank: number): void {
    const { input, active } = this;
    const from = rank * INPUTS;
    let n = 0;
    for (let i = 0; i < INPUTS; i++) {
      const value = input[from + i]!;
      if (value === 0) continue;
      input[from + n] = value;
      active[from + n++] = i;
    }
    this.actives[rank] = n;
  }

  /** Logit of the combined answer of all sets. */
  private mixSets(rank: number): number {
    const { input, active, setAnswer, situation, row } = this;
    const { weight, combine } = this.weights;
    const inputs = rank * INPUTS;
    const end = inputs + this.actives[rank]!;
    const combining = this.combining(rank);
    const sets = rank * SETS;
    for (let set = 0; set < SETS; set++)
      row[sets + set] = (situation[set]! * RANKS + rankClass[rank]!) * INPUTS;
    sumSix({ input, index: active, from: inputs, end }, weight, row, sets, setAnswer);
    let sum = 0;
    for (let set = 0; set < SETS; set++) {
      const dot = setAnswer[sets + set]!;
      const bounded = dot > ANSWER_LIMIT ? ANSWER_LIMIT : dot < -ANSWER_LIMIT ? -ANSWER_LIMIT : dot;
      setAnswer[sets + set] = bounded;
      sum += combine[combining + set]! * bounded;
    }
    return sum / SETS;
  }

  private combining(rank: number): number {
    const situation = this.situation[COMBINING_SET]! - SET_STARTS[COMBINING_SET]!;
    return (situation * RANKS + rankClass[rank]!) * SETS;
  }

  private refined(rank: number, sum: number, tableByByte: number, tableByHash: number): number {
    const { refine } = this.weights;
    const bounded = Math.max(-REFINE_LIMIT + 1e-3, Math.min(REFINE_LIMIT - 1e-3, sum));
    const place = (bounded / (2 * REFINE_LIMIT) + 0.5) * REFINE_STEPS;
    const step = Math.floor(place);
    const between = place - step;
    const byByte = (tableByByte + Math.min(rank, REFINE_RANKS - 1)) * (REFINE_STEPS + 1) + step;
    const byHash =
      REFINE_HASHED_AT + (tableByHash * 2 + Math.min(rank, 1)) * (REFINE_STEPS + 1) + step;
    this.byByte[rank] = byByte;
    this.byHash[rank] = byHash;
    this.between[rank] = between;
    const upper = (refine[byByte + 1]! + refine[byHash + 1]!) / 2 - unrefined[step + 1]!;
    const lower = (refine[byByte]! + refine[byHash]!) / 2 - unrefined[step]!;
    return clamped(this.answer[rank]! + lower * (1 - between) + upper * between);
  }

  /** Moves the weights towards what came after the last prediction. */
  learn(o: Lesson): void {
    const { candidate } = this.evidence;
    for (let rank = 0; rank < this.asked; rank++) {
      const hit = candidate[rank] === o.byte ? 1 : 0;
      this.correctSets(rank, hit, o.rate);
      this.correctRefinement(rank, hit);
      this.countEvidence(rank, hit, o.seenLimit);
      if (hit === 1) break;
    }
    this.asked = 0;
  }

  private correctSets(rank: number, hit: 0 | 1, rate: number): void {
    const { input, active, setAnswer, row } = this;
    const { weight, combine } = this.weights;
    const inputs = rank * INPUTS;
    const end = inputs + this.actives[rank]!;
    const combining = this.combining(rank);
    const combineStep = COMBINE_RATE * SETS * rate * (hit - this.answer[rank]!);
    for (let set = 0; set < SETS; set++) {
      const dot = setAnswer[rank * SETS + set]!;
      this.step[set] = rate * (hit - logistic(dot));
      combine[combining + set]! += combineStep * dot;
    }
    stepSix({ input, index: active, from: inputs, end }, weight, row, rank * SETS, this.step);
  }

  private correctRefinement(rank: number, hit: 0 | 1): void {
    const { refine } = this.weights;
    const upper = REFINE_RATE * this.between[rank]!;
    const lower = REFINE_RATE - upper;
    const byByte = this.byByte[rank]!;
    const byHash = this.byHash[rank]!;
    refine[byByte]! += lower * (hit - refine[byByte]!);
    refine[byByte + 1]! += upper * (hit - refine[byByte + 1]!);
    refine[byHash]! += lower * (hit - refine[byHash]!);
    refine[byHash + 1]! += upper * (hit - refine[byHash + 1]!);
  }

  private countEvidence(rank: number, hit: 0 | 1, seenLimit: number): void {
    const { hits, seen, belief } = this.weights;
    const states = rank * COUNT_INPUTS;
    for (let i = 0; i < COUNT_INPUTS; i++) {
      const known = this.state[states + i]!;
      if (known < 0) continue;
      if (seen[known]! >= seenLimit) {
        seen[known]! /= 2;
        hits[known]! /= 2;
      }
      seen[known]! += 1;
      hits[known]! += hit;
      belief[known] = logit(hits[known]! / seen[known]!);
    }
  }
}

function clamped(probability: number): number {
  return probability < LOWEST ? LOWEST : probability > HIGHEST ? HIGHEST : probability;
}
