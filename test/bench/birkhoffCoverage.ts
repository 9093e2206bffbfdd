/**
 * How much of the Birkhoff polytope (all doubly stochastic matrices) go-mHC reaches as its blocks grow, beside
 * Kronecker products, permutation mixtures and Sinkhorn: the share of random targets that some logits come within 0.001
 * of (Frobenius), and how far the others stay. Then the edges from the identity to a cycle of three, of which blocks of
 * O reach just the multiples of 1/O. Source: go-mHC (arXiv 2604.02309) on the expressivity of generalized
 * orthostochastic matrices; the measure is ours.
 *
 * node test/bench/run.mjs birkhoffCoverage [--targets 100]
 *
 * Results: media/birkhoffCoverage.json and media/birkhoffCoverage.svg.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { permutations } from "../../model/cpu/permutationMixing.ts";
import { Random } from "../../model/random.ts";
import { chart, type Panel } from "./chart.ts";
import { goMhc, kronecker, permutation, sinkhorn, type Method } from "./mixingMethods.ts";
import { sinkhornTarget } from "./mixingTask.ts";
import { nearest } from "./nearest.ts";

const REACHED = 1e-3;
const STARTS = 6;
const SIZES = [3, 4];
const SHOWN = 4;
const BLOCKS = [1, 2, 3, 4];
const EDGE_STARTS = 16;
const EDGE_POINTS = 24;

const { values } = parseArgs({ options: { targets: { type: "string", default: "100" } } });
const nTargets = Number(values.targets);

/** Uniform in the polytope, by rejection of its first (d − 1)² entries. */
function uniformTarget(d: number, random: Random): Float64Array {
  const t = new Float64Array(d * d);
  for (;;) {
    let corner = 2 - d;
    let fits = true;
    for (let i = 0; i < d - 1 && fits; i++) {
      let rest = 1;
      for (let j = 0; j < d - 1; j++) rest -= t[i * d + j] = random.uniform();
      t[i * d + d - 1] = rest;
      corner += 1 - rest;
      fits = rest >= 0;
    }
    for (let j = 0; j < d - 1 && fits; j++) {
      let rest = 1;
      for (let i = 0; i < d - 1; i++) rest -= t[i * d + j]!;
      t[(d - 1) * d + j] = rest;
      fits = rest >= 0;
    }
    t[d * d - 1] = corner;
    if (fits && corner >= 0) return t;
  }
}

/** Mixtures of all permutations with Dirichlet weights of this concentration: near low-dimensional faces if small. */
function dirichletTarget(d: number, random: Random, concentration: number): Float64Array {
  const orders = permutations(d);
  const weights = orders.map(() => gamma(concentration, random));
  const total = weights.reduce((a, x) => a + x, 0);
  const t = new Float64Array(d * d);
  orders.forEach((order, k) =>
    order.forEach((column, i) => (t[i * d + column]! += weights[k]! / total)),
  );
  return t;
}

/** Marsaglia and Tsang's method, raised to shapes above 1. */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < (x * x) / 2 + d - d * v + d * Math.log(v))
      return d * v;
  }
}

const LAWS: readonly { name: string; draw(d: number, random: Random): Float64Array }[] = [
  { name: "uniform", draw: uniformTarget },
  { name: "the source's", draw: sinkhornTarget },
  { name: "near faces", draw: (d, random) => dirichletTarget(d, random, 0.05) },
];

const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface Cell {
  readonly d: number;
  readonly law: string;
  readonly method: string;
  readonly logits: number;
  /** Share of the targets reached. */
  readonly share: number;
  /** Mean distance over all targets. */
  readonly distance: number;
}

function coverage(): Cell[] {
  const cells: Cell[] = [];
  for (const d of SIZES)
    for (const law of LAWS) {
      const random = new Random(d, 3);
      const targets = Array.from({ length: nTargets }, () => law.draw(d, random));
      for (const method of [...BLOCKS.map(goMhc), kronecker, permutation, sinkhorn]) {
        if (!method.takes(d)) continue;
        const row = method.row(d);
        const starts = new Random(d, 4);
        const distances = targets.map((target) =>
          nearest(row, target, {
            draw: method.draw,
            random: starts,
            starts: STARTS,
            enough: REACHED / 2,
          }),
        );
        const share = distances.filter((x) => x < REACHED).length / nTargets;
        const distance = distances.reduce((a, x) => a + x, 0) / nTargets;
        cells.push({ d, law: law.name, method: method.name, logits: row.K, share, distance });
        say(
          `d ${d}  ${law.name.padEnd(13)} ${method.name.padEnd(20)} K ${String(row.K).padStart(3)}  reached ${(100 * share).toFixed(0).padStart(3)} %  mean distance ${distance.toFixed(4)}`,
        );
      }
    }
  return cells;
}

interface Edge {
  readonly method: string;
  /** Share of the cycle, distance. */
  readonly points: readonly (readonly [t: number, distance: number])[];
}

/** Distance to (1 − t) I + t P, P the cycle of the first three of four. */
function edges(): Edge[] {
  const d = SHOWN;
  const cycle = [1, 2, 0, 3];
  return [...BLOCKS.map(goMhc), kronecker].map((method: Method) => {
    const row = method.row(d);
    const random = new Random(7);
    const points = Array.from({ length: EDGE_POINTS + 1 }, (_, n): [number, number] => {
      const t = n / EDGE_POINTS;
      const target = new Float64Array(d * d);
      for (let i = 0; i < d; i++) {
        target[i * d + i]! += 1 - t;
        target[i * d + cycle[i]!]! += t;
      }
      const distance = nearest(row, target, {
        draw: method.draw,
        random,
        starts: EDGE_STARTS,
        enough: REACHED / 2,
      });
      return [t, Number(distance.toFixed(5))];
    });
    say(
      `edge  ${method.name.padEnd(20)} ${points.map(([t, x]) => `${t.toFixed(2)}:${x.toFixed(3)}`).join(" ")}`,
    );
    return { method: method.name, points };
  });
}

const cells = coverage();
const lines = edges();
const folder = join(process.cwd(), "media");
writeFileSync(
  join(folder, "birkhoffCoverage.json"),
  `${JSON.stringify({ reachedBelow: REACHED, targets: nTargets, starts: STARTS, coverage: cells, edges: lines })}\n`,
);

const share = (law: string, method: string): number =>
  100 * cells.find((c) => c.d === SHOWN && c.law === law && c.method === method)!.share;
/** Against O for go-mHC, level lines for the others at their worst law. */
const byBlock: Panel["series"] = [
  ...LAWS.map((law) => ({
    name: `go-mHC, ${law.name}`,
    points: BLOCKS.map((O) => [O, share(law.name, goMhc(O).name)] as const),
    dots: true as const,
  })),
  ...[permutation, kronecker].map(({ name }) => {
    const worst = Math.min(...LAWS.map((law) => share(law.name, name)));
    return { name, points: [BLOCKS[0]!, BLOCKS.at(-1)!].map((O) => [O, worst] as const) };
  }),
];
const panels: Panel[] = [
  {
    title: `Random targets reached, d = ${SHOWN}`,
    x: { label: "block size O", from: 1, to: 4, ticks: BLOCKS },
    y: { label: "% within 0.001", from: 0, to: 100, ticks: [0, 20, 40, 60, 80, 100] },
    series: byBlock,
  },
  {
    title: `From the identity to a cycle of three, d = ${SHOWN}`,
    x: { label: "share of the cycle", from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1] },
    y: { label: "distance to the nearest", from: 0, to: 0.4, ticks: [0, 0.1, 0.2, 0.3, 0.4] },
    series: lines.map((e) => ({ name: e.method, points: e.points })),
  },
];
writeFileSync(
  join(folder, "birkhoffCoverage.svg"),
  chart(panels, "Share of the Birkhoff polytope reached by block size, and distance along an edge"),
);
