/**
 * The parts of a model and what stands in their place. Every arm is today's preset with one thing changed; where no
 * setting says it, parameters are held at values that make the part say nothing.
 */
import type { ModelConfig } from "../../model/config.ts";
import type { ParamSpec } from "../../model/params.ts";

/** Values that a parameter is given: before training, or before every step of it. */
export interface Pin {
  readonly when: "start" | "always";
  /** Undefined: the parameter is left alone. */
  values(spec: ParamSpec, config: ModelConfig, start: Float32Array): Float32Array | undefined;
}

export interface Arm {
  readonly name: string;
  /** What of the model it is about. */
  readonly part: string;
  readonly set?: Partial<ModelConfig>;
  readonly pin?: Pin;
  /** Share of a repository's batch that the first steps have. */
  readonly rampFrom?: number;
  /** none: facts by the scanner alone, of names nothing is known. */
  readonly lexicon?: "none";
  readonly seeds: number;
}

export const DEFAULT_ARM = "default";

const isOf = (spec: ParamSpec, ...ends: readonly string[]): boolean =>
  ends.some((end) => spec.name.endsWith(`.${end}`));
const filled = (spec: ParamSpec, value: number): Float32Array =>
  new Float32Array(spec.shape.reduce((a, b) => a * b, 1)).fill(value);
/** softplus of this is 0 in f32. */
const NOTHING = -200;

/** Scores are the distance term alone: no key is told from another by what it holds. */
const slopeOnly: Pin = {
  when: "always",
  values: (spec) =>
    isOf(spec, "tiedGain", "freeGain")
      ? filled(spec, NOTHING)
      : isOf(spec, "salience")
        ? filled(spec, 0)
        : undefined,
};

/** Every key counts alike. */
const uniform: Pin = {
  when: "always",
  values: (spec, config, start) =>
    isOf(spec, "slope") ? filled(spec, NOTHING) : slopeOnly.values(spec, config, start),
};

/** Keys read their own position only. */
const noKeyShift: Pin = {
  when: "always",
  values: (spec) => {
    if (!isOf(spec, "keyShift")) return undefined;
    const mix = filled(spec, 0);
    mix.fill(1, 0, spec.shape[1]);
    return mix;
  },
};

/** Dimensions of a key that are left, in pairs that turn together: as many numbers as eight bands have. */
export const FEW_KEY_DIMS = 8;

/**
 * Dot products of few dimensions. A column that is 0 in the query's and the key's map gets no gradient from either side,
 * and Muon keeps zero columns zero; so they stay as they begin. `left` names the pairs that stay, of D / 2, from the
 * fastest that turn to the slowest.
 */
const fewKeyDims = (left: (i: number, pairs: number, half: number) => number): Pin => ({
  when: "start",
  values: (spec, config, start) => {
    if (!/attention\.(query|key)$/.test(spec.name)) return undefined;
    const [rows, columns] = spec.shape as [number, number];
    const isTrunk = spec.name.startsWith("trunk.");
    const D = columns / (isTrunk ? config.trunkHeads : config.localHeads);
    const pairs = FEW_KEY_DIMS / 2;
    const kept = new Set(
      Array.from({ length: pairs }, (_, i) => left(i, pairs, D / 2)).flatMap((m) => [m, m + D / 2]),
    );
    // As much in sum as all columns had.
    const scale = Math.sqrt(D / FEW_KEY_DIMS);
    const values = new Float32Array(start.length);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++)
        if (kept.has(c % D)) values[r * columns + c] = start[r * columns + c]! * scale;
    return values;
  },
});
/** Spread over all frequencies; the slow half, in which far positions still compare. */
const spreadPairs = fewKeyDims((i, pairs, half) => Math.floor((i * half) / pairs));
const slowPairs = fewKeyDims((i, pairs, half) =>
  Math.floor(half / 2 + ((i + 1) * half) / 2 / pairs - 1),
);

/** Of the arms that are decided by little. */
export const ALL_SEEDS = 3;

/** Most wanted first. */
export const ARMS: readonly Arm[] = [
  { name: DEFAULT_ARM, part: "", seeds: ALL_SEEDS },
  { name: "facts off", part: "facts", set: { facts: "off" }, seeds: ALL_SEEDS },
  { name: "plain residual", part: "residual", set: { residual: "plain" }, seeds: ALL_SEEDS },
  { name: "dot product", part: "attention", set: { attention: "dot" }, seeds: ALL_SEEDS },
  {
    name: "published taumode",
    part: "attention",
    set: { attention: "published" },
    seeds: 1,
  },
  { name: "n-gram memory", part: "memory", set: { engram: "on" }, seeds: ALL_SEEDS },
  { name: "auxiliary head, 0.1", part: "loss", set: { auxWeight: 0.1 }, seeds: ALL_SEEDS },
  {
    name: "no heads for bytes ahead",
    part: "loss",
    set: { aheadWeight: 0 },
    seeds: 2,
  },
  {
    name: "four bytes ahead, 1",
    part: "loss",
    set: { aheadWeight: 1, aheadBytes: 4 },
    seeds: 2,
  },
  {
    name: "eight bytes ahead, 0.5",
    part: "loss",
    set: { aheadWeight: 0.5, aheadBytes: 8 },
    seeds: 2,
  },
  {
    name: "two bytes ahead, 0.3",
    part: "loss",
    set: { aheadWeight: 0.3, aheadBytes: 2 },
    seeds: 2,
  },
  { name: "colours off", part: "facts", set: { colour: "off" }, seeds: ALL_SEEDS },
  {
    name: "colours from the symbol graph",
    part: "facts",
    set: { colour: "spectral" },
    seeds: ALL_SEEDS,
  },
  { name: "colours by hash and graph", part: "facts", set: { colour: "both" }, seeds: 2 },
  {
    name: "colours through the graph's resolvent",
    part: "facts",
    set: { colour: "resolvent" },
    seeds: 2,
  },
  {
    name: "plain residual, equal parameters",
    part: "residual",
    set: { residual: "plain", trunkChannels: 392, trunkHeads: 7 },
    seeds: ALL_SEEDS,
  },
  { name: "scanner's facts only", part: "facts", lexicon: "none", seeds: 2 },
  {
    name: "dot product, equal key cache",
    part: "attention",
    set: { attention: "dot" },
    pin: spreadPairs,
    seeds: 2,
  },
  {
    name: "dot product, equal key cache, slow pairs",
    part: "attention",
    set: { attention: "dot" },
    pin: slowPairs,
    seeds: 2,
  },
  { name: "grid", part: "attention", set: { attention: "grid" }, seeds: 2 },
  { name: "slope only", part: "attention", pin: slopeOnly, seeds: 1 },
  { name: "uniform", part: "attention", pin: uniform, seeds: 1 },
  { name: "four bands", part: "attention", set: { localBands: 4, bands: 4 }, seeds: 2 },
  { name: "eight bands", part: "attention", set: { localBands: 8, bands: 8 }, seeds: 2 },
  { name: "no tied heads", part: "attention", set: { tiedHeads: 0 }, seeds: 2 },
  { name: "no key shift", part: "attention", pin: noKeyShift, seeds: 2 },
  { name: "fixed spectrum", part: "attention", set: { spectrum: "fixed" }, seeds: 2 },
  { name: "flat bytes", part: "patches", set: { patching: "flat" }, seeds: 2 },
  { name: "every 7 bytes", part: "patches", set: { patching: "stride", stride: 7 }, seeds: 2 },
  { name: "tokens (BPE, 2,048)", part: "patches", set: { patching: "bpe" }, seeds: 2 },
  { name: "two streams", part: "residual", set: { streams: 2 }, seeds: 2 },
  { name: "Sinkhorn", part: "residual", set: { residual: "sinkhorn" }, seeds: 2 },
  { name: "Kronecker", part: "residual", set: { residual: "kronecker" }, seeds: 2 },
  { name: "permutations", part: "residual", set: { residual: "permutation" }, seeds: 2 },
  { name: "no fill-in-the-middle", part: "data", set: { fimRate: 0 }, seeds: 2 },
  { name: "fill-in-the-middle, half", part: "data", set: { fimRate: 0.5 }, seeds: 2 },
  { name: "facts hidden less, 0.2", part: "data", set: { factDropout: 0.2 }, seeds: 2 },
  { name: "names changed, 0.3", part: "data", set: { renameRate: 0.3 }, seeds: 2 },
  { name: "average over fewer steps, 0.99", part: "optimizer", set: { emaDecay: 0.99 }, seeds: 2 },
  { name: "no average", part: "optimizer", set: { emaDecay: 0 }, seeds: 2 },
  { name: "dropout 0.1", part: "optimizer", set: { dropout: 0.1 }, seeds: 2 },
  { name: "batch that grows", part: "optimizer", rampFrom: 1 / 4, seeds: 2 },
  { name: "blocks of 3", part: "residual", set: { mixingBlock: 3 }, seeds: 2 },
  {
    name: "plain throughout: dot product, plain residual, no facts",
    part: "together",
    set: { attention: "dot", residual: "plain", facts: "off" },
    seeds: 2,
  },
];
