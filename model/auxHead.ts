/**
 * An auxiliary head of training: from the state that predicts the next byte it also predicts the class of the next
 * token (facts/nextClass.ts), so that this state has to know what is being written and not only how it is spelled.
 * Scoring and decoding record nothing of it.
 */
import type { Builder } from "./builder.ts";
import type { ModelConfig } from "./config.ts";
import type { Device } from "./device.ts";
import type { Tensor } from "./graph.ts";
import { crossEntropy, SKIP } from "./kernels/crossEntropy.ts";
import { linear, type Linear } from "./linear.ts";
import type { Optimizer } from "./optimizer.ts";
import type { Window, WindowBatch } from "./windows.ts";

/** Classes, as many as the channel of token types has; 0 is none. */
export const AUX_CLASSES = 32;

export const hasAuxHead = (c: Pick<ModelConfig, "auxWeight">): boolean => c.auxWeight > 0;

export interface AuxHead {
  /** Adds the head's part to the gradient of the state it reads. */
  backward(dState: Tensor): void;
}

/** What training predicts besides the next byte, with its targets of a batch on the device. */
export interface TrainingHead {
  /** Records the head on state [rows, C]; targets u32 [rows]: the next bytes', which are on the device. */
  record(
    b: Builder,
    state: Tensor,
    o: { readonly optimizer: Pick<Optimizer, "scaledWeight">; readonly targets: Tensor },
  ): AuxHead;
  /** Brings what else a step needs: of its windows, which `batch` holds. */
  upload(batch: WindowBatch, windows: readonly Window[]): void;
  dispose(): void;
}

export class AuxTargets implements TrainingHead {
  readonly #config: ModelConfig;
  readonly #device: Device;
  readonly #host: Uint32Array;
  readonly #targets: Tensor;
  readonly #weight: Tensor;

  private constructor(device: Device, config: ModelConfig) {
    const rows = config.batch * config.context;
    this.#config = config;
    this.#device = device;
    this.#host = new Uint32Array(rows);
    this.#targets = device.tensor("aux targets", [rows], "u32");
    this.#weight = device.tensor("aux weight", [1]);
  }

  static create(device: Device, config: ModelConfig): AuxTargets | undefined {
    return hasAuxHead(config) ? new AuxTargets(device, config) : undefined;
  }

  record(
    b: Builder,
    state: Tensor,
    { optimizer }: { readonly optimizer: Pick<Optimizer, "scaledWeight"> },
  ): AuxHead {
    const rows = this.#host.length;
    const head: Linear = linear(b, "aux", state, rows);
    return {
      backward: (dState) => {
        const dLogits = b.temp("dAux", [rows, AUX_CLASSES], b.half);
        crossEntropy(b.graph, {
          logits: head.out,
          targets: this.#targets,
          weight: optimizer.scaledWeight(b.graph, this.#weight),
          loss: b.temp("aux losses", [rows]),
          dLogits,
          softcap: b.config.logitCap,
        });
        head.backward({ dOut: dLogits, dX: dState, first: 0 });
      },
    };
  }

  upload(_: WindowBatch, windows: readonly Window[]): void {
    const host = this.#host.fill(SKIP);
    let count = 0;
    windows.forEach((w, i) =>
      w.classes?.forEach((type, t) => {
        if (type === 0) return;
        host[i * this.#config.context + t] = type;
        count++;
      }),
    );
    this.#device.write(this.#targets, host);
    this.#device.write(this.#weight, [this.#config.auxWeight / Math.max(1, count)]);
  }

  dispose(): void {
    this.#device.free(this.#targets);
    this.#device.free(this.#weight);
  }
}
