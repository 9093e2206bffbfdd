/** Which matrix products a training step is made of: it is recorded on a device that holds and compiles nothing. */
import type { ModelConfig } from "./config.ts";
import type { Device, Program } from "./device.ts";
import { makeTensor } from "./graph.ts";
import { productKey, type Product, type Products } from "./products.ts";
import { corpusSpectrum } from "./spectrum.ts";
import { Trainer } from "./trainer.ts";

export interface CountedProduct {
  readonly product: Product;
  /** How often a step makes it. */
  readonly count: number;
}

/** Notes what it is asked for. */
class ProductLog implements Products {
  readonly seen = new Map<string, CountedProduct>();

  choose(product: Product): undefined {
    const key = productKey(product);
    this.seen.set(key, { product, count: (this.seen.get(key)?.count ?? 0) + 1 });
  }
}

const NO_PROGRAM: Program = {
  label: "recorded only",
  temporaryBytes: 0,
  run: () => Promise.resolve(),
  runAndRead: (tensors) => Promise.resolve(tensors.map((t) => new Float32Array(t.size))),
  dispose: () => undefined,
};

/** What of a device its recordings depend on. */
export interface Recorded {
  readonly half: "f16" | "f32";
  readonly grouped: 0 | 1;
}

/** A device in name: tensors have shapes and no memory. */
function recordingDevice(like: Recorded, products: Products): Device {
  return {
    ...like,
    kind: "gpu",
    name: "recording",
    products,
    tensor: (name, shape, dtype = "f32") => makeTensor(name, shape, dtype, "persistent"),
    view: (parent, name, shape) => makeTensor(name, shape, parent.dtype, "persistent"),
    write: () => undefined,
    read: (t, _offset, count = t.size) => Promise.resolve(new Float32Array(count)),
    compile: () => Promise.resolve(NO_PROGRAM),
    hold: () => () => undefined,
    idle: () => Promise.resolve(),
    free: () => undefined,
    allocatedBytes: 0,
    memoryLimit: Infinity,
    dispose: () => Promise.resolve(),
  };
}

/** Every distinct product of a step, at all batch sizes of a run, those that cost most first. `patches`: rows of the trunk
 *  per window (trainingPatches.ts). */
export async function trainingProducts(
  { config, patches }: { readonly config: ModelConfig; readonly patches: number },
  like: Recorded,
): Promise<CountedProduct[]> {
  const log = new ProductLog();
  const trainer = await Trainer.create({
    device: recordingDevice(like, log),
    // The n-gram memory multiplies nothing, and would have to be built.
    config: { ...config, engram: "off" },
    spectrum: corpusSpectrum(new Uint8Array(1)),
    seed: 1,
    patches,
  });
  trainer.dispose();
  return [...log.seen.values()].sort((a, b) => weightOf(b) - weightOf(a));
}

/** Multiplications, additions and elements moved in a step, at a GPU's usual ratio of the two. */
const PER_ELEMENT = 200;
function weightOf({ product: p, count }: CountedProduct): number {
  const elements = p.m * p.k + p.k * p.n + p.m * p.n;
  return count * p.batch * (2 * p.m * p.k * p.n + PER_ELEMENT * elements);
}
