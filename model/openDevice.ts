/** Chooses the device and says why: a real GPU if there is one, else the CPU. A demanded GPU that is missing is an error. */
import { availableParallelism } from "node:os";
import { existsSync } from "node:fs";
import { createCpuDevice } from "./cpu/device.ts";
import type { Device, DeviceChoice } from "./device.ts";
import type { AdapterOptions } from "./gpu/adapter.ts";
import { createGpuDevice } from "./gpu/device.ts";
import { NarrowError } from "./errors.ts";

export interface OpenedDevice {
  readonly device: Device;
  readonly reason: string;
}

const MAX_THREADS = 16;

/** The bundled worker stands beside the bundle; from sources (tests) there is none and one thread is used. */
async function openCpu(): Promise<Device> {
  const worker = new URL("./cpuWorker.mjs", import.meta.url);
  const threads = existsSync(worker)
    ? Math.min(MAX_THREADS, Math.max(1, availableParallelism()))
    : 0;
  return createCpuDevice(threads === 0 ? { threads } : { threads, workerUrl: worker });
}

/** A number above 0 from the environment. */
function limitOf(variable: string): number | undefined {
  const value = Number(process.env[variable]);
  return value > 0 ? value : undefined;
}

/** NARROWGAUGE_MEMORY_MIB bounds what a device may hold, NARROWGAUGE_SUBMIT_MS how long training keeps a GPU. */
export async function openDevice(
  choice: DeviceChoice,
  options: Pick<AdapterOptions, "matrices"> = {},
): Promise<OpenedDevice> {
  const opened = await open(choice, options);
  const memoryMiB = limitOf("NARROWGAUGE_MEMORY_MIB");
  if (memoryMiB !== undefined) opened.device.memoryLimit = memoryMiB * 2 ** 20;
  const submitMs = limitOf("NARROWGAUGE_SUBMIT_MS");
  if (submitMs !== undefined && opened.device.submitMs !== undefined)
    opened.device.submitMs = submitMs;
  return opened;
}

async function open(
  choice: DeviceChoice,
  options: Pick<AdapterOptions, "matrices">,
): Promise<OpenedDevice> {
  if (choice === "cpu") return { device: await openCpu(), reason: "the CPU was asked for" };
  const software = process.env["NARROWGAUGE_SOFTWARE_GPU"] === "1" ? "allow" : "refuse";
  try {
    const device = await createGpuDevice({ ...options, software });
    return {
      device,
      reason: choice === "gpu" ? "the GPU was asked for" : `this machine has a GPU, ${device.name}`,
    };
  } catch (error) {
    if (choice === "gpu" || !(error instanceof NarrowError)) throw error;
    return { device: await openCpu(), reason: `no usable GPU: ${error.message}` };
  }
}
