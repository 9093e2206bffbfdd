import { describe, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph, type Tensor } from "../../model/graph.ts";
import {
  attentionScalarsBackward,
  attentionScalarsForward,
  preparedSize,
  scalarWidths,
  type ScalarInputs,
  type ScalarParams,
  type ScalarSizes,
} from "../../model/kernels/attentionScalars.ts";
import { taumodeForward } from "../../model/kernels/taumode.ts";
import { Random } from "../../model/random.ts";
import { checkOp, expectClose, type InputSpec, type Tensors } from "../support/checkOp.ts";

/** Column sums over rows in f32, in another order than the twin's. */
const SUM_ATOL = 5e-4;

function sizesOf(
  rows: number,
  nTied: number,
  nFree: number,
  energyChannels: number,
  bands: number,
): ScalarSizes {
  return { rows, nTied, nFree, energyChannels, bands, tau: 1, tiedScale: 10, cap: 8 };
}

function shapesOf(s: ScalarSizes): Record<string, readonly number[]> {
  const { rows, nTied: T, nFree: F, bands: m, energyChannels: E } = s;
  return {
    queries: [rows, scalarWidths(s).queries],
    keys: [rows, scalarWidths(s).keys],
    ...(T > 0 && { spectrum: [T, E], tiedGain: [T, m] }),
    ...(F > 0 && { freeGain: [F, m] }),
    slopeRaw: [T + F],
  };
}

const outputsOf = (s: ScalarSizes): Record<string, readonly number[]> => {
  const H = s.nTied + s.nFree;
  return { a: [s.rows, H, s.bands], b: [s.rows, H, s.bands], c: [s.rows, H], slope: [H] };
};

const paramsIn = (t: Tensors): ScalarParams => ({
  spectrum: t["spectrum"],
  tiedGain: t["tiedGain"],
  freeGain: t["freeGain"],
  slope: t["slopeRaw"]!,
});
const inputsIn = (t: Tensors): ScalarInputs => ({ queries: t["queries"]!, keys: t["keys"]! });
const dParamsIn = (t: Tensors): ScalarParams => ({
  spectrum: t["dSpectrum"],
  tiedGain: t["dTiedGain"],
  freeGain: t["dFreeGain"],
  slope: t["dSlopeRaw"]!,
});
const dInputsIn = (t: Tensors): ScalarInputs => ({ queries: t["dQueries"]!, keys: t["dKeys"]! });

/** The ops of one sublayer's scalars, and of their gradients. */
function recorder(s: ScalarSizes): {
  forward: (g: Graph, t: Tensors) => void;
  backward: (g: Graph, t: Tensors) => void;
} {
  let prepared: Tensor;
  return {
    forward: (g, t) => {
      prepared = g.temp("prepared", [preparedSize(s)]);
      attentionScalarsForward(g, {
        ...s,
        params: paramsIn(t),
        inputs: inputsIn(t),
        prepared,
        a: t["a"]!,
        b: t["b"]!,
        c: t["c"]!,
        slope: t["slope"]!,
      });
    },
    backward: (g, t) =>
      attentionScalarsBackward(g, {
        ...s,
        params: paramsIn(t),
        inputs: inputsIn(t),
        prepared,
        dA: t["dA"]!,
        dB: t["dB"]!,
        dC: t["dC"]!,
        dSlope: t["dSlope"]!,
        dParams: dParamsIn(t),
        dInputs: dInputsIn(t),
      }),
  };
}

/** Columns [from, from + n) of x [rows, width]. */
const columnsOf = (x: Float64Array, width: number, from: number, n: number): Float64Array =>
  Float64Array.from(
    { length: (x.length / width) * n },
    (_, i) => x[Math.floor(i / n) * width + from + (i % n)]!,
  );

/** a or b in plain words: gains times energies of tied heads (taumode's own op), times coordinates of free ones. */
async function plainScalars(
  s: ScalarSizes,
  side: "queries" | "keys",
  v: Readonly<Record<string, Float64Array>>,
): Promise<Float64Array> {
  const { rows, nTied: T, nFree: F, bands: m, energyChannels: E } = s;
  const softplus = (x: number): number => Math.log1p(Math.exp(x));
  const device = await createCpuDevice({ threads: 0, precision: "f64" });
  const y = device.tensor("y", [rows, T, E]);
  const mu = device.tensor("mu", [T, E]);
  const lambda = device.tensor("lambda", [rows, T, m]);
  const width = scalarWidths(s)[side];
  const free = columnsOf(v[side]!, width, T * E, F * m);
  device.write(y, columnsOf(v[side]!, width, 0, T * E));
  device.write(mu, v["spectrum"]!.map(softplus));
  const g = new Graph();
  taumodeForward(g, { rows, nHeads: T, headDim: E, bands: m, tau: s.tau, y, mu, lambda });
  await (await device.compile(g, "energies")).run();
  const energies = await device.read(lambda);
  return Float64Array.from({ length: rows * (T + F) * m }, (_, i) => {
    const row = Math.floor(i / ((T + F) * m));
    const k = i % ((T + F) * m);
    const j = k - T * m;
    return j < 0
      ? softplus(v["tiedGain"]![k]!) * s.tiedScale * energies[row * T * m + k]!
      : softplus(v["freeGain"]![j]!) * free[row * F * m + j]!;
  });
}

const ACTIVATIONS = ["queries", "keys"];
const GRADIENTS = ["dQueries", "dKeys"];

/** Unit normals, and salience six times as wide. */
function keyValues(s: ScalarSizes): Float64Array {
  const random = new Random(7);
  const { keys } = scalarWidths(s);
  const salience = s.nTied * s.energyChannels + s.nFree * s.bands;
  return Float64Array.from({ length: s.rows * keys }, (_, i) => {
    const column = i % keys;
    const isSalience = column >= salience && column < salience + s.nTied + s.nFree;
    return Math.fround((isSalience ? 6 : 1) * random.normal());
  });
}

async function check(s: ScalarSizes, half: boolean, halves: readonly string[]): Promise<void> {
  const inputs: Record<string, InputSpec> = {};
  for (const [name, shape] of Object.entries(shapesOf(s)))
    inputs[name] = {
      shape,
      // Salience that its bound bends, among ordinary coordinates.
      ...(name === "keys" && { values: keyValues(s) }),
      ...(half && ACTIVATIONS.includes(name) && { dtype: "f16" }),
    };
  await checkOp({
    inputs,
    outputs: outputsOf(s),
    halves,
    ...recorder(s),
    gradAtol: SUM_ATOL,
    probes: 8,
  });
}

describe("attentionScalars", () => {
  test("are gained energies, gained coordinates, bounded salience and positive slopes", async () => {
    const s = sizesOf(53, 2, 3, 8, 4);
    const device = await createCpuDevice({ threads: 0, precision: "f64" });
    const random = new Random(5);
    const v: Record<string, Float64Array> = {};
    const t: Record<string, Tensor> = {};
    for (const [name, shape] of Object.entries(outputsOf(s))) t[name] = device.tensor(name, shape);
    for (const [name, shape] of Object.entries(shapesOf(s))) {
      t[name] = device.tensor(name, shape);
      v[name] = Float64Array.from({ length: t[name].size }, () => 2 * random.normal());
      device.write(t[name], v[name]);
    }
    const g = new Graph();
    recorder(s).forward(g, t);
    await (await device.compile(g, "scalars")).run();
    const want: Record<string, Float64Array> = {
      a: await plainScalars(s, "queries", v),
      b: await plainScalars(s, "keys", v),
      c: columnsOf(v["keys"]!, scalarWidths(s).keys, 2 * 8 + 3 * 4, 5).map(
        (x) => s.cap * Math.tanh(x / s.cap),
      ),
      slope: v["slopeRaw"]!.map((x) => Math.log1p(Math.exp(x))),
    };
    for (const name of Object.keys(want))
      expectClose(name, await device.read(t[name]!), want[name]!, { atol: 1e-12, rtol: 1e-10 });
  });

  for (const [rows, T, F, E, m] of [
    [1, 1, 1, 4, 4],
    [67, 3, 3, 32, 4],
    [259, 1, 2, 12, 4],
    [70, 2, 0, 32, 4],
    [41, 0, 3, 32, 4],
    [33, 2, 1, 9, 1],
    [29, 7, 9, 8, 8],
    [2051, 30, 2, 8, 8], // Enough rows for workgroups that go on to further ones.
  ] as const)
    test(`match their twin and their differences on ${rows} rows, ${T} tied heads of ${E}, ${F} free, ${m} bands`, () =>
      check(sizesOf(rows, T, F, E, m), false, []));

  for (const [rows, T, F, E, m] of [
    [67, 3, 3, 32, 4],
    [45, 1, 2, 12, 4],
    [41, 0, 3, 32, 4],
  ] as const) {
    test(`take halves and give halves with ${T} tied heads of ${E} and ${F} free`, () =>
      check(sizesOf(rows, T, F, E, m), true, GRADIENTS));
    test(`take halves and give f32 with ${T} tied heads of ${E} and ${F} free`, () =>
      check(sizesOf(rows, T, F, E, m), true, []));
  }
});
