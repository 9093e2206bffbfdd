/**
 * What consolidation learns, against its controls. A model learns a workspace without a tenth of its files; then these
 * "change later" (they are new to it), and replaying them is compared with as many steps on the files it knows: on
 * held-out files, and on the lines of the changed files that were held back.
 *
 * node test/bench/run.mjs consolidation --workspace DIR --heldout DIR --model DIR
 *   [--bytes 500e3] [--preset nano] [--device cpu] [--seeds 3] [--rate 0.3]
 *
 * A finished model in --model is used again. Prints one line per seed and replay, as JSON, and then the means.
 */
import { parseArgs } from "node:util";
import {
  compareReplays,
  readManifest,
  train,
  type ConsolidationControl,
  type CorpusFile,
  type DeviceChoice,
  type Preset,
} from "../../model/index.ts";
import { HELDOUT_SHARE, pathHash } from "../../server/corpus/split.ts";
import { DEFAULT_MAX_FILE_KIB, walkCorpus } from "../../server/corpus/walk.ts";

const CHANGED_SHARE = 0.1;

const { values } = parseArgs({
  options: {
    workspace: { type: "string" },
    heldout: { type: "string" },
    model: { type: "string" },
    bytes: { type: "string", default: "500e3" },
    preset: { type: "string", default: "nano" },
    device: { type: "string", default: "cpu" },
    seeds: { type: "string", default: "3" },
    rate: { type: "string", default: "0.3" },
  },
});

function need(name: "workspace" | "heldout" | "model"): string {
  const value = values[name];
  if (value === undefined) throw new Error(`--${name} DIR is missing`);
  return value;
}

const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

async function filesOf(root: string): Promise<readonly CorpusFile[]> {
  const signal = new AbortController().signal;
  return (await walkCorpus({ root, maxFileKiB: DEFAULT_MAX_FILE_KIB, signal })).files;
}

function isFinished(dir: string): boolean {
  try {
    return readManifest(dir).finished;
  } catch {
    return false;
  }
}

/** The files that training itself would hold out come before these in the order of hashes. */
const changesLater = (f: CorpusFile): boolean => {
  const at = pathHash(f.path) - HELDOUT_SHARE;
  return at >= 0 && at < CHANGED_SHARE;
};

const heldout = await filesOf(need("heldout"));
const heldoutPaths = new Set(heldout.map((f) => f.path));
const files = (await filesOf(need("workspace"))).filter((f) => !heldoutPaths.has(f.path));
const dir = need("model");
const device = values.device as DeviceChoice;
if (!isFinished(dir)) {
  const trained = await train({
    files: files.filter((f) => !changesLater(f)),
    heldout,
    out: dir,
    preset: values.preset as Preset,
    bytes: Number(values.bytes),
    seed: 1,
    device,
  });
  say({ trained: trained.bytes, seconds: trained.seconds, network: trained.heldout_bpb_network });
}

const controls: ConsolidationControl[] = [];
for (let seed = 1; seed <= Number(values.seeds); seed++) {
  const control = await compareReplays({
    dir,
    files: [...files, ...heldout],
    changed: new Set(files.filter(changesLater).map((f) => f.path)),
    device,
    seed,
    rate: Number(values.rate),
  });
  if (typeof control === "string") throw new Error(`nothing was replayed: ${control}`);
  for (const comparison of control.comparisons)
    say({ seed, steps: control.steps, files: control.replayed.length, ...comparison });
  controls.push(control);
}

const mean = (of: (control: ConsolidationControl) => number): string =>
  (controls.reduce((sum, control) => sum + of(control), 0) / controls.length).toFixed(4);
for (const [i, { replay }] of controls[0]!.comparisons.entries())
  say({
    replay,
    heldout: mean((control) => control.comparisons[i]!.heldout.difference),
    changed: mean((control) => control.comparisons[i]!.changed.difference),
    learned: mean((control) => control.comparisons[i]!.learned.difference),
  });
process.exit(0);
