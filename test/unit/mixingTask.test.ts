/** The synthetic mixing task of test/bench: its least loss, its gradients, what each kind can reach. */
import { describe, expect, test } from "vitest";
import { Random } from "../../model/random.ts";
import { chart } from "../bench/chart.ts";
import { goMhc, kronecker, permutation, sinkhorn } from "../bench/mixingMethods.ts";
import { firstWithin, makeTask, PUBLISHED_FLOOR, trainMixing } from "../bench/mixingTask.ts";
import { nearest } from "../bench/nearest.ts";

describe("synthetic mixing task", () => {
  test("has a least loss a little below the published floor, as overfitting the noise predicts", () => {
    // noise² (1/4 + (1/12)(1 − (d − 1)² / (100 d))): the mean cannot be fitted, (d − 1)² freedoms are.
    for (const d of [2, 4, 8]) {
      const { floor } = makeTask({ d, problems: 64, seed: 5 });
      const expected = 0.01 * (1 / 4 + (1 / 12) * (1 - (d - 1) ** 2 / (100 * d)));
      expect(Math.abs(floor / expected - 1)).toBeLessThan(0.03);
      expect(floor).toBeLessThan(PUBLISHED_FLOOR * 1.02);
    }
  });

  test("cannot be solved better by matrices that are exactly doubly stochastic, and is solved that well", () => {
    const task = makeTask({ d: 3, problems: 4, seed: 1 });
    for (const method of [goMhc(2), permutation]) {
      const run = trainMixing(task, method, { rate: 0.03, steps: 3000, seed: 1 });
      expect(Math.min(...run.losses)).toBeGreaterThan(task.floor * (1 - 1e-9));
      expect(run.final).toBeLessThan(task.floor * 1.01);
      expect(firstWithin(run, 1.01 * task.floor)).toBeLessThan(run.losses.length);
    }
  });

  test("leaves Kronecker products and blocks of one far above the least loss", () => {
    const task = makeTask({ d: 4, problems: 8, seed: 2 });
    for (const method of [kronecker, goMhc(1)]) {
      const run = trainMixing(task, method, { rate: 0.03, steps: 1500, seed: 1 });
      expect(run.final).toBeGreaterThan(2 * task.floor);
      expect(firstWithin(run, 1.01 * task.floor)).toBeUndefined();
    }
  });

  test("starts go-mHC where the source does", () => {
    // Mean squared error at U[0, 1) starts of R: 0.41, 0.17 to 0.18 and 0.13 for blocks of 1, 2 and 3.
    const task = makeTask({ d: 4, problems: 256, seed: 3 });
    for (const [O, loss] of [
      [1, 0.41],
      [2, 0.175],
      [3, 0.13],
    ] as const) {
      const run = trainMixing(task, goMhc(O), { rate: 1e-3, steps: 0, seed: 1 });
      expect(Math.abs(run.losses[0]! / loss - 1)).toBeLessThan(0.1);
    }
  });
});

describe("nearest matrix", () => {
  const enough = 1e-9;
  const at = (t: number): Float64Array => Float64Array.of(1 - t, t, 0, 0, 1 - t, t, t, 0, 1 - t);

  test("on the edge to a cycle of three has the known distance for each block size", () => {
    // go-mHC reaches the multiples of 1/O alone: distances at a quarter.
    for (const [O, distance] of [
      [1, 0.182],
      [2, 0.118],
      [3, 0.061],
    ] as const) {
      const method = goMhc(O);
      const found = nearest(method.row(3), at(0.25), {
        draw: method.draw,
        random: new Random(1),
        starts: 12,
        enough,
      });
      expect(Math.abs(found - distance)).toBeLessThan(1e-3);
    }
  });

  test("is the target itself for permutation mixtures and, inside, for Sinkhorn", () => {
    const inside = at(0.3).map((x) => 0.7 * x + 0.1);
    for (const method of [permutation, sinkhorn])
      expect(
        nearest(method.row(3), inside, {
          draw: method.draw,
          random: new Random(1),
          starts: 3,
          enough: 1e-8,
        }),
      ).toBeLessThan(1e-7);
  });
});

test("a chart clips to its axes, escapes names and follows the reader's theme", () => {
  const svg = chart(
    [
      {
        title: "a < b",
        x: { label: "x", from: 1, to: 100, log: true, ticks: [1, 10, 100] },
        y: { label: "y", from: 0, to: 1, ticks: [0, 1] },
        series: [
          {
            name: "one & two",
            points: [
              [1, 0],
              [100, 1],
              [0, 0.5],
            ],
          },
        ],
      },
    ],
    "alternative",
  );
  expect(svg).toContain("a &lt; b");
  expect(svg).toContain("one &amp; two");
  expect(svg).toContain("prefers-color-scheme:dark");
  expect(svg).toContain('d="M0.0 214.0L332.0 0.0L-50.0 107.0"');
  expect(svg).toContain('<g clip-path="url(#panel0)">');
});
