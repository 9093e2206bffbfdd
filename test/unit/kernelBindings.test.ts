/**
 * Every op's shader and its launcher say the same: entry point, bindings in order with their access,
 * override constants, no more buffers than every WebGPU device has. Read from the shader's text, so
 * it needs no adapter.
 */
import { describe, expect, test } from "vitest";
import { WgslReflect } from "wgsl_reflect";
import type { Access, GpuCaps, GpuKernel, OpSpec, Params } from "../../model/graph.ts";
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
};
const maxStorageBuffers = 10;

/** Sixteen for every parameter: a multiple of the small tiles. `tile` chooses one, and may be left out. */
const params = new Proxy<Params>({}, { get: (_, name) => (name === "tile" ? undefined : 16) });

/** By binding: how the shader declares it. One binding may have several names, one per entry point. */
function storageOf(kernel: GpuKernel): Map<number, string[]> {
  const reflected = new WgslReflect(kernel.code);
  const entry = reflected.entry.compute.find((f) => f.name === kernel.entryPoint);
  if (!entry) throw new Error(`there is no entry point ${kernel.entryPoint}`);
  const found = new Map<number, string[]>();
  for (const { binding, access } of entry.resources)
    found.set(binding, [...(found.get(binding) ?? []), access === "" ? "read" : access]);
  return found;
}

/** What a shader may declare for what its launcher says; a "readWrite" pass may stop at reading. */
const declarable: Readonly<Record<Access, readonly string[]>> = {
  read: ["read"],
  write: ["read_write"],
  readWrite: ["read_write", "read"],
};

function check(op: OpSpec, caps: GpuCaps): void {
  const kernel = op.gpu(params, caps);
  const storage = storageOf(kernel);
  expect([...storage.keys()].sort((a, b) => a - b)).toEqual([...op.access.keys()]);
  for (const [index, access] of op.access.entries())
    expect(
      storage.get(index)!.some((declared) => declarable[access].includes(declared)),
      `binding ${index} is declared ${storage.get(index)!.join(", ")} and passed to ${access}`,
    ).toBe(true);
  const { overrides } = new WgslReflect(kernel.code);
  const known = overrides.map((o) => o.name);
  expect(Object.keys(kernel.constants).filter((name) => !known.includes(name))).toEqual([]);
  expect(op.access.length).toBeLessThanOrEqual(maxStorageBuffers);
}

describe.each(Object.entries(capabilities))("on a device with %s capabilities", (_name, caps) => {
  test.each([...ops.keys()])("%s binds what its launcher passes", (name) => {
    check(ops.get(name)!, caps);
  });
});
