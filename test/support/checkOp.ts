/**
 * checkOp: one helper for every op. GPU forward against the twin, GPU backward against the twin's backward,
 * the twin's backward against central differences in float64. A failure names the worst entry and the first ten.
 */
import { expect } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph, type DType, type Tensor } from "../../model/graph.ts";
import { Random } from "../../model/random.ts";
import { fromHalf, toHalf } from "../../model/half.ts";
import { testGpu } from "./gpu.ts";

export interface InputSpec {
  readonly shape: readonly number[];
  /** u32 inputs are indices: give their values. */
  /** f16 values are rounded to halves first, so that both devices start from the same. */
  readonly dtype?: "f32" | "f16" | "u32";
  readonly values?: ArrayLike<number>;
  /** Standard deviation and mean of random values. */
  readonly std?: number;
  readonly mean?: number;
  /** No gradient is checked for this input. */
  readonly constant?: true;
}

export type Tensors = Readonly<Record<string, Tensor>>;

export interface OpCase {
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  /** Outputs, gradients of outputs ("dY") and of inputs ("dX") that are held in f16. */
  readonly halves?: readonly string[];
  /** Outputs that are held in u32. */
  readonly integers?: readonly string[];
  /** Records the forward op(s). */
  forward(g: Graph, t: Tensors): void;
  /** Records the backward op(s): t also holds d<Output> (given) and d<Input> (to fill), e.g. dX for x. */
  backward?(g: Graph, t: Tensors): void;
  readonly atol?: number;
  readonly rtol?: number;
  /** Gradient tolerances of the GPU against the twin; default: the forward's. */
  readonly gradAtol?: number;
  readonly gradRtol?: number;
  /** Entries per input checked by central differences; default 24. */
  readonly probes?: number;
  readonly seed?: number;
  /** Step of the central differences; default 1e-5. */
  readonly step?: number;
}

type Values = Record<string, Float64Array>;

/** What the op must overwrite; halves hold it too. */
const POISON = 6e4;
const dtypeOf = (c: OpCase, name: string): DType =>
  c.halves?.includes(name) === true ? "f16" : c.integers?.includes(name) === true ? "u32" : "f32";
const gradientName = (name: string): string => `d${name[0]!.toUpperCase()}${name.slice(1)}`;

function draw(c: OpCase): Values {
  const random = new Random(c.seed ?? 1);
  const values: Values = {};
  for (const [name, spec] of Object.entries(c.inputs)) {
    const size = spec.shape.reduce((a, b) => a * b, 1);
    const v = new Float64Array(size);
    for (let i = 0; i < size; i++)
      v[i] =
        spec.values !== undefined
          ? spec.values[i]!
          : Math.fround((spec.mean ?? 0) + (spec.std ?? 1) * random.normal());
    if (spec.dtype === "f16") for (let i = 0; i < size; i++) v[i] = fromHalf(toHalf(v[i]!));
    values[name] = v;
  }
  return values;
}

interface Run {
  readonly outputs: Values;
  readonly gradients: Values;
}

async function run(
  device: Device,
  c: OpCase,
  inputs: Values,
  outputGradients: Values,
  withBackward: 0 | 1,
): Promise<Run> {
  const tensors: Record<string, Tensor> = {};
  for (const [name, spec] of Object.entries(c.inputs)) {
    tensors[name] = device.tensor(name, spec.shape, spec.dtype ?? "f32");
    device.write(tensors[name], inputs[name]!);
  }
  for (const [name, shape] of Object.entries(c.outputs)) {
    tensors[name] = device.tensor(name, shape, dtypeOf(c, name));
    tensors[gradientName(name)] = device.tensor(
      gradientName(name),
      shape,
      dtypeOf(c, gradientName(name)),
    );
    device.write(tensors[gradientName(name)]!, outputGradients[name]!);
  }
  const wanted = Object.entries(c.inputs).filter(
    ([, s]) => s.dtype !== "u32" && s.constant === undefined,
  );
  for (const [name, spec] of wanted)
    tensors[gradientName(name)] = device.tensor(
      gradientName(name),
      spec.shape,
      dtypeOf(c, gradientName(name)),
    );
  // Poison what the op must overwrite, so that an entry left out shows.
  for (const name of Object.keys(c.outputs))
    device.write(tensors[name]!, new Float64Array(tensors[name]!.size).fill(POISON));
  if (withBackward === 1)
    for (const [name] of wanted)
      device.write(
        tensors[gradientName(name)]!,
        new Float64Array(tensors[gradientName(name)]!.size).fill(POISON),
      );
  const graph = new Graph();
  c.forward(graph, tensors);
  if (withBackward === 1) c.backward!(graph, tensors);
  const program = await device.compile(graph, "checkOp");
  await program.run();
  const outputs: Values = {};
  const gradients: Values = {};
  for (const name of Object.keys(c.outputs))
    outputs[name] = Float64Array.from(await device.read(tensors[name]!));
  if (withBackward === 1)
    for (const [name] of wanted)
      gradients[name] = Float64Array.from(await device.read(tensors[gradientName(name)]!));
  program.dispose();
  for (const t of Object.values(tensors)) device.free(t);
  return { outputs, gradients };
}

export function expectClose(
  what: string,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: { atol: number; rtol: number },
): void {
  const faults: { i: number; over: number }[] = [];
  for (let i = 0; i < want.length; i++) {
    const bound = tolerance.atol + tolerance.rtol * Math.abs(want[i]!);
    const difference = Math.abs(got[i]! - want[i]!);
    if (!(difference <= bound))
      faults.push({ i, over: Number.isNaN(difference) ? Infinity : difference / bound });
  }
  if (faults.length === 0) return;
  const worst = faults.reduce((a, b) => (b.over > a.over ? b : a));
  const line = (f: { i: number }): string => `[${f.i}] got ${got[f.i]} want ${want[f.i]}`;
  expect.fail(
    `${what}: ${faults.length} of ${want.length} entries are off; worst ${line(worst)} (${worst.over.toFixed(1)} × the bound)\n` +
      faults.slice(0, 10).map(line).join("\n"),
  );
}

export async function checkOp(c: OpCase): Promise<void> {
  const inputs = draw(c);
  const random = new Random((c.seed ?? 1) + 1000);
  const outputGradients: Values = {};
  for (const [name, shape] of Object.entries(c.outputs)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const half = dtypeOf(c, gradientName(name)) === "f16";
    outputGradients[name] = Float64Array.from({ length: size }, () => {
      const x = Math.fround(random.normal());
      return half ? fromHalf(toHalf(x)) : x;
    });
  }
  const withBackward = c.backward === undefined ? 0 : 1;
  const f64 = await createCpuDevice({ threads: 0, precision: "f64" });
  const reference = await run(f64, c, inputs, outputGradients, withBackward);
  const tolerance = { atol: c.atol ?? 1e-5, rtol: c.rtol ?? 1e-4 };
  const gradTolerance = { atol: c.gradAtol ?? tolerance.atol, rtol: c.gradRtol ?? tolerance.rtol };

  const devices: [string, Device][] = [["float32 CPU", await createCpuDevice({ threads: 0 })]];
  const gpu = await testGpu();
  if (gpu !== undefined) devices.push(["GPU", gpu]);
  // Rounding to a half costs 2^-11 of the value where the device holds one.
  const within = (
    label: string,
    name: string,
    t: { atol: number; rtol: number },
  ): { atol: number; rtol: number } =>
    label === "GPU" && dtypeOf(c, name) === "f16"
      ? { atol: t.atol + 2 ** -24, rtol: t.rtol + 2 ** -10 }
      : t;
  for (const [label, device] of devices) {
    const got = await run(device, c, inputs, outputGradients, withBackward);
    for (const name of Object.keys(reference.outputs))
      expectClose(
        `${label} forward, ${name}`,
        got.outputs[name]!,
        reference.outputs[name]!,
        within(label, name, tolerance),
      );
    for (const name of Object.keys(reference.gradients))
      expectClose(
        `${label} backward, d ${name}`,
        got.gradients[name]!,
        reference.gradients[name]!,
        within(label, gradientName(name), gradTolerance),
      );
  }

  if (withBackward === 0) return;
  const h = c.step ?? 1e-5;
  const objective = async (values: Values): Promise<number> => {
    const r = await run(f64, c, values, outputGradients, 0);
    let sum = 0;
    for (const name of Object.keys(r.outputs)) {
      const out = r.outputs[name]!;
      const weight = outputGradients[name]!;
      for (let i = 0; i < out.length; i++) sum += out[i]! * weight[i]!;
    }
    return sum;
  };
  for (const [name, gradient] of Object.entries(reference.gradients)) {
    const size = gradient.length;
    const count = Math.min(size, c.probes ?? 24);
    for (let k = 0; k < count; k++) {
      const i = count === size ? k : random.below(size);
      const at = (delta: number): Values => {
        const moved = Float64Array.from(inputs[name]!);
        moved[i]! += delta;
        return { ...inputs, [name]: moved };
      };
      const numeric = ((await objective(at(h))) - (await objective(at(-h)))) / (2 * h);
      const scale = Math.max(
        1,
        ...Object.values(outputGradients).map((g) => Math.sqrt(g.length) / 10),
      );
      expectClose(
        `twin's gradient of ${name}[${i}] against central differences`,
        [gradient[i]!],
        [numeric],
        {
          atol: 2e-6 * scale,
          rtol: 2e-5,
        },
      );
    }
  }
}
