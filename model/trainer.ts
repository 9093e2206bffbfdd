/**
 * One training run on one device: parameters, the recorded step (forward, loss, backward, optimizer), and its
 * state for checkpoints. A step uploads a batch and replays the program; nothing is allocated.
 */
import { AheadTargets } from "./aheadHead.ts";
import { AuxTargets, type TrainingHead } from "./auxHead.ts";
import { createBuilder } from "./builder.ts";
import { maxPatches, type ModelConfig } from "./config.ts";
import {
  activationType,
  type Device,
  type KernelTime,
  type OpTime,
  type Program,
} from "./device.ts";
import { invariant } from "./errors.ts";
import type { Tensor } from "./graph.ts";
import { weightedTotal } from "./kernels/columnSum.ts";
import { crossEntropy } from "./kernels/crossEntropy.ts";
import { joinSums } from "./kernels/joinSums.ts";
import { VOCAB } from "./bytes.ts";
import { recordNetwork } from "./network.ts";
import type { EngramIndex } from "./engramIndex.ts";
import { EngramTraining } from "./engramTraining.ts";
import { Optimizer } from "./optimizer.ts";
import { countParams, embeddingLayout, paramTable, type ParamSpec } from "./params.ts";
import { Random } from "./random.ts";
import type { StoredTensor } from "./safetensors.ts";
import { batchSizes } from "./schedule.ts";
import type { HeadSpectrum } from "./spectrum.ts";
import { idChannels, WindowBatch, type Window } from "./windows.ts";

export interface TrainerOptions {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly spectrum: HeadSpectrum;
  readonly seed: number;
  /** Rows of the trunk per window (trainingPatches.ts); by default as many as any window can need. */
  readonly patches?: number | undefined;
  /** Where the configuration has an n-gram memory. */
  readonly engram?: EngramIndex | undefined;
}

/** Tensors that are read back in one round trip. */
const READ_AT_ONCE = 32;

/** The recorded step of one batch size. */
interface RecordedStep {
  readonly batch: WindowBatch;
  readonly inputs: StepInputs;
  readonly engram: EngramTraining | undefined;
  readonly heads: readonly TrainingHead[];
  readonly program: Program;
}

interface StepInputs {
  readonly ids: Tensor;
  readonly targets: Tensor;
  readonly ends: Tensor;
  readonly newest: Tensor;
  readonly endOf: Tensor;
  readonly start: Tensor;
  readonly listStart: Tensor;
  readonly list: Tensor;
  readonly weight: Tensor;
}

/** Start values of every parameter: a pure function of config, spectrum and seed. */
export function initialParams(
  specs: readonly ParamSpec[],
  seed: number,
): Map<string, StoredTensor> {
  const values = new Map<string, StoredTensor>();
  specs.forEach((s, i) => {
    const data = new Float32Array(s.shape.reduce((a, b) => a * b, 1));
    s.init(data, new Random(seed, 0x20000 + i));
    values.set(s.name, { shape: s.shape, data });
  });
  return values;
}

export class Trainer {
  readonly specs: readonly ParamSpec[];
  readonly paramCount: number;
  readonly optimizer: Optimizer;
  readonly params: ReadonlyMap<string, Tensor>;
  readonly gradients: ReadonlyMap<string, Tensor>;
  readonly #device: Device;
  readonly #config: ModelConfig;
  /** By number of windows; a run whose batch grows has several. All move the same parameters. */
  readonly #recorded = new Map<number, RecordedStep>();
  readonly #loss: Tensor;
  /** Small tensors besides parameters and inputs. */
  readonly #held: Tensor[] = [];
  readonly #seed: number;
  #dropoutSeed: Tensor | undefined;

  private constructor(o: TrainerOptions) {
    this.#device = o.device;
    this.#config = o.config;
    this.#seed = o.seed;
    this.specs = paramTable(o.config, o.spectrum);
    this.paramCount = countParams(this.specs);
    const device = o.device;
    const half = activationType(device, o.config) === "f16";
    // A row's gradient is 1 / rows of the loss: scaled by about rows it is of order one, where halves are exact.
    const lossScale = half ? 2 ** Math.ceil(Math.log2(o.config.batch * o.config.context)) : 1;
    this.optimizer = new Optimizer(device, o.config, this.specs, {
      lossScale,
      half: half ? 1 : 0,
    });
    this.params = this.optimizer.params;
    this.gradients = this.optimizer.gradients;
    for (const [name, value] of initialParams(this.specs, o.seed)) {
      device.write(this.params.get(name)!, value.data);
      device.write(this.optimizer.ema.get(name)!, value.data);
    }
    this.#loss = device.tensor("loss", [1]);
    this.#held.push(this.#loss);
    if (o.config.dropout > 0) {
      this.#dropoutSeed = device.tensor("dropout seed", [2], "u32");
      this.#held.push(this.#dropoutSeed);
    }
  }

  static async create(o: TrainerOptions): Promise<Trainer> {
    const trainer = new Trainer(o);
    for (const batch of batchSizes(o.config))
      trainer.#recorded.set(batch, await trainer.#record({ ...o.config, batch }, o));
    return trainer;
  }

  #inputs(c: ModelConfig, T: number): StepInputs {
    const device = this.#device;
    const rows = c.batch * c.context;
    const channels = idChannels(c);
    const patches = c.batch * T;
    const u32 = (name: string, n: number): Tensor => device.tensor(name, [n], "u32");
    return {
      ids: device.tensor("ids", [rows, channels], "u32"),
      targets: u32("targets", rows),
      ends: u32("ends", patches),
      newest: u32("newest", rows),
      endOf: u32("end of", rows),
      start: u32("start", patches + 1),
      listStart: u32("list start", embeddingLayout(c).rows + 1),
      list: u32("list", rows * channels),
      weight: device.tensor("weight", [1]),
    };
  }

  async #record(
    c: ModelConfig,
    o: Pick<TrainerOptions, "engram" | "seed" | "patches">,
  ): Promise<RecordedStep> {
    const device = this.#device;
    const b = createBuilder({
      config: c,
      half: activationType(device, c),
      mode: "window",
      params: this.params,
      gradients: this.gradients,
      weights: this.optimizer.weights,
      dropoutSeed: this.#dropoutSeed,
      products: device.products,
      persistent: (name, shape) => {
        const t = device.tensor(name, shape);
        this.#held.push(t);
        return t;
      },
      write: (t, data) => device.write(t, data),
    });
    this.optimizer.recordHalves(b.graph);
    const span = device.tensor("span", [1], "u32");
    this.#held.push(span);
    const N = c.context;
    const T = o.patches ?? maxPatches(c, N);
    const i = this.#inputs(c, T);
    const engram = EngramTraining.create(device, c, o.engram, o.seed);
    const heads = [AuxTargets.create(device, c), AheadTargets.create(device, c)].filter(
      (h) => h !== undefined,
    );
    const network = recordNetwork(b, {
      ...i,
      engram: engram?.inputs,
      heads: heads.map(
        (h) => (state: Tensor) =>
          h.record(b, state, { optimizer: this.optimizer, targets: i.targets }),
      ),
      bytes: { batch: c.batch, rows: N, capacity: N, span },
      patches: { batch: c.batch, rows: T, capacity: T, span },
    });
    const g = b.graph;
    const rows = c.batch * N;
    const softcap = c.logitCap;
    const loss = b.temp("row losses", [rows]);
    const dLogits = b.temp("dLogits", [rows, VOCAB], b.half);
    crossEntropy(g, {
      logits: network.logits,
      targets: i.targets,
      weight: this.optimizer.scaledWeight(g, i.weight),
      loss,
      dLogits,
      softcap,
    });
    weightedTotal(g, { x: loss, weight: i.weight, out: this.#loss });
    network.backward(dLogits);
    joinSums(g);
    this.optimizer.record(g, engram === undefined ? [] : [engram.gradient]);
    const batch = new WindowBatch(c, c.batch, N, T);
    return { batch, inputs: i, engram, heads, program: await device.compile(g, "training step") };
  }

  get #whole(): RecordedStep {
    return this.#recorded.get(this.#config.batch)!;
  }

  /** Time per op of one step on the batch that was last uploaded; undefined where the device cannot tell. */
  profile(): Promise<ReadonlyMap<string, OpTime>> | undefined {
    return this.#whole.program.profile?.();
  }

  /** Every kernel of a step, timed by itself; ruins the parameters. */
  kernels(): Promise<readonly KernelTime[]> | undefined {
    return this.#whole.program.kernels?.();
  }

  get temporaryBytes(): number {
    return [...this.#recorded.values()].reduce((sum, r) => sum + r.program.temporaryBytes, 0);
  }

  /** Queues one step; `loss` reads what it gave. Returns the positions it scored. */
  async step(o: { step: number; factor: number; windows: readonly Window[] }): Promise<number> {
    const recorded = this.#recorded.get(o.windows.length);
    invariant(recorded !== undefined, `${o.windows.length} windows in a step`);
    const { batch, inputs: i, engram, heads, program } = recorded;
    batch.set(o.windows);
    batch.invert();
    const d = this.#device;
    d.write(i.ids, batch.ids);
    d.write(i.targets, batch.targets);
    d.write(i.ends, batch.ends);
    d.write(i.newest, batch.newest);
    d.write(i.endOf, batch.endOf);
    d.write(i.start, batch.start);
    d.write(i.listStart, batch.listStart);
    d.write(i.list, batch.list);
    d.write(i.weight, [1 / Math.max(1, batch.scored)]);
    engram?.upload(o.windows, o.step);
    if (this.#dropoutSeed !== undefined) d.write(this.#dropoutSeed, [this.#seed, o.step]);
    for (const h of heads) h.upload(batch, o.windows);
    this.optimizer.setStep(o.step, o.factor);
    await program.run();
    return batch.scored;
  }

  /** Bits per scored symbol of the last step's batch, before its update. Waits for the device. */
  async loss(): Promise<number> {
    return (await this.#device.read(this.#loss))[0]!;
  }

  async #readAll(tensors: ReadonlyMap<string, Tensor>): Promise<Map<string, StoredTensor>> {
    const all = [...tensors];
    const out = new Map<string, StoredTensor>();
    for (let i = 0; i < all.length; i += READ_AT_ONCE) {
      const some = all.slice(i, i + READ_AT_ONCE);
      const data = await Promise.all(some.map(([, t]) => this.#device.read(t)));
      some.forEach(([name, { shape }], k) =>
        out.set(name, { shape, data: Float32Array.from(data[k]!) }),
      );
    }
    return out;
  }

  /** The averaged weights: what is used and shipped. */
  averaged(): Promise<Map<string, StoredTensor>> {
    return this.#readAll(this.optimizer.ema);
  }

  /** The raw weights and the optimizer's moments: what a resumed run needs besides the averages. */
  async state(): Promise<Map<string, StoredTensor>> {
    const raw = await this.#readAll(this.params);
    const moments = await this.#readAll(this.optimizer.state);
    return new Map([...[...raw].map(([n, t]) => [`raw.${n}`, t] as const), ...moments]);
  }

  restore(
    averaged: ReadonlyMap<string, StoredTensor>,
    state: ReadonlyMap<string, StoredTensor>,
  ): void {
    const write = (t: Tensor, stored: StoredTensor | undefined): void => {
      invariant(stored?.data.length === t.size, `the checkpoint lacks ${t.name} in its shape`);
      this.#device.write(t, stored.data);
    };
    for (const [name, t] of this.params) write(t, state.get(`raw.${name}`));
    for (const [name, t] of this.optimizer.state) write(t, state.get(name));
    for (const [name, t] of this.optimizer.ema) write(t, averaged.get(name));
  }

  /** Frees everything this run holds on the device. */
  dispose(): void {
    const held = [...this.#held];
    for (const { program, inputs, engram, heads } of this.#recorded.values()) {
      program.dispose();
      engram?.dispose();
      for (const h of heads) h.dispose();
      held.push(...Object.values(inputs as unknown as Record<string, Tensor>));
    }
    this.optimizer.dispose();
    for (const t of held) this.#device.free(t);
  }
}
