/**
 * A model as a PyTorch folder and back. That the module gives the same logits needs PyTorch: `python model.py` in
 * an exported folder checks it, there.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BOS, EOF, EOM, headerSymbols, PATH_END, PRE, SUF, VOCAB } from "../../model/bytes.ts";
import { readManifest } from "../../model/checkpoint.ts";
import type { ModelConfig } from "../../model/config.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { importWeights } from "../../model/export/import.ts";
import { checkExpressible, exportPytorch, pytorchConfig } from "../../model/export/pytorch.ts";
import { referenceLogits } from "../../model/export/reference.ts";
import moduleSource from "../../model/export/pytorch/model.py";
import trainSource from "../../model/export/pytorch/train.py";
import {
  decodeRaw,
  decodeSafetensors,
  encodeRaw,
  encodeSafetensors,
  rawTensor,
  type StoredTensor,
} from "../../model/safetensors.ts";
import { Scorer } from "../../model/scorer.ts";
import { tensorTable } from "../../model/params.ts";
import { readWeights } from "../../model/weights.ts";
import { lively, saveTiny } from "../support/savedModel.ts";
import { tinyConfig } from "../support/tinyModel.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "export-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Shapes and bits, in a form that compares fast. */
const bitsOf = (tensors: ReadonlyMap<string, StoredTensor>): Record<string, string> =>
  Object.fromEntries(
    [...tensors].map(([name, { shape, data }]) => [
      name,
      `${shape.join("×")} ${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64")}`,
    ]),
  );
const floats = (bytes: Uint8Array): Map<string, StoredTensor> => decodeSafetensors(bytes, "f");

const variants: readonly [string, Partial<ModelConfig>][] = [
  ["topological attention, go-mHC", {}],
  ["all heads tied, fixed spectrum", { tiedHeads: 1, spectrum: "fixed" }],
  ["no head tied", { tiedHeads: 0 }],
  ["fewer bands in local layers", { localBands: 1 }],
  ["dot product, plain residual", { attention: "dot", residual: "plain", patching: "stride" }],
  ["heads for the bytes ahead", { aheadWeight: 0.3 }],
  ["colours of two channels", { colour: "both" }],
  ["colours with their neighbours", { colour: "resolvent" }],
  ["grid attention", { attention: "grid", trunkChannels: 32 }],
  ["Sinkhorn mixing", { residual: "sinkhorn" }],
  ["Kronecker mixing", { residual: "kronecker" }],
  ["permutation mixture", { residual: "permutation" }],
  ["published taumode", { attention: "published", bands: 1, patching: "flat" }],
];

const save = (overrides: Partial<ModelConfig> = {}) => {
  const config = tinyConfig(overrides);
  const weights = lively(config);
  const model = join(dir, "model");
  saveTiny(model, config, weights);
  return { config, weights, model };
};

describe("export for PyTorch", () => {
  test.each(variants)(
    "holds every tensor bit for bit, under its own name: %s",
    async (_, changes) => {
      const { config, weights, model } = save(changes);
      const files = await exportPytorch({ model, device: "cpu" });
      expect([...files.keys()].sort()).toEqual(
        ["check.safetensors", "config.json", "model.py", "train.py", "weights.safetensors"].sort(),
      );
      const stored = floats(files.get("weights.safetensors")!);
      expect([...stored.keys()]).toEqual(tensorTable(config).map((s) => s.name));
      expect(bitsOf(stored)).toEqual(bitsOf(weights));
    },
  );

  test.each(variants)("names only what the module declares: %s", (_, changes) => {
    const declared = new Set(
      [...moduleSource.matchAll(/self\.(\w+)(?=[,\s=])|register_buffer\("(\w+)"/g)].map(
        (m) => m[1] ?? m[2],
      ),
    );
    const parts = tensorTable(tinyConfig(changes)).flatMap((s) => s.name.split("."));
    expect(parts.filter((part) => !/^\d+$/.test(part) && !declared.has(part))).toEqual([]);
  });

  test("writes every field that the module and the script read", () => {
    const fields = new Set(Object.keys(pytorchConfig(tinyConfig())));
    const readFields = [...`${moduleSource}${trainSource}`.matchAll(/\bc\.([a-z]\w*)/gi)]
      .map((m) => m[1]!)
      .filter((name) => name !== "train");
    expect(readFields.length).toBeGreaterThan(30);
    expect(readFields.filter((name) => !fields.has(name))).toEqual([]);
  });

  test("has the markers in the order of the script", () => {
    const names = /^(BOS.*) = range\((\d+), (\d+)\)$/m.exec(trainSource)!;
    expect(names[1]).toBe("BOS, PATH_END, SUF, PRE, EOM, EOF");
    expect([BOS, PATH_END, SUF, PRE, EOM, EOF]).toEqual([0, 1, 2, 3, 4, 5].map((i) => i + 256));
    expect([names[2], names[3]]).toEqual(["256", "262"]);
  });

  test("gives logits to check against that are those of scoring", async () => {
    const { config, weights } = save();
    const device = await createCpuDevice({ threads: 0 });
    const bytes = Buffer.from("const counter = new Counter();\n");
    const header = headerSymbols("a.ts");
    const got = await referenceLogits(device, config, weights, [
      { symbols: [...header, ...bytes] },
    ]);
    const logits = new Float32Array(got.get("logits")!.bytes.buffer);
    const params = new Map(
      [...weights].map(([name, { shape, data }]) => {
        const t = device.tensor(name, shape);
        device.write(t, data);
        return [name, t];
      }),
    );
    const scorer = await Scorer.create(device, config, params);
    let compared = 0;
    await scorer.score({ path: "a.ts", bytes }, (at, p, offset) => {
      const row = (header.length + at - 1) * VOCAB;
      const exponentials = Array.from(logits.subarray(row, row + 256), Math.exp);
      const sum = exponentials.reduce((a, b) => a + b);
      for (let v = 0; v < 256; v++)
        expect(Math.abs(exponentials[v]! / sum - p[offset + v]!)).toBeLessThan(1e-5);
      compared++;
    });
    expect(compared).toBe(bytes.length);
    expect(Math.max(...logits) - Math.min(...logits)).toBeGreaterThan(1);
  });

  test("checks with windows that name every kind of fact, patches and symbols of all kinds", async () => {
    const { config, model } = save({ context: 256 });
    const files = await exportPytorch({ model, device: "cpu" });
    const { tensors } = decodeRaw(files.get("check.safetensors")!, "f");
    const ids = new Int32Array(tensors.get("ids")!.bytes.buffer);
    const N = config.context;
    expect(tensors.get("ids")!.shape).toEqual([2, N, 6]);
    expect(tensors.get("logits")!.shape).toEqual([2, N, VOCAB]);
    for (let k = 1; k < 6; k++) {
      expect(ids.some((id, i) => i % 6 === k && id >= VOCAB)).toBe(true);
      expect(ids.subarray(N * 6).every((id, i) => i % 6 !== k || id === -1)).toBe(true);
    }
    expect(new Set(ids.filter((_, i) => i % 6 === 0)).size).toBeGreaterThan(100);
    const newest = new Int32Array(tensors.get("newest")!.bytes.buffer);
    const ends = new Int32Array(tensors.get("ends")!.bytes.buffer);
    const T = tensors.get("ends")!.shape[1]!;
    for (let w = 0; w < 2; w++) {
      expect(newest[w * N]).toBe(0);
      expect(ends[w * T]).toBe(0);
      expect(ends[w * T + newest[(w + 1) * N - 1]!]).toBeLessThan(N);
    }
  });

  test("refuses by name what the module has no code for", () => {
    const config = tinyConfig();
    expect(() => checkExpressible({ ...config, attention: "spiral" as never })).toThrow(
      'cannot express attention="spiral"',
    );
    expect(() => checkExpressible({ ...config, engram: "on" })).toThrow(
      'cannot express engram="on"',
    );
    expect(() => checkExpressible({ ...config, wings: 2 } as never)).toThrow(
      "cannot express wings=2",
    );
    expect(() => checkExpressible(config)).not.toThrow();
  });
});

describe("import from PyTorch", () => {
  const contents = (folder: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "base64")]),
    );
  const doubled = (weights: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> =>
    new Map([...weights].map(([n, t]) => [n, { ...t, data: t.data.map((x) => 2 * x) }]));
  const file = (bytes: Uint8Array): string => {
    const path = join(dir, "trained.safetensors");
    writeFileSync(path, bytes);
    return path;
  };

  test("brings exported weights back bit for bit, into a copy that keeps the rest", async () => {
    const { weights, model } = save();
    const before = contents(model);
    const exported = (await exportPytorch({ model, device: "cpu" })).get("weights.safetensors")!;
    const out = join(dir, "copy");
    const result = importWeights({ model, weights: file(exported), out });
    expect(result.out).toBe(out);
    expect(contents(model)).toEqual(before);
    const manifest = readManifest(out);
    expect(bitsOf(readWeights(out, manifest))).toEqual(bitsOf(weights));
    const old = readManifest(model);
    expect(manifest.files["memory.bin"]).toEqual(old.files["memory.bin"]);
    expect(manifest.config).toEqual(old.config);
    expect(Object.keys(manifest.files).sort()).toEqual(["memory.bin", "weights.safetensors"]);
  });

  test("replaces weights in place, forgets moments and scores of the old ones", () => {
    const { weights, model } = save();
    const next = doubled(weights);
    importWeights({ model, weights: file(encodeSafetensors(next, { bytes: "1000" })) });
    const manifest = readManifest(model);
    expect(bitsOf(readWeights(model, manifest))).toEqual(bitsOf(next));
    expect(manifest.heldout).toEqual({ bpb: null, network: null, memory: null });
    expect(manifest.bytesSeen).toBe(1512);
    expect(readdirSync(model).filter((name) => name.startsWith("optimizer"))).toEqual([]);
  });

  test("turns facts off where they were not trained with, and says so", () => {
    const { weights, model } = save();
    const { notes } = importWeights({
      model,
      weights: file(encodeSafetensors(weights, { facts: "off" })),
    });
    expect(readManifest(model).config.facts).toBe("off");
    expect(notes.join()).toContain("without facts");
  });

  const broken: readonly [string, (w: Map<string, StoredTensor>) => Uint8Array, RegExp][] = [
    [
      "a missing tensor",
      (w) => (w.delete("trunk.1.attention.salience"), encodeSafetensors(w)),
      /1 of \d+ tensors are missing, such as trunk\.1\.attention\.salience \[24, 2\]/,
    ],
    [
      "a foreign tensor",
      (w) => encodeSafetensors(w.set("extra", { shape: [1], data: new Float32Array(1) })),
      /the model has no tensor extra$/,
    ],
    [
      "another shape",
      (w) => encodeSafetensors(w.set("pool", { ...w.get("pool")!, shape: [24, 16] })),
      /pool has shape \[24, 16\], \[16, 24\] was expected/,
    ],
    [
      "no numbers",
      (w) => (w.get("unpool")!.data.fill(Number.NaN, 7, 8), encodeSafetensors(w)),
      /unpool holds values that are no finite numbers/,
    ],
    [
      "another type",
      () => encodeRaw(new Map([["pool", rawTensor("I32", [1], new Int32Array(1))]])),
      /pool has type I32, F32 was expected/,
    ],
    ["half a file", (w) => encodeSafetensors(w).slice(0, 5000), /trained\.safetensors is damaged/],
    ["other bytes", () => Buffer.from("not a safetensors file"), /is damaged/],
  ];
  test.each(broken)("refuses %s and leaves the model as it was", (_, make, message) => {
    const { weights, model } = save();
    const before = contents(model);
    const path = file(make(weights));
    expect(() => importWeights({ model, weights: path })).toThrow(message);
    expect(contents(model)).toEqual(before);
  });

  test("refuses a file that is not there and a folder that holds a model", () => {
    const { weights, model } = save();
    expect(() => importWeights({ model, weights: join(dir, "none") })).toThrow("cannot be read");
    const path = file(encodeSafetensors(weights));
    const out = join(dir, "copy");
    importWeights({ model, weights: path, out });
    expect(() => importWeights({ model, weights: path, out })).toThrow("holds a model already");
  });
});
