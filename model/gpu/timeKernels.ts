/**
 * The time of every kernel of a program at its own shape, by timestamps around many repetitions: one dispatch alone
 * costs several microseconds of pass around it, and an idle GPU runs at a fraction of its clock.
 */
import type { KernelTime } from "../device.ts";
import { storedAs, type GpuCaps, type Node } from "../graph.ts";
import type { Step } from "./submitQueue.ts";

const ROUNDS = 5;
/** Repetitions last about this long, by a first estimate. */
const ROUND_US = 400;
const MOST_REPEATS = 60;
const FIRST_REPEATS = 4;
/** A dispatch that takes longer than this stands for itself. */
const LONG_US = 4000;
/** An idle GPU takes this long to reach its clock, and longer after a longer rest: a kernel measured before reads up to
 *  five times too slow. */
const WARM_MS = 400;
/** It has reached it when nothing has become faster by this share for so long, or is taken as it is in the end. */
const FASTER = 0.02;
const STEADY_MS = 300;
const MOST_WARM_MS = 4000;
/** All dispatches of a round while warming up. */
const WARM_ROUND_US = 15_000;

export interface TimingOptions {
  /** Work before the first measurement, at least; 0 on a device that was just measured and is warm. */
  readonly warmMs?: number;
  /** The best of so many. */
  readonly rounds?: number;
}

/** What timing may use of a device. */
export interface TimingQueue {
  readonly gpu: GPUDevice;
  /** Longest submit. */
  readonly submitMs: number;
  /** Resolves when work of so many milliseconds may be submitted. */
  turn(ms: number): Promise<void>;
}

function trafficOf(node: Node, caps: GpuCaps): number {
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

/** Indices of steps in submits of at most `boundUs` where one step allows it. */
function submitsOf(us: readonly number[], boundUs: number): number[][] {
  const submits: number[][] = [];
  let sum = Infinity;
  us.forEach((time, i) => {
    if (sum + time > boundUs) {
      submits.push([]);
      sum = 0;
    }
    submits.at(-1)!.push(i);
    sum += time;
  });
  return submits;
}

/** Microseconds of each dispatch, the best of several rounds through all of them. */
export async function timeSteps(
  queue: TimingQueue,
  steps: readonly Step[],
  options: TimingOptions = {},
): Promise<number[]> {
  const { gpu } = queue;
  const { warmMs = WARM_MS, rounds = ROUNDS } = options;
  const querySet = gpu.createQuerySet({ type: "timestamp", count: 2 * steps.length });
  const bytes = 16 * steps.length;
  const resolved = gpu.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const staging = gpu.createBuffer({
    size: bytes,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  /** `expected`: microseconds of one dispatch of each. */
  const round = async (
    repeats: readonly number[],
    expected: readonly number[],
  ): Promise<number[]> => {
    const whole = expected.map((us, i) => us * repeats[i]!);
    const submits = submitsOf(whole, queue.submitMs * 1e3);
    for (const [at, submit] of submits.entries()) {
      const encoder = gpu.createCommandEncoder();
      for (const i of submit) {
        const { pipeline, group, workgroups } = steps[i]!;
        const pass = encoder.beginComputePass({
          timestampWrites: {
            querySet,
            beginningOfPassWriteIndex: 2 * i,
            endOfPassWriteIndex: 2 * i + 1,
          },
        });
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let r = 0; r < repeats[i]!; r++) pass.dispatchWorkgroups(...workgroups);
        pass.end();
      }
      if (at === submits.length - 1) {
        encoder.resolveQuerySet(querySet, 0, 2 * steps.length, resolved, 0);
        encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
      }
      const commands = encoder.finish();
      await queue.turn(submit.reduce((sum, i) => sum + whole[i]!, 0) / 1e3);
      gpu.queue.submit([commands]);
    }
    await staging.mapAsync(GPUMapMode.READ);
    const ns = new BigUint64Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return steps.map((_, i) => Number(ns[2 * i + 1]! - ns[2 * i]!) / 1e3 / repeats[i]!);
  };
  try {
    const once = steps.map(() => 1);
    // Of a slow device nothing is known yet: a submit each.
    let estimate = await round(
      once,
      steps.map(() => Infinity),
    );
    const few = estimate.map((us) => (us > LONG_US ? 1 : FIRST_REPEATS));
    const lasting = (targetUs: number): number[] =>
      estimate.map((us, i) => Math.max(few[i]!, Math.min(MOST_REPEATS, Math.ceil(targetUs / us))));
    const began = performance.now();
    let fastest = Infinity;
    let fasterAt = began;
    const isWarm = (now: number): boolean =>
      now - began >= MOST_WARM_MS || (now - began >= warmMs && now - fasterAt >= STEADY_MS);
    // Between rounds the GPU waits for us: rounds are long, or it would not reach its clock.
    const warm = lasting(WARM_ROUND_US / steps.length);
    while (warmMs > 0 && !isWarm(performance.now())) {
      estimate = await round(warm, estimate);
      const sum = estimate.reduce((total, us) => total + us, 0);
      if (sum >= fastest * (1 - FASTER)) continue;
      fastest = sum;
      fasterAt = performance.now();
    }
    const repeats = lasting(ROUND_US);
    const best = steps.map(() => Infinity);
    for (let r = 0; r < rounds; r++)
      (await round(repeats, estimate)).forEach((us, i) => (best[i] = Math.min(best[i]!, us)));
    return best;
  } finally {
    querySet.destroy();
    resolved.destroy();
    staging.destroy();
  }
}

/** Every kernel of a program, timed by itself. */
export async function timeKernels(
  queue: TimingQueue,
  caps: GpuCaps,
  steps: readonly Step[],
): Promise<readonly KernelTime[]> {
  const kinds = distinct(steps);
  const best = await timeSteps(
    queue,
    kinds.map(({ step }) => step),
  );
  return kinds.map(({ step, count }, i) => ({
    op: step.name,
    shape: shapeOf(step.node),
    count,
    us: best[i]!,
    bytes: trafficOf(step.node, caps),
    flop: flopOf(step.node),
  }));
}
