/** What the tuner of matrix products does on this machine, and whether its results are in use. */
import type { BenchOp } from "../bench.ts";
import type { Device } from "../device.ts";
import { GpuDevice } from "../gpu/device.ts";
import { choiceName } from "../kernels/matmulCandidates.ts";
import { productFile } from "../productFile.ts";
import { productKey } from "../products.ts";
import { tune, type TuneRequest } from "../tune.ts";

export interface TunedState {
  /** Products that were measured here, and those of them whose kernel is not the model's choice. */
  readonly measured: number;
  readonly changed: number;
  readonly file: string;
}

export function tunedState(device: Device): TunedState | undefined {
  if (!(device instanceof GpuDevice) || !device.timed) return undefined;
  const { entries, changed } = device.products ?? { entries: new Map(), changed: 0 };
  return { measured: entries.size, changed, file: productFile(device) };
}

/** Tunes what is not known yet, a row for each product; the sum of what a step saves is left to steps. */
export async function benchTuning(o: TuneRequest): Promise<BenchOp[]> {
  const report = await tune(o);
  return [
    {
      op: "tuning",
      measured: report.entries.length,
      changed: report.entries.filter((e) => e.choice !== null).length,
      knownBefore: report.known,
      left: report.left,
      seconds: report.seconds,
    },
    ...report.entries.map(({ product, choice, modelUs, us }) => ({
      op: "  product",
      shape: productKey(product),
      modelUs,
      ...(choice === null ? {} : { us, choice: choiceName(choice) }),
    })),
  ];
}
