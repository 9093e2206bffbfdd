/**
 * The time of every kernel of a program at its own shape, by timestamps around many repetitions: one dispatch alone
 * costs several microseconds of pass around it, and an idle GPU runs at a fraction of its clock.
 */
import type { KernelTime } from "../device.ts";
import { storedAs, type Node } from "../graph.ts";
import type { GpuDevice } from "./device.ts";
import type { Step } from "./submitQueue.ts";

const ROUNDS = 5;
/** Repetitions last about this long, by a first estimate. */
const ROUND_US = 400;
const MOST_REPEATS = 60;
const FIRST_REPEATS = 4;
/** An idle GPU takes this long to reach its clock: a kernel measured before reads up to five times too slow. */
const WARM_MS = 400;
const MOST_WARM_ROUNDS = 2000;

function trafficOf(node: Node, caps: GpuDevice["caps"]): number {
  return node.tensors.reduce((sum, t, i) => {
    const bytes = t.size * (storedAs(t, caps) === "f16" ? 2 : 4);
    return sum + (node.op.access[i] === "readWrite" ? 2 : 1) * bytes;
  }, 0);
}

const flopOf = (node: Node): number => node.op.flop?.(node.params) ?? 0;

const SHAPES = [
  "batch",
  "m",
  "k",
  "n",
  "rows",
  "size",
  "T",
  "S",
  "C",
  "nHeads",
  "bands",
  "headDim",
];
const shapeOf = (node: Node): string =>
  SHAPES.filter((name) => node.params[name] !== undefined)
    .map((name) => `${name} ${node.params[name]}`)
    .concat(
      node.params["transposeA"] === 1 ? ["Aᵀ"] : [],
      node.params["transposeB"] === 1 ? ["Bᵀ"] : [],
    )
    .join(" ");

/** Distinct kernels with how often they stand in the list. */
function distinct(steps: readonly Step[]): { step: Step; count: number }[] {
  const found = new Map<string, { step: Step; count: number }>();
  for (const step of steps) {
    const known = found.get(step.kind);
    if (known === undefined) found.set(step.kind, { step, count: 1 });
    else known.count++;
  }
  return [...found.values()];
}

export async function timeKernels(
  device: GpuDevice,
  steps: readonly Step[],
): Promise<readonly KernelTime[]> {
  const { gpu } = device;
  const kinds = distinct(steps);
  const querySet = gpu.createQuerySet({ type: "timestamp", count: 2 * kinds.length });
  const bytes = 16 * kinds.length;
  const resolved = gpu.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const staging = gpu.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const round = async (repeats: readonly number[]): Promise<number[]> => {
    const encoder = gpu.createCommandEncoder();
    kinds.forEach(({ step }, i) => {
      const pass = encoder.beginComputePass({
        timestampWrites: {
          querySet,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        },
      });
      pass.setPipeline(step.pipeline);
      pass.setBindGroup(0, step.group);
      for (let r = 0; r < repeats[i]!; r++) pass.dispatchWorkgroups(...step.workgroups);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, 2 * kinds.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const ns = new BigUint64Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return kinds.map((_, i) => Number(ns[2 * i + 1]! - ns[2 * i]!) / 1e3 / repeats[i]!);
  };
  const few = kinds.map(() => FIRST_REPEATS);
  let estimate = await round(few);
  const started = performance.now();
  for (let i = 0; i < MOST_WARM_ROUNDS && performance.now() - started < WARM_MS; i++)
    estimate = await round(few);
  const repeats = estimate.map((us) =>
    Math.max(FIRST_REPEATS, Math.min(MOST_REPEATS, Math.ceil(ROUND_US / us))),
  );
  const best = kinds.map(() => Infinity);
  for (let r = 0; r < ROUNDS; r++)
    (await round(repeats)).forEach((us, i) => (best[i] = Math.min(best[i]!, us)));
  querySet.destroy();
  resolved.destroy();
  staging.destroy();
  return kinds.map(({ step, count }, i) => ({
    op: step.name,
    shape: shapeOf(step.node),
    count,
    us: best[i]!,
    bytes: trafficOf(step.node, device.caps),
    flop: flopOf(step.node),
  }));
}
