/**
 * The published synthetic task (mixingTask.ts), go-mHC beside Sinkhorn mHC, Kronecker products and permutation
 * mixtures: final loss against the least possible one, and steps until within 1 % of it, at the published learning rate
 * and at each method's best one. Medians over seeds.
 *
 * node test/bench/run.mjs streamMixing [--sizes 4,8] [--seeds 3]
 *
 * Results: media/streamMixing.json, in which sizes that are not asked for stay as they were, and media/streamMixing.svg.
 * --sizes 0 draws the plot again.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chart, type Panel } from "./chart.ts";
import { goMhc, kronecker, permutation, sinkhorn, type Method } from "./mixingMethods.ts";
import {
  firstWithin,
  makeTask,
  PUBLISHED_FLOOR,
  trainMixing,
  type Run,
  type Task,
} from "./mixingTask.ts";

const PUBLISHED_RATE = 1e-3;
const RATES = [PUBLISHED_RATE, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1];
const STEPS = 10_000;
const WITHIN = 1.01;
/** The source's own measure: first step within 5 % of a run's own end. */
const OWN = 1.05;
/** The size that is plotted, with a whole published batch per seed. */
const SHOWN = 4;
const PROBLEMS = 64;
const FEWER_PROBLEMS = 8;
const BLOCKS = [1, 2, 3];

const { values } = parseArgs({
  options: {
    sizes: { type: "string", default: "2,3,4,5,6,8,16" },
    seeds: { type: "string", default: "3" },
  },
});
const folder = join(process.cwd(), "media");
const file = join(folder, "streamMixing.json");

interface Outcome {
  readonly rate: number;
  /** Mean squared error after the last step, and as a multiple of the least possible. */
  readonly final: number;
  readonly overFloor: number;
  /** Steps until within 1 % of the least possible loss; null where half of the seeds never got there. */
  readonly steps: number | null;
  /** Steps until within 5 % of the run's own end. */
  readonly ownSteps: number;
}

interface MethodResult {
  readonly method: string;
  readonly logits: number;
  readonly published: Outcome;
  readonly best: Outcome;
  readonly sweep: readonly Outcome[];
  /** Loss of the first seed over the least possible, at the published and the best rate, thinned out; of the plotted size. */
  readonly curves: readonly (readonly (readonly [step: number, ratio: number])[])[];
}

interface SizeResult {
  readonly d: number;
  readonly problems: number;
  readonly seeds: number;
  /** Least loss that any doubly stochastic matrices have on the data. */
  readonly floor: number;
  readonly methods: readonly MethodResult[];
}

const median = (x: readonly number[]): number => {
  const sorted = x.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
};

function outcomeOf(rate: number, tasks: readonly Task[], runs: readonly Run[]): Outcome {
  const steps = median(runs.map((r, i) => firstWithin(r, WITHIN * tasks[i]!.floor) ?? Infinity));
  return {
    rate,
    final: median(runs.map((r) => r.final)),
    overFloor: median(runs.map((r, i) => r.final / tasks[i]!.floor)),
    steps: Number.isFinite(steps) ? steps : null,
    ownSteps: median(runs.map((r) => firstWithin(r, OWN * r.final) ?? r.losses.length)),
  };
}

/** The rate that comes within 1 % soonest and ends there too; if none does, the one that ends lowest. */
function bestOf(sweep: readonly Outcome[]): Outcome {
  const reached = sweep.filter((o) => o.steps !== null && o.overFloor <= WITHIN);
  return reached.length > 0
    ? reached.reduce((a, b) => (b.steps! < a.steps! ? b : a))
    : sweep.reduce((a, b) => (b.final < a.final ? b : a));
}

function thinned(run: Run, floor: number): [number, number][] {
  const steps = new Set([0, run.losses.length - 1]);
  for (let step = 1; step < run.losses.length; step = Math.ceil(step * 1.06)) steps.add(step);
  return [...steps]
    .sort((a, b) => a - b)
    .map((step) => [step, Number((run.losses[step]! / floor).toPrecision(6))]);
}

function measure(method: Method, d: number, tasks: readonly Task[]): MethodResult {
  const first = new Map<number, Run>();
  const sweep = RATES.map((rate) => {
    const runs = tasks.map((task, seed) => trainMixing(task, method, { rate, steps: STEPS, seed }));
    first.set(rate, runs[0]!);
    return outcomeOf(rate, tasks, runs);
  });
  const best = bestOf(sweep);
  return {
    method: method.name,
    logits: method.row(d).K,
    published: sweep[0]!,
    best,
    sweep,
    curves: (d === SHOWN ? [PUBLISHED_RATE, best.rate] : []).map((rate) =>
      thinned(first.get(rate)!, tasks[0]!.floor),
    ),
  };
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const cells = (o: Outcome): string =>
  [
    o.rate.toString().padStart(6),
    o.final.toFixed(6),
    `${((o.overFloor - 1) * 100).toFixed(2)} %`.padStart(10),
    String(o.steps ?? "never").padStart(6),
    String(o.ownSteps).padStart(6),
  ].join("  ");

function measureSize(d: number, seeds: number): SizeResult {
  const problems = d === SHOWN ? PROBLEMS : FEWER_PROBLEMS;
  const tasks = Array.from({ length: seeds }, (_, seed) => makeTask({ d, problems, seed }));
  const floor = median(tasks.map((t) => t.floor));
  say(
    `\nd = ${d}, ${seeds} × ${problems} problems: least loss ${floor.toFixed(6)}, published floor ${PUBLISHED_FLOOR.toFixed(6)}`,
  );
  say(
    `${"".padEnd(22)}logits    rate  final       above it    1 %   own 5 %  |  best rate, the same`,
  );
  const methods = [...BLOCKS.map(goMhc), permutation, kronecker, sinkhorn]
    .filter((m) => m.takes(d))
    .map((m) => {
      const result = measure(m, d, tasks);
      say(
        `${m.name.padEnd(22)}${String(result.logits).padStart(6)}  ${cells(result.published)}  |  ${cells(result.best)}`,
      );
      return result;
    });
  return { d, problems, seeds, floor, methods };
}

function panels(size: SizeResult): Panel[] {
  const ticks = [1, 10, 100, 1000, 10_000];
  return ["published learning rate, 0.001", "each method's best rate"].map((title, i) => ({
    title: `Mixing ${size.d} streams: ${title}`,
    x: { label: "step", from: 1, to: STEPS, log: true, ticks },
    y: {
      label: "excess over the least loss",
      from: 1e-4,
      to: 200,
      log: true,
      ticks: [1e-4, 1e-3, 0.01, 0.1, 1, 10, 100],
    },
    series: size.methods.map((m) => ({
      name: m.method,
      points: m.curves[i]!.filter(([step]) => step > 0).map(
        ([step, ratio]) => [step, ratio - 1] as const,
      ),
    })),
    mark: { y: WITHIN - 1, name: "1 %" },
  }));
}

const known = existsSync(file)
  ? (JSON.parse(readFileSync(file, "utf8")) as { sizes: SizeResult[] }).sizes
  : [];
const sizes = new Map(known.map((s) => [s.d, s]));
for (const d of values.sizes
  .split(",")
  .map(Number)
  .filter((d) => d > 0)) {
  sizes.set(d, measureSize(d, Number(values.seeds)));
  const results = [...sizes.values()].sort((a, b) => a.d - b.d);
  writeFileSync(
    file,
    `${JSON.stringify({ task: "go-mHC (arXiv 2604.02309) §5.1, noise 0.1, 100 samples, Adam, at most 10,000 steps", publishedFloor: PUBLISHED_FLOOR, rates: RATES, sizes: results })}\n`,
  );
}
const shown = sizes.get(SHOWN);
if (shown !== undefined)
  writeFileSync(
    join(folder, "streamMixing.svg"),
    chart(panels(shown), "Loss above the least possible against training steps, per mixing kind"),
  );
