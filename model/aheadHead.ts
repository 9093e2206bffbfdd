/**
 * Further heads of training: from the state that predicts the next byte they also predict those behind it, two to
 * `aheadBytes` ahead, so that this state has to know where the text is going. Scoring and decoding record nothing of
 * them. Source: multi-token prediction (arXiv 2404.19737, §2), with one linear map per byte ahead.
 */
import type { AuxHead, TrainingHead } from "./auxHead.ts";
import type { Builder } from "./builder.ts";
import { VOCAB } from "./bytes.ts";
import type { ModelConfig } from "./config.ts";
import type { Device } from "./device.ts";
import type { Tensor } from "./graph.ts";
import { crossEntropy, SKIP } from "./kernels/crossEntropy.ts";
import { linear } from "./linear.ts";
import type { Optimizer } from "./optimizer.ts";
import type { Window } from "./windows.ts";

type AheadConfig = Pick<ModelConfig, "aheadWeight" | "aheadBytes">;

/** Bytes ahead that have a head: those behind the next one. */
export const aheadHeads = (c: AheadConfig): number => (c.aheadWeight > 0 ? c.aheadBytes - 1 : 0);

/**
 * Writes out[t * heads + j], the symbol 2 + j behind each position t of a window; SKIP where one of the symbols up to
 * there is not scored, so that no head looks past a file's end or into a gap. Returns how many are not SKIP.
 */
export function aheadTargets(
  targets: ArrayLike<number>,
  heads: number,
  out: Uint32Array = new Uint32Array(targets.length * heads),
): number {
  let count = 0;
  for (let t = 0; t < targets.length; t++) {
    let isScored = targets[t] !== SKIP;
    for (let j = 0; j < heads; j++) {
      const target = t + 1 + j < targets.length ? targets[t + 1 + j]! : SKIP;
      isScored &&= target !== SKIP;
      out[t * heads + j] = isScored ? target : SKIP;
      if (isScored) count++;
    }
  }
  return count;
}

export class AheadTargets implements TrainingHead {
  readonly #config: ModelConfig;
  readonly #device: Device;
  readonly #heads: number;
  readonly #host: Uint32Array;
  readonly #targets: Tensor;
  readonly #weight: Tensor;

  private constructor(device: Device, config: ModelConfig) {
    this.#config = config;
    this.#device = device;
    this.#heads = aheadHeads(config);
    const rows = config.batch * config.context;
    this.#host = new Uint32Array(rows * this.#heads);
    this.#targets = device.tensor("ahead targets", [rows, this.#heads], "u32");
    this.#weight = device.tensor("ahead weight", [1]);
  }

  static create(device: Device, config: ModelConfig): AheadTargets | undefined {
    return aheadHeads(config) > 0 ? new AheadTargets(device, config) : undefined;
  }

  record(b: Builder, state: Tensor, optimizer: Pick<Optimizer, "scaledWeight">): AuxHead {
    const { batch, context } = this.#config;
    const rows = batch * context;
    // One product for all heads: a row of it is the rows of logits of one position.
    const heads = linear(b, "ahead", state, rows, { dtype: b.half });
    return {
      backward: (dState) => {
        const dLogits = b.temp("dAhead", [rows, this.#heads * VOCAB], b.half);
        crossEntropy(b.graph, {
          logits: heads.out,
          targets: this.#targets,
          weight: optimizer.scaledWeight(b.graph, this.#weight),
          loss: b.temp("ahead losses", [rows * this.#heads]),
          dLogits,
          softcap: b.config.logitCap,
        });
        heads.backward({ dOut: dLogits, dX: dState, first: 0 });
      },
    };
  }

  upload(windows: readonly Window[]): void {
    const host = this.#host.fill(SKIP);
    const each = this.#config.context * this.#heads;
    let count = 0;
    windows.forEach((w, i) => {
      if (w.targets !== undefined)
        count += aheadTargets(w.targets, this.#heads, host.subarray(i * each, (i + 1) * each));
    });
    this.#device.write(this.#targets, host);
    this.#device.write(this.#weight, [this.#config.aheadWeight / Math.max(1, count)]);
  }

  dispose(): void {
    this.#device.free(this.#targets);
    this.#device.free(this.#weight);
  }
}
