/**
 * Finds better choices for a model's matrix products on this GPU than the model of their time makes, and keeps them
 * for later trainings on it. It costs seconds of compiling and of a busy GPU, so nobody waits for it: the model host
 * does it when a training has ended and the editor rests, `narrowgauge bench --tune` when it is asked for.
 */
import type { Device, Program } from "./device.ts";
import type { ModelConfig } from "./config.ts";
import { activationType } from "./device.ts";
import { ConfigError } from "./errors.ts";
import { GpuDevice } from "./gpu/device.ts";
import { Graph, type Tensor } from "./graph.ts";
import { candidates, choiceName } from "./kernels/matmulCandidates.ts";
import { matmul } from "./kernels/matmul.ts";
import { matmulColumns } from "./kernels/sumColumns.ts";
import type { Logger } from "./logger.ts";
import { productFile, writeProducts, type TunedProduct } from "./productFile.ts";
import { productKey, type Product, type Real } from "./products.ts";
import { Random } from "./random.ts";
import { trainingProducts } from "./trainingProducts.ts";
import { tuneProducts, type Candidate } from "./tuneProducts.ts";

/** Enough for all products of a preset with a fresh driver cache on a slow host, and what is left is measured next time. */
export const TUNE_SECONDS = 25;
/** Enough rounds for a best one that nothing disturbed. */
const ROUNDS = 8;
const DISTINCT_VALUES = 1 << 16;

export interface TuneRequest {
  readonly device: Device;
  /** What is trained, with the rows that its text gives the trunk. */
  readonly runs: readonly { readonly config: ModelConfig; readonly patches: number }[];
  /** Longest time; default TUNE_SECONDS. */
  readonly seconds?: number;
  readonly signal?: AbortSignal | undefined;
  readonly logger: Logger;
  /** Where the choices are kept; default: where they are read when a device is opened. */
  readonly path?: string;
}

export interface TuneReport {
  /** What was measured now. */
  readonly entries: readonly TunedProduct[];
  /** Products that were known before, and those that are still unknown. */
  readonly known: number;
  readonly left: number;
  readonly seconds: number;
  readonly path: string;
}

/** Whether matrix products can be timed here, and are worth it: software GPUs are for tests. */
export const canTune = (device: Device): device is GpuDevice =>
  device instanceof GpuDevice && device.timed && !device.software;

/** Throws ConfigError where nothing can be tuned. */
export function demandTimed(device: Device): asserts device is GpuDevice {
  if (!(device instanceof GpuDevice) || !device.timed)
    throw new ConfigError(
      "NG_TUNE",
      `${device.name} cannot time its matrix products`,
      "tune on a GPU whose driver offers timestamps",
    );
}

/** Measures the products of these runs that are not known yet; later recordings on the device use what is
 *  found. Throws ConfigError where dispatches cannot be timed. */
export async function tune(o: TuneRequest): Promise<TuneReport> {
  const { device, logger } = o;
  demandTimed(device);
  const path = o.path ?? productFile(device);
  const started = performance.now();
  const all = new Map<string, Product>();
  for (const run of o.runs) {
    const like = { half: activationType(device, run.config), grouped: device.grouped };
    for (const { product } of await trainingProducts(run, like))
      all.set(productKey(product), product);
  }
  const products = [...all.values()].filter((p) => device.products?.has(p) !== true);
  const bench = new ProductBench(device);
  try {
    bench.allocate(products);
    const { entries, left } = await tuneProducts({
      products,
      candidates: (p) => candidates(p, device.caps),
      prepare: (p, choice) => bench.prepare(p, choice),
      measure: (p, choices, first) => bench.measure(p, choices, first),
      seconds: o.seconds ?? TUNE_SECONDS,
      signal: o.signal,
      logger,
      now: () => performance.now(),
    });
    for (const e of entries)
      logger.debug(
        `${productKey(e.product)}: ${e.modelUs.toFixed(1)} µs, ${e.choice === null ? "stays" : `${e.us.toFixed(1)} with ${choiceName(e.choice)}`}`,
      );
    if (entries.length > 0) device.products = writeProducts(device, path, entries, logger);
    const seconds = (performance.now() - started) / 1e3;
    return { entries, known: all.size - products.length, left, seconds, path };
  } finally {
    bench.dispose();
  }
}

/** Operands as large as the largest product's, filled once; smaller products take their beginnings. */
class ProductBench {
  readonly #device: GpuDevice;
  readonly #pools = new Map<string, Tensor>();

  constructor(device: GpuDevice) {
    this.#device = device;
  }

  /** Throws ConfigError where the device may not hold them. */
  allocate(products: readonly Product[]): void {
    const sizes = new Map<string, { dtype: Real; size: number }>();
    for (const p of products)
      for (const { role, dtype, size } of operandsOf(p)) {
        const key = `${role} ${dtype}`;
        sizes.set(key, { dtype, size: Math.max(sizes.get(key)?.size ?? 0, size) });
      }
    for (const [key, { dtype, size }] of sizes) {
      const pool = this.#device.tensor(`tuning ${key}`, [size], dtype);
      this.#pools.set(key, pool);
      this.#device.write(pool, someNumbers(size));
    }
  }

  #operand(role: Role, dtype: Real, size: number): Tensor {
    const pool = this.#pools.get(`${role} ${dtype}`)!;
    return this.#device.view(pool, `tuning ${role}`, [size], 0);
  }

  async #compile(p: Product, choice: Candidate): Promise<{ program: Program; views: Tensor[] }> {
    const views: Tensor[] = [];
    const of: Partial<Record<Role, Tensor>> = {};
    for (const { role, dtype, size } of operandsOf(p)) {
      of[role] = this.#operand(role, dtype, size);
      views.push(of[role]);
    }
    const g = new Graph({ choose: () => choice });
    const { m, k, n, batch, transposeA, transposeB, epilogue } = p;
    const [a, b, out] = [of.a!, of.b!, of.out!];
    if (p.parted === 1) matmulColumns(g, { a, b, outs: [{ out, accumulate: 0 }], m, k, n });
    else
      matmul(g, {
        ...{ a, b, out, m, k, n, batch, transposeA, transposeB },
        accumulate: epilogue === "accumulate" ? 1 : 0,
        ...(epilogue === "none" || epilogue === "accumulate" ? {} : { epilogue }),
        ...(of.hidden === undefined ? {} : { hidden: of.hidden }),
      });
    return { program: await this.#device.compile(g, "tuning"), views };
  }

  #drop({ program, views }: { program: Program; views: readonly Tensor[] }): void {
    program.dispose();
    for (const t of views) this.#device.free(t);
  }

  /** The device keeps the pipelines. */
  async prepare(p: Product, choice: Candidate): Promise<void> {
    this.#drop(await this.#compile(p, choice));
  }

  async measure(p: Product, choices: readonly Candidate[], first: 0 | 1): Promise<number[]> {
    const compiled = await Promise.all(choices.map((choice) => this.#compile(p, choice)));
    try {
      const programs = compiled.map(({ program }) => program);
      const warm = first === 1 ? {} : { warmMs: 0 };
      return await this.#device.time(programs, { rounds: ROUNDS, ...warm });
    } finally {
      for (const c of compiled) this.#drop(c);
    }
  }

  dispose(): void {
    for (const t of this.#pools.values()) this.#device.free(t);
  }
}

type Role = "a" | "b" | "out" | "hidden";

function operandsOf(p: Product): { role: Role; dtype: Real; size: number }[] {
  const { m, k, n, batch } = p;
  return [
    { role: "a", dtype: p.a, size: batch * m * k },
    { role: "b", dtype: p.b, size: batch * k * n },
    { role: "out", dtype: p.out, size: batch * m * n },
    ...(p.hidden === undefined
      ? []
      : [{ role: "hidden", dtype: p.hidden, size: batch * m * n } as const]),
  ];
}

/** Between 0 and 1: zeros would draw less power than real operands, and a hidden layer has no negative entries. */
function someNumbers(size: number): Float32Array {
  const random = new Random(1);
  const numbers = new Float32Array(size);
  const distinct = Math.min(size, DISTINCT_VALUES);
  for (let i = 0; i < distinct; i++) numbers[i] = random.uniform();
  for (let at = distinct; at < size; at += distinct)
    numbers.copyWithin(at, 0, Math.min(distinct, size - at));
  return numbers;
}
