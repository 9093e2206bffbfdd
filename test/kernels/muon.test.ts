import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph } from "../../model/graph.ts";
import { muonStep } from "../../model/kernels/muon.ts";
import { Random } from "../../model/random.ts";
import { expectClose } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

/** Newton–Schulz steepens small singular values by up to 3.4 a round, and rounding errors with them: a float32
 *  run stays within about 500 ulp of the float64 one on normalized matrices. */
const tolerance = { atol: 6e-5, rtol: 6e-5 };
/** Where five rounds leave the singular values of a well-conditioned matrix. */
const band = [0.65, 1.25] as const;

interface Hyper {
  readonly lr: number;
  readonly mu: number;
  readonly weightDecay: number;
  readonly nesterov: number;
  readonly cautious: number;
}
const plain: Hyper = { lr: 0.02, mu: 0.95, weightDecay: 0.05, nesterov: 1, cautious: 0 };
const values = (h: Hyper): number[] => [h.lr, h.mu, h.weightDecay, h.nesterov, h.cautious, 0, 0, 0];

const normals = (seed: number, size: number): Float32Array => {
  const random = new Random(seed);
  return Float32Array.from({ length: size }, () => random.normal());
};

type Matrix = number[][];
const times = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, x, i) => sum + x * b[i]![j]!, 0)));
const transposed = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));

/** The published form, transposing tall matrices. */
function orthogonalized(direction: Matrix): Matrix {
  const tall = direction.length > direction[0]!.length;
  let x = tall ? transposed(direction) : direction;
  const norm = Math.sqrt(x.flat().reduce((sum, v) => sum + v * v, 0)) + 1e-7;
  x = x.map((row) => row.map((v) => v / norm));
  for (let i = 0; i < 5; i++) {
    const gram = times(x, transposed(x));
    const squared = times(gram, gram);
    const mix = gram.map((row, r) => row.map((v, c) => -4.775 * v + 2.0315 * squared[r]![c]!));
    const moved = times(mix, x);
    x = x.map((row, r) => row.map((v, c) => 3.4445 * v + moved[r]![c]!));
  }
  return tall ? transposed(x) : x;
}

function reference(rows: number, cols: number, h: Hyper, steps: number): number[] {
  const toMatrix = (v: ArrayLike<number>): Matrix =>
    Array.from({ length: rows }, (_, r) =>
      Array.from({ length: cols }, (_, c) => v[r * cols + c]!),
    );
  let param = toMatrix(normals(1, rows * cols));
  let momentum = toMatrix(new Float64Array(rows * cols));
  for (let t = 0; t < steps; t++) {
    const grad = toMatrix(normals(20 + t, rows * cols));
    momentum = momentum.map((row, r) => row.map((v, c) => h.mu * v + grad[r]![c]!));
    const direction = momentum.map((row, r) =>
      row.map((v, c) => (h.nesterov === 1 ? grad[r]![c]! + h.mu * v : v)),
    );
    const x = orthogonalized(direction);
    const scale = Math.sqrt(Math.max(1, cols / rows));
    param = param.map((row, r) =>
      row.map((p, c) => {
        const decays = h.cautious === 0 || x[r]![c]! * p > 0;
        return p - h.lr * scale * x[r]![c]! - (decays ? h.lr * h.weightDecay * p : 0);
      }),
    );
  }
  return param.flat();
}

async function stepped(
  device: Device,
  o: {
    rows: number;
    cols: number;
    batch: number;
    hyper: Hyper;
    steps: number;
    gradScale?: number;
    zeroStart?: 1;
  },
): Promise<ArrayLike<number>> {
  const shape = [o.batch, o.rows, o.cols];
  const [param, grad, momentum] = ["p", "g", "m"].map((name) => device.tensor(name, shape));
  const hyper = device.tensor("h", [8]);
  const one = o.rows * o.cols;
  for (let z = 0; z < o.batch && o.zeroStart === undefined; z++)
    device.write(param!, normals(1, one), z * one);
  device.write(hyper, values(o.hyper));
  const g = new Graph();
  muonStep(g, {
    param: param!,
    grad: grad!,
    momentum: momentum!,
    hyper,
    rows: o.rows,
    cols: o.cols,
    batch: o.batch,
  });
  const program = await device.compile(g, "muon");
  for (let t = 0; t < o.steps; t++) {
    const values = normals(20 + t, one).map((v) => v * (o.gradScale ?? 1));
    for (let z = 0; z < o.batch; z++) device.write(grad!, values, z * one);
    await program.run();
  }
  const got = await device.read(param!);
  program.dispose();
  for (const t of [param!, grad!, momentum!, hyper]) device.free(t);
  return got;
}

/** Singular values by one-sided Jacobi rotations of the columns. */
function singularValues(m: Matrix): number[] {
  const a = (m.length >= m[0]!.length ? transposed(m) : m).map((row) => [...row]);
  for (let sweep = 0; sweep < 30; sweep++)
    for (let p = 0; p < a.length; p++)
      for (let q = p + 1; q < a.length; q++) {
        const dot = (x: number[], y: number[]): number =>
          x.reduce((sum, v, i) => sum + v * y[i]!, 0);
        const [x, y] = [a[p]!, a[q]!];
        const angle = 0.5 * Math.atan2(2 * dot(x, y), dot(x, x) - dot(y, y));
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        a[p] = x.map((v, i) => c * v + s * y[i]!);
        a[q] = x.map((v, i) => c * y[i]! - s * v);
      }
  return a.map((row) => Math.hypot(...row));
}

const devices = async (): Promise<Device[]> => {
  const gpu = await testGpu();
  return [await createCpuDevice({ threads: 0 }), ...(gpu === undefined ? [] : [gpu])];
};

describe("muonStep", () => {
  for (const [rows, cols] of [
    [1, 1],
    [5, 3],
    [24, 24],
    [16, 40],
    [40, 12],
  ] as const)
    test(`follows the published algorithm on ${rows}×${cols}`, async () => {
      for (const hyper of [plain, { ...plain, nesterov: 0, cautious: 1 }]) {
        const want = reference(rows, cols, hyper, 2);
        for (const device of await devices()) {
          const got = await stepped(device, { rows, cols, batch: 1, hyper, steps: 2 });
          expectClose(`${device.name}, ${rows}×${cols}`, got, want, tolerance);
        }
      }
    });

  test("treats every matrix of a batch alike", async () => {
    const want = reference(9, 14, plain, 2);
    for (const device of await devices()) {
      const got = await stepped(device, { rows: 9, cols: 14, batch: 3, hyper: plain, steps: 2 });
      expectClose(device.name, got, [...want, ...want, ...want], tolerance);
    }
  });

  test("makes a near-orthogonal update from gradients of any size", async () => {
    for (const gradScale of [1e-6, 1, 1e6])
      for (const device of await devices()) {
        const hyper = { lr: 1, mu: 0, weightDecay: 0, nesterov: 0, cautious: 0 };
        const got = await stepped(device, {
          rows: 20,
          cols: 60,
          batch: 1,
          hyper,
          steps: 1,
          gradScale,
          zeroStart: 1,
        });
        const update = Array.from({ length: 20 }, (_, r) =>
          Array.from(got).slice(r * 60, (r + 1) * 60),
        );
        for (const s of singularValues(update)) {
          // The shape factor is √(60 / 20).
          expect(s / Math.sqrt(3), `${device.name}, gradients × ${gradScale}`).toBeGreaterThan(
            band[0],
          );
          expect(s / Math.sqrt(3)).toBeLessThan(band[1]);
        }
      }
  });

  test("does nothing but decay where the gradient is zero", async () => {
    for (const device of await devices()) {
      const got = await stepped(device, {
        rows: 6,
        cols: 4,
        batch: 1,
        hyper: plain,
        steps: 1,
        gradScale: 0,
      });
      const want = normals(1, 24).map((p) => p * (1 - plain.lr * plain.weightDecay));
      expectClose(device.name, got, want, { atol: 1e-7, rtol: 1e-6 });
    }
  });
});
