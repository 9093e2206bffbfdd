import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { Graph } from "../../model/graph.ts";
import { muonStep } from "../../model/kernels/muon.ts";
import { firstVerdict, VERDICT_SIZE } from "../../model/kernels/verdict.ts";
import { muonTable, planMuon } from "../../model/muonPlan.ts";
import { Random } from "../../model/random.ts";
import { expectClose } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";
import { singularValues, transposed } from "../support/singularValues.ts";

/** The polynomials steepen small singular values, and rounding errors with them: a float32
 *  run stays within about 500 ulp of the float64 one on normalized matrices. */
const tolerance = { atol: 6e-5, rtol: 6e-5 };
/** Products of one form are equal to the bit, whatever the tile. Kernels without matrices sum in another order than they
 *  do, and halves are rounded 12 times. */
const grouping = { atol: 2e-4, rtol: 0 };
/** Where four rounds leave the singular values of a well-conditioned matrix. */
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

/** Of the composition that is best on [0.003, 1], the last times 0.933. */
const published = [
  [8.383673612923165, -24.76590585797455, 18.35708189288761],
  [4.043420433700427, -3.011404993841532, 0.5695121503191821],
  [3.5055706172438934, -2.6266538356181, 0.525719404820322],
  [2.3232781715014905, -1.7113786522082426, 0.4075667815334314],
] as const;

/** The published form, transposing tall matrices. */
function orthogonalized(direction: Matrix): Matrix {
  const tall = direction.length > direction[0]!.length;
  let x = tall ? transposed(direction) : direction;
  const norm = Math.sqrt(x.flat().reduce((sum, v) => sum + v * v, 0)) + 1e-7;
  x = x.map((row) => row.map((v) => v / norm));
  for (const [first, second, third] of published) {
    const gram = times(x, transposed(x));
    const squared = times(gram, gram);
    const mix = gram.map((row, r) => row.map((v, c) => second * v + third * squared[r]![c]!));
    const moved = times(mix, x);
    x = x.map((row, r) => row.map((v, c) => first * v + moved[r]![c]!));
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

interface Run {
  readonly shapes: readonly (readonly [rows: number, cols: number])[];
  readonly hyper: Hyper;
  readonly steps: number;
  readonly gradScale?: number;
  readonly lossScale?: number;
  readonly zeroStart?: 1;
  readonly half?: 1;
  readonly grouped?: 1;
}

/** Every matrix starts from the same values and gets the same gradients, as far as its shape reaches; returns them
 *  one by one, and the gaps between them. */
async function stepped(
  device: Device,
  o: Run,
): Promise<{ matrices: readonly ArrayLike<number>[]; gaps: readonly number[] }> {
  let size = 0;
  const placed = o.shapes.map(([rows, cols]) => {
    const offset = size;
    size += Math.ceil((rows * cols) / 64) * 64;
    return { offset, rows, cols };
  });
  const plan = planMuon(placed);
  const [param, grad, momentum] = ["p", "g", "m"].map((name) => device.tensor(name, [size]));
  const hyper = device.tensor("h", [8]);
  const verdict = device.tensor("verdict", [VERDICT_SIZE]);
  const table = device.tensor("table", [4 * placed.length], "u32");
  const scale = (o.gradScale ?? 1) * (o.lossScale ?? 1);
  for (const { offset, rows, cols } of o.zeroStart === undefined ? placed : [])
    device.write(param!, normals(1, rows * cols), offset);
  device.write(hyper, values(o.hyper));
  device.write(verdict, firstVerdict(o.lossScale ?? 1));
  device.write(table, muonTable(plan));
  const g = new Graph();
  muonStep(g, {
    param: param!,
    grad: grad!,
    momentum: momentum!,
    plan,
    table,
    hyper,
    verdict,
    half: o.half ?? 0,
    grouped: o.grouped ?? 0,
  });
  const program = await device.compile(g, "muon");
  for (let t = 0; t < o.steps; t++) {
    for (const { offset, rows, cols } of placed)
      device.write(
        grad!,
        normals(20 + t, rows * cols).map((v) => v * scale),
        offset,
      );
    await program.run();
  }
  const got = await device.read(param!);
  program.dispose();
  for (const t of [param!, grad!, momentum!, hyper, verdict, table]) device.free(t);
  const gaps = new Set(got.keys());
  const matrices = placed.map(({ offset, rows, cols }) => {
    for (let i = offset; i < offset + rows * cols; i++) gaps.delete(i);
    return got.slice(offset, offset + rows * cols);
  });
  return { matrices, gaps: [...gaps].map((i) => got[i]!) };
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
    [70, 12],
  ] as const)
    test(`follows the published algorithm on ${rows}×${cols}`, async () => {
      for (const hyper of [plain, { ...plain, nesterov: 0, cautious: 1 }]) {
        const want = reference(rows, cols, hyper, 2);
        for (const device of await devices()) {
          const { matrices } = await stepped(device, { shapes: [[rows, cols]], hyper, steps: 2 });
          expectClose(`${device.name}, ${rows}×${cols}`, matrices[0]!, want, tolerance);
        }
      }
    });

  test("treats matrices of every shape in one pack as it treats one, and leaves the gaps zero", async () => {
    const shapes = [
      [9, 14],
      [40, 33],
      [14, 9],
      [33, 40],
      [9, 14],
      [40, 39],
    ] as const;
    for (const device of await devices()) {
      const { matrices, gaps } = await stepped(device, { shapes, hyper: plain, steps: 2 });
      for (const [i, [rows, cols]] of shapes.entries())
        expectClose(
          `${device.name}, ${rows}×${cols}`,
          matrices[i]!,
          reference(rows, cols, plain, 2),
          tolerance,
        );
      expect(gaps.length).toBeGreaterThan(0);
      expect(gaps.every((x) => x === 0)).toBe(true);
    }
  });

  test("gives the same update whatever power of two the loss was scaled by", async () => {
    for (const device of await devices()) {
      const run = (lossScale: number) =>
        stepped(device, { shapes: [[12, 20]], hyper: plain, steps: 2, lossScale });
      expect((await run(4096)).matrices).toEqual((await run(1)).matrices);
    }
  });

  for (const half of [undefined, 1] as const)
    test(`makes a near-orthogonal update from gradients of any size${half === 1 ? ", in halves" : ""}`, async () => {
      for (const gradScale of [1e-6, 1, 1e6])
        for (const device of await devices()) {
          const hyper = { lr: 1, mu: 0, weightDecay: 0, nesterov: 0, cautious: 0 };
          const { matrices } = await stepped(device, {
            shapes: [[20, 60]],
            hyper,
            steps: 1,
            gradScale,
            zeroStart: 1,
            ...(half === 1 ? { half } : {}),
          });
          const update = Array.from({ length: 20 }, (_, r) =>
            Array.from(matrices[0]!).slice(r * 60, (r + 1) * 60),
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

  test("makes the same update of batches of several shapes in one dispatch as in one for each", async () => {
    // Of sides that no padding joins.
    const shapes = [
      [16, 136],
      [64, 64],
      [136, 16],
      [72, 200],
    ] as const;
    for (const device of await devices()) {
      const o = { shapes, hyper: plain, steps: 1, half: 1 } as const;
      const apart = await stepped(device, o);
      const together = await stepped(device, { ...o, grouped: 1 });
      for (const [i] of shapes.entries())
        expectClose(device.name, together.matrices[i]!, apart.matrices[i]!, grouping);
      expect(together.gaps.every((x) => x === 0)).toBe(true);
    }
  });

  test("does nothing but decay where the gradient is zero", async () => {
    for (const device of await devices()) {
      const { matrices } = await stepped(device, {
        shapes: [[6, 4]],
        hyper: plain,
        steps: 1,
        gradScale: 0,
      });
      const want = normals(1, 24).map((p) => p * (1 - plain.lr * plain.weightDecay));
      expectClose(device.name, matrices[0]!, want, { atol: 1e-7, rtol: 1e-6 });
    }
  });
});
