/**
 * A stand-in for the model host at the process boundary: speaks the same messages over the same IPC, computes
 * nothing. Its first argument is JSON: { version, text, confidence, completeMs, steps, stepMs, promoted, silent,
 * consolidation, echo }. The consolidation is what one comes to: "accepted", "refused" or "nothing". With echo a
 * completion is what was asked for: the path and the text before.
 * A completion for the path "die" ends the process with SIGKILL, as a crashing driver would.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const options = {
  version: 1,
  text: "",
  confidence: 0.9,
  completeMs: 0,
  steps: 10,
  stepMs: 10,
  promoted: true,
  consolidation: "accepted",
  ...JSON.parse(process.argv[2] ?? "{}"),
};

const device = { kind: "cpu", name: "cpu (fake)", reason: "a test" };
const cancelled = new Set();
let paused = false;
let stopped = false;

const send = (message) => process.connected && process.send(message);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function loadedModel(dir) {
  if (!existsSync(join(dir, "manifest.json"))) return null;
  const manifest = JSON.parse(readFileSync(join(dir, "manifest.json"), "utf8"));
  return { params: 2e6, preset: "nano", heldoutBpb: manifest.heldoutBpb ?? null, device };
}

async function train(params) {
  const checkpoint = join(params.out, "checkpoint.json");
  mkdirSync(params.out, { recursive: true });
  const files = JSON.parse(readFileSync(params.filesManifest, "utf8")).files;
  let step =
    params.resume && existsSync(checkpoint) ? JSON.parse(readFileSync(checkpoint, "utf8")).step : 0;
  const from = step;
  stopped = false;
  while (step < options.steps && !stopped) {
    await sleep(options.stepMs);
    if (paused) continue;
    step++;
    writeFileSync(checkpoint, JSON.stringify({ step }));
    send({
      event: "progress",
      progress: {
        phase: "training",
        step,
        steps: options.steps,
        bytes: step * 100,
        totalBytes: options.steps * 100,
        seconds: step,
        secondsLeft: options.steps - step,
        loss: 8 - step / options.steps,
        heldoutBpb: step === options.steps ? 2.5 : null,
        bytesPerSecond: 100,
        device: device.name,
      },
    });
  }
  if (options.promoted)
    writeFileSync(
      join(params.out, "manifest.json"),
      JSON.stringify({ heldoutBpb: 2.5, from, files: files.length }),
    );
  return { promoted: options.promoted, stopped: stopped ? "aborted" : "done", heldoutBpb: 2.5 };
}

async function consolidate(id, params) {
  const { files } = JSON.parse(readFileSync(params.filesManifest, "utf8"));
  const report = {
    outcome: options.consolidation,
    at: new Date().toISOString(),
    files: files.length,
    steps: options.steps,
    seconds: 1,
    heldoutBefore: 2.5,
    heldoutAfter: 2.4,
    changedBefore: 3,
    changedAfter: 2.5,
    changedControl: 2.9,
  };
  stopped = false;
  for (let step = 0; step < options.steps;) {
    await sleep(options.stepMs);
    if (stopped || cancelled.has(id)) return { ...report, outcome: "aborted" };
    if (paused) continue;
    step++;
    send({
      event: "consolidating",
      progress: { phase: "learning", share: step / options.steps, device: device.name },
    });
  }
  if (report.outcome === "nothing") return report;
  if (report.outcome === "accepted") {
    const manifest = join(params.dir, "manifest.json");
    writeFileSync(join(params.dir, "previous.json"), readFileSync(manifest));
    writeFileSync(manifest, JSON.stringify({ heldoutBpb: 2.4 }));
  }
  appendFileSync(join(params.dir, "consolidations.jsonl"), `${JSON.stringify(report)}\n`);
  return report;
}

function restoreVersion({ dir }) {
  const previous = join(dir, "previous.json");
  if (!existsSync(previous)) return { restored: false };
  renameSync(previous, join(dir, "manifest.json"));
  return { restored: true };
}

async function answer({ id, method, params }) {
  switch (method) {
    case "hello":
      return { protocolVersion: options.version, pid: process.pid };
    case "load":
      return { loaded: loadedModel(params.dir) };
    case "train":
      return train(params);
    case "consolidate":
      return consolidate(id, params);
    case "restoreVersion":
      return restoreVersion(params);
    case "pause":
      paused = true;
      return {};
    case "resume":
      paused = false;
      return {};
    case "stopTraining":
      stopped = true;
      return {};
    case "complete":
      if (params.path === "die") process.kill(process.pid, "SIGKILL");
      await sleep(options.completeMs);
      if (cancelled.has(id)) return undefined;
      if (options.echo) {
        const before = Buffer.from(params.before, "base64").toString().replace(/\n/g, " ");
        return { text: `${params.path}|${before}`, confidence: 1, ms: 0 };
      }
      return { text: options.text, confidence: options.confidence, ms: options.completeMs };
    case "embed":
      return { vectors: params.texts.map(() => [1, 0]) };
    case "refresh":
      return { changed: JSON.parse(readFileSync(params.filesManifest, "utf8")).files.length };
    case "setFile":
    case "removeFile":
    case "info":
      return {};
    case "shutdown":
      process.exit(0);
      return {};
    default:
      throw Object.assign(new Error(`unknown method ${method}`), { code: "NG_UNKNOWN_METHOD" });
  }
}

process.on("disconnect", () => process.exit(0));
process.on("message", (message) => {
  if (message.method === "cancel") {
    cancelled.add(message.id);
    return;
  }
  if (options.silent) return;
  answer(message)
    .then((result) => send({ id: message.id, result: result ?? null }))
    .catch((error) =>
      send({ id: message.id, error: { code: error.code ?? "NG_FAKE", message: error.message } }),
    );
});
