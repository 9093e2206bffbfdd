/**
 * The network's distribution at every byte of a file: overlapping windows of the stream BOS path PATH_END bytes,
 * each scoring its last quarter (the first all of it), so a value depends on the bytes before it only, and not at
 * all on where the file ends.
 */
import { createBuilder } from "./builder.ts";
import { headerSymbols } from "./bytes.ts";
import { maxPatches, type ModelConfig } from "./config.ts";
import { activationType, type Device, type Program } from "./device.ts";
import { engramContextCount } from "./engramContexts.ts";
import type { EngramIndex } from "./engramIndex.ts";
import type { FactEncoder } from "./facts/encoder.ts";
import { factWidth } from "./facts/channels.ts";
import type { Tensor } from "./graph.ts";
import { invariant } from "./errors.ts";
import { addForward } from "./kernels/add.ts";
import { NO_ROW } from "./kernels/embedBytes.ts";
import { probabilitiesForward } from "./kernels/probabilities.ts";
import { recordNetwork } from "./network.ts";
import { idChannels, WindowBatch, type Window } from "./windows.ts";

/** Windows advance by this share of their length; the rest is context of the bytes they score. */
const STRIDE_SHARE = 1 / 4;

/** Called with the distribution of byte `at` of the file: 256 probabilities at `offset` of `p`, and, where it was asked
 *  for, the state that its logits are linear in. */
export type OnDistribution = (
  at: number,
  p: Float32Array,
  offset: number,
  state: Float32Array | undefined,
) => void;

export class Scorer {
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #batch: WindowBatch;
  readonly #tensors: {
    readonly ids: Tensor;
    readonly ends: Tensor;
    readonly newest: Tensor;
    readonly p: Tensor;
    readonly state: Tensor;
    readonly trunkState: Tensor;
    readonly engram?: Tensor;
  };
  readonly #engram: { readonly index: EngramIndex; readonly ids: Uint32Array } | undefined;
  readonly #held: Tensor[] = [];
  #program: Program | undefined;

  private constructor(device: Device, config: ModelConfig, engram: EngramIndex | undefined) {
    this.#device = device;
    this.#config = config;
    const B = device.kind === "gpu" ? 8 : 2;
    const rows = B * config.context;
    const patches = B * maxPatches(config, config.context);
    this.#batch = new WindowBatch(config, B, config.context);
    this.#tensors = {
      ids: device.tensor("score ids", [rows, idChannels(config)], "u32"),
      ends: device.tensor("score ends", [patches], "u32"),
      newest: device.tensor("score newest", [rows], "u32"),
      p: device.tensor("score p", [rows, 256]),
      state: device.tensor("score state", [rows, config.localChannels]),
      trunkState: device.tensor("score trunk state", [patches, config.trunkChannels]),
    };
    if (config.engram !== "on") return;
    invariant(engram !== undefined, "the model has an n-gram memory, and no index was given");
    const shape = [rows, engramContextCount(config)] as const;
    this.#engram = { index: engram, ids: new Uint32Array(shape[0] * shape[1]) };
    this.#tensors = { ...this.#tensors, engram: device.tensor("score engram ids", shape, "u32") };
  }

  static async create(
    device: Device,
    config: ModelConfig,
    params: ReadonlyMap<string, Tensor>,
    engram?: EngramIndex,
  ): Promise<Scorer> {
    const scorer = new Scorer(device, config, engram);
    await scorer.#record(params);
    return scorer;
  }

  async #record(params: ReadonlyMap<string, Tensor>): Promise<void> {
    const c = this.#config;
    const device = this.#device;
    const b = createBuilder({
      config: c,
      half: activationType(device, c),
      mode: "window",
      params,
      persistent: (name, shape) => {
        const t = device.tensor(name, shape);
        this.#held.push(t);
        return t;
      },
      write: (t, data) => device.write(t, data),
    });
    const span = device.tensor("score span", [1], "u32");
    this.#held.push(span, ...Object.values(this.#tensors));
    const B = this.#batch.batch;
    const N = c.context;
    const T = maxPatches(c, N);
    const t = this.#tensors;
    const network = recordNetwork(b, {
      ids: t.ids,
      ends: t.ends,
      newest: t.newest,
      engram: t.engram === undefined ? undefined : { ids: t.engram },
      bytes: { batch: B, rows: N, capacity: N, span },
      patches: { batch: B, rows: T, capacity: T, span },
    });
    probabilitiesForward(b.graph, {
      logits: network.logits,
      p: t.p,
      eom: b.temp("eom", [B * N]),
      softcap: c.logitCap,
    });
    for (const [from, to] of [
      [network.state, t.state],
      [network.trunkState, t.trunkState],
    ] as const)
      addForward(b.graph, { x: from, z: from, y: to, scale: 0 });
    this.#program = await device.compile(b.graph, "scoring");
  }

  dispose(): void {
    this.#program?.dispose();
    for (const t of this.#held) this.#device.free(t);
  }

  async #run(windows: readonly Window[]): Promise<void> {
    this.#batch.set(windows);
    const t = this.#tensors;
    this.#device.write(t.ids, this.#batch.ids);
    this.#device.write(t.ends, this.#batch.ends);
    this.#device.write(t.newest, this.#batch.newest);
    if (this.#engram !== undefined) {
      const { index, ids } = this.#engram;
      ids.fill(NO_ROW);
      const each = this.#config.context * index.contexts;
      windows.forEach((w, i) => index.rows(w.symbols, ids, i * each));
      this.#device.write(t.engram!, ids);
    }
    await this.#program!.run();
  }

  /** Visits every byte of the file in order. */
  async score(
    o: { path: string; bytes: Uint8Array; encoder?: FactEncoder | undefined; states?: 1 },
    visit: OnDistribution,
  ): Promise<void> {
    const { bytes } = o;
    if (bytes.length === 0) return;
    const N = this.#config.context;
    const stride = N * STRIDE_SHARE;
    const context = N - stride;
    const header = headerSymbols(o.path);
    const width = factWidth(this.#config.colour);
    const wrong = o.encoder !== undefined && o.encoder.width !== width;
    invariant(!wrong, `facts of ${o.encoder?.width} channels for a model of ${width}`);
    const fileFacts = o.encoder?.channels(o.path, bytes);
    const total = header.length + bytes.length;
    const symbolAt = (t: number): number =>
      t < header.length ? header[t]! : bytes[t - header.length]!;
    const starts: number[] = [];
    for (let s = 0; s === 0 || s + context < total - 1; s += stride) starts.push(s);
    const B = this.#batch.batch;
    for (let i = 0; i < starts.length; i += B) {
      const group = starts.slice(i, i + B);
      await this.#run(
        group.map((s) => {
          const length = Math.min(N, total - s);
          const symbols = new Uint16Array(length);
          for (let t = 0; t < length; t++) symbols[t] = symbolAt(s + t);
          if (fileFacts === undefined) return { symbols };
          const facts = new Uint16Array(length * width);
          const skip = Math.max(0, header.length - s);
          if (skip < length) {
            const from = (s + skip - header.length) * width;
            facts.set(fileFacts.subarray(from, from + (length - skip) * width), skip * width);
          }
          return { symbols, facts };
        }),
      );
      const C = this.#config.localChannels;
      // Row t predicts symbol s+t+1; what stands before was scored by the windows before. Only the others are read.
      const told = await Promise.all(
        group.map(async (s, w) => {
          // A long path may fill more than the first window.
          const first = Math.max(s === 0 ? 0 : context, header.length - 1 - s);
          const count = Math.min(N, total - 1 - s) - first;
          if (count <= 0) return undefined;
          const read = (t: Tensor, columns: number): Promise<Float32Array> =>
            this.#device.read(
              t,
              (w * N + first) * columns,
              count * columns,
            ) as Promise<Float32Array>;
          const [p, states] = await Promise.all([
            read(this.#tensors.p, 256),
            o.states === 1 ? read(this.#tensors.state, C) : undefined,
          ]);
          return { at: s + first + 1 - header.length, count, p, states };
        }),
      );
      for (const window of told)
        for (let k = 0; window !== undefined && k < window.count; k++)
          visit(window.at + k, window.p, k * 256, window.states?.subarray(k * C, (k + 1) * C));
    }
  }

  /** Mean trunk state over the patches of each text's first window, unit length. */
  async embed(texts: readonly Uint8Array[]): Promise<Float32Array[]> {
    const N = this.#config.context;
    const C = this.#config.trunkChannels;
    const B = this.#batch.batch;
    const out: Float32Array[] = [];
    for (let i = 0; i < texts.length; i += B) {
      const group = texts.slice(i, i + B).map((t) => t.subarray(0, N));
      await this.#run(group.map((symbols) => ({ symbols })));
      const state = await this.#device.read(this.#tensors.trunkState);
      group.forEach((text, w) => {
        const base = w * this.#batch.patchRows;
        const count =
          text.length === 0 ? 0 : this.#batch.newest[w * N + text.length - 1]! - base + 1;
        const mean = new Float32Array(C);
        for (let p = base; p < base + count; p++)
          for (let c = 0; c < C; c++) mean[c]! += state[p * C + c]!;
        const norm = Math.sqrt(mean.reduce((sum, x) => sum + x * x, 0)) || 1;
        out.push(mean.map((x) => x / norm));
      });
    }
    return out;
  }
}
