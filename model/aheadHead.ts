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
import { aheadTargets, countAhead } from "./kernels/aheadTargets.ts";
import { crossEntropy } from "./kernels/crossEntropy.ts";
import { linear } from "./linear.ts";
import type { Optimizer } from "./optimizer.ts";
import type { WindowBatch } from "./windows.ts";

type AheadConfig = Pick<ModelConfig, "aheadWeight" | "aheadBytes">;

/** Bytes ahead that have a head: those behind the next one. */
export const aheadHeads = (c: AheadConfig): number => (c.aheadWeight > 0 ? c.aheadBytes - 1 : 0);

export class AheadTargets implements TrainingHead {
  readonly #config: ModelConfig;
  readonly #device: Device;
  readonly #heads: number;
  readonly #weight: Tensor;

  private constructor(device: Device, config: ModelConfig) {
    this.#config = config;
    this.#device = device;
    this.#heads = aheadHeads(config);
    this.#weight = device.tensor("ahead weight", [1]);
  }

  static create(device: Device, config: ModelConfig): AheadTargets | undefined {
    return aheadHeads(config) > 0 ? new AheadTargets(device, config) : undefined;
  }

  record(
    b: Builder,
    state: Tensor,
    {
      optimizer,
      targets,
    }: { readonly optimizer: Pick<Optimizer, "scaledWeight">; readonly targets: Tensor },
  ): AuxHead {
    const rows = targets.size;
    // One product for all heads: a row of it is the rows of logits of one position.
    const heads = linear(b, "ahead", state, rows, { dtype: b.half });
    return {
      backward: (dState) => {
        const ahead = b.temp("ahead targets", [rows, this.#heads], "u32");
        const { context } = this.#config;
        aheadTargets(b.graph, { targets, out: ahead, rows: context, heads: this.#heads });
        const dLogits = b.temp("dAhead", [rows, this.#heads * VOCAB], b.half);
        crossEntropy(b.graph, {
          logits: heads.out,
          targets: ahead,
          weight: optimizer.scaledWeight(b.graph, this.#weight),
          loss: b.temp("ahead losses", [rows * this.#heads]),
          dLogits,
          softcap: b.config.logitCap,
        });
        heads.backward({ dOut: dLogits, dX: dState, first: 0 });
      },
    };
  }

  upload({ targets, rows }: WindowBatch): void {
    const count = countAhead(targets, { rows, heads: this.#heads });
    this.#device.write(this.#weight, [this.#config.aheadWeight / Math.max(1, count)]);
  }

  dispose(): void {
    this.#device.free(this.#weight);
  }
}
