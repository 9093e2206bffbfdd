/**
 * The synthetic stream-mixing task: find doubly stochastic matrices from inputs and noisy outputs.
 * Source: toy_models/dynamics.ipynb of the authors' repository of go-mHC (arXiv 2604.02309), §5.1: 64 problems at
 * once, per problem 100 inputs d·U[0, 1) and outputs T x + 0.1·U[0, 1), T made by 20 Sinkhorn steps from U[0, 1);
 * mean squared error over the whole batch, Adam without decay.
 * Here in float64, and through the second moments of each problem's data: the same loss and gradient as of all samples.
 */
import { Random } from "../../model/random.ts";
import type { Method } from "./mixingMethods.ts";

const SAMPLES = 100;
const NOISE = 0.1;
const TARGET_STEPS = 20;
/** Problems that a published batch holds: gradients are those of its mean, however many are looked at. */
const BATCH = 64;
const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-6;
/** A run ends early once this many steps have lowered the loss by less than this share. */
const PLATEAU_STEPS = 1000;
const PLATEAU_SHARE = 1e-5;

/** What the source calls the theoretical minimum: the second moment of the noise. */
export const PUBLISHED_FLOOR = (NOISE * NOISE) / 3;

interface Problem {
  /** Σ x xᵀ, Σ y xᵀ and Σ yᵀy. */
  readonly gram: Float64Array;
  readonly cross: Float64Array;
  readonly energy: number;
}

export interface Task {
  readonly d: number;
  readonly problems: readonly Problem[];
  /** The least loss that any doubly stochastic matrices have on these data. */
  readonly floor: number;
}

/** The source's targets: entries U[0, 1), then rows and columns in turn divided by their sums. */
export function sinkhornTarget(d: number, random: Random, steps = TARGET_STEPS): Float64Array {
  const t = Float64Array.from({ length: d * d }, () => random.uniform());
  for (let step = 0; step < steps; step++)
    for (const [along, across] of [
      [1, d],
      [d, 1],
    ] as const)
      for (let line = 0; line < d; line++) {
        let sum = 0;
        for (let k = 0; k < d; k++) sum += t[line * across + k * along]!;
        for (let k = 0; k < d; k++) t[line * across + k * along]! /= sum;
      }
  return t;
}

function makeProblem(d: number, random: Random): Problem {
  const target = sinkhornTarget(d, random);
  const gram = new Float64Array(d * d);
  const cross = new Float64Array(d * d);
  let energy = 0;
  for (let n = 0; n < SAMPLES; n++) {
    const x = Float64Array.from({ length: d }, () => d * random.uniform());
    for (let i = 0; i < d; i++) {
      let y = NOISE * random.uniform();
      for (let j = 0; j < d; j++) y += target[i * d + j]! * x[j]!;
      energy += y * y;
      for (let j = 0; j < d; j++) {
        cross[i * d + j]! += y * x[j]!;
        gram[i * d + j]! += x[i]! * x[j]!;
      }
    }
  }
  return { gram, cross, energy };
}

/** Adds up Σ ‖B x − y‖² of one problem; its gradient in B goes to dB. */
function squares(p: Problem, d: number, b: Float64Array, dB: Float64Array): number {
  let sum = p.energy;
  for (let i = 0; i < d; i++)
    for (let j = 0; j < d; j++) {
      let product = 0;
      for (let k = 0; k < d; k++) product += b[i * d + k]! * p.gram[k * d + j]!;
      const c = p.cross[i * d + j]!;
      sum += b[i * d + j]! * (product - 2 * c);
      dB[i * d + j] = 2 * (product - c);
    }
  return sum;
}

/** Inverse of a symmetric positive definite matrix. */
function inverse(a: Float64Array, n: number): Float64Array {
  const w = Float64Array.from(a);
  for (let k = 0; k < n; k++) {
    const pivot = 1 / w[k * n + k]!;
    w[k * n + k] = 1;
    for (let j = 0; j < n; j++) w[k * n + j]! *= pivot;
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = w[i * n + k]!;
      w[i * n + k] = 0;
      for (let j = 0; j < n; j++) w[i * n + j]! -= factor * w[k * n + j]!;
    }
  }
  return w;
}

/**
 * The doubly stochastic B with the least squares, by alternating directions: B keeps the sums, Z the signs. With
 * H = 2·gram + ρI the rows of B are (2c_i + ρ(z_i − u_i) + λ_i 1 + μ) H⁻¹, λ and μ from the sums.
 */
function best(p: Problem, d: number): Float64Array {
  const rho = (2 * SAMPLES * d * d) / 12;
  const h = Float64Array.from(p.gram, (g, o) => 2 * g + (o % (d + 1) === 0 ? rho : 0));
  const inv = inverse(h, d);
  const sums = Float64Array.from({ length: d }, (_, j) =>
    inv.subarray(j * d, (j + 1) * d).reduce((a, x) => a + x, 0),
  );
  const total = sums.reduce((a, x) => a + x, 0);
  const heights = Float64Array.from({ length: d }, (_, j) =>
    h.subarray(j * d, (j + 1) * d).reduce((a, x) => a + x, 0),
  );
  const b = new Float64Array(d * d);
  const z = new Float64Array(d * d).fill(1 / d);
  const u = new Float64Array(d * d);
  const r = new Float64Array(d * d);
  for (let step = 0; step < 20_000; step++) {
    for (let o = 0; o < d * d; o++) r[o] = 2 * p.cross[o]! + rho * (z[o]! - u[o]!);
    const mu = Float64Array.from({ length: d }, (_, j) => {
      let sum = heights[j]!;
      for (let i = 0; i < d; i++) sum -= r[i * d + j]!;
      return sum / d;
    });
    let apart = 0;
    for (let i = 0; i < d; i++) {
      let lambda = 1;
      for (let j = 0; j < d; j++) lambda -= (r[i * d + j]! + mu[j]!) * sums[j]!;
      lambda /= total;
      for (let j = 0; j < d; j++) {
        let sum = 0;
        for (let k = 0; k < d; k++) sum += (r[i * d + k]! + mu[k]! + lambda) * inv[k * d + j]!;
        const o = i * d + j;
        b[o] = sum;
        const kept = Math.max(0, sum + u[o]!);
        apart = Math.max(apart, Math.abs(sum - kept), Math.abs(kept - z[o]!));
        z[o] = kept;
        u[o]! += sum - kept;
      }
    }
    if (apart < 1e-10) return b;
  }
  throw new Error("the least loss was not found");
}

export function makeTask(o: { d: number; problems: number; seed: number }): Task {
  const random = new Random(o.seed, 1);
  const problems = Array.from({ length: o.problems }, () => makeProblem(o.d, random));
  const scratch = new Float64Array(o.d * o.d);
  const floor =
    problems.reduce((sum, p) => sum + squares(p, o.d, best(p, o.d), scratch), 0) /
    (o.problems * SAMPLES * o.d);
  return { d: o.d, problems, floor };
}

export interface Run {
  /** After every step, the start first. */
  readonly losses: readonly number[];
  readonly final: number;
}

/** Trains one matrix per problem, at most `steps` steps of Adam. */
export function trainMixing(
  task: Task,
  method: Method,
  o: { rate: number; steps: number; seed: number },
): Run {
  const { d, problems } = task;
  const row = method.row(d);
  const K = row.K;
  const random = new Random(o.seed, 2);
  const a = Float64Array.from({ length: K * problems.length }, () => method.draw(random));
  const m = new Float64Array(a.length);
  const v = new Float64Array(a.length);
  const mix = new Float64Array(d * d);
  const dMix = new Float64Array(d * d);
  const dA = new Float64Array(K);
  const perBatch = 1 / (BATCH * SAMPLES * d);
  const perLoss = 1 / (problems.length * SAMPLES * d);
  const losses: number[] = [];
  /** Least loss up to a step. */
  const least: number[] = [];
  const plateau = Math.min(PLATEAU_STEPS, Math.max(200, Math.ceil(1 / o.rate)));
  for (let step = 0; ; step++) {
    const correct1 = 1 - BETA1 ** (step + 1);
    const correct2 = 1 - BETA2 ** (step + 1);
    let loss = 0;
    problems.forEach((p, index) => {
      const from = index * K;
      const logits = a.subarray(from, from + K);
      row.forward(logits, mix);
      loss += squares(p, d, mix, dMix);
      for (let i = 0; i < d * d; i++) dMix[i]! *= perBatch;
      row.backward(logits, dMix, dA);
      for (let k = 0; k < K; k++) {
        const g = dA[k]!;
        const at = from + k;
        m[at] = BETA1 * m[at]! + (1 - BETA1) * g;
        v[at] = BETA2 * v[at]! + (1 - BETA2) * g * g;
        a[at]! -=
          (method.stride * o.rate * (m[at] / correct1)) / (Math.sqrt(v[at] / correct2) + EPSILON);
      }
    });
    loss *= perLoss;
    losses.push(loss);
    least.push(Math.min(loss, least[step - 1] ?? Infinity));
    const before = least[step - plateau];
    if (step === o.steps || (before !== undefined && least[step]! > before * (1 - PLATEAU_SHARE)))
      return { losses, final: loss };
  }
}

/** The first step whose loss is at most this, if there is one. */
export const firstWithin = (run: Run, loss: number): number | undefined => {
  const step = run.losses.findIndex((x) => x <= loss);
  return step < 0 ? undefined : step;
};
