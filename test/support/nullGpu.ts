/**
 * What the WGSL compiler says of a module, without a GPU: Dawn's null backend knows every feature, subgroup
 * matrices included, and runs nothing.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const FEATURES = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"];
const held: unknown[] = [];
let opened: Promise<GPUDevice> | undefined;

async function open(): Promise<GPUDevice> {
  const require = createRequire(import.meta.url);
  const folder =
    process.platform === "darwin" ? "darwin-universal" : `${process.platform}-${process.arch}`;
  const path = join(dirname(require.resolve("webgpu")), "dist", folder, "dawn.node");
  const dawn = require(path) as { create(flags: string[]): GPU; globals: object };
  Object.assign(globalThis, dawn.globals);
  const gpu = dawn.create(["enable-dawn-features=allow_unsafe_apis", "backend=null"]);
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error("the null backend offers no adapter");
  const device = await adapter.requestDevice({
    requiredFeatures: FEATURES as unknown as GPUFeatureName[],
  });
  device.addEventListener("uncapturederror", (event) => event.preventDefault());
  held.push(gpu, adapter);
  return device;
}

/** Errors with their lines; empty where the module is valid. */
export async function wgslErrors(code: string): Promise<string[]> {
  const device = await (opened ??= open());
  const info = await device.createShaderModule({ code }).getCompilationInfo();
  return info.messages
    .filter((m) => m.type === "error")
    .map((m) => `line ${m.lineNum}: ${code.split("\n")[m.lineNum - 1]?.trim()}: ${m.message}`);
}
