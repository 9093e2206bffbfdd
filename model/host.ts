/**
 * The model host's process entry: it owns the device, trains and answers. It speaks over the fork's IPC channel
 * only, since Dawn prints on stdout. It never decides to go on after a lost device: it exits, and is started again.
 */
import { readFileSync } from "node:fs";
import type { CorpusFile } from "./bytes.ts";
import type { NameList } from "./candidates/offer.ts";
import type { Device, DeviceChoice } from "./device.ts";
import type { Preset } from "./config.ts";
import {
  ConfigError,
  DeviceLostError,
  NarrowError,
  OutOfGpuMemoryError,
  ProtocolError,
} from "./errors.ts";
import { FactLexicon } from "./facts/lexicon.ts";
import { consolidateHere, recordRestored } from "./hostConsolidation.ts";
import { field, readCorpus, type Fields } from "./hostInput.ts";
import { isTold, refreshMemory } from "./hostRefresh.ts";
import { IdleTuning, trainedRun, tuneHere, type Trained } from "./hostTuning.ts";
import type { Logger } from "./logger.ts";
import { Model } from "./model.ts";
import { openDevice } from "./openDevice.ts";
import {
  candidateDirectory,
  currentManifest,
  discardCandidate,
  hasUnfinishedCandidate,
  keepVersion,
  promoteCandidate,
  restoreVersion,
} from "./promote.ts";
import {
  PROTOCOL_VERSION,
  type HostEvent,
  type HostRequest,
  type HostResponse,
} from "./protocol.ts";
import { train, type TrainResult } from "./train.ts";

const send = (message: HostResponse | HostEvent): void => {
  if (process.connected) process.send!(message);
};
const line =
  (level: "trace" | "debug" | "info" | "warn" | "error") =>
  (message: string): void =>
    send({ event: "log", level, message });
const logger: Logger = {
  trace: line("trace"),
  debug: line("debug"),
  info: line("info"),
  warn: line("warn"),
  error: line("error"),
};

const bytesOf = (params: Fields, name: string): Uint8Array =>
  new Uint8Array(Buffer.from(field(params, name, "string"), "base64"));

/** What a language server offers, if the request says so. */
function nameList(value: unknown): { list?: NameList } {
  if (value === undefined) return {};
  const { names, ranks, complete } = value as Partial<NameList>;
  const areRanks =
    ranks === undefined ||
    (Array.isArray(ranks) &&
      ranks.length === names?.length &&
      ranks.every((rank) => Number.isInteger(rank) && rank >= 0));
  if (
    !Array.isArray(names) ||
    !names.every((name) => typeof name === "string") ||
    !areRanks ||
    (complete !== 0 && complete !== 1)
  )
    throw new ProtocolError("NG_PROTOCOL", "the request's list of names is none");
  return { list: { names, complete, ...(ranks === undefined ? {} : { ranks }) } };
}

const EXIT_DEVICE_LOST = 3;
/** How long one submit of training may keep the GPU from the desktop while the editor is in use, and for how long after
 *  an edit or a completion it counts as in use. */
const IN_USE_SUBMIT_MS = 16;
const IN_USE_MS = 30_000;

interface Work {
  readonly kind: "training" | "consolidation" | "tuning";
  readonly control: { paused: boolean };
  readonly abort: AbortController;
  readonly done: Promise<unknown>;
  device?: Device;
}

class Host {
  #gpu: { device: Device; reason: string } | undefined;
  #model: Model | undefined;
  /** At most one training, consolidation or tuning. */
  #work: Work | undefined;
  #inUse: NodeJS.Timeout | undefined;
  readonly #tuning = new IdleTuning({
    idle: () => this.#work === undefined && this.#inUse === undefined,
    run: (trained) => this.#tune(trained),
  });
  readonly #cancelled = new Map<number, AbortController>();
  /** Edits that arrived while a model was being loaded or replaced. */
  readonly #edits = new Map<string, Uint8Array | undefined>();

  /** One GPU device for the process; CPU work gets devices of its own, so a completion need not wait for a step. */
  async #device(
    choice: DeviceChoice,
  ): Promise<{ on: { device: Device; reason: string }; shared: 0 | 1 }> {
    if (this.#gpu !== undefined && choice !== "cpu") return { on: this.#gpu, shared: 1 };
    const on = await openDevice(choice, { logger });
    if (on.device.kind === "gpu") this.#gpu = on;
    return { on, shared: on.device.kind === "gpu" ? 1 : 0 };
  }

  async #load(dir: string, choice: DeviceChoice): Promise<unknown> {
    if (currentManifest(dir) === undefined) return { loaded: null };
    const { on, shared } = await this.#device(choice);
    const before = this.#model;
    this.#model = await Model.load(dir, {
      device: choice,
      logger,
      on: { ...on, owned: shared === 1 ? 0 : 1 },
    });
    await before?.dispose();
    for (const [path, bytes] of [...this.#edits]) this.#edit(path, bytes);
    const model = this.#model;
    model
      .prepare()
      .catch((error: unknown) =>
        logger.warn(`completions could not be prepared: ${String(error)}`),
      );
    const { manifest } = model;
    return {
      loaded: {
        params: manifest.params,
        preset: manifest.config.preset,
        heldoutBpb: manifest.heldout.bpb,
        device: model.device,
      },
    };
  }

  /** Somebody types: shorter submits until nobody does. */
  #editorInUse(): void {
    if (this.#work?.kind === "tuning") this.#work.abort.abort();
    const device = this.#gpu?.device;
    if (device?.submitMs === undefined) return;
    if (this.#inUse !== undefined) {
      this.#inUse.refresh();
      return;
    }
    const before = device.submitMs;
    device.submitMs = Math.min(before, IN_USE_SUBMIT_MS);
    this.#inUse = setTimeout(() => {
      device.submitMs = before;
      this.#inUse = undefined;
    }, IN_USE_MS).unref();
  }

  #edit(path: string, bytes: Uint8Array | undefined): void {
    // In the order they came: a folder may go after a file in it was changed.
    this.#edits.delete(path);
    this.#edits.set(path, bytes);
    if (bytes === undefined) this.#model?.removeFile(path);
    else this.#model?.setFile(path, bytes);
  }

  async #refresh(list: string): Promise<unknown> {
    const model = this.#model;
    if (model === undefined) return {};
    return refreshMemory({
      list,
      model,
      isTold: (path) => isTold(this.#edits, path),
      isInUse: () => this.#model === model,
    });
  }

  /** Takes the one place of work; what `run` does is paused, held and stopped through it. */
  #begin(
    kind: Work["kind"],
    run: (control: Work["control"], signal: AbortSignal) => Promise<unknown>,
  ): Work {
    if (this.#work !== undefined)
      throw new ConfigError(
        "NG_TRAINING",
        `a ${this.#work.kind} is already running`,
        "stop it first",
      );
    const control = { paused: false };
    const abort = new AbortController();
    const done = run(control, abort.signal).finally(() => (this.#work = undefined));
    this.#work = { kind, control, abort, done };
    return this.#work;
  }

  async #stopWork(): Promise<void> {
    const { abort, done } = this.#work ?? {};
    abort?.abort();
    await done?.catch(() => undefined);
  }

  /** What the editor does while nobody is there gives way to what somebody asked for. */
  async #endIdleWork(): Promise<void> {
    if (this.#work?.kind !== "training") await this.#stopWork();
  }

  async #tune(trained: Trained): Promise<"done" | "stopped"> {
    const device = this.#gpu?.device;
    if (device === undefined) return "done";
    const work = this.#begin("tuning", (_, signal) =>
      tuneHere(trained, device, { signal, logger }),
    );
    work.device = device;
    return (await work.done) as "done" | "stopped";
  }

  async #train(params: Fields): Promise<unknown> {
    await this.#endIdleWork();
    return this.#begin("training", (control, signal) => this.#runTraining(params, control, signal))
      .done;
  }

  async #consolidate(id: number, params: Fields): Promise<unknown> {
    if (this.#work?.kind === "tuning") await this.#stopWork();
    const work = this.#begin("consolidation", async (control, signal) => {
      const choice = field(params, "device", "string") as DeviceChoice;
      const { on, shared } = await this.#device(choice);
      if (this.#work !== undefined) this.#work.device = on.device;
      // A device of its own need not end its step.
      if (shared === 0) signal.addEventListener("abort", () => on.device.interrupt?.());
      try {
        return await consolidateHere(params, { on, choice, control, signal, logger, send });
      } finally {
        if (shared === 0) await on.device.dispose();
      }
    });
    this.#cancelled.set(id, work.abort);
    try {
      return await work.done;
    } finally {
      this.#cancelled.delete(id);
    }
  }

  async #restoreVersion(dir: string): Promise<unknown> {
    await this.#endIdleWork();
    if (this.#work !== undefined)
      throw new ConfigError("NG_TRAINING", "a training is running", "stop it first");
    const restored = restoreVersion(dir);
    if (restored) recordRestored(dir, logger);
    return { restored };
  }

  async #runTraining(
    params: Fields,
    control: { paused: boolean },
    signal: AbortSignal,
  ): Promise<unknown> {
    const dir = field(params, "out", "string");
    const { files, heldout } = readCorpus(field(params, "filesManifest", "string"), logger);
    const json = (name: string): unknown =>
      typeof params[name] === "string"
        ? (JSON.parse(readFileSync(params[name], "utf8")) as unknown)
        : undefined;
    const lexicon = json("lexiconPath");
    const choice = field(params, "device", "string") as DeviceChoice;
    const { on, shared } = await this.#device(choice);
    if (this.#work !== undefined) this.#work.device = on.device;
    const resume = hasUnfinishedCandidate(dir);
    if (!resume) discardCandidate(dir);
    let lastStep = -1;
    let result: TrainResult;
    try {
      result = await train({
        files,
        heldout,
        out: candidateDirectory(dir),
        preset: field(params, "preset", "string") as Preset | "auto",
        // The candidate's folder goes when it is discarded.
        speedsIn: dir,
        seed: field(params, "seed", "number"),
        device: choice,
        on,
        resume,
        control,
        signal,
        logger,
        ...(typeof params["minutes"] === "number" ? { minutes: params["minutes"] } : {}),
        ...(typeof params["bytes"] === "number" ? { bytes: params["bytes"] } : {}),
        ...(lexicon === undefined ? {} : { lexicon: FactLexicon.deserialize(lexicon) }),
        symbols: json("symbolsPath"),
        onProgress: (p) => {
          send({
            event: "progress",
            progress: { ...p, loss: finite(p.loss), heldoutBpb: p.heldoutBpb ?? null },
          });
          if (p.phase === "saving" && p.step !== lastStep) {
            lastStep = p.step;
            send({ event: "checkpoint", step: p.step });
          }
        },
      });
    } finally {
      if (shared === 0) await on.device.dispose();
    }
    if (result.stopped === "aborted")
      return { promoted: false, stopped: "aborted", heldoutBpb: null };
    const promoted = await this.#beats(dir, result.heldout_bpb, heldout, choice);
    if (promoted) {
      if (currentManifest(dir) !== undefined) keepVersion(dir);
      promoteCandidate(dir);
    } else discardCandidate(dir);
    const trained = trainedRun(dir, files);
    if (trained !== undefined) this.#tuning.trained(trained);
    logger.info(
      promoted
        ? `the new model is in use (${result.heldout_bpb?.toFixed(3) ?? "unmeasured"} held-out bits per byte)`
        : "the model before predicts the held-out files better and stays in use",
    );
    return { promoted, stopped: "done", heldoutBpb: result.heldout_bpb };
  }

  /** Whether a new model's held-out score is better than the present model's on the same files. */
  async #beats(
    dir: string,
    bpb: number | null,
    heldout: readonly CorpusFile[],
    choice: DeviceChoice,
  ): Promise<boolean> {
    const before = currentManifest(dir);
    if (before === undefined || bpb === null || heldout.length === 0) return true;
    const { on, shared } = await this.#device(choice);
    try {
      const model = await Model.load(dir, { device: choice, logger, on });
      let bits = 0;
      let n = 0;
      for (const f of heldout) {
        // The model in use remembers these files by now; scoring leaves a file's own text out.
        const s = await model.score({ ...f, memory: "on", network: "on" });
        for (const x of s.bits) bits += x;
        n += s.bits.length;
      }
      await model.dispose();
      return bpb <= bits / n;
    } catch (error) {
      logger.warn(`the model before cannot be compared (${String(error)}); the new one is used`);
      return true;
    } finally {
      if (shared === 0) await on.device.dispose();
    }
  }

  async #complete(id: number, params: Fields): Promise<unknown> {
    const model = this.#model;
    if (model === undefined)
      throw new ConfigError(
        "NG_NOT_LOADED",
        "no model is loaded",
        "train one, or wait until it is loaded",
      );
    const abort = new AbortController();
    this.#cancelled.set(id, abort);
    this.#editorInUse();
    // Work stops at its next submit, or op, until the completion is made.
    const release = this.#work?.device?.hold();
    try {
      const c = await model.complete({
        path: field(params, "path", "string"),
        before: bytesOf(params, "before"),
        after: bytesOf(params, "after"),
        maxBytes: field(params, "maxBytes", "number"),
        singleLine: field(params, "singleLine", "number") === 1 ? 1 : 0,
        ...nameList(params["list"]),
        signal: abort.signal,
      });
      return { text: c.text, confidence: c.confidence, ms: c.ms, perByte: [...c.perByte] };
    } finally {
      release?.();
      this.#cancelled.delete(id);
    }
  }

  async answer(request: Extract<HostRequest, { params: Fields }>): Promise<unknown> {
    const { id, params } = request;
    switch (request.method) {
      case "hello":
        return { protocolVersion: PROTOCOL_VERSION, pid: process.pid };
      case "load":
        return this.#load(
          field(params, "dir", "string"),
          field(params, "device", "string") as DeviceChoice,
        );
      case "train":
        return this.#train(params);
      case "pause":
        if (this.#work !== undefined) this.#work.control.paused = true;
        return {};
      case "resume":
        if (this.#work !== undefined) this.#work.control.paused = false;
        return {};
      case "stopTraining":
        await this.#stopWork();
        return {};
      case "consolidate":
        return this.#consolidate(id, params);
      case "restoreVersion":
        return this.#restoreVersion(field(params, "dir", "string"));
      case "complete":
        return this.#complete(id, params);
      case "setFile":
        this.#editorInUse();
        this.#edit(field(params, "path", "string"), bytesOf(params, "bytes"));
        return {};
      case "removeFile":
        this.#edit(field(params, "path", "string"), undefined);
        return {};
      case "refresh":
        return this.#refresh(field(params, "filesManifest", "string"));
      case "embed": {
        const texts = (params["texts"] as string[]).map((t) => new TextEncoder().encode(t));
        return { vectors: ((await this.#model?.embed(texts)) ?? []).map((v) => [...v]) };
      }
      case "info":
        return this.#model === undefined
          ? {}
          : { manifest: this.#model.manifest, device: this.#model.device };
      case "shutdown":
        setImmediate(() => process.exit(0));
        return {};
      default:
        return request.method satisfies never;
    }
  }

  cancel(id: number): void {
    this.#cancelled.get(id)?.abort();
  }
}

const finite = (x: number): number | null => (Number.isFinite(x) ? x : null);

const host = new Host();
process.on("message", (request: HostRequest) => {
  if (request.method === "cancel") {
    host.cancel(request.id);
    return;
  }
  host
    .answer(request)
    .then((result) => send({ id: request.id, result: result ?? null }))
    .catch((error: unknown) => {
      const known = error instanceof NarrowError ? error : undefined;
      send({
        id: request.id,
        error: {
          code: known?.code ?? "NG_HOST",
          message: error instanceof Error ? error.message : String(error),
          ...(known?.hint === undefined ? {} : { hint: known.hint }),
        },
      });
      // A lost device cannot be mended in this process.
      if (error instanceof DeviceLostError || error instanceof OutOfGpuMemoryError)
        setTimeout(() => process.exit(EXIT_DEVICE_LOST), 50);
    });
});
process.on("disconnect", () => process.exit(0));
