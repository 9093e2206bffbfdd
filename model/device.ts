/**
 * What a device offers: persistent tensors, programs compiled from a graph, and copies in and out.
 * Callers await `run` before they write or read; the GPU's run resolves once the work is queued.
 */
import type { ModelConfig } from "./config.ts";
import { ConfigError } from "./errors.ts";
import type { DType, Graph, Tensor } from "./graph.ts";
import type { Products } from "./products.ts";

export type DeviceChoice = "auto" | "gpu" | "cpu";

export interface OpTime {
  readonly ms: number;
  /** Dispatches. */
  readonly count: number;
}

/** One kernel of a program at one shape, timed by itself. */
export interface KernelTime {
  readonly op: string;
  /** The op's parameters that name its shape. */
  readonly shape: string;
  /** How often a run dispatches it. */
  readonly count: number;
  readonly us: number;
  /** Of the tensors it binds, each once, twice where it is read and written: what it has to move at least, but for
   *  ops that pick rows. */
  readonly bytes: number;
  /** Multiplications and additions of matrix products; 0 for all other ops. */
  readonly flop: number;
}

export interface Program {
  readonly label: string;
  /** Bytes of temporaries. */
  readonly temporaryBytes: number;
  run(): Promise<void>;
  /** Runs now, also while the device is held, and gives what these f32 tensors then hold: one round trip. */
  runAndRead(tensors: readonly Tensor[]): Promise<(Float32Array | Float64Array)[]>;
  /** Time per op of one run, where the device can tell. */
  profile?(): Promise<ReadonlyMap<string, OpTime>>;
  /** Times every kernel over and over on a busy device. What the program holds is undefined afterwards. */
  kernels?(): Promise<readonly KernelTime[]>;
  dispose(): void;
}

export interface Device {
  readonly kind: "gpu" | "cpu";
  readonly name: string;
  /** What activations are best held in here. */
  readonly half: "f16" | "f32";
  /** 1: small products of several sizes are best made together (matmulGroups.ts). */
  readonly grouped?: 0 | 1;
  /** What was measured about matrix products here: training asks it. Absent where there is nothing to choose. */
  readonly products?: Products | undefined;
  /** A zero-filled tensor that outlives programs. */
  tensor(name: string, shape: readonly number[], dtype?: DType): Tensor;
  /** Part of a persistent tensor, sharing its memory. The offset is a multiple of VIEW_ALIGN elements. */
  view(tensor: Tensor, name: string, shape: readonly number[], offset: number): Tensor;
  write(tensor: Tensor, data: ArrayLike<number>, offset?: number): void;
  /** Elements [offset, offset + count); f32 tensors come back as Float32Array (Float64Array on the float64 device). */
  read(
    tensor: Tensor,
    offset?: number,
    count?: number,
  ): Promise<Float32Array | Float64Array | Uint32Array>;
  compile(graph: Graph, label: string): Promise<Program>;
  /** Until the returned function is called, `run` starts nothing more: somebody waits for a completion. A GPU
   *  holds between submits, a CPU device between ops. Only `runAndRead` of a GPU goes on meanwhile. */
  hold(): () => void;
  /** What runs ends after its present op and is rejected, as is whatever comes later: the device can only be disposed of.
   *  Absent where a run ends soon enough by itself. */
  interrupt?(): void;
  /** Longest time, roughly, for which one submit keeps a GPU from everything else. */
  submitMs?: number;
  /** Resolves when everything queued has been executed. */
  idle(): Promise<void>;
  free(tensor: Tensor): void;
  /** Bytes held by persistent tensors and programs. */
  readonly allocatedBytes: number;
  /** Most of them that are allowed; what would pass it throws ConfigError and allocates nothing. */
  memoryLimit: number;
  dispose(): Promise<void>;
}

const MIB = 2 ** 20;

/** Throws where `bytes` more would pass a device's limit. */
export function checkMemory(
  device: Pick<Device, "allocatedBytes" | "memoryLimit">,
  what: string,
  bytes: number,
): void {
  if (device.allocatedBytes + bytes <= device.memoryLimit) return;
  const mib = (n: number): string => `${Math.ceil(n / MIB)} MiB`;
  throw new ConfigError(
    "NG_MEMORY_LIMIT",
    `${what} takes ${mib(bytes)} beside the ${mib(device.allocatedBytes)} in use, and the limit is ${mib(device.memoryLimit)}`,
    "choose a smaller preset, or raise the limit",
  );
}

/** How activations are held on this device under a configuration. */
export const activationType = (
  device: Device,
  config: Pick<ModelConfig, "precision">,
): "f16" | "f32" => (config.precision === "auto" ? device.half : config.precision);
