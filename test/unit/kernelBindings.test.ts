/**
 * Every op's shader and its launcher say the same: entry point, bindings in order with their access,
 * override constants, no more buffers than every WebGPU device has. Read from the shader's text, so
 * it needs no adapter.
 */
import { describe, expect, test } from "vitest";
import type { Access, GpuCaps, OpSpec, Stored, Params } from "../../model/graph.ts";
import { ops } from "../../model/ops.ts";

const plain: GpuCaps = {
  software: false,
  f16: false,
  subgroups: false,
  subgroupMatrix: false,
  maxWorkgroupStorageSize: 16384,
  maxInvocations: 256,
};
const capabilities: Readonly<Record<string, GpuCaps>> = {
  plain,
  software: { ...plain, software: true },
  large: {
    ...plain,
    f16: true,
    subgroups: true,
    maxWorkgroupStorageSize: 32768,
    maxInvocations: 1024,
  },
  matrix: {
    ...plain,
    f16: true,
    subgroups: true,
    subgroupMatrix: true,
    maxWorkgroupStorageSize: 49152,
    maxInvocations: 1024,
  },
};
const maxStorageBuffers = 10;

/** Sixteen for every parameter: a multiple of the small tiles. `tile` chooses one, and may be left out. */
const params = new Proxy<Params>(
  {},
  { get: (_, name) => (name === "tile" || name === "matrixTile" ? undefined : 16) },
);

/** By binding: the ways the shader declares it. Entry points of one file share bindings under other names. */
function storageOf(code: string): Map<number, Set<string>> {
  const found = new Map<number, Set<string>>();
  const declaration = /@binding\((\d+)\)\s*var<storage(?:,\s*(\w+))?>/g;
  for (const [, binding, access] of code.matchAll(declaration)) {
    const known = found.get(Number(binding)) ?? new Set();
    found.set(Number(binding), known.add(access ?? "read"));
  }
  return found;
}

/** What a shader may declare for what its launcher says; a "readWrite" pass may stop at reading. */
const declarable: Readonly<Record<Access, readonly string[]>> = {
  read: ["read"],
  write: ["read_write"],
  readWrite: ["read_write", "read"],
};

function check(op: OpSpec, caps: GpuCaps, kind: "f32" | "f16"): void {
  for (const half of op.halves ?? []) expect(half).toBeLessThan(op.access.length);
  const stored = op.access.map((_, i): Stored => (op.halves?.includes(i) === true ? kind : "f32"));
  const kernel = op.gpu(params, caps, stored);
  expect(kernel.code).toMatch(new RegExp(`@compute[^{]*\\bfn ${kernel.entryPoint}\\b`));
  const storage = storageOf(kernel.code);
  for (const [index, access] of op.access.entries()) {
    const declared = [...(storage.get(index) ?? [])];
    expect(
      declared.some((way) => declarable[access].includes(way)),
      `binding ${index} is declared "${declared.join(", ")}" and passed to ${access}`,
    ).toBe(true);
  }
  for (const name of Object.keys(kernel.constants))
    expect(kernel.code).toMatch(new RegExp(`\\boverride ${name}\\b`));
  expect(op.access.length).toBeLessThanOrEqual(maxStorageBuffers);
}

describe.each(Object.entries(capabilities))("on a device with %s capabilities", (_name, caps) => {
  test.each([...ops.keys()])("%s binds what its launcher passes", (name) => {
    check(ops.get(name)!, caps, "f32");
    if (caps.f16) check(ops.get(name)!, caps, "f16");
  });
});
