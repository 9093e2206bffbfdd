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
  readonly program: Program;
}

type Input = "ids" | "ends" | "newest" | "wanted" | "span" | "patchSpan" | "engram";

/** Distributions of the last rows. */
export interface Distributions {
  /** Position of the first row. */
  readonly from: number;
  /** [rows, 256]: byte after each position. */
  readonly p: Float32Array;
  /** [rows]: probability that the middle ends after each position. */
  readonly eom: Float32Array;
}

interface Chunk {
  readonly symbols: readonly number[];
  readonly facts: Uint16Array;
  readonly map: PatchMap;
  /** [symbols, contexts]: rows of the n-gram memory. */
  readonly engram: Uint32Array;
  readonly at: number;
  readonly count: number;
  /** Position of the first row whose distribution is wanted. */
  readonly from: number;
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
    const wantedRows = Math.min(rows, this.draftRows);
    const shapes: Readonly<Record<Input, readonly number[]>> = {
      ids: [rows, idChannels(c)],
      ends: [patchRows],
      newest: [rows],
      wanted: [wantedRows],
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
    const [wanted, span, patchSpan] = [view("wanted"), view("span"), view("patchSpan")];
    const engram = view("engram");
    const p = device.tensor(`p ${rows}`, [wantedRows, 256]);
    const eom = device.tensor(`eom ${rows}`, [wantedRows]);
    const network = recordNetwork(b, {
      ids,
      ends,
      newest,
      wanted,
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
    return {
      rows,
      patchRows,
      inputs,
      host: new Uint32Array(size),
      at,
      views: [ids, ends, newest, wanted, span, patchSpan, engram],
      p,
      eom,
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
   *  `wanted` of them. Throws ShapeError past the capacity. */
  async extend(symbols: readonly number[], facts: Uint16Array, wanted = 1): Promise<Distributions> {
    const n = symbols.length;
    invariant(n > 0 && n <= this.capacity, `${n} symbols in a decoder of ${this.capacity}`);
    invariant(
      wanted >= 1 && wanted <= Math.min(n, this.draftRows),
      `${wanted} distributions of ${n} symbols were asked for, ${this.draftRows} are kept`,
    );
    const from = n - wanted;
    let at = Math.min(this.#agreeing(symbols, facts), from);
    const map = patchWindow(this.#config, symbols, maxPatches(this.#config, this.capacity));
    const engram = new Uint32Array(n * (this.#engram?.contexts ?? 0));
    this.#engram?.rows(symbols, engram, 0);
    const p = new Float32Array(wanted * 256);
    const eom = new Float32Array(wanted);
    // A failed run leaves the caches undefined behind `at`.
    this.#symbols.length = at;
    while (at < n) {
      const extension = this.#extensions.get(this.#first[n - at]!)!;
      const count = fitting(extension, map, at, n);
      const got = await this.#run(extension, { symbols, facts, map, engram, at, count, from });
      at += count;
      if (got === undefined) continue;
      const rows = at - Math.max(from, at - count);
      const first = at - rows - from;
      p.set(got.p.subarray(0, rows * 256), first * 256);
      eom.set(got.eom.subarray(0, rows), first);
    }
    this.#symbols = [...symbols];
    this.#facts = facts.slice(0, n * factWidth(this.#config.colour));
    return { from, p, eom };
  }

  /** Runs one chunk; gives what it has of the wanted distributions. */
  async #run(e: Extension, o: Chunk): Promise<{ p: Float32Array; eom: Float32Array } | undefined> {
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
    const firstWanted = Math.max(0, o.from - o.at);
    for (let i = 0; i < e.eom.size; i++)
      host[at.wanted + i] = Math.min(o.count - 1, firstWanted + i);
    const K = this.#engram?.contexts ?? 0;
    host.fill(NO_ROW, at.engram, at.engram + e.rows * K);
    host.set(o.engram.subarray(o.at * K, (o.at + o.count) * K), at.engram);
    host[at.span] = o.at;
    host[at.patchSpan] = firstPatch;
    this.#device.write(e.inputs, host);
    const wanted = o.at + o.count > o.from;
    const [p, eom] = await e.program.runAndRead(wanted ? [e.p, e.eom] : []);
    return wanted ? { p: p as Float32Array, eom: eom as Float32Array } : undefined;
  }

  dispose(): void {
    for (const t of this.#shared.values()) this.#device.free(t);
    for (const e of this.#extensions.values()) {
      e.program.dispose();
      for (const t of [...e.views, e.inputs, e.p, e.eom]) this.#device.free(t);
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
