import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { Device } from "../../model/device.ts";
import { fromHalf, toHalf } from "../../model/half.ts";
import { Graph, gridFor, type OpSpec, type Tensor } from "../../model/graph.ts";
import { matmul } from "../../model/kernels/matmul.ts";
import { matrixTiles } from "../../model/kernels/matmulTiles.ts";
import { Random } from "../../model/random.ts";
import { checkOp } from "../support/checkOp.ts";
import { testGpu } from "../support/gpu.ts";

/** Rounding of a chain of k fused steps on unit normals grows like its square root; 1e-6 per step is ample. */
const tolerance = (k: number): { atol: number; rtol: number } => ({
  atol: 1e-6 * Math.sqrt(k) * 4 + 1e-6,
  rtol: 1e-5,
});

const shapes = [
  { m: 1, k: 1, n: 1 },
  { m: 3, k: 5, n: 7 },
  { m: 1, k: 64, n: 96 },
  { m: 130, k: 33, n: 36 },
  { m: 65, k: 100, n: 272 },
  { m: 300, k: 64, n: 20 },
  { m: 200, k: 48, n: 260 },
] as const;
/** Unit normals that are halves, for operands held in f32 that matrix units would round. */
function halves(n: number): Float32Array {
  const random = new Random(5);
  return Float32Array.from({ length: n }, () => fromHalf(toHalf(random.normal())));
}

/** 1 on the diagonal, made by an op: a temporary has to be written by a node. */
const identityOp: OpSpec = {
  name: "test identity",
  access: ["write"],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) => {
    const n = p["n"]!;
    for (let i = start; i < end; i++)
      for (let j = 0; j < n; j++) b[0]![i * n + j] = i === j ? 1 : 0;
  },
  gpu: (p) => ({
    code: `override n: u32;
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < n * n) { x[id.x] = select(0.0, 1.0, id.x / n == id.x % n); }
}`,
    entryPoint: "main",
    constants: { n: p["n"]! },
    workgroups: gridFor(p["n"]! ** 2, 64),
  }),
};
const identity = (g: Graph, x: Tensor, n: number): void => g.add(identityOp, [x], { n });

const forms = [
  { transposeA: 0, transposeB: 0 },
  { transposeA: 0, transposeB: 1 },
  { transposeA: 1, transposeB: 0 },
  { transposeA: 1, transposeB: 1 },
] as const;

describe("matmul", () => {
  for (const s of shapes)
    for (const f of forms)
      test(`matches its twin for ${s.m}×${s.k}×${s.n}, transposes ${f.transposeA}${f.transposeB}`, async () => {
        await checkOp({
          inputs: { a: { shape: [s.m * s.k] }, b: { shape: [s.k * s.n] } },
          outputs: { out: [s.m * s.n] },
          forward: (g, t) => matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s, ...f }),
          ...tolerance(s.k),
        });
      });

  // Software GPUs take seconds to compile one of these: each case covers one tile, one form, and operands that are
  // or are not bound as vec4.
  for (const s of [
    { tile: 0, m: 37, k: 21, n: 40 },
    { tile: 1, m: 131, k: 44, n: 72, transposeA: 1 },
    { tile: 2, m: 70, k: 36, n: 68, transposeB: 1 },
    { tile: 3, m: 68, k: 19, n: 65 },
    { tile: 4, m: 65, k: 40, n: 36, transposeB: 1 },
    { tile: 5, m: 36, k: 50, n: 33, transposeA: 1 },
    { tile: 6, m: 33, k: 29, n: 35, transposeA: 1 },
    { tile: 7, m: 19, k: 26, n: 22, transposeA: 1, transposeB: 1, batch: 2 },
    { tile: 8, m: 133, k: 37, n: 72, transposeB: 1 },
  ] as const)
    test(`tile ${s.tile} of the table matches the twin`, async () => {
      const batch = "batch" in s ? s.batch : 1;
      await checkOp({
        inputs: { a: { shape: [batch, s.m, s.k] }, b: { shape: [batch, s.k, s.n] } },
        outputs: { out: [batch, s.m, s.n] },
        forward: (g, t) => matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s }),
        ...tolerance(s.k),
      });
    });

  for (const f of forms.slice(0, 2))
    test(`the kernel for few rows matches the twin, transposes ${f.transposeA}${f.transposeB}`, async () => {
      const s = { m: 3, k: 75, n: 41, batch: 2, tile: -1, ...f } as const;
      await checkOp({
        inputs: { a: { shape: [2, s.m, s.k] }, b: { shape: [2, s.k, s.n] } },
        outputs: { out: [2, s.m, s.n] },
        forward: (g, t) => matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s }),
        ...tolerance(s.k),
      });
    });

  for (const s of [
    { m: 16, k: 384, n: 96 },
    { m: 21, k: 68, n: 40, epilogue: "reluSquared" },
    { m: 3, k: 36, n: 6 },
    { m: 1, k: 4, n: 260 },
  ] as const)
    test(`the kernel that slices k matches the twin: ${s.m}×${s.k}×${s.n}`, async () => {
      await checkOp({
        inputs: { a: { shape: [s.m, s.k] }, b: { shape: [s.k, s.n] } },
        outputs: { out: [s.m, s.n] },
        forward: (g, t) => matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s, tile: -2 }),
        ...tolerance(s.k),
      });
    });

  // On a GPU with matrix units these run there; elsewhere in the plain kernel, reading and writing halves.
  for (const f of forms)
    for (const s of [
      { m: 200, k: 96, n: 264 },
      { m: 40, k: 72, n: 36 },
      { m: 264, k: 136, n: 24 },
    ])
      test(`takes and gives halves: ${s.m}×${s.k}×${s.n}, transposes ${f.transposeA}${f.transposeB}`, async () => {
        await checkOp({
          inputs: {
            a: { shape: [s.m * s.k], dtype: "f16" },
            b: {
              shape: [s.k * s.n],
              dtype: s.n % 8 === 0 ? "f16" : "f32",
              values: halves(s.k * s.n),
            },
          },
          outputs: { out: [s.m * s.n] },
          halves: f.transposeB === 1 ? ["out"] : [],
          forward: (g, t) => matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s, ...f }),
          ...tolerance(s.k),
        });
      });

  // Rows that start anywhere: what matrix units read and write one by one.
  for (const f of forms)
    for (const s of [
      { m: 70, k: 72, n: 12 },
      { m: 66, k: 6, n: 40 },
      { m: 36, k: 100, n: 6 },
    ])
      test(`takes halves in rows of any length: ${s.m}×${s.k}×${s.n}, transposes ${f.transposeA}${f.transposeB}`, async () => {
        await checkOp({
          inputs: {
            a: { shape: [s.m * s.k], dtype: "f16" },
            b: { shape: [s.k * s.n], dtype: "f16" },
          },
          outputs: { out: [s.m * s.n] },
          halves: f.transposeA === 1 ? ["out"] : [],
          forward: (g, t) => matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s, ...f }),
          ...tolerance(s.k),
        });
      });

  // On a GPU with matrix units every tile of their table, whole and with rows, columns and slices of k left over.
  for (const [matrixTile, t] of matrixTiles.entries())
    for (const s of [
      { m: 2 * t.tileM, k: 3 * t.tileK, n: t.tileN, transposeA: 0, transposeB: 0 },
      { m: t.tileM + 6, k: 72, n: 2 * t.tileN - 8, transposeA: 0, transposeB: 1 },
      { m: t.tileM - 8, k: 4 * t.tileK + 8, n: t.tileN + 12, transposeA: 1, transposeB: 1 },
      { m: 2 * t.tileM + 8, k: 16, n: t.tileN, transposeA: 1, transposeB: 0 },
    ] as const)
      test(`matrix tile ${matrixTile} matches the twin: ${s.m}×${s.k}×${s.n}, transposes ${s.transposeA}${s.transposeB}`, async () => {
        await checkOp({
          inputs: {
            a: { shape: [s.m, s.k], dtype: "f16" },
            b: { shape: [s.k, s.n], dtype: "f16" },
          },
          outputs: { out: [s.m, s.n] },
          halves: s.transposeB === 1 ? ["out"] : [],
          forward: (g, x) =>
            matmul(g, { a: x["a"]!, b: x["b"]!, out: x["out"]!, ...s, matrixTile }),
          ...tolerance(s.k),
        });
      });

  test("adds to what is there", async () => {
    const s = { m: 70, k: 64, n: 40, accumulate: 1 } as const;
    for (const dtype of ["f16", "f32"] as const)
      await checkOp({
        inputs: { a: { shape: [s.m, s.k], dtype }, b: { shape: [s.k, s.n], dtype } },
        outputs: { out: [s.m, s.n] },
        forward: (g, t) => {
          matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, m: s.m, k: s.k, n: s.n });
          matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s });
        },
        ...tolerance(2 * s.k),
      });
  });

  for (const dtype of ["f32", "f16"] as const)
    test(`squared ReLU behind the product, and its gradient, in ${dtype}`, async () => {
      const s = { m: 72, k: 40, n: 48 };
      const flip = { ...s, k: s.n, n: s.k, transposeB: 1 } as const;
      await checkOp({
        inputs: {
          a: { shape: [s.m, s.k], dtype, std: 0.4 },
          b: { shape: [s.k, s.n], dtype, std: 0.4 },
        },
        outputs: { out: [s.m, s.n] },
        halves: dtype === "f16" ? ["out", "dOut"] : [],
        forward: (g, t) =>
          matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s, epilogue: "reluSquared" }),
        backward: (g, t) => {
          const eye = g.temp("identity", [s.n, s.n]);
          identity(g, eye, s.n);
          const dUp = g.temp("dUp", [s.m, s.n]);
          // dOut · 1 · 2√out: the gradient of the product.
          matmul(g, {
            a: t["dOut"]!,
            b: eye,
            out: dUp,
            m: s.m,
            k: s.n,
            n: s.n,
            epilogue: "reluSquaredBackward",
            hidden: t["out"]!,
          });
          matmul(g, { a: dUp, b: t["b"]!, out: t["dA"]!, ...flip });
          matmul(g, {
            a: t["a"]!,
            b: dUp,
            out: t["dB"]!,
            m: s.k,
            k: s.m,
            n: s.n,
            transposeA: 1,
          });
        },
        ...tolerance(s.k),
        // A half of the hidden layer, its root and the product's own halves.
        gradRtol: dtype === "f16" ? 4e-3 : 1e-4,
        gradAtol: dtype === "f16" ? 4e-2 : 1e-4,
      });
    });

  for (const dtype of ["f32", "f16"] as const)
    test(`blends the product with another tensor, in ${dtype}`, async () => {
      const s = { m: 20, k: 24, n: 28, batch: 2 };
      await checkOp({
        inputs: {
          a: { shape: [s.batch, s.m, s.k], dtype, std: 0.4 },
          b: { shape: [s.batch, s.k, s.n], dtype, std: 0.4 },
          hidden: { shape: [s.batch, s.m, s.n], dtype },
        },
        outputs: { out: [s.batch, s.m, s.n] },
        halves: dtype === "f16" ? ["out"] : [],
        forward: (g, t) =>
          matmul(g, {
            ...{ a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s },
            ...{ epilogue: "blend", hidden: t["hidden"]!, shares: { hidden: -0.5, product: 3 } },
          }),
        ...tolerance(s.k),
      });
    });

  test("splits a long reduction over k without losing a row", async () => {
    const s = { m: 40, k: 5001, n: 36, transposeA: 1 } as const;
    await checkOp({
      inputs: { a: { shape: [s.k, s.m] }, b: { shape: [s.k, s.n] } },
      outputs: { out: [s.m, s.n] },
      forward: (g, t) => {
        matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s });
        matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s, accumulate: 1 });
      },
      ...tolerance(s.k * 4),
    });
  });

  test("multiplies every matrix of a batch and adds to what is there", async () => {
    const s = { m: 9, k: 20, n: 12, batch: 5 } as const;
    await checkOp({
      inputs: { a: { shape: [5, 9, 20] }, b: { shape: [5, 20, 12] } },
      outputs: { out: [5, 9, 12] },
      forward: (g, t) => {
        matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s });
        matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s, accumulate: 1 });
      },
      ...tolerance(s.k),
    });
  });

  test("gradients by its own transposed forms match central differences", async () => {
    const s = { m: 6, k: 10, n: 7 } as const;
    await checkOp({
      inputs: { a: { shape: [6, 10] }, b: { shape: [10, 7] } },
      outputs: { out: [6, 7] },
      forward: (g, t) => matmul(g, { a: t["a"]!, b: t["b"]!, out: t["out"]!, ...s }),
      backward: (g, t) => {
        matmul(g, { a: t["dOut"]!, b: t["b"]!, out: t["dA"]!, m: 6, k: 7, n: 10, transposeB: 1 });
        matmul(g, { a: t["a"]!, b: t["dOut"]!, out: t["dB"]!, m: 10, k: 6, n: 7, transposeA: 1 });
      },
    });
  });
});

async function rowsOf(
  device: Device,
  o: { m: number; k: number; n: number; transposeB: 0 | 1; tile?: number },
): Promise<ArrayLike<number>> {
  const random = new Random(5);
  const b = device.tensor("b", [o.k, o.n]);
  device.write(
    b,
    Float32Array.from({ length: b.size }, () => random.normal()),
  );
  const a = device.tensor("a", [o.m, o.k]);
  const other = new Random(6);
  device.write(
    a,
    Float32Array.from({ length: a.size }, () => other.normal()),
  );
  const out = device.tensor("out", [o.m, o.n]);
  const g = new Graph();
  matmul(g, { a, b, out, ...o });
  const program = await device.compile(g, "rows");
  await program.run();
  const got = await device.read(out, 0, o.n);
  program.dispose();
  for (const t of [a, b, out]) device.free(t);
  return got;
}

describe("a row of a matmul", () => {
  for (const transposeB of [0, 1] as const)
    test(`has the same bits however many rows there are, transposeB ${transposeB}`, async () => {
      const gpu = await testGpu();
      const devices: Device[] = [
        await createCpuDevice({ threads: 0 }),
        ...(gpu === undefined ? [] : [gpu]),
      ];
      for (const device of devices) {
        const shape = { k: 300, n: 68, transposeB };
        const one = await rowsOf(device, { m: 1, ...shape });
        for (const m of [2, 5, 17, 33, 70, 200, 520]) {
          const many = await rowsOf(device, { m, ...shape });
          expect(Array.from(many), `${device.name}, ${m} rows`).toEqual(Array.from(one));
        }
      }
    });

  test("has the same bits however many rows there are where k is sliced", async () => {
    const gpu = await testGpu();
    if (gpu === undefined) return;
    const shape = { k: 300, n: 68, transposeB: 0, tile: -2 } as const;
    const one = await rowsOf(gpu, { m: 1, ...shape });
    for (const m of [5, 17])
      expect(Array.from(await rowsOf(gpu, { m, ...shape }))).toEqual(Array.from(one));
  });

  test("has the same bits in every GPU kernel", async () => {
    const gpu = await testGpu();
    if (gpu === undefined) return;
    const shape = { m: 3, k: 75, n: 20, transposeB: 1 } as const;
    const plain = await rowsOf(gpu, shape);
    for (const tile of [-1, 5])
      expect(Array.from(await rowsOf(gpu, { ...shape, tile }))).toEqual(Array.from(plain));
  });
});
