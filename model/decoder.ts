/**
 * Incremental decoding: new rows against caches of key scalars, salience and values (m + 1 scalars and a value
 * row per key instead of two rows), and of finished patch states. Programs are recorded once per row count; the
 * symbols already in the caches are reused as far as they agree, so typing on costs only the new bytes.
 */
import { createBuilder } from "./builder.ts";
import { maxPatches, type ModelConfig } from "./config.ts";
import type { Device, Program } from "./device.ts";
import { invariant } from "./errors.ts";
import { N_FACT_CHANNELS } from "./facts/channels.ts";
import type { Tensor } from "./graph.ts";
import { NO_ROW } from "./kernels/embedBytes.ts";
import { probabilitiesForward } from "./kernels/probabilities.ts";
import { recordNetwork } from "./network.ts";
import { NO_PATCH, patchWindow } from "./patches.ts";
import { ID_CHANNELS, writeIds } from "./windows.ts";

/** Rows per program: prefill, and a draft with its verification. */
const PREFILL_ROWS = 64;
export const DRAFT_ROWS = 16;

interface Extension {
  readonly rows: number;
  readonly patchRows: number;
  readonly ids: Tensor;
  readonly ends: Tensor;
  readonly newest: Tensor;
  readonly span: Tensor;
  readonly patchSpan: Tensor;
  readonly p: Tensor;
  readonly eom: Tensor;
  readonly program: Program;
}

/** Distributions of the rows of the last chunk that was run. */
export interface Distributions {
  /** Position of the first row. */
  readonly from: number;
  /** [rows, 256]: byte after each position. */
  readonly p: Float32Array;
  /** [rows]: probability that the middle ends after each position. */
  readonly eom: Float32Array;
}

export class Decoder {
  readonly capacity: number;
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #extensions: Extension[] = [];
  #shared: ReadonlyMap<string, Tensor> = new Map();
  #symbols: number[] = [];
  #facts = new Uint16Array(0);

  private constructor(device: Device, config: ModelConfig) {
    this.#device = device;
    this.#config = config;
    this.capacity = config.context;
  }

  static async create(
    device: Device,
    config: ModelConfig,
    params: ReadonlyMap<string, Tensor>,
  ): Promise<Decoder> {
    const decoder = new Decoder(device, config);
    const shared = new Map<string, Tensor>();
    decoder.#shared = shared;
    for (const rows of [PREFILL_ROWS, DRAFT_ROWS])
      decoder.#extensions.push(await decoder.#record(rows, params, shared));
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
    const patchRows = maxPatches(c, rows);
    const tensors = {
      ids: device.tensor(`ids ${rows}`, [rows, ID_CHANNELS], "u32"),
      ends: device.tensor(`ends ${rows}`, [patchRows], "u32"),
      newest: device.tensor(`newest ${rows}`, [rows], "u32"),
      span: device.tensor(`span ${rows}`, [1], "u32"),
      patchSpan: device.tensor(`patch span ${rows}`, [1], "u32"),
      p: device.tensor(`p ${rows}`, [rows, 256]),
      eom: device.tensor(`eom ${rows}`, [rows]),
    };
    const network = recordNetwork(b, {
      ids: tensors.ids,
      ends: tensors.ends,
      newest: tensors.newest,
      bytes: { batch: 1, rows, capacity: c.context + PREFILL_ROWS, span: tensors.span },
      patches: {
        batch: 1,
        rows: patchRows,
        capacity: maxPatches(c, c.context) + maxPatches(c, PREFILL_ROWS),
        span: tensors.patchSpan,
      },
    });
    probabilitiesForward(b.graph, {
      logits: network.logits,
      p: tensors.p,
      eom: tensors.eom,
      softcap: c.logitCap,
    });
    return {
      rows,
      patchRows,
      ...tensors,
      program: await device.compile(b.graph, `decoding ${rows} rows`),
    };
  }

  /** Positions whose rows are in the caches and agree with the given sequence. */
  #agreeing(symbols: readonly number[], facts: Uint16Array): number {
    const n = Math.min(symbols.length, this.#symbols.length);
    let t = 0;
    for (; t < n; t++) {
      if (symbols[t] !== this.#symbols[t]) break;
      let same = true;
      for (let k = 0; k < N_FACT_CHANNELS && same; k++)
        same = facts[t * N_FACT_CHANNELS + k] === this.#facts[t * N_FACT_CHANNELS + k];
      if (!same) break;
    }
    return t;
  }

  /** Makes the caches hold `symbols` (facts [symbols, channels]) and returns the distributions after the last
   *  rows, of which there are at least `wanted`. Throws ShapeError past the capacity. */
  async extend(symbols: readonly number[], facts: Uint16Array, wanted = 1): Promise<Distributions> {
    invariant(
      symbols.length > 0 && symbols.length <= this.capacity,
      `${symbols.length} symbols in a decoder of ${this.capacity}`,
    );
    invariant(
      wanted <= DRAFT_ROWS,
      `${wanted} distributions were asked for, ${DRAFT_ROWS} are kept`,
    );
    let at = Math.min(this.#agreeing(symbols, facts), symbols.length - wanted);
    const map = patchWindow(this.#config, symbols, maxPatches(this.#config, this.capacity));
    let last: Distributions | undefined;
    // A failed run leaves the caches undefined behind `at`.
    this.#symbols.length = at;
    while (at < symbols.length) {
      const left = symbols.length - at;
      const [big, small] = this.#extensions as [Extension, Extension];
      const extension = left > small.rows ? big : small;
      // The wanted rows stay together in the last chunk.
      const count = left <= extension.rows ? left : Math.min(extension.rows, left - wanted);
      last = await this.#run(extension, { symbols, facts, map, at, count });
      at += count;
    }
    this.#symbols = [...symbols];
    this.#facts = facts.slice(0, symbols.length * N_FACT_CHANNELS);
    return last!;
  }

  async #run(
    e: Extension,
    o: {
      symbols: readonly number[];
      facts: Uint16Array;
      map: ReturnType<typeof patchWindow>;
      at: number;
      count: number;
    },
  ): Promise<Distributions> {
    const ids = new Uint32Array(e.rows * ID_CHANNELS).fill(NO_ROW);
    const newest = new Uint32Array(e.rows);
    const ends = new Uint32Array(e.patchRows).fill(NO_ROW);
    const firstPatch = o.at === 0 ? 0 : o.map.newest[o.at - 1]! + 1;
    for (let i = 0; i < e.rows; i++) {
      const t = o.at + Math.min(i, o.count - 1);
      newest[i] = o.map.newest[t]!;
      if (i >= o.count) continue;
      writeIds(ids, i * ID_CHANNELS, o.symbols[t]!, o.facts, t * N_FACT_CHANNELS);
      const patch = o.map.endOf[t]!;
      if (patch !== NO_PATCH) ends[patch - firstPatch] = i;
    }
    const d = this.#device;
    d.write(e.ids, ids);
    d.write(e.ends, ends);
    d.write(e.newest, newest);
    d.write(e.span, [o.at]);
    d.write(e.patchSpan, [firstPatch]);
    await e.program.run();
    if (o.at + o.count < o.symbols.length)
      return { from: o.at, p: new Float32Array(0), eom: new Float32Array(0) };
    const [p, eom] = await Promise.all([d.read(e.p, 0, o.count * 256), d.read(e.eom, 0, o.count)]);
    return { from: o.at, p: p as Float32Array, eom: eom as Float32Array };
  }

  dispose(): void {
    for (const t of this.#shared.values()) this.#device.free(t);
    for (const e of this.#extensions) {
      e.program.dispose();
      for (const t of [e.ids, e.ends, e.newest, e.span, e.patchSpan, e.p, e.eom])
        this.#device.free(t);
    }
  }

  /** Forgets the caches' contents, e.g. when weights change. */
  reset(): void {
    this.#symbols = [];
  }
}
