/**
 * The kernels for matrix units, as Tint sees them: no software adapter has such units, and Dawn's null backend
 * checks every word of a module without running it. Their results are tested with emulated matrices, see
 * test/kernels/tauAttention.test.ts, and by `narrowgauge bench` on a GPU that has them.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { GpuCaps, GpuKernel, OpSpec, Params, Stored } from "../../model/graph.ts";
import {
  tauAttentionForwardOp,
  tauAttentionKeysBackwardOp,
  tauAttentionQueriesBackwardOp,
} from "../../model/kernels/tauAttention.ts";

const caps: GpuCaps = {
  software: false,
  f16: true,
  subgroups: true,
  subgroupMatrix: true,
  maxWorkgroupStorageSize: 49152,
  maxInvocations: 1024,
};

/** Dawn aborts the process when what `create()` returned is collected. */
const held: unknown[] = [];

async function nullDevice(): Promise<GPUDevice> {
  const require = createRequire(import.meta.url);
  const folder =
    process.platform === "darwin" ? "darwin-universal" : `${process.platform}-${process.arch}`;
  const dawn = require(join(dirname(require.resolve("webgpu")), "dist", folder, "dawn.node")) as {
    create(flags: string[]): GPU;
  };
  const gpu = dawn.create([
    "backend=null",
    "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
  ]);
  const adapter = await gpu.requestAdapter();
  const device = await adapter!.requestDevice({
    requiredFeatures: [
      "shader-f16",
      "subgroups",
      "chromium-experimental-subgroup-matrix",
    ] as unknown as GPUFeatureName[],
  });
  held.push(gpu, adapter, device);
  return device;
}

const ops: readonly OpSpec[] = [
  tauAttentionForwardOp,
  tauAttentionKeysBackwardOp,
  tauAttentionQueriesBackwardOp,
];

function kernelOf(op: OpSpec, p: Params, kind: "f32" | "f16"): GpuKernel {
  const stored = op.access.map((_, i): Stored => (op.halves?.includes(i) === true ? kind : "f32"));
  return op.gpu(p, caps, stored);
}

const workgroupBytes = (code: string): number =>
  [...code.matchAll(/var<workgroup> \w+: array<(\w+), (\d+)>/g)].reduce(
    (sum, [, type, n]) => sum + Number(n) * (type === "f32" ? 4 : 16),
    0,
  );

describe("tau attention's kernels for matrix units", () => {
  test("compile for every head dimension and number of bands", async () => {
    const device = await nullDevice();
    for (const headDim of [16, 32, 48, 64])
      for (const bands of [1, 2, 3, 4, 5, 8])
        for (const window of [0, 256])
          for (const op of ops) {
            const p = { batch: 3, rows: 515, capacity: 515, nHeads: 2, bands, headDim, window };
            const { code, entryPoint } = kernelOf(op, p, bands % 2 === 0 ? "f16" : "f32");
            expect(entryPoint).toMatch(/Matrix$/);
            // A multiprocessor has 48 KiB: four workgroups of the forward kernel share it.
            const share = op === tauAttentionForwardOp ? 4 : 1;
            expect(workgroupBytes(code)).toBeLessThanOrEqual(caps.maxWorkgroupStorageSize / share);
            device.pushErrorScope("validation");
            const info = await device.createShaderModule({ code }).getCompilationInfo();
            expect(
              info.messages.map((m) => `${m.lineNum}:${m.linePos} ${m.message}`),
              `${op.name}, ${headDim} dimensions, ${bands} bands`,
            ).toEqual([]);
            await device.popErrorScope();
          }
  });

  test("have room for a tile of values, which lie where pairs do at first", () => {
    for (const headDim of [16, 64, 80, 128]) {
      const p = { batch: 1, rows: 70, capacity: 70, nHeads: 1, bands: 2, headDim, window: 0 };
      const { code } = kernelOf(tauAttentionKeysBackwardOp, p, "f16");
      const [, size] = /var<workgroup> pairs: array<vec4u, (\d+)>/.exec(code)!;
      expect(Number(size)).toBeGreaterThanOrEqual((64 * headDim) / 8);
    }
  });

  test("leave other shapes to the plain ones", () => {
    const p = { batch: 1, rows: 100, capacity: 100, nHeads: 2, bands: 4, headDim: 36, window: 0 };
    for (const op of ops) expect(kernelOf(op, p, "f16").entryPoint).not.toMatch(/Matrix$/);
    // Backward, the partial sums of very long rows would take more room than anything else.
    const long = { ...p, headDim: 64, rows: 4096, capacity: 4096 };
    expect(ops.map((op) => kernelOf(op, long, "f16").entryPoint)).toEqual([
      "forwardMatrix",
      "keysBackward",
      "queriesBackward",
    ]);
  });

  test("are not asked where all 32 bits are wanted", () => {
    const p = { batch: 3, rows: 512, capacity: 512, nHeads: 2, bands: 4, headDim: 64, window: 0 };
    for (const op of ops) {
      expect(kernelOf(op, p, "f32").entryPoint).toMatch(/Matrix$/);
      expect(kernelOf(op, { ...p, exact: 1 }, "f32").entryPoint).not.toMatch(/Matrix$/);
    }
  });

  test("are not asked for a few rows against a cache", () => {
    const p = { batch: 1, rows: 16, capacity: 900, nHeads: 2, bands: 4, headDim: 64, window: 0 };
    expect(kernelOf(tauAttentionForwardOp, p, "f16").entryPoint).toBe("forwardFew");
  });
});
