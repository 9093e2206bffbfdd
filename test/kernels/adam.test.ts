import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph } from "../../model/graph.ts";
import { adamStep } from "../../model/kernels/adam.ts";
import { emaStep } from "../../model/kernels/ema.ts";
import { firstVerdict, VERDICT_SIZE } from "../../model/kernels/verdict.ts";
import { Random } from "../../model/random.ts";
import { expectClose } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

/** Ten steps of float32 rounding on values near one; a GPU's square root and division may be off by a few ulp. */
const tolerance = { atol: 2e-6, rtol: 2e-5 };
const steps = 10;
const [lr, beta1, beta2, eps] = [0.01, 0.9, 0.95, 1e-8];

const normals = (seed: number, size: number): Float32Array => {
  const random = new Random(seed);
  return Float32Array.from({ length: size }, () => random.normal());
};

/** The algorithm as printed, in float64. */
function reference(size: number, weightDecay: number, cautious: number): Float64Array {
  const param = Float64Array.from(normals(1, size));
  const m = new Float64Array(size);
  const v = new Float64Array(size);
  for (let t = 1; t <= steps; t++) {
    const grad = normals(10 + t, size);
    for (let i = 0; i < size; i++) {
      m[i] = beta1 * m[i]! + (1 - beta1) * grad[i]!;
      v[i] = beta2 * v[i]! + (1 - beta2) * grad[i]! ** 2;
      const step = m[i]! / (1 - beta1 ** t) / (Math.sqrt(v[i]! / (1 - beta2 ** t)) + eps);
      const decays = cautious === 0 || Math.sign(step) === Math.sign(param[i]!);
      param[i] = param[i]! - lr * step - (decays ? lr * weightDecay * param[i]! : 0);
    }
  }
  return param;
}

const devices = async (): Promise<Device[]> => {
  const gpu = await testGpu();
  return [await createCpuDevice({ threads: 0 }), ...(gpu === undefined ? [] : [gpu])];
};

describe("adamStep", () => {
  for (const size of [1, 4, 1031, 70_000])
    for (const [cautious, scale] of [
      [0, 1],
      [1, 1],
      [0, 1024],
    ] as const)
      test(`follows the published algorithm on ${size} elements, cautious ${cautious}, loss scale ${scale}`, async () => {
        const want = reference(size, 0.1, cautious);
        for (const device of await devices()) {
          const tensor = (name: string, n = size) => device.tensor(name, [n]);
          const [param, grad, m, v, hyper, verdict] = [
            tensor("p"),
            tensor("g"),
            tensor("m"),
            tensor("v"),
            tensor("h", 8),
            tensor("verdict", VERDICT_SIZE),
          ];
          device.write(verdict, firstVerdict(scale));
          device.write(param, normals(1, size));
          const g = new Graph();
          adamStep(g, { param, grad, m, v, hyper, verdict });
          const program = await device.compile(g, "adam");
          for (let t = 1; t <= steps; t++) {
            device.write(
              grad,
              normals(10 + t, size).map((x) => x * scale),
            );
            device.write(hyper, [
              lr,
              beta1,
              beta2,
              eps,
              0.1,
              1 - beta1 ** t,
              1 - beta2 ** t,
              cautious,
            ]);
            await program.run();
          }
          expectClose(`${device.name}, ${size}`, await device.read(param), want, tolerance);
          program.dispose();
          for (const t of [param, grad, m, v, hyper, verdict]) device.free(t);
        }
      });

  test("leaves a parameter with a zero gradient and no history where it is", async () => {
    for (const device of await devices()) {
      const [param, grad, m, v] = ["p", "g", "m", "v"].map((name) => device.tensor(name, [5]));
      const hyper = device.tensor("h", [8]);
      const verdict = device.tensor("verdict", [VERDICT_SIZE]);
      device.write(verdict, firstVerdict(1));
      device.write(param!, [1, -2, 3, 0, 5]);
      device.write(hyper, [lr, beta1, beta2, eps, 0, 0.1, 0.05, 0]);
      const g = new Graph();
      adamStep(g, { param: param!, grad: grad!, m: m!, v: v!, hyper, verdict });
      await (await device.compile(g, "adam")).run();
      expect(Array.from(await device.read(param!))).toEqual([1, -2, 3, 0, 5]);
    }
  });
});

describe("emaStep", () => {
  for (const size of [3, 260])
    test(`moves ${size} averages by their share of the difference`, async () => {
      const from = normals(3, size);
      const to = normals(4, size);
      const want = Float64Array.from(from, (x, i) => 0.75 * x + 0.25 * to[i]!);
      for (const device of await devices()) {
        const param = device.tensor("p", [size]);
        const ema = device.tensor("e", [size]);
        const hyper = device.tensor("h", [1]);
        const verdict = device.tensor("verdict", [VERDICT_SIZE]);
        device.write(verdict, firstVerdict(1));
        device.write(param, to);
        device.write(ema, from);
        device.write(hyper, [0.75]);
        const g = new Graph();
        emaStep(g, { param, ema, hyper, verdict });
        await (await device.compile(g, "ema")).run();
        expectClose(device.name, await device.read(ema), want, { atol: 1e-6, rtol: 1e-6 });
      }
    });
});
