/**
 * What is under way on the GPU. Programs go in submits of bounded time, with a bounded time in flight, so that a
 * completion or the desktop waits for little; while completions run, other programs submit nothing. Dawn's binding
 * for Node polls while any promise is pending (slowTurns.ts), so waits sleep until a result is due and ask then.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Node } from "../graph.ts";
import type { Pacer, Span } from "./pacing.ts";
import { slowly, TURN_MS } from "./slowTurns.ts";

export interface Step {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
  readonly node: Node;
  /** Equal for dispatches of one kernel at one shape. */
  readonly kind: string;
}

/** A compiled program as the queue takes it. */
export interface Paced {
  readonly steps: readonly Step[];
  readonly pacer: Pacer;
  /** The next run with read-back, encoded while the GPU was busy with the last. */
  prepared?: Prepared | undefined;
}

/** Part of a buffer to read back. */
export interface Copy {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

interface Prepared {
  readonly copies: readonly Copy[];
  readonly commands: readonly GPUCommandBuffer[];
  readonly staging: GPUBuffer | undefined;
}

interface Flight {
  readonly pacer: Pacer;
  readonly span: Span;
  readonly submittedAt: number;
  /** Whether its time says something about the program: nothing else ran in between. */
  timed: 0 | 1;
  /** Receives a copy at the submit's end: mapping it waits for this submit and none after it. */
  readonly fence: GPUBuffer;
}

/** Submits in flight: one that runs and one behind it; more while all of them take less than this together. */
const IN_FLIGHT = 2;
const SHORT_MS = 16;
/** So many at most, which bounds what pending writes hold. */
const SHORT_IN_FLIGHT = 8;
/** Timers end at this share of the expected time, and so much earlier: they wake up late, and the GPU should not
 *  fall idle. */
const SLEEP_SHARE = 0.9;
const TIMER_SLACK_MS = 1.2;
/** A result that takes less than this after asking was there before. */
const PROMPT_MS = 0.25;
/** After a wait that slept too long, so many waits do not sleep: whatever ends while one sleeps is measured wrong. */
const WARY_WAITS = 2;
const FENCE_BYTES = 4;
/** Submits of a run with read-back, at least. */
const READING_SUBMITS = 3;

export class SubmitQueue {
  /** Longest submit; short while the editor is in use. */
  submitMs: number;
  readonly #gpu: GPUDevice;
  readonly #check: () => void;
  readonly #fenceSource: GPUBuffer;
  readonly #freeFences: GPUBuffer[] = [];
  #flights: Flight[] = [];
  /** When the last submit that was waited for ended, and whether that was seen or only noticed later. */
  #lastEnd = 0;
  #sawEnd = false;
  #wary = WARY_WAITS;
  #retiring: Promise<void> | undefined;
  #holds = 0;
  #released: Promise<void> = Promise.resolve();
  #release: () => void = () => undefined;

  /** `check` throws what the device has failed with. */
  constructor(gpu: GPUDevice, submitMs: number, check: () => void) {
    this.#gpu = gpu;
    this.submitMs = submitMs;
    this.#check = check;
    this.#fenceSource = gpu.createBuffer({ size: FENCE_BYTES, usage: GPUBufferUsage.COPY_SRC });
  }

  #encode(steps: readonly Step[], span: Span): GPUCommandEncoder {
    const encoder = this.#gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    let pipeline: GPUComputePipeline | undefined;
    for (let i = span.from; i < span.to; i++) {
      const step = steps[i]!;
      if (step.pipeline !== pipeline) pass.setPipeline((pipeline = step.pipeline));
      pass.setBindGroup(0, step.group);
      pass.dispatchWorkgroups(step.workgroups[0], step.workgroups[1], step.workgroups[2]);
    }
    pass.end();
    return encoder;
  }

  /** Queues a program; resolves once the last of it is submitted. */
  async run(program: Paced): Promise<void> {
    for (const span of program.pacer.spans(this.submitMs)) {
      const encoder = this.#encode(program.steps, span);
      const fence =
        this.#freeFences.pop() ??
        this.#gpu.createBuffer({
          size: FENCE_BYTES,
          usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
        });
      encoder.copyBufferToBuffer(this.#fenceSource, 0, fence, 0, FENCE_BYTES);
      const commands = encoder.finish();
      await this.turn(span.ms);
      this.#gpu.queue.submit([commands]);
      const submittedAt = performance.now();
      this.#flights.push({ pacer: program.pacer, span, submittedAt, timed: 1, fence });
    }
    this.#check();
  }

  /** Resolves when work of about `ms` may be submitted: nobody holds the device, and little is in flight. */
  async turn(ms: number): Promise<void> {
    for (;;) {
      this.#check();
      const inFlight = this.#flights.reduce((sum, f) => sum + f.span.ms, 0);
      if (this.#holds > 0) await this.#released;
      else if (
        this.#flights.length >= SHORT_IN_FLIGHT ||
        (this.#flights.length >= IN_FLIGHT && inFlight + ms > SHORT_MS)
      )
        await this.#retire();
      else return;
    }
  }

  /** Waits for the oldest submit. */
  #retire(): Promise<void> {
    this.#retiring ??= this.#retireOldest().finally(() => (this.#retiring = undefined));
    return this.#retiring;
  }

  async #retireOldest(): Promise<void> {
    const flight = this.#flights[0]!;
    const { span, submittedAt } = flight;
    const begin = Math.max(this.#lastEnd, submittedAt);
    const sawBegin = submittedAt >= this.#lastEnd || this.#sawEnd;
    if (this.#wary > 0) this.#wary--;
    else if (flight.pacer.isSettled) {
      const expected = Math.min(span.ms, this.submitMs);
      await sleepAtLeast(begin + SLEEP_SHARE * expected - TIMER_SLACK_MS - performance.now());
    }
    const asked = performance.now();
    await this.#map(flight.fence, TURN_MS.training);
    flight.fence.unmap();
    const end = performance.now();
    const ms = end - begin;
    this.#sawEnd = end - asked > PROMPT_MS;
    this.#lastEnd = end;
    if (!this.#sawEnd && asked - begin > TIMER_SLACK_MS) this.#wary = WARY_WAITS;
    if (flight.timed === 1) {
      if (!this.#sawEnd) flight.pacer.late(span, ms);
      else if (sawBegin) flight.pacer.measured(span, ms);
    }
    this.#flights.shift();
    this.#freeFences.push(flight.fence);
  }

  /** Waits for what is in flight now. */
  async #retireAll(): Promise<void> {
    const last = this.#flights.at(-1);
    while (last !== undefined && this.#flights.includes(last)) await this.#retire();
  }

  async #map(buffer: GPUBuffer, turnMs: number): Promise<void> {
    try {
      await slowly(buffer.mapAsync(GPUMapMode.READ), turnMs);
    } catch (error) {
      // A lost device rejects every map; what it was lost for says more.
      this.#check();
      throw error;
    }
  }

  /** Copies into `staging`, which is mapped when this resolves, behind all that was submitted before. */
  async read(copies: readonly Copy[], staging: GPUBuffer): Promise<void> {
    const encoder = this.#gpu.createCommandEncoder();
    copyAll(encoder, copies, staging);
    this.#gpu.queue.submit([encoder.finish()]);
    await this.#retireAll();
    await this.#map(staging, TURN_MS.completion);
  }

  #prepare(program: Paced, copies: readonly Copy[], staging?: GPUBuffer): Prepared {
    const bytes = copies.reduce((sum, c) => sum + c.bytes, 0);
    const target =
      staging ??
      (bytes === 0
        ? undefined
        : this.#gpu.createBuffer({
            size: bytes,
            usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
          }));
    // In parts, so that the GPU starts on the first while the driver records the others.
    const spans = program.pacer.spans(
      Math.min(this.submitMs, program.pacer.whole().ms / READING_SUBMITS),
    );
    const commands = spans.map((span, i) => {
      const encoder = this.#encode(program.steps, span);
      if (i === spans.length - 1 && target !== undefined) copyAll(encoder, copies, target);
      return encoder.finish();
    });
    return { copies, commands, staging: target };
  }

  /** Runs at once, past programs that are held or wait, and copies out in the last submit: one round trip. One call
   *  at a time per program. */
  async runAndRead(program: Paced, copies: readonly Copy[]): Promise<ArrayBuffer> {
    this.#check();
    let now = program.prepared;
    if (now === undefined || !sameCopies(now.copies, copies)) {
      now?.staging?.destroy();
      now = this.#prepare(program, copies);
    }
    program.prepared = undefined;
    const alone = this.#flights.length === 0;
    for (const f of this.#flights) f.timed = 0;
    const begin = performance.now();
    for (const commands of now.commands) this.#gpu.queue.submit([commands]);
    const mapped =
      now.staging === undefined ? undefined : this.#map(now.staging, TURN_MS.completion);
    // While the GPU works, the host encodes what it will want next; what is encoded does not depend on results.
    program.prepared = this.#prepare(program, copies, now.staging);
    if (mapped === undefined) return new ArrayBuffer(0);
    await mapped;
    // The others in flight came before and are done.
    if (!alone) void this.#retireAll().catch(() => undefined);
    else program.pacer.measured(program.pacer.whole(), performance.now() - begin);
    const copy = now.staging!.getMappedRange().slice(0);
    now.staging!.unmap();
    this.#check();
    return copy;
  }

  /** Until the returned function is called, `run` submits nothing. */
  hold(): () => void {
    if (this.#holds++ === 0) this.#released = new Promise((resolve) => (this.#release = resolve));
    let held = true;
    return () => {
      if (held && --this.#holds === 0) this.#release();
      held = false;
    };
  }

  async idle(): Promise<void> {
    await this.#retireAll();
    await slowly(this.#gpu.queue.onSubmittedWorkDone(), TURN_MS.training);
    this.#check();
  }

  dispose(): void {
    for (const fence of this.#freeFences) fence.destroy();
    this.#fenceSource.destroy();
  }
}

/** Timers have a resolution of a millisecond. */
async function sleepAtLeast(ms: number): Promise<void> {
  if (ms >= 1) await sleep(ms);
}

const sameCopies = (a: readonly Copy[], b: readonly Copy[]): boolean =>
  a.length === b.length &&
  a.every((c, i) => {
    const d = b[i]!;
    return c.buffer === d.buffer && c.offset === d.offset && c.bytes === d.bytes;
  });

function copyAll(encoder: GPUCommandEncoder, copies: readonly Copy[], to: GPUBuffer): void {
  let at = 0;
  for (const c of copies) {
    encoder.copyBufferToBuffer(c.buffer, c.offset, to, at, c.bytes);
    at += c.bytes;
  }
}
