/**
 * The CPU device: the reference twin of every kernel and the fallback in one. With `threads: 0` it runs in the
 * calling thread, in float32 or (for gradient checks) float64; with threads it keeps tensors in shared
 * WebAssembly memory, where the SIMD kernels work, and replays programs on worker threads.
 */
import { Worker } from "node:worker_threads";
import {
  makeTensor,
  VIEW_ALIGN,
  type Buffer,
  type DType,
  type Graph,
  type Tensor,
} from "../graph.ts";
import { DeviceUnavailableError, invariant } from "../errors.ts";
import { planBuffers } from "../plan.ts";
import { checkMemory, type Device, type Program } from "../device.ts";
import { bindSimd, HEAP_BASE, MAX_THREADS, memoryBuffer } from "./simd/bind.ts";
import {
  COMMAND,
  CONTROL_WORDS,
  FAILED,
  GENERATION,
  HOLD,
  INTERRUPTED,
  runShare,
  type BoundNode,
  type BufferAddress,
} from "./runner.ts";

export interface CpuDeviceOptions {
  /** 0 runs in the calling thread. */
  readonly threads: number;
  /** f64 is for gradient checks and takes no threads. */
  readonly precision?: "f32" | "f64";
  /** The bundled worker; needed with threads. */
  readonly workerUrl?: URL;
}

const PAGE = 65536;
const MAX_PAGES = 65536;
const ALIGN = 64;

function workerDied(cause: unknown): DeviceUnavailableError {
  return new DeviceUnavailableError(
    "NG_CPU_WORKER",
    `a CPU worker thread ended: ${cause instanceof Error ? cause.message : String(cause)}`,
    "start the program again; if it repeats, please report it",
    { cause },
  );
}

/** The CPU holds half-precision tensors in 32 bits: they are a matter of memory bandwidth, not of results. */
const inMemory = (dtype: DType): "f32" | "u32" => (dtype === "u32" ? "u32" : "f32");

export async function createCpuDevice(options: CpuDeviceOptions): Promise<CpuDevice> {
  const device = new CpuDevice(options);
  await device.start();
  return device;
}

export class CpuDevice implements Device {
  readonly kind = "cpu";
  readonly half = "f32";
  readonly name: string;
  readonly #f64: boolean;
  readonly #threads: number;
  readonly #workerUrl: URL | undefined;
  readonly #memory: WebAssembly.Memory | undefined;
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly #buffers = new Map<number, Buffer>();
  readonly #addresses = new Map<number, BufferAddress>();
  readonly #views = new Set<number>();
  readonly #workers: Worker[] = [];
  #free: { offset: number; bytes: number }[] = [];
  #top = HEAP_BASE;
  memoryLimit = Infinity;
  #allocated = 0;
  #programId = 1;
  #running: Promise<void> = Promise.resolve();
  #failure: string | undefined;

  constructor(options: CpuDeviceOptions) {
    this.#f64 = options.precision === "f64";
    this.#threads = Math.min(options.threads, MAX_THREADS);
    this.#workerUrl = options.workerUrl;
    invariant(!(this.#f64 && options.threads > 0), "the float64 device runs in the calling thread");
    if (!this.#f64)
      this.#memory = new WebAssembly.Memory({
        initial: HEAP_BASE / PAGE,
        maximum: MAX_PAGES,
        shared: true,
      });
    this.name = this.#f64
      ? "CPU, float64 reference"
      : options.threads === 0
        ? "CPU, 1 thread"
        : `CPU, ${options.threads} thread${options.threads === 1 ? "" : "s"}`;
  }

  async start(): Promise<void> {
    if (this.#memory !== undefined) bindSimd(this.#memory, 0);
    if (this.#threads === 0) return;
    invariant(this.#workerUrl !== undefined, "a CPU device with threads needs its worker's URL");
    for (let thread = 0; thread < this.#threads; thread++) {
      const worker = new Worker(this.#workerUrl, {
        workerData: {
          memory: this.#memory,
          control: this.#control,
          thread,
          threads: this.#threads,
        },
      });
      worker.on("message", (m: { kind: string; op?: string; message?: string }) => {
        if (m.kind === "failed") this.#failure = `${m.op}: ${m.message}`;
      });
      this.#workers.push(worker);
      await new Promise<void>((resolve, reject) => {
        worker.once("online", resolve);
        worker.once("error", (cause) =>
          reject(
            new DeviceUnavailableError(
              "NG_CPU_WORKER",
              `a CPU worker thread did not start: ${cause instanceof Error ? cause.message : String(cause)}`,
              "build again with npm run build",
              { cause },
            ),
          ),
        );
      });
    }
  }

  get allocatedBytes(): number {
    return this.#allocated;
  }

  tensor(name: string, shape: readonly number[], dtype: DType = "f32"): Tensor {
    const t = makeTensor(name, shape, dtype, "persistent");
    this.#place(t);
    return t;
  }

  view(parent: Tensor, name: string, shape: readonly number[], offset: number): Tensor {
    const t = makeTensor(name, shape, parent.dtype, "persistent");
    const address = this.#addresses.get(parent.id);
    invariant(
      address !== undefined && offset % VIEW_ALIGN === 0 && offset + t.size <= parent.size,
      `view ${name} of ${t.size} elements at ${offset} does not fit ${parent.name}`,
    );
    this.#buffers.set(t.id, this.#buffer(parent).subarray(offset, offset + t.size));
    this.#addresses.set(t.id, {
      byteOffset: address.byteOffset + offset * 4,
      length: t.size,
      dtype: address.dtype,
    });
    this.#views.add(t.id);
    return t;
  }

  #allocate(
    name: string,
    elements: number,
    dtype: DType,
  ): { buffer: Buffer; address: BufferAddress } {
    checkMemory(this, name, elements * 4);
    if (this.#memory === undefined) {
      this.#allocated += elements * 8;
      return {
        buffer: dtype === "u32" ? new Uint32Array(elements) : new Float64Array(elements),
        address: { byteOffset: -1, length: elements, dtype: inMemory(dtype) },
      };
    }
    const bytes = Math.ceil((elements * 4) / ALIGN) * ALIGN;
    this.#allocated += bytes;
    const at = this.#free.findIndex((f) => f.bytes >= bytes);
    let byteOffset: number;
    if (at >= 0) {
      const block = this.#free[at]!;
      byteOffset = block.offset;
      if (block.bytes === bytes) this.#free.splice(at, 1);
      else this.#free[at] = { offset: block.offset + bytes, bytes: block.bytes - bytes };
    } else {
      byteOffset = this.#top;
      this.#top += bytes;
      const missing = this.#top - this.#memory.buffer.byteLength;
      if (missing > 0) {
        try {
          this.#memory.grow(Math.ceil(missing / PAGE));
        } catch (cause) {
          throw new DeviceUnavailableError(
            "NG_CPU_MEMORY",
            `the CPU device could not take ${Math.round(this.#top / 2 ** 20)} MiB of memory`,
            "choose a smaller preset",
            { cause },
          );
        }
      }
    }
    const memory = memoryBuffer(this.#memory);
    const buffer =
      dtype === "u32"
        ? new Uint32Array(memory, byteOffset, elements)
        : new Float32Array(memory, byteOffset, elements);
    buffer.fill(0);
    return { buffer, address: { byteOffset, length: elements, dtype: inMemory(dtype) } };
  }

  #place(t: Tensor): void {
    const { buffer, address } = this.#allocate(t.name, t.size, t.dtype);
    this.#buffers.set(t.id, buffer);
    this.#addresses.set(t.id, address);
  }

  #release(address: BufferAddress): void {
    if (this.#memory === undefined) {
      this.#allocated -= address.length * 8;
      return;
    }
    const bytes = Math.ceil((address.length * 4) / ALIGN) * ALIGN;
    this.#allocated -= bytes;
    this.#free.push({ offset: address.byteOffset, bytes });
    this.#free.sort((a, b) => a.offset - b.offset);
    const merged: { offset: number; bytes: number }[] = [];
    for (const block of this.#free) {
      const previous = merged.at(-1);
      if (previous !== undefined && previous.offset + previous.bytes === block.offset)
        previous.bytes += block.bytes;
      else merged.push({ ...block });
    }
    this.#free = merged;
  }

  free(tensor: Tensor): void {
    const address = this.#addresses.get(tensor.id);
    if (address === undefined) return;
    if (!this.#views.delete(tensor.id)) this.#release(address);
    this.#addresses.delete(tensor.id);
    this.#buffers.delete(tensor.id);
  }

  #buffer(t: Tensor): Buffer {
    const b = this.#buffers.get(t.id);
    invariant(b !== undefined, `tensor ${t.name} does not live on this device`);
    return b;
  }

  write(tensor: Tensor, data: ArrayLike<number>, offset = 0): void {
    const b = this.#buffer(tensor);
    invariant(
      offset + data.length <= tensor.size,
      `writing ${data.length} elements at ${offset} into ${tensor.name} of ${tensor.size}`,
    );
    b.set(data, offset);
  }

  async read(
    tensor: Tensor,
    offset = 0,
    count = tensor.size - offset,
  ): Promise<Float32Array | Float64Array | Uint32Array> {
    await this.idle();
    return this.#buffer(tensor).slice(offset, offset + count);
  }

  #copies(tensors: readonly Tensor[]): (Float32Array | Float64Array)[] {
    return tensors.map((t) => this.#buffer(t).slice() as Float32Array | Float64Array);
  }

  hold(): () => void {
    Atomics.add(this.#control, HOLD, 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      Atomics.sub(this.#control, HOLD, 1);
      Atomics.notify(this.#control, HOLD);
    };
  }

  interrupt(): void {
    Atomics.store(this.#control, INTERRUPTED, 1);
  }

  #interruption(): DeviceUnavailableError | undefined {
    if (Atomics.load(this.#control, INTERRUPTED) === 0) return undefined;
    return new DeviceUnavailableError("NG_CPU_INTERRUPTED", "the CPU device was interrupted");
  }

  #runHere(nodes: readonly BoundNode[]): void {
    const interruption = this.#interruption();
    if (interruption !== undefined) throw interruption;
    for (const node of nodes) runShare(node, 0, 1);
  }

  async compile(graph: Graph, label: string): Promise<Program> {
    const plan = planBuffers(graph.nodes);
    checkMemory(
      this,
      label,
      plan.slotSizes.reduce((sum, size) => sum + size * 4, 0),
    );
    const slots = plan.slotSizes.map((size) => this.#allocate(label, size, "f32"));
    const addressOf = (t: Tensor): BufferAddress => {
      if (t.role === "persistent") {
        const a = this.#addresses.get(t.id);
        invariant(a !== undefined, `tensor ${t.name} does not live on this device`);
        return a;
      }
      const slot = slots[plan.slotOf.get(t.id)!]!;
      return {
        byteOffset: slot.address.byteOffset,
        length: t.size,
        dtype: inMemory(t.dtype),
      };
    };
    // In float64, a slot may serve f32 and u32 tensors in turn: each view gets its own array.
    const bufferOf = (t: Tensor): Buffer => {
      if (t.role === "persistent") return this.#buffer(t);
      if (this.#memory === undefined) {
        const slot = slots[plan.slotOf.get(t.id)!]!.buffer;
        return t.dtype === "u32"
          ? new Uint32Array(slot.buffer, 0, t.size)
          : slot.subarray(0, t.size);
      }
      const a = addressOf(t);
      const memory = memoryBuffer(this.#memory);
      return a.dtype === "f32"
        ? new Float32Array(memory, a.byteOffset, a.length)
        : new Uint32Array(memory, a.byteOffset, a.length);
    };
    const id = this.#programId++;
    const temporaryBytes = plan.slotSizes.reduce((sum, n) => sum + n * 4, 0);
    const dispose = (): void => {
      for (const s of slots) this.#release(s.address);
      for (const w of this.#workers) w.postMessage({ kind: "drop", id });
    };
    if (this.#threads === 0) {
      const nodes: BoundNode[] = graph.nodes.map((n) => ({
        op: n.op,
        params: n.params,
        units: n.op.units(n.params),
        buffers: n.tensors.map(bufferOf),
      }));
      return {
        label,
        temporaryBytes,
        dispose,
        run: async () => this.#runHere(nodes),
        runAndRead: async (tensors) => {
          this.#runHere(nodes);
          return this.#copies(tensors);
        },
      };
    }
    const message = {
      kind: "program",
      id,
      nodes: graph.nodes.map((n) => ({
        op: n.op.name,
        params: n.params,
        buffers: n.tensors.map(addressOf),
      })),
    };
    await Promise.all(
      this.#workers.map(
        (w) =>
          new Promise<void>((resolve, reject) => {
            const settle = (): void => {
              w.off("message", listen);
              w.off("error", fail);
            };
            const listen = (m: { kind: string; id?: number }): void => {
              if (m.kind !== "ready" || m.id !== id) return;
              settle();
              resolve();
            };
            const fail = (cause: unknown): void => {
              settle();
              reject(workerDied(cause));
            };
            w.on("message", listen);
            w.on("error", fail);
            w.postMessage(message);
          }),
      ),
    );
    return {
      label,
      temporaryBytes,
      dispose,
      run: () => this.#runThreads(id, label),
      runAndRead: async (tensors) => {
        await this.#runThreads(id, label);
        return this.#copies(tensors);
      },
    };
  }

  /** One run at a time; a second call waits for the first. */
  #runThreads(id: number, label: string): Promise<void> {
    const run = this.#running.then(
      () =>
        new Promise<void>((resolve, reject) => {
          Atomics.store(this.#control, COMMAND, id);
          Atomics.store(this.#control, FAILED, 0);
          const generation = Atomics.add(this.#control, GENERATION, 1) + 1;
          const first = this.#workers[0]!;
          const settle = (): void => {
            first.off("message", listen);
            for (const w of this.#workers) w.off("error", fail);
          };
          // A thread that died never reaches the barrier: the others are left waiting, the run is not.
          const fail = (cause: unknown): void => {
            settle();
            reject(workerDied(cause));
          };
          const listen = (m: { kind: string; generation?: number }): void => {
            if (m.kind !== "done" || m.generation !== generation) return;
            settle();
            const interruption = this.#interruption();
            if (interruption !== undefined) reject(interruption);
            else if (Atomics.load(this.#control, FAILED) === 0) resolve();
            else
              reject(
                new DeviceUnavailableError(
                  "NG_CPU_OP",
                  `program ${label} failed on the CPU device (${this.#failure ?? "program missing in a worker"})`,
                  "this is a defect; please report it",
                ),
              );
          };
          first.on("message", listen);
          for (const w of this.#workers) w.on("error", fail);
          for (const w of this.#workers) w.postMessage({ kind: "go", generation });
        }),
    );
    this.#running = run.catch(() => undefined);
    return run;
  }

  idle(): Promise<void> {
    return this.#running;
  }

  async dispose(): Promise<void> {
    await this.idle();
    await Promise.all(this.#workers.map((w) => w.terminate()));
    this.#buffers.clear();
    this.#addresses.clear();
  }
}
