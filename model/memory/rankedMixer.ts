/** Mixes memory and network by ranked logistic mixing: the most probable bytes of an even mixture are asked one after
 *  the other "is it this one, if none before it?", each answered from what both sides say; the rest keeps the even
 *  mixture's proportions. So the 256 probabilities sum to 1 by construction. `learn` corrects the weights after a byte
 *  is known, never before; a copy that learns along one file leaves the fitted weights as they are.
 *  Source: logistic mixing as in PAQ (Mahoney 2005) over symbol ranking instead of bits. */

import { z } from "zod";
import { CheckpointError } from "../errors.ts";
import { logistic, logit } from "./blendWeights.ts";
import { Mixer, type MixInput } from "./mixer.ts";

const CANDIDATES = 24;
const CANDIDATE_FLOOR = 1e-5;
/** Asking stops when the bytes asked about hold all but this much. */
const SETTLED = 5e-4;
const LOWEST = 1e-4;
const HIGHEST = 1 - 1e-4;
const CONSTANT_INPUT = 0.3;
/** Memory, network, their linear mixture, and a constant. */
const INPUTS = 4;
const RANKS = 6;
/** The situations of the linear mixer, times ranks. */
const MATCH_SETS = 8;
const SURE_SETS = 49;
const WEIGHTS = (MATCH_SETS + SURE_SETS) * RANKS * INPUTS;

const rankClass = Uint8Array.from({ length: CANDIDATES }, (_, rank) =>
  rank < 3 ? rank : rank < 6 ? 3 : rank < 12 ? 4 : 5,
);

const jsonSchema = z.object({
  kind: z.literal("logistic"),
  linear: z.unknown(),
  weight: z.array(z.number().min(-100).max(100)).length(WEIGHTS),
  fittedOn: z.number().int().nonnegative(),
});

export type RankedMixerJson = z.infer<typeof jsonSchema>;

export class RankedMixer {
  readonly kind = "logistic";
  readonly linear: Mixer;
  readonly weight: Float64Array;
  /** Bytes learned from. */
  fittedOn = 0;
  private readonly even = new Float64Array(256);
  private readonly candidate = new Uint8Array(CANDIDATES);
  private readonly isAsked = new Uint8Array(256);
  private asked = 0;
  private readonly input = new Float64Array(CANDIDATES * INPUTS);
  private readonly answer = new Float64Array(CANDIDATES);
  private matchSet = 0;
  private sureSet = 0;

  constructor(linear: Mixer = new Mixer()) {
    this.linear = linear;
    this.weight = new Float64Array(WEIGHTS);
    // Of the two situations that are added up, the match's starts with the linear mixture at full weight.
    for (let set = 0; set < MATCH_SETS * RANKS; set++) this.weight[set * INPUTS + 2] = 1;
  }

  bucketOf(o: MixInput): number {
    return this.linear.bucketOf(o);
  }

  /** The same weights, to learn along one file. */
  copy(): RankedMixer {
    const copy = new RankedMixer(this.linear);
    copy.weight.set(this.weight);
    copy.fittedOn = this.fittedOn;
    return copy;
  }

  /** Writes 256 probabilities that sum to 1 into `out`, which must not be `memory` or `network`. */
  mix(o: MixInput, out: Float64Array): void {
    const { even, candidate, input, answer, weight, isAsked } = this;
    this.linear.mix(o, even);
    const bucket = this.linear.bucketOf(o);
    this.matchSet = Math.floor(bucket / SURE_SETS) * RANKS * INPUTS;
    this.sureSet = (MATCH_SETS + (bucket % SURE_SETS)) * RANKS * INPUTS;
    const candidates = this.rank();
    let networkLeft = 0;
    for (let byte = 0; byte < 256; byte++) networkLeft += o.network[byte]!;
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
      const a = this.matchSet + rankClass[rank]! * INPUTS;
      const b = this.sureSet + rankClass[rank]! * INPUTS;
      let sum = 0;
      for (let i = 0; i < INPUTS; i++) sum += input[at + i]! * (weight[a + i]! + weight[b + i]!);
      const yes = Math.min(HIGHEST, Math.max(LOWEST, logistic(sum)));
      answer[rank] = yes;
      out[byte] = mass * yes;
      isAsked[byte] = 1;
      mass *= 1 - yes;
      memoryLeft -= o.memory[byte]!;
      networkLeft -= o.network[byte]!;
      evenLeft -= even[byte]!;
    }
    this.asked = rank;
    let rest = 0;
    for (let byte = 0; byte < 256; byte++) if (isAsked[byte] === 0) rest += even[byte]!;
    const scale = mass / rest;
    for (let byte = 0; byte < 256; byte++) if (isAsked[byte] === 0) out[byte] = even[byte]! * scale;
    for (let i = 0; i < rank; i++) isAsked[candidate[i]!] = 0;
  }

  /** Moves the weights towards what came after the last `mix`; does nothing without one. */
  learn(o: { byte: number; rate: number }): void {
    const { candidate, input, answer, weight } = this;
    for (let rank = 0; rank < this.asked; rank++) {
      const hit = candidate[rank] === o.byte ? 1 : 0;
      const step = o.rate * (hit - answer[rank]!);
      const a = this.matchSet + rankClass[rank]! * INPUTS;
      const b = this.sureSet + rankClass[rank]! * INPUTS;
      for (let i = 0; i < INPUTS; i++) {
        const change = step * input[rank * INPUTS + i]!;
        weight[a + i]! += change;
        weight[b + i]! += change;
      }
      if (hit === 1) break;
    }
    if (this.asked > 0) this.fittedOn++;
    this.asked = 0;
  }

  toJSON(): RankedMixerJson {
    return {
      kind: "logistic",
      linear: this.linear.toJSON(),
      weight: Array.from(this.weight),
      fittedOn: this.fittedOn,
    };
  }

  /** Throws CheckpointError where `value` is not what `toJSON` gave. */
  static fromJSON(value: unknown): RankedMixer {
    const parsed = jsonSchema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new CheckpointError(
        "NG_MIXER_DAMAGED",
        `the mixer's weights are damaged at ${issue?.path.join(".") ?? "the top"}: ${issue?.message ?? "unreadable"}`,
        "train again, or restore the model folder from a copy",
        { cause: parsed.error },
      );
    }
    const mixer = new RankedMixer(Mixer.fromJSON(parsed.data.linear));
    mixer.weight.set(parsed.data.weight);
    mixer.fittedOn = parsed.data.fittedOn;
    return mixer;
  }

  /** The most probable bytes of the linear mixture, best first, equal ones by value. */
  private rank(): number {
    const { even, candidate } = this;
    let candidates = 0;
    for (let byte = 0; byte < 256; byte++) {
      const probability = even[byte]!;
      if (probability < CANDIDATE_FLOOR) continue;
      let at: number;
      if (candidates < CANDIDATES) at = candidates++;
      else if (probability > even[candidate[CANDIDATES - 1]!]!) at = CANDIDATES - 1;
      else continue;
      while (at > 0 && even[candidate[at - 1]!]! < probability) {
        candidate[at] = candidate[at - 1]!;
        at--;
      }
      candidate[at] = byte;
    }
    return candidates;
  }
}

/** Part of what is left, kept inside (0, 1) where rounding or a zero would leave it. */
function share(probability: number, left: number): number {
  const ratio = probability / Math.max(left, 1e-12);
  return Math.min(1 - 1e-6, Math.max(1e-6, ratio));
}

/** A mixer of either kind from its JSON. Throws CheckpointError where it is neither. */
export function mixerFromJSON(value: unknown): Mixer | RankedMixer {
  const isLogistic =
    typeof value === "object" && value !== null && "kind" in value && value.kind === "logistic";
  return isLogistic ? RankedMixer.fromJSON(value) : Mixer.fromJSON(value);
}
