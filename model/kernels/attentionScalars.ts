/**
 * The scalars that an attention sublayer compares, in one op per direction: band energies of tied heads, signed
 * coordinates of free ones, their learned gains, the bounded salience of keys and the positive slope of distance.
 * Source: Tauformer §3.2 (bounded energies); Differs: bands, learned spectrum and gains, free heads, salience.
 */
import { expectSize, type Graph, type Params, type Tensor } from "../graph.ts";
import { invariant } from "../errors.ts";
import {
  attentionScalarsBackwardOp,
  attentionScalarsForwardOp,
  attentionScalarsPrepareOp,
  attentionScalarsReduceOp,
  PASSES,
  STRIDE,
  THREADS,
} from "./attentionScalarsOps.ts";

/** Chunks that fill a large GPU, and how many a workgroup of the backward pass may take. */
const ENOUGH_CHUNKS = 256;
const MOST_TURNS = 4;

export interface ScalarSizes {
  readonly rows: number;
  readonly nTied: number;
  readonly nFree: number;
  /** m: scalars per head. */
  readonly bands: number;
  /** E: coordinates of a tied head, a multiple of m. */
  readonly energyChannels: number;
  /** Of λ = e / (e + tau), above 0. */
  readonly tau: number;
  /** Times softplus(tiedGain). */
  readonly tiedScale: number;
  /** Salience stays within ± this. */
  readonly cap: number;
}

/** Raw parameters; those of a kind of heads that there is none of are left out. */
export interface ScalarParams {
  /** [T, E] */
  readonly spectrum?: Tensor | undefined;
  /** [T, m] */
  readonly tiedGain?: Tensor | undefined;
  /** [F, m] */
  readonly freeGain?: Tensor | undefined;
  /** [H] */
  readonly slope: Tensor;
}

/** Columns of queries, T·E tied and F·m free, and of keys, the same and H of salience; each filled up to whole eights
 *  by columns that nothing reads, whose gradient is zero. */
export function scalarWidths(
  s: Pick<ScalarSizes, "nTied" | "nFree" | "bands" | "energyChannels">,
): { readonly queries: number; readonly keys: number } {
  const eights = (n: number): number => Math.ceil(n / 8) * 8;
  const shared = s.nTied * s.energyChannels + s.nFree * s.bands;
  return { queries: eights(shared), keys: eights(shared + s.nTied + s.nFree) };
}

/** [rows, widths.queries] and [rows, widths.keys]. */
export interface ScalarInputs {
  readonly queries: Tensor;
  readonly keys: Tensor;
}

function paramsOf(s: ScalarSizes): Params {
  const H = s.nTied + s.nFree;
  const scalars = H * s.bands;
  invariant(
    s.energyChannels % s.bands === 0 && scalars > 0 && scalars <= THREADS && s.tau > 0,
    `attentionScalars: ${H} heads of ${s.bands} bands, ${s.energyChannels} channels, tau ${s.tau}; ` +
      `bands must divide channels, heads times bands be at most ${THREADS}, tau positive`,
  );
  const chunk = Math.floor(THREADS / Math.max(1, s.nTied * s.bands)) * PASSES;
  const widths = scalarWidths(s);
  return {
    rows: s.rows,
    T: s.nTied,
    H,
    m: s.bands,
    E: s.energyChannels,
    tau: s.tau,
    cap: s.cap,
    tiedScale: s.tiedScale,
    chunk,
    chunks: Math.ceil(s.rows / chunk),
    widthQ: widths.queries,
    widthK: widths.keys,
  };
}

/** The backward pass goes on to further rows where there are many, and adds up for the parameters once. */
function backwardParamsOf(s: ScalarSizes): Params {
  const p = paramsOf(s);
  const turns = Math.max(1, Math.min(MOST_TURNS, Math.floor(p["chunks"]! / ENOUGH_CHUNKS)));
  const chunk = p["chunk"]! * turns;
  return { ...p, turns, chunk, chunks: Math.ceil(s.rows / chunk) };
}

function expectAll(s: ScalarSizes, p: ScalarParams, x: ScalarInputs): void {
  const op = "attentionScalars";
  const { rows, nTied: T, nFree: F, bands: m, energyChannels: E } = s;
  const widths = scalarWidths(s);
  const wanted: [string, Tensor | undefined, number][] = [
    ["spectrum", p.spectrum, T * E],
    ["tiedGain", p.tiedGain, T * m],
    ["freeGain", p.freeGain, F * m],
    ["slope", p.slope, T + F],
    ["queries", x.queries, rows * widths.queries],
    ["keys", x.keys, rows * widths.keys],
  ];
  for (const [name, tensor, size] of wanted)
    if (tensor !== undefined) expectSize(op, name, tensor, size);
    else invariant(size === 0, `${op}: ${name} is missing; it has ${size} elements`);
}

/** Places of the prepared gains and spectrum. */
export const preparedSize = (s: ScalarSizes): number =>
  s.nTied * s.energyChannels + STRIDE * (s.nTied + s.nFree) * s.bands;

/** a, b [rows, H, m], c [rows, H], slope [H]; prepared [preparedSize] serves the backward pass. */
export function attentionScalarsForward(
  g: Graph,
  o: ScalarSizes & {
    params: ScalarParams;
    inputs: ScalarInputs;
    prepared: Tensor;
    a: Tensor;
    b: Tensor;
    c: Tensor;
    slope: Tensor;
  },
): void {
  const op = "attentionScalarsForward";
  const p = paramsOf(o);
  const { params, inputs: x } = o;
  expectAll(o, params, x);
  expectSize(op, "prepared", o.prepared, preparedSize(o));
  expectSize(op, "a", o.a, o.rows * p["H"]! * o.bands);
  expectSize(op, "b", o.b, o.a.size);
  expectSize(op, "c", o.c, o.rows * p["H"]!);
  expectSize(op, "slope", o.slope, p["H"]!);
  // A binding that is never read takes any tensor.
  const raw = [params.spectrum, params.tiedGain, params.freeGain].map((t) => t ?? params.slope);
  g.add(attentionScalarsPrepareOp, [...raw, params.slope, o.prepared, o.slope], p);
  g.add(attentionScalarsForwardOp, [x.queries, x.keys, o.prepared, o.a, o.b, o.c], p);
}

/** Overwrites every gradient that is given; those of parameters may leave out what is not wanted (a fixed spectrum) or
 *  not there. */
export function attentionScalarsBackward(
  g: Graph,
  o: ScalarSizes & {
    params: ScalarParams;
    inputs: ScalarInputs;
    prepared: Tensor;
    dA: Tensor;
    dB: Tensor;
    dC: Tensor;
    dSlope: Tensor;
    dParams: ScalarParams;
    dInputs: ScalarInputs;
  },
): void {
  const op = "attentionScalarsBackward";
  const p = backwardParamsOf(o);
  const { params, inputs: x, dInputs: dx, dParams } = o;
  expectAll(o, params, x);
  expectAll(o, { ...params, slope: dParams.slope }, dx);
  expectSize(op, "dA", o.dA, o.rows * p["H"]! * o.bands);
  expectSize(op, "dB", o.dB, o.dA.size);
  expectSize(op, "dC", o.dC, o.rows * p["H"]!);
  expectSize(op, "dSlope", o.dSlope, p["H"]!);
  const partial = g.temp("scalar partials", [2, p["chunks"]!, preparedSize(o)]);
  g.add(
    attentionScalarsBackwardOp,
    [x.queries, x.keys, o.prepared, o.dA, o.dB, o.dC, dx.queries, dx.keys, partial],
    p,
  );
  const unwanted = (t: Tensor | undefined, size: number): Tensor =>
    t ?? g.temp("unwanted", [Math.max(1, size)]);
  g.add(
    attentionScalarsReduceOp,
    [
      partial,
      params.spectrum ?? params.slope,
      params.tiedGain ?? params.slope,
      params.freeGain ?? params.slope,
      params.slope,
      o.dSlope,
      unwanted(dParams.spectrum, params.spectrum?.size ?? 0),
      unwanted(dParams.tiedGain, params.tiedGain?.size ?? 0),
      unwanted(dParams.freeGain, params.freeGain?.size ?? 0),
      dParams.slope,
    ],
    p,
  );
}
