/** Mixes memory and network by ranked logistic mixing: the most probable bytes of their linear mixture are asked one
 *  after the other "is it this one, if none before it?"; each question is answered by logistic mixtures of what both
 *  sides and the memory's counts say, one per set of situations, whose mean is refined by how often such answers were
 *  right. The rest keeps the linear mixture's proportions, so the 256 probabilities sum to 1 by construction. `learn`
 *  corrects the weights after a byte is known, never before; a copy that learns along one file leaves the fitted weights
 *  as they are. Where the network's state is known, what it adds to the answers is learned along the file too
 *  (followedHead.ts).
 *  Source: logistic mixing and adaptive probability maps as in PAQ (Mahoney 2005) over symbol ranking instead of bits. */

import { z } from "zod";
import { CheckpointError } from "../errors.ts";
import { SETS as MEMORY_SETS, SET_STARTS as MEMORY_STARTS } from "./blendWeights.ts";
import { logistic, logit } from "./evidence.ts";
import { EvidenceInputs, shareOf } from "./evidenceInputs.ts";
import { FollowedHead } from "./followedHead.ts";
import { Mixer, type MixInput } from "./mixer.ts";
import {
  ALL_INPUTS,
  CHOOSERS,
  damagedMixer,
  LEANINGS,
  MixtureWeights,
  RANKS,
  REFINE_RANKS,
  REFINE_STEPS,
  SIDE_INPUTS,
  SIDE_SETS,
  SIDE_STARTS,
  SURES,
} from "./mixtureWeights.ts";
import { byteClass } from "./situations.ts";
import { stepSix, sumSix } from "./sixSets.ts";

const CANDIDATES = 24;
const CANDIDATE_FLOOR = 1e-5;
/** Asking stops when the bytes asked about hold all but this much. */
const SETTLED = 5e-4;
const LOWEST = 1e-5;
const HIGHEST = 1 - LOWEST;
const ANSWER_LIMIT = 12;
const CONSTANT_INPUT = 0.3;
const SETS = SIDE_SETS + MEMORY_SETS;
const LONGER_MATCH = [2, 4, 6, 9, 16, 24, 32] as const;
/** The memory's set whose situation is the class of the last byte. */
const LAST_CLASS_SET = 2;

const REFINE_LIMIT = 8;
const REFINE_RATE = 0.02;
const REFINED = 0.5;
const unrefined = Float64Array.from({ length: REFINE_STEPS + 1 }, (_, step) =>
  logistic((step / REFINE_STEPS - 0.5) * 2 * REFINE_LIMIT),
);

const rankClass = Uint8Array.from({ length: CANDIDATES }, (_, rank) =>
  rank < 3 ? rank : rank < 6 ? 3 : rank < 12 ? 4 : 5,
);

const jsonSchema = z.object({
  kind: z.literal("joint"),
  linear: z.unknown(),
  values: z.string(),
  fittedOn: z.number().int().nonnegative(),
});
/** Of earlier versions, which weighed the two distributions alone. */
const layeredSchema = z.object({ kind: z.literal("layered"), linear: z.unknown() });

export type RankedMixerJson = z.infer<typeof jsonSchema>;

export class RankedMixer {
  readonly kind = "joint";
  readonly linear: Mixer;
  readonly weights: MixtureWeights;
  /** Bytes learned from. */
  fittedOn = 0;
  private readonly even = new Float64Array(256);
  private readonly candidate = new Uint8Array(CANDIDATES);
  private readonly answer = new Float64Array(CANDIDATES);
  private asked = 0;
  /** Of each question: its inputs, both sides' first, their numbers, and how many there are. */
  private readonly input = new Float64Array(CANDIDATES * ALL_INPUTS);
  private readonly index = new Uint8Array(CANDIDATES * ALL_INPUTS);
  private readonly inputs = new Int32Array(CANDIDATES);
  private readonly counted = new EvidenceInputs();
  private readonly row = new Int32Array(CANDIDATES * SETS);
  private readonly setAnswer = new Float64Array(CANDIDATES * SETS);
  private readonly step = new Float64Array(MEMORY_SETS);
  private readonly refineAt = new Int32Array(CANDIDATES);
  private readonly between = new Float64Array(CANDIDATES);
  private readonly situation = new Int32Array(SETS);
  /** Logits of the sets and the head together. */
  private readonly told = new Float64Array(CANDIDATES);
  /** From the first state on. */
  private head: FollowedHead | undefined;
  private stateKnown = false;

  constructor(linear: Mixer = new Mixer(), weights = new MixtureWeights()) {
    this.linear = linear;
    this.weights = weights;
  }

  bucketOf(o: MixInput): number {
    return this.linear.bucketOf(o);
  }

  /** The same weights, to learn along one file. */
  copy(): RankedMixer {
    const copy = new RankedMixer(this.linear, this.weights.copy());
    copy.fittedOn = this.fittedOn;
    return copy;
  }

  /** The same with what was learned of this file's states, to go on in it. */
  fork(): RankedMixer {
    const fork = this.copy();
    fork.head = this.head?.copy();
    return fork;
  }

  /** Forgets what was learned of states: another file follows. */
  beginFile(): void {
    this.head = undefined;
    this.stateKnown = false;
    this.asked = 0;
  }

  /** Writes 256 probabilities that sum to 1 into `out`, which must not be `memory` or `network`. */
  mix(o: MixInput, out: Float64Array): void {
    const { even, candidate, answer, input, index, situation } = this;
    const { bucket, memoryChoice, networkChoice, networkSum } = this.linear.mix(o, even);
    const candidates = this.rank();
    this.stateKnown = o.state !== undefined;
    if (o.state !== undefined)
      (this.head ??= new FollowedHead(o.state.length)).read(o.state, o.passing);
    let networkLeft = networkSum;
    let match = 0;
    while (match < LONGER_MATCH.length && o.matchLength >= LONGER_MATCH[match]!) match++;
    const sure = bucket % SURES;
    const lastClass = byteClass[o.last]!;
    situation[0] = match;
    situation[1] = SIDE_STARTS[1]! + sure;
    this.counted.begin(o.evidence);
    if (o.evidence === undefined) {
      situation.set(MEMORY_STARTS, SIDE_SETS);
      situation[SIDE_SETS + LAST_CLASS_SET]! += lastClass;
    } else situation.set(o.evidence.situation, SIDE_SETS);
    const list = { input, index, first: SIDE_INPUTS };
    let memoryLeft = 1;
    let evenLeft = 1;
    let mass = 1;
    let rank = 0;
    for (; rank < candidates && mass > SETTLED; rank++) {
      const byte = candidate[rank]!;
      const at = rank * ALL_INPUTS;
      input[at] = logit(shareOf(o.memory[byte]!, memoryLeft));
      input[at + 1] = logit(shareOf(o.network[byte]!, networkLeft));
      input[at + 2] = logit(shareOf(even[byte]!, evenLeft));
      input[at + 3] = CONSTANT_INPUT;
      for (let i = 0; i < SIDE_INPUTS; i++) index[at + i] = i;
      this.inputs[rank] = this.counted.ask(byte, list, at + SIDE_INPUTS) - at;
      const chooser = (byte === memoryChoice ? 1 : 0) + (byte === networkChoice ? 2 : 0);
      const leaning = (input[at] > 0 ? 1 : 0) + (input[at + 1]! > 0 ? 2 : 0);
      situation[2] = SIDE_STARTS[2]! + chooser * SURES + sure;
      situation[3] = SIDE_STARTS[3]! + match * LEANINGS + leaning;
      const table = (lastClass * REFINE_RANKS + Math.min(rank, REFINE_RANKS - 1)) * CHOOSERS;
      const told = this.mixSets(rank) + (this.stateKnown ? this.head!.answer(byte) : 0);
      this.told[rank] = told;
      const yes = this.refined(rank, told, table + chooser);
      answer[rank] = mass * yes;
      mass *= 1 - yes;
      memoryLeft -= o.memory[byte]!;
      networkLeft -= o.network[byte]!;
      evenLeft -= even[byte]!;
    }
    this.asked = rank;
    for (let i = 0; i < rank; i++) even[candidate[i]!] = 0;
    let rest = 0;
    for (let byte = 0; byte < 256; byte++) rest += even[byte]!;
    const scale = mass / rest;
    for (let byte = 0; byte < 256; byte++) out[byte] = even[byte]! * scale;
    for (let i = 0; i < rank; i++) out[candidate[i]!] = answer[i]!;
  }

  /** Mean of the sets' logits. */
  private mixSets(rank: number): number {
    const { input, index, row, setAnswer, situation } = this;
    const { side, memory } = this.weights;
    const ofRank = rankClass[rank]!;
    const at = rank * ALL_INPUTS;
    const end = at + this.inputs[rank]!;
    const sets = rank * SETS;
    let sum = 0;
    for (let set = 0; set < SIDE_SETS; set++) {
      const from = (situation[set]! * RANKS + ofRank) * SIDE_INPUTS;
      const dot = bounded(
        input[at]! * side[from]! +
          input[at + 1]! * side[from + 1]! +
          input[at + 2]! * side[from + 2]! +
          input[at + 3]! * side[from + 3]!,
      );
      row[sets + set] = from;
      setAnswer[sets + set] = dot;
      sum += dot;
    }
    for (let set = SIDE_SETS; set < SETS; set++)
      row[sets + set] = (situation[set]! * RANKS + ofRank) * ALL_INPUTS;
    const inputs = { input, index, from: at, end };
    sumSix(inputs, memory, row, sets + SIDE_SETS, setAnswer);
    for (let set = sets + SIDE_SETS; set < sets + SETS; set++)
      sum += setAnswer[set] = bounded(setAnswer[set]!);
    return sum / SETS;
  }

  private refined(rank: number, answer: number, table: number): number {
    const { correction } = this.weights;
    const inside = Math.max(-REFINE_LIMIT + 1e-3, Math.min(REFINE_LIMIT - 1e-3, answer));
    const place = (inside / (2 * REFINE_LIMIT) + 0.5) * REFINE_STEPS;
    const step = Math.floor(place);
    const at = table * (REFINE_STEPS + 1) + step;
    const between = place - step;
    this.refineAt[rank] = at;
    this.between[rank] = between;
    const change = correction[at]! * (1 - between) + correction[at + 1]! * between;
    return Math.min(HIGHEST, Math.max(LOWEST, logistic(answer) + REFINED * change));
  }

  /** Moves the weights towards what came after the last `mix`; does nothing without one. */
  learn(o: { byte: number; rate: number }): void {
    const { candidate } = this;
    for (let rank = 0; rank < this.asked; rank++) {
      const hit = candidate[rank] === o.byte ? 1 : 0;
      this.correctSets(rank, hit, o.rate);
      if (this.stateKnown) this.head!.correct(candidate[rank]!, hit - logistic(this.told[rank]!));
      this.correct(this.refineAt[rank]!, hit, 1 - this.between[rank]!);
      this.correct(this.refineAt[rank]! + 1, hit, this.between[rank]!);
      if (hit === 1) break;
    }
    if (this.asked > 0) this.fittedOn++;
    this.asked = 0;
  }

  private correctSets(rank: number, hit: 0 | 1, rate: number): void {
    const { input, index, row, setAnswer } = this;
    const { side, memory } = this.weights;
    const at = rank * ALL_INPUTS;
    const end = at + this.inputs[rank]!;
    const sets = rank * SETS;
    for (let set = 0; set < SIDE_SETS; set++) {
      const step = rate * (hit - logistic(setAnswer[sets + set]!));
      const from = row[sets + set]!;
      for (let i = 0; i < SIDE_INPUTS; i++) side[from + i]! += step * input[at + i]!;
    }
    for (let set = 0; set < MEMORY_SETS; set++)
      this.step[set] = rate * (hit - logistic(setAnswer[sets + SIDE_SETS + set]!));
    stepSix({ input, index, from: at, end }, memory, row, sets + SIDE_SETS, this.step);
  }

  private correct(at: number, hit: 0 | 1, share: number): void {
    const { correction } = this.weights;
    const known = unrefined[at % (REFINE_STEPS + 1)]! + correction[at]!;
    correction[at]! += REFINE_RATE * share * (hit - known);
  }

  toJSON(): RankedMixerJson {
    return {
      kind: "joint",
      linear: this.linear.toJSON(),
      values: this.weights.serialize(),
      fittedOn: this.fittedOn,
    };
  }

  /** Throws CheckpointError where `value` is not what `toJSON` gave. */
  static fromJSON(value: unknown): RankedMixer {
    const parsed = jsonSchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw damagedMixer(
        `at ${issue?.path.join(".") ?? "the top"}: ${issue?.message ?? "unreadable"}`,
        parsed.error,
      );
    }
    const { linear, values, fittedOn } = parsed.data;
    const mixer = new RankedMixer(Mixer.fromJSON(linear), MixtureWeights.deserialize(values));
    mixer.fittedOn = fittedOn;
    return mixer;
  }

  /** The most probable bytes of the linear mixture, best first, equal ones by value. */
  private rank(): number {
    const { even, candidate } = this;
    let candidates = 0;
    // Of as many candidates as there may be, the last one.
    let floor = CANDIDATE_FLOOR;
    for (let byte = 0; byte < 256; byte++) {
      const probability = even[byte]!;
      if (probability < floor) continue;
      let at: number;
      if (candidates < CANDIDATES) at = candidates++;
      else if (probability > even[candidate[CANDIDATES - 1]!]!) at = CANDIDATES - 1;
      else continue;
      while (at > 0 && even[candidate[at - 1]!]! < probability) {
        candidate[at] = candidate[at - 1]!;
        at--;
      }
      candidate[at] = byte;
      if (candidates === CANDIDATES) floor = even[candidate[CANDIDATES - 1]!]!;
    }
    return candidates;
  }
}

function bounded(answer: number): number {
  return answer > ANSWER_LIMIT ? ANSWER_LIMIT : answer < -ANSWER_LIMIT ? -ANSWER_LIMIT : answer;
}

/** A mixer of either kind from its JSON. Throws CheckpointError where it is neither. */
export function mixerFromJSON(value: unknown): Mixer | RankedMixer {
  const kind = typeof value === "object" && value !== null && "kind" in value ? value.kind : "";
  if (kind === "logistic") {
    throw new CheckpointError(
      "NG_MIXER_OLD",
      "the mixer was fitted by an earlier version, on other inputs",
      "train again",
    );
  }
  // What it learned of situations means something else now; its linear part is what it was.
  const layered = layeredSchema.safeParse(value);
  if (layered.success) return new RankedMixer(Mixer.fromJSON(layered.data.linear));
  return kind === "joint" ? RankedMixer.fromJSON(value) : Mixer.fromJSON(value);
}
