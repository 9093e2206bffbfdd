/**
 * What the network's parts record into: one graph, the parameters and their gradients by name, and, when
 * decoding, the caches. Every part returns its output and a function that records its backward pass; a
 * gradient handed to `backward` belongs to the part, which may overwrite it.
 */
import { Graph, type DType, type Tensor } from "./graph.ts";
import { invariant } from "./errors.ts";
import type { ModelConfig } from "./config.ts";
import type { Products } from "./products.ts";

export interface Part {
  readonly out: Tensor;
  /** Records the backward pass and returns the gradient of the part's input. */
  backward(dOut: Tensor): Tensor;
}

/** Positions along one axis of the network: bytes or patches. */
export interface Positions {
  readonly batch: number;
  /** Query rows per window. */
  readonly rows: number;
  /** Key rows per window: `rows` in training, the cache's length in decoding. */
  readonly capacity: number;
  /** u32 [1]: absolute position of row 0. */
  readonly span: Tensor;
}

export interface Builder {
  readonly graph: Graph;
  readonly config: ModelConfig;
  /** How activations and their gradients are held: f16 in mixed precision, where gradients are scaled. */
  readonly half: "f16" | "f32";
  /** "window": whole windows at once; "extend": new rows against caches. */
  readonly mode: "window" | "extend";
  param(name: string): Tensor;
  /** A parameter as matrix products read it: in halves where there is such a copy. */
  weight(name: string): Tensor;
  gradient(name: string): Tensor;
  /** u32 [2], new at every training step; undefined where nothing is dropped. */
  readonly dropoutSeed: Tensor | undefined;
  /** Tells places of one network apart: 0, 1, … in the order of recording. */
  nextSite(): number;
  /** f32 [n] of ones and zeros, shared by all parts. */
  ones(n: number): Tensor;
  zeros(n: number): Tensor;
  cache(name: string, shape: readonly number[]): Tensor;
  temp(name: string, shape: readonly number[], dtype?: DType): Tensor;
}

export interface BuilderSource {
  readonly config: ModelConfig;
  readonly mode: "window" | "extend";
  /** Default f32. */
  readonly half?: "f16" | "f32";
  readonly params: ReadonlyMap<string, Tensor>;
  readonly gradients?: ReadonlyMap<string, Tensor>;
  /** Copies of parameters in halves. */
  readonly weights?: ReadonlyMap<string, Tensor>;
  readonly dropoutSeed?: Tensor | undefined;
  /** What the device that trains has measured about matrix products. */
  readonly products?: Products | undefined;
  /** Makes a persistent tensor; called once per distinct name. */
  persistent(name: string, shape: readonly number[]): Tensor;
  write(tensor: Tensor, data: ArrayLike<number>): void;
}

export function createBuilder(source: BuilderSource): Builder {
  const graph = new Graph(source.products);
  let sites = 0;
  const made = new Map<string, Tensor>();
  const once = (name: string, shape: readonly number[], fill?: number): Tensor => {
    let t = made.get(name);
    if (t === undefined) {
      t = source.persistent(name, shape);
      if (fill !== undefined) source.write(t, new Float32Array(t.size).fill(fill));
      made.set(name, t);
    }
    return t;
  };
  const param = (name: string): Tensor => {
    const t = source.params.get(name);
    invariant(t !== undefined, `there is no parameter ${name}`);
    return t;
  };
  return {
    graph,
    config: source.config,
    half: source.half ?? "f32",
    mode: source.mode,
    param,
    weight: (name) => source.weights?.get(name) ?? param(name),
    gradient: (name) => {
      const t = source.gradients?.get(name);
      invariant(t !== undefined, `there is no gradient for ${name}`);
      return t;
    },
    dropoutSeed: source.dropoutSeed,
    nextSite: () => sites++,
    ones: (n) => once(`ones ${n}`, [n], 1),
    zeros: (n) => once(`zeros ${n}`, [n], 0),
    cache: (name, shape) => once(`cache ${name}`, shape),
    temp: (name, shape, dtype) => graph.temp(name, shape, dtype),
  };
}
