/**
 * Speed of matmul on a device, the best of several rounds, so that neither launch cost nor a busy machine is
 * counted. Results stay on the device and are not read back.
 */
import type { Device } from "../device.ts";
import { Graph } from "../graph.ts";
import { matmul, type Matmul } from "../kernels/matmul.ts";
import { Random } from "../random.ts";

export interface MatmulShapeSpec {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA?: 0 | 1;
  readonly transposeB?: 0 | 1;
  readonly batch?: number;
  /** 1: operands and result are held in f16 where the device can. */
  readonly half?: 0 | 1;
}

export interface MatmulSpeed extends MatmulShapeSpec {
  /** Milliseconds of one product. */
  readonly ms: number;
  readonly teraflops: number;
}

/** Shapes of a training step (rows × in × out, its input and weight gradients), and one square product. */
export const trainingShapes: readonly MatmulShapeSpec[] = [
  { m: 4096, k: 4096, n: 4096 },
  { m: 4096, k: 4096, n: 4096, half: 1 },
  { m: 32768, k: 256, n: 1024, half: 1 },
  { m: 32768, k: 1024, n: 256, transposeB: 1, half: 1 },
  { m: 256, k: 32768, n: 1024, transposeA: 1, half: 1 },
  { m: 8704, k: 384, n: 1536, half: 1 },
  { m: 8704, k: 1536, n: 384, half: 1 },
  { m: 32768, k: 256, n: 256, half: 1 },
  { m: 32768, k: 256, n: 1024 },
  { m: 32768, k: 1024, n: 256, transposeB: 1 },
  { m: 256, k: 32768, n: 1024, transposeA: 1 },
  { m: 8704, k: 384, n: 384 },
  { m: 8704, k: 384, n: 36 },
  { m: 32768, k: 256, n: 272 },
  { m: 1, k: 256, n: 1024 },
];

/** The same for the CPU's smallest preset. */
export const cpuShapes: readonly MatmulShapeSpec[] = [
  { m: 1024, k: 1024, n: 1024 },
  { m: 4096, k: 128, n: 512 },
  { m: 4096, k: 512, n: 128, transposeB: 1 },
  { m: 128, k: 4096, n: 512, transposeA: 1 },
  { m: 4096, k: 128, n: 272 },
  { m: 1, k: 128, n: 512 },
];

const ROUNDS = 5;
/** Queued work per round. */
const ROUND_FLOP = 1e9;
const MOST_REPEATS = 200;

/** Milliseconds of one product: by the device's own clock where it has one, else best wall time of many. */
async function timeProduct(device: Device, product: Matmul, flop: number): Promise<number> {
  const repeats =
    device.kind === "gpu" ? 1 : Math.max(1, Math.min(MOST_REPEATS, Math.round(ROUND_FLOP / flop)));
  const graph = new Graph();
  for (let i = 0; i < repeats; i++) matmul(graph, product);
  const program = await device.compile(graph, "bench matmul");
  await program.run();
  await device.idle();
  let best = Infinity;
  const kernels = await program.kernels?.();
  if (kernels !== undefined) best = kernels.reduce((sum, k) => sum + k.us * k.count, 0) / 1e3;
  else
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      await program.run();
      await device.idle();
      best = Math.min(best, (performance.now() - start) / repeats);
    }
  program.dispose();
  return best;
}

/** Allocates its own tensors and frees them; throws what the device throws. */
export async function benchMatmul(
  device: Device,
  shapes: readonly MatmulShapeSpec[],
): Promise<MatmulSpeed[]> {
  const speeds: MatmulSpeed[] = [];
  for (const s of shapes) {
    const batch = s.batch ?? 1;
    const flop = 2 * batch * s.m * s.k * s.n;
    const dtype = s.half === 1 ? "f16" : "f32";
    const a = device.tensor("bench a", [batch, s.m, s.k], dtype);
    const b = device.tensor("bench b", [batch, s.k, s.n], dtype);
    // A weight's gradient stays f32.
    const outType = s.transposeA === 1 ? "f32" : dtype;
    const out = device.tensor("bench out", [batch, s.m, s.n], outType);
    const random = new Random(1);
    for (const t of [a, b])
      device.write(
        t,
        Float32Array.from({ length: t.size }, () => random.uniform() - 0.5),
      );
    const ms = await timeProduct(device, { ...s, a, b, out }, flop);
    for (const t of [a, b, out]) device.free(t);
    speeds.push({ ...s, ms, teraflops: flop / ms / 1e9 });
  }
  return speeds;
}
