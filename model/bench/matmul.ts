/**
 * Speed of matmul on a device: wall time over many queued products, the best of several rounds, so that neither
 * launch cost nor a busy machine is counted. Results stay on the device and are not read back.
 */
import type { Device } from "../device.ts";
import { Graph } from "../graph.ts";
import { matmul } from "../kernels/matmul.ts";
import { Random } from "../random.ts";

export interface MatmulShapeSpec {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA?: 0 | 1;
  readonly transposeB?: 0 | 1;
  readonly batch?: number;
  /** Forces one entry of the tile table (GPU). */
  readonly tile?: number;
}

export interface MatmulSpeed extends MatmulShapeSpec {
  /** Milliseconds of one product. */
  readonly ms: number;
  readonly teraflops: number;
}

/** Shapes of a training step (rows × in × out, its input and weight gradients), and one square product. */
export const trainingShapes: readonly MatmulShapeSpec[] = [
  { m: 4096, k: 4096, n: 4096 },
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
const ROUND_FLOP = { gpu: 2e12, cpu: 1e9 } as const;
const MOST_REPEATS = 200;

/** Allocates its own tensors and frees them; throws what the device throws. */
export async function benchMatmul(
  device: Device,
  shapes: readonly MatmulShapeSpec[],
): Promise<MatmulSpeed[]> {
  const speeds: MatmulSpeed[] = [];
  for (const s of shapes) {
    const batch = s.batch ?? 1;
    const flop = 2 * batch * s.m * s.k * s.n;
    const repeats = Math.max(1, Math.min(MOST_REPEATS, Math.round(ROUND_FLOP[device.kind] / flop)));
    const a = device.tensor("bench a", [batch, s.m, s.k]);
    const b = device.tensor("bench b", [batch, s.k, s.n]);
    const out = device.tensor("bench out", [batch, s.m, s.n]);
    const random = new Random(1);
    for (const t of [a, b])
      device.write(
        t,
        Float32Array.from({ length: t.size }, () => random.uniform() - 0.5),
      );
    const graph = new Graph();
    for (let i = 0; i < repeats; i++) matmul(graph, { ...s, a, b, out });
    const program = await device.compile(graph, "bench matmul");
    await program.run();
    await device.idle();
    let best = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      await program.run();
      await device.idle();
      best = Math.min(best, performance.now() - start);
    }
    program.dispose();
    for (const t of [a, b, out]) device.free(t);
    const ms = best / repeats;
    speeds.push({ ...s, ms, teraflops: flop / ms / 1e9 });
  }
  return speeds;
}
