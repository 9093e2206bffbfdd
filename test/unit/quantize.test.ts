/** Weights in 8 and 4 bits: what they keep, what they cost, and what is refused. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readManifest } from "../../model/checkpoint.ts";
import { exportQuantized } from "../../model/export/quantized.ts";
import { Model } from "../../model/model.ts";
import { tensorTable, type ParamSpec } from "../../model/params.ts";
import { dequantize, quantize, type Quantization } from "../../model/quantize.ts";
import { Random } from "../../model/random.ts";
import {
  decodeRaw,
  encodeRaw,
  type RawTensor,
  type StoredTensor,
} from "../../model/safetensors.ts";
import { readWeights } from "../../model/weights.ts";
import { lively, saveTiny } from "../support/savedModel.ts";
import { tinyConfig } from "../support/tinyModel.ts";

const spec = (name: string, shape: readonly number[]): ParamSpec => ({
  name,
  shape,
  optimizer: "muon",
  init: () => undefined,
});
const one = (shape: readonly number[], data: Float32Array) => new Map([["m", { shape, data }]]);

/** What a file of such weights gives back. */
function roundTrip(
  table: readonly ParamSpec[],
  weights: ReadonlyMap<string, StoredTensor>,
  kind: Quantization,
): Map<string, StoredTensor> {
  return dequantize(table, decodeRaw(encodeRaw(quantize(table, weights, kind)), "f"), "f");
}

const matrices = fc
  .record({
    rows: fc.integer({ min: 16, max: 40 }),
    columns: fc.integer({ min: 16, max: 41 }),
    seed: fc.nat(),
    spread: fc.constantFrom(1e-3, 1, 100),
  })
  .map(({ rows, columns, seed, spread }) => {
    const random = new Random(seed);
    const data = Float32Array.from({ length: rows * columns }, () => spread * random.normal());
    // A row and a stretch of nothing.
    data.fill(0, columns, 2 * columns);
    return { shape: [rows, columns] as const, data };
  });

describe("quantized weights", () => {
  test("in 8 bits are off by at most half a step of their row", () => {
    fc.assert(
      fc.property(matrices, ({ shape, data }) => {
        const [rows, columns] = shape;
        const got = roundTrip([spec("m", shape)], one(shape, data), "int8").get("m")!;
        expect(got.shape).toEqual(shape);
        for (let r = 0; r < rows; r++) {
          const row = data.subarray(r * columns, (r + 1) * columns);
          const step = Math.max(...row.map(Math.abs)) / 127;
          row.forEach((x, c) =>
            expect(Math.abs(got.data[r * columns + c]! - x)).toBeLessThanOrEqual(step * 0.5001),
          );
        }
      }),
      { numRuns: 30 },
    );
  });

  test("in 4 bits lose no more than steps of a seventh of each 32's largest would", () => {
    fc.assert(
      fc.property(matrices, ({ shape, data }) => {
        const got = roundTrip([spec("m", shape)], one(shape, data), "int4").get("m")!;
        expect(got.shape).toEqual(shape);
        for (let at = 0; at < data.length; at += 32) {
          const group = data.subarray(at, at + 32);
          const step = Math.max(...group.map(Math.abs)) / 7;
          let error = 0;
          let plain = 0;
          group.forEach((x, i) => {
            error += (got.data[at + i]! - x) ** 2;
            plain += step === 0 ? 0 : (Math.round(x / step) * step - x) ** 2;
          });
          // The scale is a half: a part in 2,048.
          expect(error).toBeLessThanOrEqual(plain * 1.02 + group.length * (step * 0.004) ** 2);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("leave the embedding, thin matrices and vectors as they are, and the unembedding 8 bits", () => {
    const config = tinyConfig();
    const table = tensorTable(config);
    const stored = quantize(table, lively(config), "int4");
    const typeOf = (name: string): string => stored.get(name)!.dtype;
    expect(typeOf("embed")).toBe("F32");
    expect(typeOf("unembed")).toBe("I8");
    expect(typeOf("trunk.0.feedForward.up")).toBe("U8");
    expect(typeOf("trunk.0.attention.query")).toBe("F32");
    for (const s of table) if (s.shape.length === 1) expect(typeOf(s.name), s.name).toBe("F32");
    expect(quantize(table, lively(config), "int8").get("pool")!.dtype).toBe("I8");
  });

  const broken: readonly [string, (t: Map<string, RawTensor>) => unknown, RegExp][] = [
    ["no scale", (t) => t.delete("pool.scale"), /pool has type I8 and no scale/],
    [
      "a foreign name",
      (t) => t.set("x", t.get("pool")!).set("x.scale", t.get("pool.scale")!),
      /no place/,
    ],
    [
      "too few values",
      (t) => t.set("pool", { dtype: "I8", shape: [5], bytes: new Uint8Array(5) }),
      /pool has 5 bytes of type I8 for 384 values/,
    ],
    [
      "scales of another matrix",
      (t) => t.set("pool.scale", t.get("unpool.scale")!),
      /pool has 384 bytes of type I8/,
    ],
  ];
  test.each(broken)("are refused with %s", (_, change, message) => {
    const config = tinyConfig();
    const table = tensorTable(config);
    const tensors = quantize(table, lively(config), "int8");
    change(tensors);
    expect(() => dequantize(table, { tensors, metadata: {} }, "f")).toThrow(message);
  });
});

describe("a quantized copy of a model", () => {
  test.each(["int8", "int4"] as const)("is smaller and answers nearly alike: %s", async (kind) => {
    const dir = mkdtempSync(join(tmpdir(), "quantized-"));
    try {
      // Mostly matrices, as real models are.
      const config = tinyConfig({ trunkChannels: 128, trunkHeads: 4 });
      const [model, out] = [join(dir, "model"), join(dir, "small")];
      saveTiny(model, config, lively(config));
      const { before, after } = exportQuantized({ model, out, kind });
      expect(after).toBeLessThan(before * (kind === "int8" ? 0.5 : 0.4));
      const manifest = readManifest(out);
      expect(statSync(join(out, manifest.files["weights.safetensors"]!.name)).size).toBe(after);
      expect(readdirSync(out).filter((name) => name.startsWith("optimizer"))).toEqual([]);
      expect(manifest.heldout.bpb).toBeNull();
      const names = [...readWeights(out, manifest).keys()];
      expect(names).toEqual(tensorTable(config).map((s) => s.name));

      const bits: Float32Array[] = [];
      for (const folder of [model, out]) {
        const loaded = await Model.load(folder, { device: "cpu" });
        const bytes = Buffer.from("export class Counter { count = 0; }\n");
        const score = await loaded.score({ path: "a.ts", bytes, memory: "off", network: "on" });
        bits.push(score.bits);
        await loaded.dispose();
      }
      const difference = bits[0]!.map((x, i) => Math.abs(x - bits[1]![i]!));
      expect(Math.max(...difference)).toBeGreaterThan(0);
      // Random weights have no redundancy; this bounds the order of the error only.
      const mean = difference.reduce((a, b) => a + b) / difference.length;
      expect(mean).toBeLessThan(kind === "int8" ? 0.1 : 1.5);
      expect(() => exportQuantized({ model, out, kind })).toThrow("holds a model already");
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
