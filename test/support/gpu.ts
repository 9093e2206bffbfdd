/** The devices that kernel and network tests run on. A missing adapter fails in CI and skips elsewhere. */
import { createGpuDevice, type GpuDevice } from "../../model/gpu/device.ts";

let opened: Promise<GpuDevice | undefined> | undefined;

/** One GPU device for the whole test process: Dawn does not like several. */
export function testGpu(): Promise<GpuDevice | undefined> {
  opened ??= createGpuDevice({ software: "allow" }).catch((error: unknown) => {
    if (process.env["CI"] === "true" || process.env["NARROWGAUGE_REQUIRE_GPU"] === "1") throw error;
    return undefined;
  });
  return opened;
}
