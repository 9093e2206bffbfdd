/**
 * The model host as a child process. It greets with its version before anything else is sent; requests carry
 * ids; its death rejects every waiting caller with HostExitError. After a crash it is started again with back-off,
 * at most one restart in flight and one queued; after repeated crashes it is started in safe mode, which the owner
 * turns into the CPU device. A native crash of the GPU driver therefore costs seconds, never the editor.
 */
import { fork, type ChildProcess } from "node:child_process";
import { HostExitError, NarrowError, ProtocolError, type Logger } from "../model/index.ts";
import type { HostEvent, HostMethod } from "../model/protocol.ts";
import type { HostCalls } from "./hostCalls.ts";

export interface ModelProcessOptions {
  readonly modulePath: string;
  /** The Node to run it on. */
  readonly execPath: string;
  readonly execArgv?: readonly string[];
  readonly args?: readonly string[];
  readonly protocolVersion: number;
  readonly logger: Logger;
  onEvent(event: HostEvent): void;
  /** A new process has greeted; `first` is false after a restart. */
  onStarted(info: { readonly first: boolean; readonly safeMode: boolean }): void;
  /** The process died without being asked to. `retryMs` is null when no further restart is tried. */
  onCrash(info: { readonly error: HostExitError; readonly retryMs: number | null }): void;
  readonly backOff?: BackOff;
}

export interface BackOff {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Crashes within the window count; older ones are forgiven. */
  readonly windowMs: number;
  /** From this many crashes on, the process starts in safe mode. */
  readonly safeModeAfter: number;
  /** From this many crashes on, it is not started again until asked. */
  readonly giveUpAfter: number;
}

const DEFAULT_BACK_OFF: BackOff = {
  firstMs: 250,
  maxMs: 10_000,
  windowMs: 300_000,
  safeModeAfter: 3,
  giveUpAfter: 6,
};

const HELLO_TIMEOUT_MS = 20_000;
const SHUTDOWN_GRACE_MS = 1500;
const KEPT_OUTPUT_LINES = 20;

interface Pending {
  readonly method: string;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

interface Running {
  readonly child: ChildProcess;
  readonly pending: Map<number, Pending>;
  /** What it printed last; natively crashing libraries say why only there. */
  readonly output: string[];
  stopping: boolean;
}

export class ModelProcess {
  private readonly options: ModelProcessOptions;
  private readonly backOff: BackOff;
  private running: Running | undefined;
  private starting: Promise<Running> | undefined;
  private restarting: Promise<void> | undefined;
  private queuedRestart: Promise<void> | undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  /** Between a crash and the next start: requests are refused instead of jumping the back-off. */
  private resting = false;
  private crashes: number[] = [];
  private nextId = 1;
  private startedBefore = false;
  private disposed = false;

  constructor(options: ModelProcessOptions) {
    this.options = options;
    this.backOff = options.backOff ?? DEFAULT_BACK_OFF;
  }

  get safeMode(): boolean {
    return this.recentCrashes() >= this.backOff.safeModeAfter;
  }

  get pid(): number | undefined {
    return this.running?.child.pid;
  }

  /** Starts the process unless it runs. Callers at the same time share one start. */
  async start(): Promise<void> {
    await this.ensureRunning();
  }

  /** Sends one request; starts the process first if needed. Aborting tells the host and rejects at once. */
  async request<M extends HostMethod>(
    method: M,
    params: HostCalls[M]["params"],
    signal?: AbortSignal,
  ): Promise<HostCalls[M]["result"]> {
    signal?.throwIfAborted();
    const running = await this.ensureRunning();
    signal?.throwIfAborted();
    return this.send(running, method, params, signal);
  }

  /** Sends only if the process already runs: for news that a fresh process would read from disk anyway. */
  tell<M extends HostMethod>(method: M, params: HostCalls[M]["params"]): void {
    if (this.running === undefined) return;
    this.send(this.running, method, params).catch((error: unknown) => {
      this.options.logger.debug(`${method} was not accepted`, { error: String(error) });
    });
  }

  /** Stops and starts again: after a setting changed. At most one restart runs and one waits. */
  restart(): Promise<void> {
    if (this.restarting === undefined) {
      this.restarting = this.restartOnce().finally(() => {
        this.restarting = undefined;
      });
      return this.restarting;
    }
    this.queuedRestart ??= this.restarting
      .catch(() => undefined)
      .then(() => {
        this.queuedRestart = undefined;
        return this.restart();
      });
    return this.queuedRestart;
  }

  /** Forgets earlier crashes: the person asked for another try. */
  forgive(): void {
    this.crashes = [];
    this.wake();
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    clearTimeout(this.retryTimer);
    await this.stop();
  }

  private async restartOnce(): Promise<void> {
    await this.stop();
    this.wake();
    if (!this.disposed) await this.ensureRunning();
  }

  private wake(): void {
    clearTimeout(this.retryTimer);
    this.resting = false;
  }

  private async stop(): Promise<void> {
    const running = this.running ?? (await this.starting?.catch(() => undefined));
    if (running === undefined) return;
    running.stopping = true;
    const exited = new Promise<void>((resolve) => {
      if (running.child.exitCode !== null || running.child.signalCode !== null) resolve();
      else running.child.once("exit", () => resolve());
    });
    this.send(running, "shutdown", {}).catch(() => undefined);
    const kill = setTimeout(() => running.child.kill("SIGKILL"), SHUTDOWN_GRACE_MS);
    await exited;
    clearTimeout(kill);
  }

  private async ensureRunning(): Promise<Running> {
    if (this.disposed)
      throw new HostExitError("NG_HOST_DISPOSED", "the model host was stopped with the server");
    if (this.running !== undefined) return this.running;
    if (this.resting)
      throw new HostExitError(
        "NG_HOST_RESTING",
        "the model host stopped and is not running yet",
        "it is started again by itself after a short rest, unless it stopped too often",
      );
    this.starting ??= this.spawn().finally(() => {
      this.starting = undefined;
    });
    return this.starting;
  }

  private async spawn(): Promise<Running> {
    const { logger, modulePath, execPath, execArgv, args } = this.options;
    const child = fork(modulePath, [...(args ?? [])], {
      execPath,
      // Not inherited: an inspector port or a loader of ours must not reach the host.
      execArgv: [...(execArgv ?? [])],
      // Dawn prints on stdout, so stdout never carries the protocol.
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      serialization: "json",
    });
    const running: Running = { child, pending: new Map(), output: [], stopping: false };
    child.on("message", (message) => this.receive(running, message));
    child.once("error", (error) => this.exited(running, null, null, error));
    child.once("exit", (code, signal) => this.exited(running, code, signal));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.keepOutput(running, text));
    }
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new ProtocolError(
              "NG_HOST_SILENT",
              `the model host did not greet within ${HELLO_TIMEOUT_MS} ms`,
            ),
          ),
        HELLO_TIMEOUT_MS,
      );
    });
    try {
      const hello = await Promise.race([this.send(running, "hello", {}), silence]);
      if (hello.protocolVersion !== this.options.protocolVersion)
        throw new ProtocolError(
          "NG_HOST_VERSION",
          `the model host speaks protocol ${hello.protocolVersion}, the server ${this.options.protocolVersion}`,
          "install the extension again, so that its parts come from one version",
        );
    } catch (error) {
      if (!running.stopping && error instanceof ProtocolError) {
        running.stopping = true;
        child.kill("SIGKILL");
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
    this.running = running;
    logger.info("model host started", { pid: child.pid ?? null, safeMode: this.safeMode });
    const first = !this.startedBefore;
    this.startedBefore = true;
    this.options.onStarted({ first, safeMode: this.safeMode });
    return running;
  }

  private send<M extends HostMethod>(
    running: Running,
    method: M,
    params: HostCalls[M]["params"],
    signal?: AbortSignal,
  ): Promise<HostCalls[M]["result"]> {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        if (!running.pending.delete(id)) return;
        // Cancelling is not an error; the answer, if it still comes, belongs to nobody.
        if (running.child.connected) running.child.send({ method: "cancel", id });
        reject(signal!.reason as Error);
      };
      running.pending.set(id, {
        method,
        resolve: (result) => {
          signal?.removeEventListener("abort", onAbort);
          resolve(result);
        },
        reject: (error) => {
          signal?.removeEventListener("abort", onAbort);
          reject(error);
        },
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      const { child } = running;
      if (child.exitCode !== null || child.signalCode !== null) {
        running.pending.delete(id);
        reject(new HostExitError("NG_HOST_EXIT", `the model host is gone; ${method} was not sent`));
        return;
      }
      if (!child.connected) return; // The exit event answers.
      child.send({ id, method, params }, (error) => {
        if (error === null) return;
        const pending = running.pending.get(id);
        running.pending.delete(id);
        pending?.reject(
          new HostExitError(
            "NG_HOST_EXIT",
            `the model host could not be reached for ${method}`,
            undefined,
            {
              cause: error,
            },
          ),
        );
      });
    });
  }

  private receive(running: Running, message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    if ("event" in message) {
      if (this.running === running || this.starting !== undefined)
        this.options.onEvent(message as HostEvent);
      return;
    }
    const response = message as { id?: number; result?: unknown; error?: WireError };
    const pending = response.id === undefined ? undefined : running.pending.get(response.id);
    if (pending === undefined) return; // Cancelled meanwhile.
    running.pending.delete(response.id!);
    if (response.error === undefined) pending.resolve(response.result);
    else pending.reject(fromWire(response.error));
  }

  private exited(
    running: Running,
    code: number | null,
    signal: NodeJS.Signals | null,
    cause?: Error,
  ): void {
    if (this.running === running) this.running = undefined;
    const how = cause?.message ?? (signal === null ? `exit code ${code}` : `signal ${signal}`);
    const error = new HostExitError(
      "NG_HOST_EXIT",
      `the model host stopped (${how})`,
      "it is started again by itself; the log has its last words",
    );
    const pending = [...running.pending.values()];
    running.pending.clear();
    for (const caller of pending) caller.reject(error);
    if (running.stopping || this.disposed) return;
    // A failed spawn reports both "error" and "exit"; one crash is one crash.
    running.stopping = true;
    this.options.logger.warn("model host stopped", { how, output: running.output });
    this.startedBefore = true;
    this.crashes.push(Date.now());
    const crashes = this.recentCrashes();
    const retryMs =
      crashes >= this.backOff.giveUpAfter
        ? null
        : Math.min(this.backOff.maxMs, this.backOff.firstMs * 2 ** (crashes - 1));
    this.resting = true;
    this.options.onCrash({ error, retryMs });
    if (retryMs === null || !this.resting) return;
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => {
      this.wake();
      if (!this.disposed) this.ensureRunning().catch(() => undefined); // Its exit was reported.
    }, retryMs);
  }

  private recentCrashes(): number {
    const since = Date.now() - this.backOff.windowMs;
    this.crashes = this.crashes.filter((time) => time >= since);
    return this.crashes.length;
  }

  private keepOutput(running: Running, text: string): void {
    for (const line of text.split("\n")) {
      if (line.trim() === "") continue;
      this.options.logger.debug(line);
      running.output.push(line);
      if (running.output.length > KEPT_OUTPUT_LINES) running.output.shift();
    }
  }
}

interface WireError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | null;
}

function fromWire(error: WireError): NarrowError {
  const code = error.code.startsWith("NG_") ? (error.code as NarrowError["code"]) : "NG_HOST";
  return new NarrowError(code, error.message, error.hint ?? undefined);
}
