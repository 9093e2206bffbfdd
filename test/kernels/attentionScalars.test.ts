import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph, type Tensor } from "../../model/graph.ts";
import { addForward } from "../../model/kernels/add.ts";
import {
  attentionScalarsBackward,
  attentionScalarsForward,
  preparedSize,
  type ScalarInputs,
  type ScalarParams,
  type ScalarSizes,
} from "../../model/kernels/attentionScalars.ts";
import { joinColumns, splitColumns } from "../../model/kernels/columns.ts";
import { scaleHeadsBackward, scaleHeadsForward } from "../../model/kernels/scaleHeads.ts";
import { softcapBackward, softcapForward } from "../../model/kernels/softcap.ts";
import { taumodeBackward, taumodeForward } from "../../model/kernels/taumode.ts";
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

const kinds = (s: ScalarSizes): { tied: boolean; free: boolean } => ({
  tied: s.nTied > 0,
  free: s.nFree > 0,
});

function shapesOf(s: ScalarSizes): Record<string, readonly number[]> {
  const { rows, nTied: T, nFree: F, bands: m, energyChannels: E } = s;
  return {
    ...(T > 0 && { tiedQ: [rows, T, E], tiedK: [rows, T, E], spectrum: [T, E], tiedGain: [T, m] }),
    ...(F > 0 && { freeQ: [rows, F, m], freeK: [rows, F, m], freeGain: [F, m] }),
    salience: [rows, T + F],
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
const inputsIn = (t: Tensors): ScalarInputs => ({
  tiedQ: t["tiedQ"],
  tiedK: t["tiedK"],
  freeQ: t["freeQ"],
  freeK: t["freeK"],
  salience: t["salience"]!,
});
const dParamsIn = (t: Tensors): ScalarParams => ({
  spectrum: t["dSpectrum"],
  tiedGain: t["dTiedGain"],
  freeGain: t["dFreeGain"],
  slope: t["dSlopeRaw"]!,
});
const dInputsIn = (t: Tensors): ScalarInputs => ({
  tiedQ: t["dTiedQ"],
  tiedK: t["dTiedK"],
  freeQ: t["dFreeQ"],
  freeK: t["dFreeK"],
  salience: t["dSalience"]!,
});

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

/** The same by the ops that this one replaces. */
function composition(g: Graph, t: Tensors, s: ScalarSizes): void {
  const { rows, nTied: T, nFree: F, bands: m, energyChannels: E, cap, tiedScale } = s;
  const ones = t["ones"]!;
  const energy = { rows, nHeads: T, headDim: E, bands: m, tau: s.tau };
  const mu = g.temp("mu", [T, E]);
  scaleHeadsForward(g, { x: ones, raw: t["spectrum"]!, y: mu, scale: 1 });
  const side = (of: "Q" | "K", y: Tensor, dY: Tensor) => {
    const lambda = g.temp("lambda", [rows, T, m]);
    taumodeForward(g, { ...energy, y: t[`tied${of}`]!, mu, lambda });
    const tied = g.temp("tied", [rows, T, m]);
    const free = g.temp("free", [rows, F, m]);
    scaleHeadsForward(g, { x: lambda, raw: t["tiedGain"]!, y: tied, scale: tiedScale });
    scaleHeadsForward(g, { x: t[`free${of}`]!, raw: t["freeGain"]!, y: free, scale: 1 });
    joinColumns(g, { x1: tied, x2: free, y, rows });
    const dTied = g.temp("dTied", [rows, T, m]);
    const dFree = g.temp("dFree", [rows, F, m]);
    splitColumns(g, { x1: dTied, x2: dFree, y: dY, rows });
    const dLambda = g.temp("dLambda", [rows, T, m]);
    const dTiedGain = g.temp("dTiedGain", [T, m]);
    const dFreeGain = g.temp("dFreeGain", [F, m]);
    const dMu = g.temp("dMu", [T, E]);
    scaleHeadsBackward(g, {
      x: lambda,
      raw: t["tiedGain"]!,
      dY: dTied,
      dX: dLambda,
      dRaw: dTiedGain,
      scale: tiedScale,
    });
    scaleHeadsBackward(g, {
      x: t[`free${of}`]!,
      raw: t["freeGain"]!,
      dY: dFree,
      dX: t[`dFree${of}`]!,
      dRaw: dFreeGain,
      scale: 1,
    });
    taumodeBackward(g, { ...energy, y: t[`tied${of}`]!, mu, dLambda, dY: t[`dTied${of}`]!, dMu });
    return { dTiedGain, dFreeGain, dMu };
  };
  const q = side("Q", t["a"]!, t["dA"]!);
  const k = side("K", t["b"]!, t["dB"]!);
  addForward(g, { x: q.dTiedGain, z: k.dTiedGain, y: t["dTiedGain"]! });
  addForward(g, { x: q.dFreeGain, z: k.dFreeGain, y: t["dFreeGain"]! });
  const dMu = g.temp("dMu", [T, E]);
  addForward(g, { x: q.dMu, z: k.dMu, y: dMu });
  scaleHeadsBackward(g, { x: ones, raw: t["spectrum"]!, dY: dMu, dRaw: t["dSpectrum"]!, scale: 1 });
  softcapForward(g, { x: t["salience"]!, y: t["c"]!, cap });
  softcapBackward(g, { x: t["salience"]!, dY: t["dC"]!, dX: t["dSalience"]!, cap });
  const slopeOnes = t["slopeOnes"]!;
  scaleHeadsForward(g, { x: slopeOnes, raw: t["slopeRaw"]!, y: t["slope"]!, scale: 1 });
  scaleHeadsBackward(g, {
    x: slopeOnes,
    raw: t["slopeRaw"]!,
    dY: t["dSlope"]!,
    dRaw: t["dSlopeRaw"]!,
    scale: 1,
  });
}

const ACTIVATIONS = ["tiedQ", "tiedK", "freeQ", "freeK", "salience"];
const GRADIENTS = ["dTiedQ", "dTiedK", "dFreeQ", "dFreeK", "dSalience"];

async function check(s: ScalarSizes, half: boolean, halves: readonly string[]): Promise<void> {
  const inputs: Record<string, InputSpec> = {};
  for (const [name, shape] of Object.entries(shapesOf(s)))
    inputs[name] = {
      shape,
      ...(name === "salience" && { std: 6 }),
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
  test("are what the ops they replace compute", async () => {
    const s = sizesOf(53, 2, 3, 8, 4);
    const device = await createCpuDevice({ threads: 0, precision: "f64" });
    const random = new Random(5);
    const make = (name: string, shape: readonly number[]): Tensor => {
      const t = device.tensor(name, shape);
      device.write(
        t,
        Float64Array.from({ length: t.size }, () => 2 * random.normal()),
      );
      return t;
    };
    const given: Record<string, Tensor> = {};
    for (const [name, shape] of Object.entries(shapesOf(s))) given[name] = make(name, shape);
    for (const [name, shape] of Object.entries(outputsOf(s)))
      given[`d${name[0]!.toUpperCase()}${name.slice(1)}`] = make(name, shape);
    const run = async (
      record: (g: Graph, t: Tensors) => void,
    ): Promise<Record<string, Float64Array>> => {
      const t: Record<string, Tensor> = { ...given };
      for (const [name, shape] of Object.entries(outputsOf(s)))
        t[name] = device.tensor(name, shape);
      for (const [name, shape] of Object.entries(shapesOf(s))) {
        const gradient = `d${name[0]!.toUpperCase()}${name.slice(1)}`;
        t[gradient] = device.tensor(gradient, shape);
      }
      const g = new Graph();
      record(g, t);
      await (await device.compile(g, "scalars")).run();
      const values: Record<string, Float64Array> = {};
      for (const [name, tensor] of Object.entries(t))
        if (given[name] === undefined) values[name] = Float64Array.from(await device.read(tensor));
      return values;
    };
    for (const [name, size] of [
      ["ones", 16],
      ["slopeOnes", 5],
    ] as const) {
      given[name] = device.tensor(name, [size]);
      device.write(given[name], new Float64Array(size).fill(1));
    }
    const fused = recorder(s);
    const got = await run((g, t) => {
      fused.forward(g, t);
      fused.backward(g, t);
    });
    const want = await run((g, t) => composition(g, t, s));
    for (const name of Object.keys(want))
      expectClose(name, got[name]!, want[name]!, { atol: 1e-12, rtol: 1e-10 });
    expect(Object.keys(got).length).toBe(13);
  });

  for (const [rows, T, F, E, m] of [
    [1, 1, 1, 4, 4],
    [67, 3, 3, 32, 4],
    [131, 2, 4, 16, 4],
    [259, 1, 2, 12, 4],
    [70, 2, 0, 32, 4],
    [41, 0, 3, 32, 4],
    [33, 2, 1, 9, 1],
    [29, 7, 9, 8, 8],
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
