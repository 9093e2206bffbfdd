/** The n-gram memory's part of a training step: its inputs on the device, and what a step writes into them. */
import type { ModelConfig } from "./config.ts";
import type { Device } from "./device.ts";
import type { EngramInputs } from "./engram.ts";
import { EngramBatch } from "./engramBatch.ts";
import type { EngramIndex } from "./engramIndex.ts";
import { invariant } from "./errors.ts";
import type { Tensor } from "./graph.ts";
import type { SparseGradient } from "./optimizer.ts";
import type { Window } from "./windows.ts";

export class EngramTraining {
  readonly inputs: Required<EngramInputs>;
  readonly gradient: SparseGradient;
  readonly #device: Device;
  readonly #seed: number;
  readonly #batch: EngramBatch;
  readonly #touched: Tensor;

  private constructor(device: Device, config: ModelConfig, index: EngramIndex, seed: number) {
    const K = index.contexts;
    const rows = config.batch * config.context;
    const capacity = rows * K;
    const u32 = (name: string, shape: readonly number[]): Tensor =>
      device.tensor(`engram ${name}`, shape, "u32");
    this.#device = device;
    this.#seed = seed;
    this.#batch = new EngramBatch(config, index, config.batch, config.context);
    this.#touched = u32("touched", [1 + capacity]);
    this.inputs = {
      ids: u32("ids", [rows, K]),
      entries: u32("entries", [rows, K]),
      listStart: u32("list start", [capacity + 1]),
      list: u32("list", [capacity]),
      gradient: device.tensor("d engram.rows", [capacity, config.engramChannels]),
    };
    this.gradient = { name: "engram.rows", grad: this.inputs.gradient, touched: this.#touched };
  }

  static create(
    device: Device,
    config: ModelConfig,
    index: EngramIndex | undefined,
    seed: number,
  ): EngramTraining | undefined {
    if (config.engram !== "on") return undefined;
    invariant(
      index !== undefined,
      "the configuration has an n-gram memory, and no index was given",
    );
    return new EngramTraining(device, config, index, seed);
  }

  /** Brings what a step reads. */
  upload(windows: readonly Window[], step: number): void {
    const batch = this.#batch;
    batch.set(windows);
    batch.drop(this.#seed, step);
    batch.invert();
    const { ids, entries, listStart, list } = this.inputs;
    this.#device.write(ids, batch.ids);
    this.#device.write(entries, batch.entries);
    this.#device.write(listStart, batch.listStart);
    this.#device.write(list, batch.list);
    this.#device.write(this.#touched, batch.touched);
  }

  dispose(): void {
    for (const t of [...Object.values(this.inputs), this.#touched]) this.#device.free(t);
  }
}
