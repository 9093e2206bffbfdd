/**
 * Incremental decoding: new rows against caches of key scalars, salience and values (m + 1 scalars and a value
 * row per key instead of two rows), and of finished patch states. Programs are recorded once per row count; the
 * symbols already in the caches are reused as far as they agree, so typing on costs only the new bytes.
 */
import { createBuilder } from "./builder.ts";
import { maxPatches, type ModelConfig } from "./config.ts";
import type { Device, Program } from "./device.ts";
import { engramContextCount } from "./engramContexts.ts";
import type { EngramIndex } from "./engramIndex.ts";
import { invariant } from "./errors.ts";
import { factWidth } from "./facts/channels.ts";
import { VIEW_ALIGN, type Tensor } from "./graph.ts";
import { NO_ROW } from "./kernels/embedBytes.ts";
import { addForward } from "./kernels/add.ts";
import { probabilitiesForward } from "./kernels/probabilities.ts";
import { recordNetwork } from "./network.ts";
import { embeddingLayout } from "./params.ts";
import { NO_PATCH, patchWindow, type PatchMap } from "./patches.ts";
import { idChannels, writeIds } from "./windows.ts";

/** How a device runs new rows. A GPU's pass takes as long for hundreds of rows as for a few, so there are two
 *  programs, and drafts are long. On a CPU every row costs, and so does every patch row in the trunk. */
const PLANS = {
  gpu: { sizes: [32, 512], draftRows: 32, overheadRows: 1 << 20, sparePatches: Infinity },
  cpu: {
    sizes: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    draftRows: 16,
    overheadRows: 2,
    sparePatches: 2,
  },
} as const;

interface Extension {
  readonly rows: number;
  readonly patchRows: number;
  /** All inputs in one tensor, so that one write brings them. */
  readonly inputs: Tensor;
  readonly host: Uint32Array;
  readonly at: Readonly<Record<Input, number>>;
  readonly views: readonly Tensor[];
  readonly p: Tensor;
  readonly eom: Tensor;
  readonly state: Tensor;
  readonly program: Program;
}

type Input = "ids" | "ends" | "newest" | "span" | "patchSpan" | "engram";

/** Distributions of the last rows. */
export interface Distributions {
  /** Position of the first row. */
  readonly from: number;
  /** [rows, 256]: byte after each position. */
  readonly p: Float32Array;
  /** [rows]: probability that the middle ends after each position. */
  readonly eom: Float32Array;
  /** [rows, C local]: what the logits behind `p` are linear in. */
  readonly states: Float32Array;
}

interface Chunk {
  readonly symbols: readonly number[];
  readonly facts: Uint16Array;
  readonly map: PatchMap;
  /** [symbols, contexts]: rows of the n-gram memory. */
  readonly engram: Uint32Array;
  readonly at: number;
  readonly count: number;
  /** 1: its rows are read back. */
  readonly told: 0 | 1;
}

/** The row count to run first when so many rows are left: [0 … most]. */
function firstSizes(sizes: readonly number[], most: number, overhead: number): number[] {
  const cost = [0];
  const first = [0];
  for (let left = 1; left <= most; left++) {
    cost[left] = Infinity;
    for (const rows of sizes) {
      const total = overhead + rows + cost[Math.max(0, left - rows)]!;
      if (total >= cost[left]!) continue;
      cost[left] = total;
      first[left] = rows;
    }
  }
  return first;
}

export class Decoder {
  readonly capacity: number;
  /** Distributions that one call gives at most: the last known byte's and a draft's. */
  readonly draftRows: number;
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #engram: EngramIndex | undefined;
  readonly #extensions = new Map<number, Extension>();
  readonly #sizes: readonly number[];
  readonly #first: readonly number[];
  #shared: ReadonlyMap<string, Tensor> = new Map();
  #symbols: number[] = [];
  #facts = new Uint16Array(0);
  // Of every position of the caches: what was read back, and where that is known.
  readonly #p: Float32Array;
  readonly #eom: Float32Array;
  readonly #states: Float32Array;
  readonly #told: Uint8Array;
  #changedFrom = 0;

  private constructor(device: Device, config: ModelConfig, engram: EngramIndex | undefined) {
    this.#device = device;
    this.#config = config;
    this.#engram = config.engram === "on" ? engram : undefined;
    invariant(
      config.engram !== "on" || engram !== undefined,
      "the model has an n-gram memory, and no index was given",
    );
    this.capacity = config.context;
    const plan = PLANS[device.kind];
    this.draftRows = plan.draftRows;
    this.#p = new Float32Array(this.capacity * 256);
    this.#eom = new Float32Array(this.capacity);
    this.#states = new Float32Array(this.capacity * config.localChannels);
    this.#told = new Uint8Array(this.capacity);
    this.#sizes = [...new Set(plan.sizes.map((rows) => Math.min(rows, config.context)))];
    this.#first = firstSizes(this.#sizes, config.context, plan.overheadRows);
  }

  static async create(
    device: Device,
    config: ModelConfig,
    params: ReadonlyMap<string, Tensor>,
    engram?: EngramIndex,
  ): Promise<Decoder> {
    const decoder = new Decoder(device, config, engram);
    const shared = new Map<string, Tensor>();
    decoder.#shared = shared;
    const record = async (rows: number): Promise<void> => {
      decoder.#extensions.set(rows, await decoder.#record(rows, params, shared));
    };
    try {
      // A GPU's driver compiles side by side; CPU threads take one program at a time.
      if (device.kind === "gpu") await Promise.all(decoder.#sizes.map(record));
      else for (const rows of decoder.#sizes) await record(rows);
    } catch (error) {
      decoder.dispose();
      throw error;
    }
    return decoder;
  }

  async #record(
    rows: number,
    params: ReadonlyMap<string, Tensor>,
    shared: Map<string, Tensor>,
  ): Promise<Extension> {
    const c = this.#config;
    const device = this.#device;
    const b = createBuilder({
      config: c,
      mode: "extend",
      params,
      persistent: (name, shape) => {
        let t = shared.get(name);
        if (t === undefined) shared.set(name, (t = device.tensor(name, shape)));
        return t;
      },
      write: (t, data) => device.write(t, data),
    });
    // Rows behind the last symbol are written too.
    const most = Math.max(...this.#sizes);
    const patchRows = this.#patchRows(rows);
    const shapes: Readonly<Record<Input, readonly number[]>> = {
      ids: [rows, idChannels(c)],
      ends: [patchRows],
      newest: [rows],
      span: [1],
      patchSpan: [1],
      engram: [rows, this.#engram === undefined ? 1 : engramContextCount(c)],
    };
    const at = {} as Record<Input, number>;
    let size = 0;
    for (const [name, shape] of Object.entries(shapes)) {
      at[name as Input] = size;
      size += Math.ceil(shape.reduce((product, n) => product * n, 1) / VIEW_ALIGN) * VIEW_ALIGN;
    }
    const inputs = device.tensor(`decoding inputs ${rows}`, [size], "u32");
    const view = (name: Input): Tensor =>
      device.view(inputs, `${name} ${rows}`, shapes[name], at[name]);
    const [ids, ends, newest] = [view("ids"), view("ends"), view("newest")];
    const [span, patchSpan] = [view("span"), view("patchSpan")];
    const engram = view("engram");
    const p = device.tensor(`p ${rows}`, [rows, 256]);
    const eom = device.tensor(`eom ${rows}`, [rows]);
    const state = device.tensor(`state ${rows}`, [rows, c.localChannels]);
    const network = recordNetwork(b, {
      ids,
      ends,
      newest,
      engram: { ids: engram },
      bytes: { batch: 1, rows, capacity: c.context + most, span },
      patches: {
        batch: 1,
        rows: patchRows,
        capacity: maxPatches(c, c.context) + this.#patchRows(most),
        span: patchSpan,
      },
    });
    probabilitiesForward(b.graph, { logits: network.logits, p, eom, softcap: c.logitCap });
    addForward(b.graph, { x: network.state, z: network.state, y: state, scale: 0 });
    return {
      rows,
      patchRows,
      inputs,
      host: new Uint32Array(size),
      at,
      views: [ids, ends, newest, span, patchSpan, engram],
      p,
      eom,
      state,
      program: await device.compile(b.graph, `decoding ${rows} rows`),
    };
  }

  /** Patches that a program of so many rows takes; text with more of them takes another program. */
  #patchRows(rows: number): number {
    const most = maxPatches(this.#config, rows);
    const usual = Math.ceil(rows / this.#config.minBytesPerPatch);
    return this.#config.patching === "rules" || this.#config.patching === "bpe"
      ? Math.min(most, usual + PLANS[this.#device.kind].sparePatches)
      : most;
  }

  /** Positions whose rows are in the caches and agree with the given sequence. */
  #agreeing(symbols: readonly number[], facts: Uint16Array): number {
    const n = Math.min(symbols.length, this.#symbols.length);
    const width = factWidth(this.#config.colour);
    let t = 0;
    for (; t < n; t++) {
      if (symbols[t] !== this.#symbols[t]) break;
      let same = true;
      for (let k = t * width; k < (t + 1) * width && same; k++) same = facts[k] === this.#facts[k];
      if (!same) break;
    }
    return t;
  }

  /** Makes the caches hold `symbols` (facts [symbols, channels]) and returns the distributions after the last
   *  `wanted` of them; so many as `before` asks for are then known of the positions before these (`told`). Throws
   *  ShapeError past the capacity. */
  async extend(
    symbols: readonly number[],
    facts: Uint16Array,
    wanted = 1,
    before = 0,
  ): Promise<Distributions> {
    const n = symbols.length;
    invariant(n > 0 && n <= this.capacity, `${n} symbols in a decoder of ${this.capacity}`);
    invariant(
      wanted >= 1 && wanted <= Math.min(n, this.draftRows),
      `${wanted} distributions of ${n} symbols were asked for, ${this.draftRows} are kept`,
    );
    const from = n - wanted;
    const firstTold = Math.max(0, from - before);
    const reusable = this.#agreeing(symbols, facts);
    let at = Math.min(firstTold, reusable);
    while (at < reusable && this.#told[at] === 1) at++;
    const map = patchWindow(this.#config, symbols, maxPatches(this.#config, this.capacity));
    const engram = new Uint32Array(n * (this.#engram?.contexts ?? 0));
    this.#engram?.rows(symbols, engram, 0);
    // A failed run leaves the caches undefined behind `at`.
    this.#symbols.length = at;
    this.#changedFrom = Math.min(this.#changedFrom, at);
    while (at < n) {
      const extension = this.#extensions.get(this.#first[n - at]!)!;
      const count = fitting(extension, map, at, n);
      const told = at + count > firstTold ? 1 : 0;
      await this.#run(extension, { symbols, facts, map, engram, at, count, told });
      at += count;
    }
    this.#symbols = [...symbols];
    this.#facts = facts.slice(0, n * factWidth(this.#config.colour));
    const C = this.#config.localChannels;
    return {
      from,
      p: this.#p.slice(from * 256, n * 256),
      eom: this.#eom.slice(from, n),
      states: this.#states.slice(from * C, n * C),
    };
  }

  /** What was read back after a position of the caches: views, until its row is run again. */
  told(position: number): { readonly p: Float32Array; readonly state: Float32Array } {
    invariant(this.#told[position] === 1, `nothing is known after position ${position}`);
    const C = this.#config.localChannels;
    return {
      p: this.#p.subarray(position * 256, (position + 1) * 256),
      state: this.#states.subarray(position * C, (position + 1) * C),
    };
  }

  /** The first position whose row was run since the last call. */
  takeChanged(): number {
    const first = this.#changedFrom;
    this.#changedFrom = Infinity;
    return first;
  }

  /** Runs one chunk. */
  async #run(e: Extension, o: Chunk): Promise<void> {
    const { host, at } = e;
    const channels = idChannels(this.#config);
    const layout = embeddingLayout(this.#config);
    const firstPatch = o.at === 0 ? 0 : o.map.newest[o.at - 1]! + 1;
    host.fill(NO_ROW, at.ids, at.ids + e.rows * channels);
    host.fill(NO_ROW, at.ends, at.ends + e.patchRows);
    const { symbols, facts } = o;
    writeIds(host, at.ids, layout, { symbols, facts, from: o.at, to: o.at + o.count });
    for (let i = 0; i < e.rows; i++) {
      const t = o.at + Math.min(i, o.count - 1);
      host[at.newest + i] = o.map.newest[t]!;
      if (i >= o.count) continue;
      const patch = o.map.endOf[t]!;
      if (patch !== NO_PATCH) host[at.ends + patch - firstPatch] = i;
    }
    const K = this.#engram?.contexts ?? 0;
    host.fill(NO_ROW, at.engram, at.engram + e.rows * K);
    host.set(o.engram.subarray(o.at * K, (o.at + o.count) * K), at.engram);
    host[at.span] = o.at;
    host[at.patchSpan] = firstPatch;
    this.#device.write(e.inputs, host);
    this.#told.fill(0, o.at, o.at + o.count);
    const read = await e.program.runAndRead(o.told === 1 ? [e.p, e.eom, e.state] : []);
    if (o.told === 0) return;
    const C = this.#config.localChannels;
    const [p, eom, states] = read as [Float32Array, Float32Array, Float32Array];
    this.#p.set(p.subarray(0, o.count * 256), o.at * 256);
    this.#eom.set(eom.subarray(0, o.count), o.at);
    this.#states.set(states.subarray(0, o.count * C), o.at * C);
    this.#told.fill(1, o.at, o.at + o.count);
  }

  dispose(): void {
    for (const t of this.#shared.values()) this.#device.free(t);
    for (const e of this.#extensions.values()) {
      e.program.dispose();
      for (const t of [...e.views, e.inputs, e.p, e.eom, e.state]) this.#device.free(t);
    }
  }

  /** Forgets the caches' contents, e.g. when weights change. */
  reset(): void {
    this.#symbols = [];
  }
}

/** Symbols from `at` that a program takes: as many as its rows, and its patch rows, hold. */
function fitting(e: Extension, map: PatchMap, at: number, end: number): number {
  const before = at === 0 ? -1 : map.newest[at - 1]!;
  let count = Math.min(e.rows, end - at);
  while (map.newest[at + count - 1]! - before > e.patchRows) count--;
  return count;
}
