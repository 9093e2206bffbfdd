/**
 * Finds dawn.node, the adapter and the device. Dawn aborts the process when the object that `create()` returned
 * is collected, so it is held for the life of the process. The null backend advertises everything and computes
 * nothing: a self-test refuses it. Dawn prints on stdout, so callers keep no protocol there.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DeviceUnavailableError } from "../errors.ts";
import type { GpuCaps } from "../graph.ts";

interface DawnModule {
  create(flags: string[]): GPU;
  globals: Record<string, unknown>;
}

/** Held for ever, see the header. */
const held: unknown[] = [];
let dawn: DawnModule | undefined;

/** As the driver names them. */
export interface AdapterIdentity {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  /** The driver and its version. */
  readonly driver: string;
}

export interface OpenedAdapter {
  readonly device: GPUDevice;
  readonly name: string;
  readonly identity: AdapterIdentity;
  readonly software: boolean;
  readonly caps: GpuCaps;
  readonly lost: Promise<string>;
}

export interface AdapterOptions {
  /** A software rasterizer runs the tests; users are better off with the CPU device. */
  readonly software: "allow" | "refuse";
  /** Whether every access of a shader is kept inside its buffer by the compiler: "on" costs time (LOG.md
   *  has the figures) and is for doubtful drivers; our kernels' own bounds are tested. Default "off", which the
   *  environment variable NARROWGAUGE_GPU_CHECKS=on overrides. */
  readonly checks?: "on" | "off";
  /** "off" leaves matrix units alone: they multiply halves, and attention uses them on f32 tensors too. The
   *  environment variable NARROWGAUGE_GPU_MATRICES=off does the same. */
  readonly matrices?: "on" | "off";
}

function dawnPath(): string {
  const named = process.env["NARROWGAUGE_DAWN_NODE"];
  if (named !== undefined && named !== "") {
    if (!existsSync(named))
      throw new DeviceUnavailableError(
        "NG_DAWN_MISSING",
        `NARROWGAUGE_DAWN_NODE names ${named}, which does not exist`,
        "name an existing dawn.node or unset the variable",
      );
    return named;
  }
  const here = dirname(fileURLToPath(import.meta.url));
  const platform =
    process.platform === "darwin" ? "darwin-universal" : `${process.platform}-${process.arch}`;
  const shipped = join(here, "dawn", `${process.platform}-${process.arch}`, "dawn.node");
  if (existsSync(shipped)) return shipped;
  try {
    const entry = createRequire(import.meta.url).resolve("webgpu");
    const packaged = join(dirname(entry), "dist", platform, "dawn.node");
    if (existsSync(packaged)) return packaged;
  } catch {
    // No webgpu package beside us; reported below.
  }
  throw new DeviceUnavailableError(
    "NG_DAWN_MISSING",
    `no dawn.node for ${process.platform}-${process.arch} was found beside the program or in the webgpu package`,
    "install the build for this platform, or use --device cpu",
  );
}

function loadDawn(): DawnModule {
  if (dawn !== undefined) return dawn;
  const path = dawnPath();
  try {
    dawn = createRequire(import.meta.url)(path) as DawnModule;
  } catch (cause) {
    throw new DeviceUnavailableError(
      "NG_DAWN_LOAD",
      `${path} could not be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      "it needs glibc 2.34 or newer and a Vulkan, Metal or Direct3D 12 driver; --device cpu works without it",
      { cause },
    );
  }
  Object.assign(globalThis, dawn.globals);
  return dawn;
}

const WANTED_FEATURES = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
] as const;

/** What our matrix kernels are written for: 16 × 16 × 16, f16 to f32, subgroups of 32 throughout. */
function hasMatrix16(info: GPUAdapterInfo): boolean {
  const { subgroupMatrixConfigs, subgroupMinSize, subgroupMaxSize } = info as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: readonly {
      readonly componentType: string;
      readonly resultComponentType: string;
      readonly M: number;
      readonly N: number;
      readonly K: number;
    }[];
  };
  return (
    subgroupMinSize === 32 &&
    subgroupMaxSize === 32 &&
    (subgroupMatrixConfigs ?? []).some(
      (c) =>
        c.componentType === "f16" &&
        c.resultComponentType === "f32" &&
        c.M === 16 &&
        c.N === 16 &&
        c.K === 16,
    )
  );
}

const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
] as const;

export async function openAdapter(options: AdapterOptions): Promise<OpenedAdapter> {
  const checks = process.env["NARROWGAUGE_GPU_CHECKS"] ?? options.checks ?? "off";
  const matrices = [process.env["NARROWGAUGE_GPU_MATRICES"], options.matrices].includes("off")
    ? "off"
    : "on";
  const toggles = ["allow_unsafe_apis", "vulkan_enable_f16_on_nvidia"];
  if (checks !== "on") toggles.push("disable_robustness");
  const gpu = loadDawn().create([
    `enable-dawn-features=${toggles.join(",")}`,
    // Steps of 65 µs are meant for strangers' pages; our profiles need the true times.
    "disable-dawn-features=timestamp_quantization",
  ]);
  held.push(gpu);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null)
    throw new DeviceUnavailableError(
      "NG_NO_ADAPTER",
      "this machine offers no GPU adapter",
      "install a Vulkan, Metal or Direct3D 12 driver, or use --device cpu",
    );
  held.push(adapter);
  const info = adapter.info;
  const software = info.isFallbackAdapter === true;
  const name = info.device || info.description || `${info.vendor} ${info.architecture}`;
  if (software && options.software === "refuse")
    throw new DeviceUnavailableError(
      "NG_SOFTWARE_ADAPTER",
      `the only GPU adapter is a software one (${name}), slower than the CPU device`,
      "use --device cpu",
    );
  const features = WANTED_FEATURES.filter((f) => adapter.features.has(f as GPUFeatureName));
  const requiredLimits: Record<string, number> = {};
  for (const limit of WANTED_LIMITS) requiredLimits[limit] = adapter.limits[limit];
  const device = await adapter.requestDevice({
    requiredFeatures: features as unknown as GPUFeatureName[],
    requiredLimits,
  });
  held.push(device);
  const caps: GpuCaps = {
    software,
    f16: features.includes("shader-f16"),
    subgroups: features.includes("subgroups"),
    subgroupMatrix:
      matrices !== "off" &&
      features.includes("chromium-experimental-subgroup-matrix") &&
      hasMatrix16(adapter.info),
    maxWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize,
    maxInvocations: adapter.limits.maxComputeInvocationsPerWorkgroup,
  };
  await selfTest(device, name);
  const lost = device.lost.then((reason) => reason.message || reason.reason);
  const { vendor, architecture, description: driver } = info;
  const identity = { vendor, architecture, device: info.device, driver };
  return { device, name, identity, software, caps, lost };
}

/** An adapter that does not compute is refused, whatever it calls itself. */
async function selfTest(device: GPUDevice, name: string): Promise<void> {
  const buffer = device.createBuffer({
    size: 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  const back = device.createBuffer({
    size: 16,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const module = device.createShaderModule({
    code: `@group(0) @binding(0) var<storage, read_write> cell: array<u32>;
@compute @workgroup_size(4) fn main(@builtin(local_invocation_id) id: vec3u) { cell[id.x] = id.x * 3u + 7u; }`,
  });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, back, 0, 16);
  device.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  const got = [...new Uint32Array(back.getMappedRange())];
  back.unmap();
  buffer.destroy();
  back.destroy();
  if (got.join() !== "7,10,13,16")
    throw new DeviceUnavailableError(
      "NG_ADAPTER_COMPUTES_NOTHING",
      `the adapter ${name} accepted work and did not run it (read back ${got.join(", ")})`,
      "it is probably the null backend; use --device cpu",
    );
}
