/** Chooses the device and says why: a real GPU if there is one, else the CPU. A demanded GPU that is missing is an error. */
import { availableParallelism } from "node:os";
import { existsSync } from "node:fs";
import { createCpuDevice } from "./cpu/device.ts";
import type { Device, DeviceChoice } from "./device.ts";
import type { AdapterOptions } from "./gpu/adapter.ts";
import { createGpuDevice, GpuDevice } from "./gpu/device.ts";
import { NarrowError } from "./errors.ts";
import { silentLogger, type Logger } from "./logger.ts";
import { productFile, readProducts } from "./productFile.ts";

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

export interface OpenOptions extends Pick<AdapterOptions, "matrices"> {
  /** Hears what is wrong with what was kept about this device. */
  readonly logger?: Logger;
}

/** NARROWGAUGE_MEMORY_MIB bounds what a device may hold, NARROWGAUGE_SUBMIT_MS how long training keeps a GPU. */
export async function openDevice(
  choice: DeviceChoice,
  options: OpenOptions = {},
): Promise<OpenedDevice> {
  const { logger = silentLogger, ...adapter } = options;
  const opened = await open(choice, adapter);
  const memoryMiB = limitOf("NARROWGAUGE_MEMORY_MIB");
  if (memoryMiB !== undefined) opened.device.memoryLimit = memoryMiB * 2 ** 20;
  const submitMs = limitOf("NARROWGAUGE_SUBMIT_MS");
  if (submitMs !== undefined && opened.device.submitMs !== undefined)
    opened.device.submitMs = submitMs;
  if (opened.device instanceof GpuDevice) useTuned(opened.device, logger);
  return opened;
}

/** What `tune` found on this adapter. */
function useTuned(device: GpuDevice, logger: Logger): void {
  const path = productFile(device);
  device.products = readProducts(device, path, logger);
  const { changed, entries } = device.products;
  if (entries.size > 0)
    logger.info(
      `${changed} of ${entries.size} measured matrix products take tuned tiles (${path})`,
    );
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
