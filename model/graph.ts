/**
 * A program as data: tensors and a straight list of nodes, recorded once and replayed by a device.
 * An op says how to run on both devices: a WGSL kernel, and a CPU function over a range of independent units
 * (its reference twin). Every node overwrites the tensors it marks "write" in full unless the op says otherwise.
 */
import { invariant } from "./errors.ts";
import type { Products } from "./products.ts";

/** f16 is held in 16 bits on a GPU with shader-f16, and in 32 bits everywhere else. */
export type DType = "f32" | "f16" | "u32";
/** What a binding really holds on this device. */
export type Stored = "f32" | "f16" | "u32";
export type Access = "read" | "write" | "readWrite";
export type Params = Readonly<Record<string, number>>;
/** Float64Array stands in for f32 tensors in gradient checks. */
export type Floats = Float32Array | Float64Array;
export type Buffer = Float32Array | Float64Array | Uint32Array;

export interface Tensor {
  readonly id: number;
  readonly name: string;
  readonly shape: readonly number[];
  /** Elements. */
  readonly size: number;
  readonly dtype: DType;
  /** Temporaries live inside one program and share memory by lifetime. */
  readonly role: "persistent" | "temporary";
}

/** What kernels may rely on; smaller devices get the plain variants. */
export interface GpuCaps {
  /** A rasterizer on the CPU: it takes long to compile large kernels. */
  readonly software: boolean;
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly subgroupMatrix: boolean;
  readonly maxWorkgroupStorageSize: number;
  readonly maxInvocations: number;
}

export interface GpuKernel {
  readonly code: string;
  readonly entryPoint: string;
  /** WGSL `override` values; shapes go here, so the compiler can unroll. */
  readonly constants: Readonly<Record<string, number>>;
  /** u32 values that the kernel reads from a uniform buffer, bound after the tensors: for shapes of a kernel that is
   *  slow to compile, so that one pipeline serves them all. */
  readonly uniforms?: readonly number[];
  /** A zero among them: nothing to run on this device. */
  readonly workgroups: readonly [number, number, number];
}

export interface OpSpec {
  /** Unique; CPU worker threads find the op by it. */
  readonly name: string;
  /** One entry per tensor, in binding order: @group(0) @binding(i). At most 10 (Metal's limit). */
  readonly access: readonly Access[];
  /** Independent units of CPU work; threads take ranges of it. */
  units(params: Params): number;
  /** Computes units [start, end). Must not touch what another unit writes. */
  cpu(buffers: readonly Buffer[], params: Params, start: number, end: number): void;
  /** Multiplications and additions, where a kernel is bound by them. */
  flop?(params: Params): number;
  /** `stored`: one entry per binding. Only those listed in `halves` are ever "f16". */
  gpu(params: Params, caps: GpuCaps, stored: readonly Stored[]): GpuKernel;
  /** Bindings that may hold f16 tensors; the kernel converts as it loads and stores. */
  readonly halves?: readonly number[];
}

export interface Node {
  readonly op: OpSpec;
  readonly tensors: readonly Tensor[];
  readonly params: Params;
}

let nextId = 1;
export function makeTensor(
  name: string,
  shape: readonly number[],
  dtype: DType,
  role: Tensor["role"],
): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  invariant(
    Number.isSafeInteger(size) && size > 0,
    `tensor ${name} has shape [${shape.join(", ")}]; every dimension must be a positive integer`,
  );
  return { id: nextId++, name, shape, size, dtype, role };
}

export class Graph {
  readonly nodes: Node[] = [];
  /** What was measured about matrix products where this is to run; undefined: nothing, a model of their time decides. */
  readonly products: Products | undefined;

  constructor(products?: Products) {
    this.products = products;
  }

  /** A tensor that lives inside this program only. */
  temp(name: string, shape: readonly number[], dtype: DType = "f32"): Tensor {
    return makeTensor(name, shape, dtype, "temporary");
  }

  add(op: OpSpec, tensors: readonly Tensor[], params: Params): void {
    invariant(
      tensors.length === op.access.length,
      `${op.name} takes ${op.access.length} tensors and was given ${tensors.length}`,
    );
    for (const [name, value] of Object.entries(params))
      invariant(Number.isFinite(value), `${op.name}: parameter ${name} is ${value}`);
    tensors.forEach((t, i) =>
      invariant(
        t.dtype !== "f16" || op.halves?.includes(i) === true,
        `${op.name} was given f16 tensor ${t.name} as tensor ${i}, where it takes f32`,
      ),
    );
    this.nodes.push({ op, tensors, params });
  }
}

/** How a tensor is held on a device that has f16, or has not. */
export const storedAs = (t: Pick<Tensor, "dtype">, caps: { readonly f16: boolean }): Stored =>
  t.dtype === "f16" && !caps.f16 ? "f32" : t.dtype;

/** Views of a packed tensor start at multiples of this many elements: 256 bytes of halves, what GPUs align
 *  bindings to. */
export const VIEW_ALIGN = 128;

/** Workgroups for n invocations of one workgroup size, folded into two dimensions at the 65,535 limit.
 *  In WGSL: index = (group.y * groups.x + group.x) * workgroupSize + local index. */
export function gridFor(n: number, workgroupSize: number): [number, number, number] {
  const groups = Math.max(1, Math.ceil(n / workgroupSize));
  if (groups <= 65535) return [groups, 1, 1];
  const y = Math.ceil(groups / 65535);
  return [Math.ceil(groups / y), y, 1];
}

/** Asserts a tensor's element count, naming the op and the argument. */
export function expectSize(op: string, argument: string, tensor: Tensor, size: number): void {
  invariant(
    tensor.size === size,
    `${op}: ${argument} (${tensor.name}) has shape [${tensor.shape.join(", ")}] = ${tensor.size} elements; ${size} were expected`,
  );
}
