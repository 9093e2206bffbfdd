/** How the optimizer packs parameters and batches matrices, from the recorded program alone. */
import { describe, expect, test } from "vitest";
import { presetConfig, type ModelConfig } from "../../model/config.ts";
import type { Device } from "../../model/device.ts";
import { Graph, makeTensor, VIEW_ALIGN, type Tensor } from "../../model/graph.ts";
import { muonTable, planMuon, type MuonMatrix } from "../../model/muonPlan.ts";
import { Optimizer } from "../../model/optimizer.ts";
import { packLayout, sizeOf } from "../../model/pack.ts";
import { paramTable } from "../../model/params.ts";
import { Trainer } from "../../model/trainer.ts";
import { tinyConfig, tinySpectrum } from "../support/tinyModel.ts";

/** An optimizer pass costs a few microseconds a dispatch, whatever the dispatch does. */
const MOST_DISPATCHES = 110;

/** Holds nothing, and keeps the last graph it was given and where views lie. */
function paperDevice(half: 0 | 1 = 0) {
  const places = new Map<number, { parent: Tensor; start: number }>();
  const graphs: Graph[] = [];
  const device = {
    kind: "gpu",
    name: "paper",
    half,
    tensor: (name: string, shape: readonly number[], dtype: Tensor["dtype"] = "f32") =>
      makeTensor(name, shape, dtype, "persistent"),
    view: (parent: Tensor, name: string, shape: readonly number[], start: number) => {
      const t = makeTensor(name, shape, parent.dtype, "persistent");
      expect(start % VIEW_ALIGN).toBe(0);
      expect(start + t.size).toBeLessThanOrEqual(parent.size);
      places.set(t.id, { parent, start });
      return t;
    },
    write: () => {},
    compile: async (graph: Graph, label: string) => {
      graphs.push(graph);
      return { label, temporaryBytes: 0 };
    },
  };
  return { device: device as unknown as Device, places, graphs };
}

const configs: readonly [string, ModelConfig][] = [
  ["nano", presetConfig("nano")],
  ["small", presetConfig("small")],
  ["base", presetConfig("base")],
  ["small with dot attention", presetConfig("small", { attention: "dot", residual: "plain" })],
  ["tiny", tinyConfig()],
];

describe("an optimizer pass", () => {
  test.each(configs)("takes few dispatches: %s", (_name, config) => {
    const g = new Graph();
    const specs = paramTable(config, tinySpectrum());
    new Optimizer(paperDevice().device, config, specs).record(g);
    expect(g.nodes.length).toBeLessThan(MOST_DISPATCHES);
  });

  test.each(configs)(
    "binds no buffer to be read and written at once: %s",
    async (_name, config) => {
      const { device, places, graphs } = paperDevice(1);
      await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 1 });
      for (const { op, tensors } of graphs[0]!.nodes) {
        const uses = tensors.map((t, i) => {
          const { parent, start } = places.get(t.id) ?? { parent: t, start: 0 };
          return { buffer: parent.id, start, end: start + t.size, write: op.access[i] !== "read" };
        });
        for (const [i, a] of uses.entries())
          for (const b of uses.slice(i + 1)) {
            if (a.buffer !== b.buffer || (!a.write && !b.write)) continue;
            const apart = a.end <= b.start || b.end <= a.start;
            if (!(a.write && b.write && apart))
              expect.fail(`${op.name}: ${tensors.map((t) => t.name).join(", ")}`);
          }
      }
    },
  );

  test("keeps the names and shapes that checkpoints have", () => {
    const specs = paramTable(presetConfig("small"), tinySpectrum());
    const o = new Optimizer(paperDevice().device, presetConfig("small"), specs);
    const shapes = (of: ReadonlyMap<string, Tensor>) => [...of].map(([n, t]) => [n, t.shape]);
    const trained = specs.filter((s) => s.optimizer !== "fixed");
    expect(shapes(o.params)).toEqual(specs.map((s) => [s.name, s.shape]));
    expect(shapes(o.ema)).toEqual(specs.map((s) => [s.name, s.shape]));
    expect(shapes(o.gradients)).toEqual(trained.map((s) => [s.name, s.shape]));
    const moments = { adam: ["m", "v"], muon: ["momentum"], fixed: [], sparse: [] };
    expect(shapes(o.state)).toEqual(
      specs.flatMap((s) => moments[s.optimizer].map((m) => [`${s.name}.${m}`, s.shape])),
    );
  });
});

describe("packLayout", () => {
  test.each(configs)("gives every trained parameter its own aligned place: %s", (_name, config) => {
    const specs = paramTable(config, tinySpectrum()).filter((s) => s.optimizer !== "fixed");
    const { offsets, adam, muon, whole } = packLayout(specs);
    const placed = specs
      .map((s) => ({ at: offsets.get(s.name)!, size: sizeOf(s), optimizer: s.optimizer }))
      .sort((a, b) => a.at - b.at);
    placed.forEach(({ at, size, optimizer }, i) => {
      expect(at % VIEW_ALIGN).toBe(0);
      expect(at + size).toBeLessThanOrEqual(placed[i + 1]?.at ?? whole.size);
      const region = optimizer === "adam" ? adam : muon;
      expect(at).toBeGreaterThanOrEqual(region.start);
      expect(at + size).toBeLessThanOrEqual(region.start + region.size);
    });
    expect(adam.size + muon.size).toBe(whole.size);
  });
});

describe("planMuon", () => {
  const place = (shapes: readonly (readonly [number, number])[]): MuonMatrix[] => {
    let at = 0;
    return shapes.map(([rows, cols]) => {
      const offset = at;
      at += Math.ceil((rows * cols) / VIEW_ALIGN) * VIEW_ALIGN;
      return { offset, rows, cols };
    });
  };

  test("puts a shape and its transpose into one batch", () => {
    const { groups } = planMuon(place([16, 64, 16, 64].map((n) => [n, 80 - n] as const)));
    expect(groups).toEqual([{ side: 16, length: 64, first: 0, count: 4 }]);
  });

  test("pads a lone small matrix into a larger batch, but not where that costs much", () => {
    const large = Array.from({ length: 24 }, () => [256, 1024] as const);
    expect(planMuon(place([...large, [16, 20]])).groups).toHaveLength(1);
    expect(
      planMuon(place([...large, ...large.map(() => [192, 192] as const)])).groups,
    ).toHaveLength(2);
  });

  test.each(configs)("covers every matrix once: %s", (_name, config) => {
    const shapes = paramTable(config, tinySpectrum())
      .filter((s) => s.optimizer === "muon")
      .map((s) => s.shape as [number, number]);
    const matrices = place(shapes);
    const plan = planMuon(matrices);
    expect(new Set(plan.matrices)).toEqual(new Set(matrices));
    expect(plan.matrices).toHaveLength(matrices.length);
    expect(muonTable(plan)).toHaveLength(4 * matrices.length);
    let next = 0;
    for (const { first, count, side, length } of plan.groups) {
      expect(first).toBe(next);
      next += count;
      for (const m of plan.matrices.slice(first, next)) {
        expect(Math.min(m.rows, m.cols)).toBeLessThanOrEqual(side);
        expect(Math.max(m.rows, m.cols)).toBeLessThanOrEqual(length);
      }
    }
    expect(next).toBe(matrices.length);
  });
});
