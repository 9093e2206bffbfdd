/**
 * What the machine's device does: matrix products at the presets' shapes, a copy for the memory's ceiling, one
 * training step by op, and a completion. Times are medians or best of several rounds, as said per figure.
 */
import { benchMatmul, cpuShapes, trainingShapes } from "./bench/matmul.ts";
import { benchTuning, tunedState, type TunedState } from "./bench/tuned.ts";
import type { CorpusFile } from "./bytes.ts";
import { PRESETS, type ModelConfig, type Preset } from "./config.ts";
import { Completer } from "./completer.ts";
import { Decoder } from "./decoder.ts";
import type { Device, DeviceChoice, KernelTime } from "./device.ts";
import { createFactEncoder } from "./facts/encoder.ts";
import { FactLexicon } from "./facts/lexicon.ts";
import type { GpuDevice } from "./gpu/device.ts";
import { Graph } from "./graph.ts";
import { convert } from "./kernels/convert.ts";
import { silentLogger, type Logger } from "./logger.ts";
import { Mixer } from "./memory/mixer.ts";
import { SuffixMemory } from "./memory/suffixMemory.ts";
import { openDevice } from "./openDevice.ts";
import { Random } from "./random.ts";
import { Sampler } from "./sampler.ts";
import { Trainer } from "./trainer.ts";
import { learnedText, trainingPatches } from "./trainingPatches.ts";
import { demandTimed } from "./tune.ts";

export interface BenchOp {
  readonly op: string;
  readonly [figure: string]: string | number;
}

export interface BenchResult {
  readonly device: string;
  readonly reason: string;
  /** Whether what was tuned on this device is in use; absent where nothing can be tuned. */
  readonly products?: TunedState;
  readonly ops: readonly BenchOp[];
}

export interface BenchOptions {
  readonly device: DeviceChoice;
  readonly preset?: Preset;
  /** What steps learn; by default a made-up text, so that figures of machines can be compared. */
  readonly file?: CorpusFile;
  /** 1: matrix products are tuned first, and a step is measured before and after. */
  readonly tune?: 0 | 1;
  readonly logger?: Logger;
  readonly signal?: AbortSignal;
}

const WARMUP_STEPS = 2;
/** Submits are paced by what steps were seen to take: the first ones are slow. */
const GPU_STEPS = 40;
const COPIES = 10;
const COPY_ELEMENTS = 1 << 26;
const COMPLETION_BYTES = 40;
const COMPLETION_CONTEXT = 512;
const ROUNDS = 5;
/** Rounds before the compiler of JavaScript has seen enough of the memory's code. */
const COMPLETION_WARMUP = 15;

/** Text-like bytes: the figures must not depend on anybody's code. */
function syntheticFile(): CorpusFile {
  const random = new Random(1);
  const words = Array.from({ length: 200 }, () =>
    Array.from({ length: 3 + random.below(7) }, () =>
      String.fromCharCode(97 + random.below(26)),
    ).join(""),
  );
  let text = "";
  while (text.length < 1 << 18)
    text += `${words[random.below(200)]}.${words[random.below(200)]}(${words[random.below(200)]});\n`;
  return { path: "bench.ts", bytes: new TextEncoder().encode(text) };
}

const median = (times: number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1]!;

/** Bytes per second that a plain copy moves, read and written: the ceiling of everything bound by memory. */
async function benchCopy(device: Device): Promise<BenchOp & { readonly GBps: number }> {
  const n = device.kind === "gpu" ? COPY_ELEMENTS : COPY_ELEMENTS >> 4;
  const x = device.tensor("copy from", [n]);
  const y = device.tensor("copy to", [n]);
  const g = new Graph();
  for (let i = 0; i < COPIES; i++) convert(g, { x, y });
  const program = await device.compile(g, "copy");
  let ms = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    await device.idle();
    const started = performance.now();
    await program.run();
    await device.idle();
    ms = Math.min(ms, (performance.now() - started) / COPIES);
  }
  const kernels = await program.kernels?.();
  if (kernels !== undefined) ms = kernels[0]!.us / 1e3;
  program.dispose();
  device.free(x);
  device.free(y);
  return { op: "copy", elements: n, ms, GBps: (n * 8) / ms / 1e6 };
}

/** What the machine can do at best, measured in the same run. */
interface Ceilings {
  readonly GBps: number;
  readonly teraflops: number;
}

/** Below this a kernel's time is mostly the launch. */
const LAUNCH_US = 5;

function kernelRow(k: KernelTime, ceilings: Ceilings): BenchOp {
  const memory = k.bytes / (ceilings.GBps * 1e3);
  const arithmetic = k.flop / (ceilings.teraflops * 1e6);
  const reached = Math.max(memory, arithmetic) / k.us;
  const bound =
    k.us < LAUNCH_US && reached < 0.5 ? "launch" : memory >= arithmetic ? "memory" : "arithmetic";
  return {
    op: `    ${k.op}`,
    shape: k.shape,
    perRun: k.count,
    us: k.us,
    GBps: k.bytes / k.us / 1e3,
    ofCopy: memory / k.us,
    ...(k.flop > 0 ? { teraflops: k.flop / k.us / 1e6, ofBestMatmul: arithmetic / k.us } : {}),
    bound,
  };
}

const kernelRows = (kernels: readonly KernelTime[], ceilings: Ceilings): BenchOp[] =>
  kernels.toSorted((a, b) => b.us * b.count - a.us * a.count).map((k) => kernelRow(k, ceilings));

interface TimedStep {
  readonly trainer: Trainer;
  readonly row: BenchOp;
}

async function timeStep(
  device: Device,
  config: ModelConfig,
  file: CorpusFile,
  note = "",
): Promise<TimedStep> {
  const trainer = await Trainer.create({
    device,
    config,
    ...learnedText(config, file.bytes),
    seed: 1,
  });
  const encoder = createFactEncoder({ lexicon: new FactLexicon(), colour: config.colour });
  const sampler = new Sampler([file], config, encoder, 1);
  const step = (i: number): Promise<number> =>
    trainer.step({ step: i, factor: 1, windows: sampler.step(i) });
  const warmup = device.kind === "gpu" ? GPU_STEPS : WARMUP_STEPS;
  for (let i = 0; i < warmup; i++) await step(i);
  await device.idle();
  const rounds = device.kind === "gpu" ? GPU_STEPS : 2;
  const started = performance.now();
  for (let i = 0; i < rounds; i++) await step(warmup + i);
  await device.idle();
  const ms = (performance.now() - started) / rounds;
  const bytes = config.batch * config.context;
  const row = {
    op: `training step ${config.preset}${note}`,
    params: trainer.paramCount,
    ms,
    bytes,
    KBps: bytes / ms,
    MiBtemporary: Math.round(trainer.temporaryBytes / 2 ** 20),
  };
  return { trainer, row };
}

/** With the model's choices, whatever was tuned before: for comparison. */
async function benchUntuned(
  device: GpuDevice,
  config: ModelConfig,
  file: CorpusFile,
): Promise<BenchOp> {
  const { products } = device;
  device.products = undefined;
  const { trainer, row } = await timeStep(device, config, file, ", tiles by the model");
  device.products = products;
  trainer.dispose();
  return row;
}

async function benchStep(
  device: Device,
  config: ModelConfig,
  file: CorpusFile,
  ceilings: Ceilings,
): Promise<BenchOp[]> {
  const { trainer, row } = await timeStep(device, config, file);
  const ops: BenchOp[] = [row];
  const profile = await trainer.profile();
  for (const [name, t] of [...(profile ?? [])].toSorted((a, b) => b[1].ms - a[1].ms))
    ops.push({ op: `  ${name}`, dispatches: t.count, ms: t.ms });
  ops.push(await benchCompletion(device, config, trainer, file));
  ops.push(...kernelRows((await trainer.kernels()) ?? [], ceilings));
  trainer.dispose();
  return ops;
}

async function benchCompletion(
  device: Device,
  config: ModelConfig,
  trainer: Trainer,
  file: CorpusFile,
): Promise<BenchOp> {
  const memory = new SuffixMemory();
  memory.setFile(file.path, file.bytes);
  const completer = new Completer({
    decoder: await Decoder.create(device, config, trainer.optimizer.ema),
    memory,
    mixer: new Mixer(),
    lexicon: new FactLexicon(),
    facts: config.facts,
    colour: config.colour,
  });
  const ms = async (from: number, length: number): Promise<number> => {
    const c = await completer.complete({
      path: "other.ts",
      before: file.bytes.subarray(from, from + length),
      after: new Uint8Array(0),
      maxBytes: COMPLETION_BYTES,
      singleLine: 0,
    });
    return c.ms;
  };
  const cold: number[] = [];
  const warm: number[] = [];
  for (let i = 0; i < COMPLETION_WARMUP + ROUNDS; i++) {
    const from = 1000 + 977 * i;
    const first = await ms(from, COMPLETION_CONTEXT);
    const next = await ms(from, COMPLETION_CONTEXT + 1);
    if (i < COMPLETION_WARMUP) continue;
    cold.push(first);
    warm.push(next);
  }
  completer.dispose();
  return {
    op: `completion of ${COMPLETION_BYTES} bytes ${config.preset}`,
    ms: median(cold),
    msAfterOneMoreByte: median(warm),
  };
}

export async function bench(o: BenchOptions): Promise<BenchResult> {
  const logger = o.logger ?? silentLogger;
  const { device, reason } = await openDevice(o.device, { logger });
  const file = o.file ?? syntheticFile();
  const ops: BenchOp[] = [];
  try {
    if (o.tune === 1) demandTimed(device);
    logger.info(`measuring ${device.name}: ${reason}`);
    const copy = await benchCopy(device);
    ops.push(copy);
    const shapes = device.kind === "gpu" ? trainingShapes : cpuShapes;
    const speeds = await benchMatmul(device, shapes);
    for (const m of speeds) ops.push({ op: "matmul", ...m });
    const ceilings = {
      GBps: copy.GBps,
      teraflops: Math.max(...speeds.map((m) => m.teraflops)),
    };
    const presets: Preset[] =
      o.preset !== undefined ? [o.preset] : device.kind === "gpu" ? ["nano", "small"] : ["nano"];
    if (o.tune === 1) {
      const configs = presets.map((preset) => PRESETS[preset]);
      const runs = configs.map((config) => ({
        config,
        patches: trainingPatches(config, file.bytes),
      }));
      ops.push(...(await benchTuning({ device, runs, logger, signal: o.signal })));
      demandTimed(device);
      for (const config of configs) ops.push(await benchUntuned(device, config, file));
    }
    for (const preset of presets) {
      if (o.signal?.aborted === true) break;
      logger.info(`measuring a training step of ${preset}`);
      ops.push(...(await benchStep(device, PRESETS[preset], file, ceilings)));
    }
  } finally {
    await device.dispose();
  }
  const products = tunedState(device);
  return { device: device.name, reason, ...(products === undefined ? {} : { products }), ops };
}
