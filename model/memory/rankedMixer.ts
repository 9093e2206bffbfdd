/** Mixes memory and network by ranked logistic mixing: the most probable bytes of their linear mixture are asked one
 *  after the other "is it this one, if none before it?"; each question is answered by logistic mixtures of what both
 *  sides say, one per set of situations, whose mean is refined by how often such answers were right. The rest keeps the
 *  linear mixture's proportions, so the 256 probabilities sum to 1 by construction. `learn` corrects the weights after a
 *  byte is known, never before; a copy that learns along one file leaves the fitted weights as they are. Where the
 *  network's state is known, what it adds to the answers is learned along the file too (followedHead.ts).
 *  Source: logistic mixing and adaptive probability maps as in PAQ (Mahoney 2005) over symbol ranking instead of bits. */

import { z } from "zod";
import { CheckpointError } from "../errors.ts";
import { logistic, logit } from "./evidence.ts";
import { FollowedHead } from "./followedHead.ts";
import { Mixer, type MixInput } from "./mixer.ts";
import { BYTE_CLASSES, byteClass } from "./situations.ts";

const CANDIDATES = 24;
const CANDIDATE_FLOOR = 1e-5;
/** Asking stops when the bytes asked about hold all but this much. */
const SETTLED = 5e-4;
const LOWEST = 1e-5;
const HIGHEST = 1 - LOWEST;
const ANSWER_LIMIT = 12;
const CONSTANT_INPUT = 0.3;
/** Memory, network, their linear mixture, and a constant; and what each weighs before any fit. */
const FRESH_WEIGHTS = [0.35, 0.25, 0.4, 0] as const;
const INPUTS = FRESH_WEIGHTS.length;
const RANKS = 6;

/** How sure both sides are, as the linear mixer classes it. */
const SURES = 49;
const MATCHES = 8;
/** Whose first choice the byte in question is: nobody's, the memory's, the network's, both's. */
const CHOOSERS = 4;
/** Which side thinks the byte more probable than not. */
const LEANINGS = 4;
/** Situations: match, sureness, last byte, whose choice and sureness, match and leaning. */
const SET_SIZES = [MATCHES, SURES, BYTE_CLASSES, CHOOSERS * SURES, MATCHES * LEANINGS] as const;
const SETS = SET_SIZES.length;
const SET_STARTS = SET_SIZES.map((_, set) =>
  SET_SIZES.slice(0, set).reduce((sum, size) => sum + size, 0),
);
const WEIGHTS = SET_SIZES.reduce((sum, size) => sum + size, 0) * RANKS * INPUTS;
const LONGER_MATCH = [2, 4, 6, 9, 16, 24, 32] as const;

const REFINE_STEPS = 24;
const REFINE_LIMIT = 8;
const REFINE_RANKS = 3;
const REFINE_RATE = 0.02;
const REFINED = 0.5;
const REFINEMENTS = BYTE_CLASSES * REFINE_RANKS * CHOOSERS * (REFINE_STEPS + 1);
const unrefined = Float64Array.from({ length: REFINE_STEPS + 1 }, (_, step) =>
  logistic((step / REFINE_STEPS - 0.5) * 2 * REFINE_LIMIT),
);

const rankClass = Uint8Array.from({ length: CANDIDATES }, (_, rank) =>
  rank < 3 ? rank : rank < 6 ? 3 : rank < 12 ? 4 : 5,
);

const jsonSchema = z.object({
  kind: z.literal("layered"),
  linear: z.unknown(),
  /** Little-endian float32 in base64: weights, then corrections. */
  values: z.string(),
  fittedOn: z.number().int().nonnegative(),
});

export type RankedMixerJson = z.infer<typeof jsonSchema>;

export class RankedMixer {
  readonly kind = "layered";
  readonly linear: Mixer;
  /** [situation, rank, input]. */
  readonly weight = new Float32Array(WEIGHTS);
  /** What experience adds to an answer, at the steps of its logit. */
  readonly correction = new Float32Array(REFINEMENTS);
  /** Bytes learned from. */
  fittedOn = 0;
  private readonly even = new Float64Array(256);
  private readonly candidate = new Uint8Array(CANDIDATES);
  private readonly answer = new Float64Array(CANDIDATES);
  private asked = 0;
  private readonly input = new Float64Array(CANDIDATES * INPUTS);
  private readonly row = new Int32Array(CANDIDATES * SETS);
  private readonly setAnswer = new Float64Array(CANDIDATES * SETS);
  private readonly refineAt = new Int32Array(CANDIDATES);
  private readonly between = new Float64Array(CANDIDATES);
  private readonly situation = new Int32Array(SETS);
  /** Logits of the sets and the head together. */
  private readonly told = new Float64Array(CANDIDATES);
  /** From the first state on. */
  private head: FollowedHead | undefined;
  private stateKnown = false;

  constructor(linear: Mixer = new Mixer()) {
    this.linear = linear;
    for (let i = 0; i < WEIGHTS; i++) this.weight[i] = FRESH_WEIGHTS[i % INPUTS]!;
  }

  bucketOf(o: MixInput): number {
    return this.linear.bucketOf(o);
  }

  /** The same weights, to learn along one file. */
  copy(): RankedMixer {
    const copy = new RankedMixer(this.linear);
    copy.weight.set(this.weight);
    copy.correction.set(this.correction);
    copy.fittedOn = this.fittedOn;
    return copy;
  }

  /** Forgets what was learned of states: another file follows. */
  beginFile(): void {
    this.head = undefined;
    this.stateKnown = false;
    this.asked = 0;
  }

  /** Writes 256 probabilities that sum to 1 into `out`, which must not be `memory` or `network`. */
  mix(o: MixInput, out: Float64Array): void {
    const { even, candidate, answer, input, situation } = this;
    const { bucket, memoryChoice, networkChoice, networkSum } = this.linear.mix(o, even);
    const candidates = this.rank();
    this.stateKnown = o.state !== undefined;
    if (o.state !== undefined) (this.head ??= new FollowedHead(o.state.length)).read(o.state);
    let networkLeft = networkSum;
    let match = 0;
    while (match < LONGER_MATCH.length && o.matchLength >= LONGER_MATCH[match]!) match++;
    const sure = bucket % SURES;
    const lastClass = byteClass[o.last]!;
    situation[0] = match;
    situation[1] = SET_STARTS[1]! + sure;
    situation[2] = SET_STARTS[2]! + lastClass;
    let memoryLeft = 1;
    let evenLeft = 1;
    let mass = 1;
    let rank = 0;
    for (; rank < candidates && mass > SETTLED; rank++) {
      const byte = candidate[rank]!;
      const at = rank * INPUTS;
      input[at] = logit(share(o.memory[byte]!, memoryLeft));
      input[at + 1] = logit(share(o.network[byte]!, networkLeft));
      input[at + 2] = logit(share(even[byte]!, evenLeft));
      input[at + 3] = CONSTANT_INPUT;
      const chooser = (byte === memoryChoice ? 1 : 0) + (byte === networkChoice ? 2 : 0);
      const leaning = (input[at] > 0 ? 1 : 0) + (input[at + 1]! > 0 ? 2 : 0);
      situation[3] = SET_STARTS[3]! + chooser * SURES + sure;
      situation[4] = SET_STARTS[4]! + match * LEANINGS + leaning;
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
    const { input, weight, row, setAnswer, situation } = this;
    let sum = 0;
    for (let set = 0; set < SETS; set++) {
      const from = (situation[set]! * RANKS + rankClass[rank]!) * INPUTS;
      let dot = 0;
      for (let i = 0; i < INPUTS; i++) dot += input[rank * INPUTS + i]! * weight[from + i]!;
      dot = dot > ANSWER_LIMIT ? ANSWER_LIMIT : dot < -ANSWER_LIMIT ? -ANSWER_LIMIT : dot;
      row[rank * SETS + set] = from;
      setAnswer[rank * SETS + set] = dot;
      sum += dot;
    }
    return sum / SETS;
  }

  private refined(rank: number, answer: number, table: number): number {
    const { correction } = this;
    const bounded = Math.max(-REFINE_LIMIT + 1e-3, Math.min(REFINE_LIMIT - 1e-3, answer));
    const place = (bounded / (2 * REFINE_LIMIT) + 0.5) * REFINE_STEPS;
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
    const { candidate, input, weight, row, setAnswer } = this;
    for (let rank = 0; rank < this.asked; rank++) {
      const hit = candidate[rank] === o.byte ? 1 : 0;
      for (let set = 0; set < SETS; set++) {
        const step = o.rate * (hit - logistic(setAnswer[rank * SETS + set]!));
        const from = row[rank * SETS + set]!;
        for (let i = 0; i < INPUTS; i++) weight[from + i]! += step * input[rank * INPUTS + i]!;
      }
      if (this.stateKnown) this.head!.correct(candidate[rank]!, hit - logistic(this.told[rank]!));
      this.correct(this.refineAt[rank]!, hit, 1 - this.between[rank]!);
      this.correct(this.refineAt[rank]! + 1, hit, this.between[rank]!);
      if (hit === 1) break;
    }
    if (this.asked > 0) this.fittedOn++;
    this.asked = 0;
  }

  private correct(at: number, hit: 0 | 1, share: number): void {
    const known = unrefined[at % (REFINE_STEPS + 1)]! + this.correction[at]!;
    this.correction[at]! += REFINE_RATE * share * (hit - known);
  }

  toJSON(): RankedMixerJson {
    const values = new Float32Array(WEIGHTS + REFINEMENTS);
    values.set(this.weight);
    values.set(this.correction, WEIGHTS);
    return {
      kind: "layered",
      linear: this.linear.toJSON(),
      values: Buffer.from(values.buffer).toString("base64"),
      fittedOn: this.fittedOn,
    };
  }

  /** Throws CheckpointError where `value` is not what `toJSON` gave. */
  static fromJSON(value: unknown): RankedMixer {
    const parsed = jsonSchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw damaged(
        `at ${issue?.path.join(".") ?? "the top"}: ${issue?.message ?? "unreadable"}`,
        parsed.error,
      );
    }
    const mixer = new RankedMixer(Mixer.fromJSON(parsed.data.linear));
    const bytes = Uint8Array.from(Buffer.from(parsed.data.values, "base64"));
    if (bytes.length !== (WEIGHTS + REFINEMENTS) * 4)
      throw damaged(`at values: ${bytes.length} bytes, expected ${(WEIGHTS + REFINEMENTS) * 4}`);
    const values = new Float32Array(bytes.buffer);
    if (!values.every((v) => Math.abs(v) < 100)) throw damaged("at values: not a weight");
    mixer.weight.set(values.subarray(0, WEIGHTS));
    mixer.correction.set(values.subarray(WEIGHTS));
    mixer.fittedOn = parsed.data.fittedOn;
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

/** Part of what is left, kept inside (0, 1) where rounding or a zero would leave it. */
function share(probability: number, left: number): number {
  const ratio = probability / Math.max(left, 1e-12);
  return Math.min(1 - 1e-6, Math.max(1e-6, ratio));
}

function damaged(what: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    "NG_MIXER_DAMAGED",
    `the mixer's weights are damaged ${what}`,
    "train again, or restore the model folder from a copy",
    cause === undefined ? undefined : { cause },
  );
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
  return kind === "layered" ? RankedMixer.fromJSON(value) : Mixer.fromJSON(value);
}
