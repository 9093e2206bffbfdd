/**
 * The composed ops contain the published attention: one band, a fixed Laplacian, tau 1, no salience, no slope,
 * RoPE before the energy. Compared with a direct float64 implementation that knows nothing of the ops.
 */
import { expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { Graph } from "../../model/graph.ts";
import { ropeForward } from "../../model/kernels/rope.ts";
import { tauAttentionForward } from "../../model/kernels/tauAttention.ts";
import { taumodeForward } from "../../model/kernels/taumode.ts";
import { headLaplacian } from "../../model/laplacian.ts";
import { Random } from "../../model/random.ts";

const [N, H, D] = [37, 2, 16];
const EPSILON = 1e-6;

/** y1 = x1 cos + x2 sin, y2 = x2 cos − x1 sin on the pairs (m, m + D/2). */
function rotated(x: Float64Array, position: number): Float64Array {
  const y = new Float64Array(D);
  for (let m = 0; m < D / 2; m++) {
    const angle = position * 10000 ** ((-2 * m) / D);
    y[m] = x[m]! * Math.cos(angle) + x[m + D / 2]! * Math.sin(angle);
    y[m + D / 2] = x[m + D / 2]! * Math.cos(angle) - x[m]! * Math.sin(angle);
  }
  return y;
}

/** The bounded Rayleigh quotient of the whole matrix L, no eigenvectors. */
function lambdaOf(x: Float64Array, laplacian: Float64Array): number {
  let energy = 0;
  let norm = EPSILON;
  for (let i = 0; i < D; i++) {
    norm += x[i]! * x[i]!;
    for (let j = 0; j < D; j++) energy += x[i]! * laplacian[i * D + j]! * x[j]!;
  }
  energy /= norm;
  return energy / (energy + 1);
}

function published(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  laplacian: Float64Array,
): Float64Array {
  const out = new Float64Array(N * H * D);
  const head = (x: Float64Array, i: number, h: number): Float64Array =>
    x.slice((i * H + h) * D, (i * H + h + 1) * D);
  for (let h = 0; h < H; h++)
    for (let i = 0; i < N; i++) {
      const query = lambdaOf(rotated(head(q, i, h), i), laplacian);
      const weights: number[] = [];
      for (let j = 0; j <= i; j++)
        weights.push(Math.exp(-Math.abs(query - lambdaOf(rotated(head(k, j, h), j), laplacian))));
      const total = weights.reduce((a, b) => a + b, 0);
      weights.forEach((w, j) => {
        for (let d = 0; d < D; d++)
          out[(i * H + h) * D + d]! += (w / total) * v[(j * H + h) * D + d]!;
      });
    }
  return out;
}

test("one band with a fixed Laplacian is the published attention", async () => {
  const random = new Random(7);
  const draw = (): Float64Array => Float64Array.from({ length: N * H * D }, () => random.normal());
  const [q, k, v] = [draw(), draw(), draw()];
  const source = new TextEncoder().encode("for (const x of list) total += x.size;\n".repeat(40));
  const graph = headLaplacian({ bytes: source, nodes: D, neighbours: 4 });
  const laplacian = new Float64Array(D * D);
  for (let i = 0; i < D; i++)
    for (let e = graph.rowStart[i]!; e < graph.rowStart[i + 1]!; e++)
      laplacian[i * D + graph.column[e]!] = graph.weight[e]!;

  const device = await createCpuDevice({ threads: 0, precision: "f64" });
  const heads = [1, N, H, D];
  const span = device.tensor("span", [1], "u32");
  const mu = device.tensor("mu", [H, D]);
  const slope = device.tensor("slope", [H]);
  device.write(mu, [...graph.eigenvalues, ...graph.eigenvalues]);
  const rotate = async (x: Float64Array): Promise<Float64Array> => {
    const input = device.tensor("x", heads);
    const output = device.tensor("y", heads);
    device.write(input, x);
    const g = new Graph();
    ropeForward(g, { batch: 1, rows: N, nHeads: H, headDim: D, x: input, span, y: output });
    await (await device.compile(g, "rope")).run();
    return (await device.read(output)) as Float64Array;
  };
  /** Uᵀx per head: coordinates along the eigenvectors. */
  const coordinates = (x: Float64Array): Float64Array => {
    const y = new Float64Array(x.length);
    for (let at = 0; at < x.length; at += D)
      for (let e = 0; e < D; e++)
        for (let d = 0; d < D; d++) y[at + e]! += graph.eigenvectors[d * D + e]! * x[at + d]!;
    return y;
  };
  const y = device.tensor("y", heads);
  const z = device.tensor("z", heads);
  const value = device.tensor("v", heads);
  const out = device.tensor("out", heads);
  const salience = device.tensor("c", [1, N, H]);
  device.write(y, coordinates(await rotate(q)));
  device.write(z, coordinates(await rotate(k)));
  device.write(value, v);
  const g = new Graph();
  const [a, b] = [g.temp("a", [1, N, H, 1]), g.temp("b", [1, N, H, 1])];
  const sizes = { rows: N, nHeads: H, headDim: D, bands: 1, tau: 1 };
  taumodeForward(g, { ...sizes, y, mu, lambda: a });
  taumodeForward(g, { ...sizes, y: z, mu, lambda: b });
  const shape = { batch: 1, rows: N, capacity: N, nHeads: H, bands: 1, headDim: D, window: 0 };
  const lse = g.temp("lse", [1, N, H]);
  tauAttentionForward(g, { shape, a, b, c: salience, slope, v: value, span, out, lse });
  await (await device.compile(g, "published")).run();
  const got = (await device.read(out)) as Float64Array;
  const want = published(q, k, v, laplacian);
  const worst = got.reduce((most, x, i) => Math.max(most, Math.abs(x - want[i]!)), 0);
  expect(worst).toBeLessThan(1e-12);
});
