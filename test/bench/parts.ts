/**
 * Every part against its plain alternative, on equal bytes and equal steps: trains the arms of partsArms.ts and the
 * sizes of the two plots, and measures the network alone on files that no training saw.
 *
 * node test/bench/run.mjs parts --repos DIR,… --out DIR [--preset small] [--plotted NAME,…] [--most-bytes 12e6]
 *   [--until EPOCH_MS] [--device gpu]
 *
 * Each DIR holds workspace/ and heldout/ (benchRepository.ts). Any number of these may run at once on one --out: a
 * training is claimed by a file there. Results: one line each in DIR/runs-*.jsonl, which partsReport and the plots read.
 */
import { appendFileSync, closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { evaluateHeldout, FINAL_BYTES, meanBits, sampleOf } from "../../model/heldout.ts";
import { recordMemory } from "../../model/memory/record.ts";
import { RankedMixer } from "../../model/memory/rankedMixer.ts";
import { Predictor } from "../../model/model.ts";
import { openDevice } from "../../model/openDevice.ts";
import type { DeviceChoice, Device } from "../../model/device.ts";
import { BenchRepository } from "./benchRepository.ts";
import { exactMemory } from "./exactMemory.ts";
import { allTasks, type StudyTask } from "./studies.ts";
import { runTask, taskConfig, trainArm } from "./trainArm.ts";

const { values } = parseArgs({
  options: {
    repos: { type: "string" },
    out: { type: "string" },
    preset: { type: "string", default: "small" },
    plotted: { type: "string", default: "" },
    "most-bytes": { type: "string", default: "12e6" },
    until: { type: "string", default: "Infinity" },
    device: { type: "string", default: "gpu" },
    /** A regular expression: only tasks whose name it is found in. */
    only: { type: "string", default: "" },
    list: { type: "boolean", default: false },
  },
});
if (values.repos === undefined || values.out === undefined) {
  process.stderr.write("usage: parts --repos DIR,… --out DIR\n");
  process.exit(2);
}
const { preset, out } = values;
const until = Number(values.until);
const repositories: BenchRepository[] = [];
for (const root of values.repos.split(",")) repositories.push(await BenchRepository.open(root));
const plotted = repositories.filter((r) => values.plotted.split(",").includes(r.name));
const tasks = allTasks({
  preset,
  mostBytes: Number(values["most-bytes"]),
  repositories,
  plotted,
}).filter((t) => new RegExp(values.only).test(t.id));
if (values.list) {
  for (const t of tasks)
    process.stdout.write(`${t.id} ${t.bytes} ${JSON.stringify(t.set ?? {})}\n`);
  process.exit(0);
}

const claims = join(out, "claims");
mkdirSync(claims, { recursive: true });
/** False where another process has it. */
function claim(t: StudyTask): boolean {
  try {
    closeSync(openSync(join(claims, t.id), "wx"));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
const results = join(out, `runs-${Date.now()}-${process.pid}.jsonl`);

/** Of a training before one of its repository was timed: bytes per second, and seconds around it. */
const FIRST_GUESS = { rate: 4e5, around: 15 };
/** A task is begun only if this many times what the last one of its repository took is left. */
const CAUTION = 1.15;
const took = new Map<string, number>();
const secondsOf = (t: StudyTask): number =>
  CAUTION * (took.get(t.repository) ?? t.bytes / FIRST_GUESS.rate + FIRST_GUESS.around);

/** The mixture of a smaller network with the exact memory of some of the files; one of them where the other has all. */
async function runIndexTask(
  device: Device,
  r: BenchRepository,
  t: StudyTask,
): Promise<Record<string, unknown> | undefined> {
  const memory = await exactMemory(r, t.covered!);
  const files = sampleOf(r.heldout, FINAL_BYTES.gpu);
  const lexicon = r.lexicon("facts", "hash");
  const parts = { device, memory, lexicon, mixer: new RankedMixer() };
  if (t.share === 1) {
    const predictor = new Predictor({ ...parts, config: taskConfig(t, preset), params: new Map() });
    const bits: Float32Array[] = [];
    for (const f of files)
      bits.push((await predictor.score({ ...f, memory: "on", network: "off" })).bits);
    const alone = meanBits(bits);
    return { params: 0, steps: 0, mixed: alone, network: null, memory: alone };
  }
  const trained = await trainArm(device, r, t, { preset, until });
  if (trained === undefined) return undefined;
  const { trainer, config, steps, seconds } = trained;
  const predictor = new Predictor({ ...parts, config, params: trainer.optimizer.ema });
  const recalled = Promise.resolve(files.map((f) => recordMemory(memory, f)));
  const scores = await evaluateHeldout(predictor, { files, recalled, lexicon });
  await predictor.dispose();
  trainer.dispose();
  // Without a memory there is nothing to mix.
  const mixed = t.share! > 0 ? scores.bpb : scores.network;
  const { network, memory: alone } = scores;
  return {
    params: trainer.paramCount,
    steps,
    mixed,
    network,
    memory: alone,
    seconds: [0, seconds, 0],
  };
}

const { device } = await openDevice(values.device as DeviceChoice);
/** One failure may be the arm's; two in a row are the device's. */
let failures = 0;
for (const t of tasks) {
  if (Date.now() + 1e3 * secondsOf(t) > until || !claim(t)) continue;
  const r = repositories.find((one) => one.name === t.repository)!;
  const started = performance.now();
  try {
    const figures =
      t.study === "index"
        ? await runIndexTask(device, r, t)
        : await runTask(device, r, t, { preset, until });
    if (figures === undefined) break;
    failures = 0;
    const seconds = (performance.now() - started) / 1e3;
    took.set(t.repository, seconds);
    const { pin, ...what } = t;
    const line = { ...what, pinned: pin?.when, preset, device: device.name, ...figures };
    appendFileSync(results, `${JSON.stringify(line)}\n`);
    process.stdout.write(`${t.id} ${seconds.toFixed(1)} s\n`);
  } catch (error) {
    writeFileSync(join(out, `failed-${t.id}`), String((error as Error).stack ?? error));
    process.stdout.write(`${t.id} failed: ${String(error).slice(0, 300)}\n`);
    if (++failures > 1) process.exit(1);
  }
}
process.exit(0);
