/**
 * The GPU device: buffers, programs as static lists of dispatches, read-back. A program's bind groups and
 * pipelines are made once; a run only encodes and submits. Nothing is allocated per run.
 */
import {
  makeTensor,
  storedAs,
  VIEW_ALIGN,
  type DType,
  type Graph,
  type GpuCaps,
  type Tensor,
} from "../graph.ts";
import { fromHalves, toHalves } from "../half.ts";
import { DeviceLostError, invariant, OutOfGpuMemoryError } from "../errors.ts";
import { planBuffers } from "../plan.ts";
import { checkMemory, type Device, type OpTime, type Program } from "../device.ts";
import type { TunedProducts } from "../productFile.ts";
import {
  openAdapter,
  type AdapterIdentity,
  type AdapterOptions,
  type OpenedAdapter,
} from "./adapter.ts";
import { Pacer } from "./pacing.ts";
import { Pipelines } from "./pipelines.ts";
import { timeKernels, timeSteps, type TimingOptions, type TimingQueue } from "./timeKernels.ts";
import { SubmitQueue, type Copy, type Paced, type Step } from "./submitQueue.ts";

/** Longest submit while nobody says that the editor is in use. */
const SUBMIT_MS = 100;
/** Read-backs up to this size keep their staging buffer for the next one: scoring reads at every window. */
const KEPT_STAGING_BYTES = 1 << 18;
const LEAST_STAGING_BYTES = 256;
/** Dispatches per timestamp query set. */
const PROFILE_STEPS = 512;

export async function createGpuDevice(options: AdapterOptions): Promise<GpuDevice> {
  return new GpuDevice(await openAdapter(options));
}

export class GpuDevice implements Device {
  readonly kind = "gpu";
  readonly half: "f16" | "f32";
  readonly grouped: 0 | 1;
  readonly name: string;
  readonly software: boolean;
  readonly caps: GpuCaps;
  readonly gpu: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #buffers = new Map<number, GPUBuffer>();
  /** Views: which tensor's buffer they are in, and where (bytes). */
  readonly #uniforms = new Map<string, GPUBuffer>();
  readonly #views = new Map<number, { readonly parent: Tensor; readonly byteOffset: number }>();
  readonly #queue: SubmitQueue;
  /** Free staging buffers by size. */
  readonly #staging = new Map<number, GPUBuffer[]>();
  readonly #stepsOf = new WeakMap<Program, readonly Step[]>();
  /** Which GPU and driver this is, for what is kept about it. */
  readonly identity: AdapterIdentity;
  products: TunedProducts | undefined;
  memoryLimit = Infinity;
  #allocated = 0;
  #failure: Error | undefined;

  constructor(opened: OpenedAdapter) {
    this.gpu = opened.device;
    this.name = opened.name;
    this.software = opened.software;
    this.caps = opened.caps;
    this.identity = opened.identity;
    this.grouped = opened.caps.subgroupMatrix ? 1 : 0;
    this.half = opened.caps.f16 && !opened.software ? "f16" : "f32";
    this.#pipelines = new Pipelines(opened.device);
    this.#queue = new SubmitQueue(opened.device, SUBMIT_MS, () => this.#check());
    void opened.lost.then((reason) => {
      this.#failure ??= new DeviceLostError(
        "NG_DEVICE_LOST",
        `the GPU device was lost: ${reason}`,
        "training resumes from the last checkpoint on a new device",
      );
    });
    opened.device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const message = event.error.message;
      this.#failure ??= /memory/i.test(message)
        ? new OutOfGpuMemoryError(
            "NG_GPU_MEMORY",
            `the GPU ran out of memory: ${message}`,
            "choose a smaller preset or close other GPU programs",
          )
        : new DeviceLostError(
            "NG_GPU_ERROR",
            `the GPU reported an error: ${message}`,
            "please report it",
          );
    });
  }

  get allocatedBytes(): number {
    return this.#allocated;
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Four-byte words that hold a tensor here. */
  #words(t: Tensor): number {
    return storedAs(t, this.caps) === "f16" ? Math.ceil(t.size / 2) : t.size;
  }

  #createBuffer(name: string, words: number): GPUBuffer {
    const size = Math.max(16, words * 4);
    checkMemory(this, name, size);
    this.#allocated += size;
    return this.gpu.createBuffer({
      label: name,
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  tensor(name: string, shape: readonly number[], dtype: DType = "f32"): Tensor {
    this.#check();
    const t = makeTensor(name, shape, dtype, "persistent");
    this.#buffers.set(t.id, this.#createBuffer(name, this.#words(t)));
    return t;
  }

  view(parent: Tensor, name: string, shape: readonly number[], offset: number): Tensor {
    const t = makeTensor(name, shape, parent.dtype, "persistent");
    invariant(
      this.#buffers.has(parent.id) && offset % VIEW_ALIGN === 0 && offset + t.size <= parent.size,
      `view ${name} of ${t.size} elements at ${offset} does not fit ${parent.name}`,
    );
    const bytes = storedAs(parent, this.caps) === "f16" ? 2 : 4;
    this.#views.set(t.id, { parent, byteOffset: offset * bytes });
    return t;
  }

  #offset(t: Tensor): number {
    return this.#views.get(t.id)?.byteOffset ?? 0;
  }

  buffer(t: Tensor): GPUBuffer {
    const b = this.#buffers.get(this.#views.get(t.id)?.parent.id ?? t.id);
    invariant(b !== undefined, `tensor ${t.name} does not live on this device`);
    return b;
  }

  free(tensor: Tensor): void {
    this.#views.delete(tensor.id);
    const b = this.#buffers.get(tensor.id);
    if (b === undefined) return;
    this.#allocated -= b.size;
    b.destroy();
    this.#buffers.delete(tensor.id);
  }

  write(tensor: Tensor, data: ArrayLike<number>, offset = 0): void {
    invariant(
      offset + data.length <= tensor.size,
      `writing ${data.length} elements at ${offset} into ${tensor.name} of ${tensor.size}`,
    );
    if (data.length === 0) return;
    if (storedAs(tensor, this.caps) === "f16") {
      invariant(offset === 0, `${tensor.name} holds f16 and is written from its start only`);
      const halves = toHalves(data);
      this.gpu.queue.writeBuffer(this.buffer(tensor), 0, halves.buffer, 0, halves.byteLength);
      return;
    }
    const typed =
      tensor.dtype === "u32"
        ? data instanceof Uint32Array
          ? data
          : Uint32Array.from(data)
        : data instanceof Float32Array
          ? data
          : Float32Array.from(data);
    this.gpu.queue.writeBuffer(
      this.buffer(tensor),
      this.#offset(tensor) + offset * 4,
      typed.buffer,
      typed.byteOffset,
      typed.byteLength,
    );
  }

  async read(
    tensor: Tensor,
    offset = 0,
    count = tensor.size - offset,
  ): Promise<Float32Array | Uint32Array> {
    this.#check();
    const half = storedAs(tensor, this.caps) === "f16";
    invariant(!half || offset === 0, `${tensor.name} holds f16 and is read from its start only`);
    const bytes = half ? Math.ceil(count / 2) * 4 : count * 4;
    // What is kept has few sizes, however many lengths are read, so it is bounded.
    const isKept = bytes <= KEPT_STAGING_BYTES;
    const room = isKept ? 2 ** Math.ceil(Math.log2(Math.max(LEAST_STAGING_BYTES, bytes))) : bytes;
    const staging =
      this.#staging.get(room)?.pop() ??
      this.gpu.createBuffer({
        size: room,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
    const copied = {
      buffer: this.buffer(tensor),
      offset: this.#offset(tensor) + offset * 4,
      bytes,
    };
    await this.#queue.read([copied], staging);
    const copy = staging.getMappedRange(0, bytes).slice(0);
    staging.unmap();
    if (isKept) this.#staging.set(room, [...(this.#staging.get(room) ?? []), staging]);
    else staging.destroy();
    this.#check();
    if (half) return fromHalves(new Uint16Array(copy, 0, count));
    return tensor.dtype === "u32" ? new Uint32Array(copy) : new Float32Array(copy);
  }

  /** A small buffer of u32; equal values share one for the life of the device. */
  #uniform(values: readonly number[]): GPUBuffer {
    const key = values.join();
    let buffer = this.#uniforms.get(key);
    if (buffer === undefined) {
      const padded = new Uint32Array(Math.ceil(values.length / 4) * 4);
      padded.set(values);
      buffer = this.gpu.createBuffer({
        label: "uniforms",
        size: padded.byteLength,
        usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      });
      this.gpu.queue.writeBuffer(buffer, 0, padded);
      this.#uniforms.set(key, buffer);
    }
    return buffer;
  }

  async compile(graph: Graph, label: string): Promise<Program> {
    this.#check();
    const plan = planBuffers(graph.nodes, (t) => this.#words(t));
    checkMemory(
      this,
      label,
      plan.slotSizes.reduce((sum, words) => sum + words * 4, 0),
    );
    const slots = plan.slotSizes.map((size, i) => this.#createBuffer(`${label} slot ${i}`, size));
    const temporaryBytes = plan.slotSizes.reduce((sum, n) => sum + n * 4, 0);
    const release = (): void => {
      for (const b of slots) {
        this.#allocated -= b.size;
        b.destroy();
      }
    };
    const compiled = Promise.all(
      graph.nodes.map(async (node) => {
        const kernel = node.op.gpu(
          node.params,
          this.caps,
          node.tensors.map((t) => storedAs(t, this.caps)),
        );
        // Left to the next op on this device; Dawn would warn on stdout.
        if (kernel.workgroups.includes(0)) return [];
        const pipeline = await this.#pipelines.get(kernel, node.op.name);
        const group = this.gpu.createBindGroup({
          label: node.op.name,
          layout: pipeline.getBindGroupLayout(0),
          entries: [
            ...node.tensors.map((t, binding) => ({
              binding,
              resource: {
                buffer: t.role === "persistent" ? this.buffer(t) : slots[plan.slotOf.get(t.id)!]!,
                offset: this.#offset(t),
                size: Math.max(4, this.#words(t) * 4),
              },
            })),
            ...(kernel.uniforms === undefined
              ? []
              : [
                  {
                    binding: node.tensors.length,
                    resource: { buffer: this.#uniform(kernel.uniforms) },
                  },
                ]),
          ],
        });
        const { workgroups } = kernel;
        const kind = JSON.stringify([node.op.name, node.params, node.tensors.map((t) => t.dtype)]);
        return [{ name: node.op.name, pipeline, group, workgroups, node, kind }];
      }),
    );
    const steps: Step[] = await compiled.then(
      (perNode) => perNode.flat(),
      (error: unknown) => {
        release();
        throw error;
      },
    );
    this.#check();
    const paced: Paced = { steps, pacer: new Pacer(steps.length) };
    const program: Program = {
      label,
      temporaryBytes,
      run: () => this.#queue.run(paced),
      runAndRead: (tensors) => this.#runAndRead(paced, tensors),
      profile: () => this.#profile(steps),
      kernels: () => timeKernels(this.#timing, this.caps, steps),
      dispose: () => {
        this.#stepsOf.delete(program);
        paced.prepared?.staging?.destroy();
        paced.prepared = undefined;
        release();
      },
    };
    this.#stepsOf.set(program, steps);
    return program;
  }

  /** Whether dispatches can be timed here. */
  get timed(): boolean {
    return this.gpu.features.has("timestamp-query");
  }

  get #timing(): TimingQueue {
    const { gpu, submitMs } = this;
    return { gpu, submitMs, turn: (ms) => this.#queue.turn(ms) };
  }

  /** Microseconds of one run of each program, their dispatches timed by themselves, in turns, over and over. What the
   *  programs hold is undefined afterwards. */
  async time(programs: readonly Program[], options: TimingOptions = {}): Promise<number[]> {
    const lists = programs.map((p) => {
      const steps = this.#stepsOf.get(p);
      invariant(steps !== undefined, `${p.label} is no program of this device, or was disposed of`);
      return steps;
    });
    const times = (await timeSteps(this.#timing, lists.flat(), options)).values();
    this.#check();
    return lists.map((steps) => steps.reduce((sum) => sum + times.next().value!, 0));
  }

  async #runAndRead(paced: Paced, tensors: readonly Tensor[]): Promise<Float32Array[]> {
    const copies: Copy[] = tensors.map((t) => {
      invariant(storedAs(t, this.caps) === "f32", `${t.name} is read back, and is not f32`);
      return { buffer: this.buffer(t), offset: this.#offset(t), bytes: t.size * 4 };
    });
    const all = await this.#queue.runAndRead(paced, copies);
    let at = 0;
    return tensors.map((t) => {
      at += t.size * 4;
      return new Float32Array(all, at - t.size * 4, t.size);
    });
  }

  hold(): () => void {
    return this.#queue.hold();
  }

  get submitMs(): number {
    return this.#queue.submitMs;
  }

  set submitMs(ms: number) {
    this.#queue.submitMs = ms;
  }

  /** Milliseconds on the device per op, each dispatch timed in a pass of its own. */
  async #profile(steps: readonly Step[]): Promise<ReadonlyMap<string, OpTime>> {
    const times = new Map<string, OpTime>();
    for (let at = 0; at < steps.length; at += PROFILE_STEPS) {
      const group = steps.slice(at, at + PROFILE_STEPS);
      const querySet = this.gpu.createQuerySet({ type: "timestamp", count: 2 * group.length });
      const bytes = 16 * group.length;
      const resolved = this.gpu.createBuffer({
        size: bytes,
        usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      });
      const staging = this.gpu.createBuffer({
        size: bytes,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      const encoder = this.gpu.createCommandEncoder();
      group.forEach((step, i) => {
        const pass = encoder.beginComputePass({
          timestampWrites: {
            querySet,
            beginningOfPassWriteIndex: 2 * i,
            endOfPassWriteIndex: 2 * i + 1,
          },
        });
        pass.setPipeline(step.pipeline);
        pass.setBindGroup(0, step.group);
        pass.dispatchWorkgroups(step.workgroups[0], step.workgroups[1], step.workgroups[2]);
        pass.end();
      });
      encoder.resolveQuerySet(querySet, 0, 2 * group.length, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
      this.gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      const ns = new BigUint64Array(staging.getMappedRange().slice(0));
      group.forEach((step, i) => {
        const ms = Number(ns[2 * i + 1]! - ns[2 * i]!) / 1e6;
        const sum = times.get(step.name) ?? { ms: 0, count: 0 };
        times.set(step.name, { ms: sum.ms + ms, count: sum.count + 1 });
      });
      for (const b of [resolved, staging]) b.destroy();
      querySet.destroy();
    }
    this.#check();
    return times;
  }

  async idle(): Promise<void> {
    await this.#queue.idle();
  }

  async dispose(): Promise<void> {
    for (const b of [...this.#buffers.values(), ...[...this.#staging.values()].flat()]) b.destroy();
    this.#buffers.clear();
    this.#staging.clear();
    this.#queue.dispose();
    this.gpu.destroy();
    return Promise.resolve();
  }
}
