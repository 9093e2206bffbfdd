/**
 * A language server as a child process, spoken to over its stdin and stdout. Every request has a time limit;
 * when the child dies or stops answering, all waiting callers learn why at once. The child runs in a process
 * group of its own, so that what it spawned goes with it.
 */

import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import {
  CancellationTokenSource,
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver/node";
import type { MessageConnection } from "vscode-languageserver/node";
import type { ServerCommand } from "./languageServers.ts";
import { SourceGone } from "./source.ts";

const SHUTDOWN_MS = 1000;
const KEPT_STDERR = 400;
const QUIET_MS = 700;
const POLL_MS = 50;

/** The time for one request ran out; the server may still be well. */
export class RequestTimeout extends Error {
  override readonly name = "RequestTimeout";
}

export class LspClient {
  readonly #name: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #connection: MessageConnection;
  #stderr = "";
  #gone: SourceGone | undefined;
  #fail: (reason: SourceGone) => void = () => undefined;
  readonly #failed: Promise<never>;
  /** When the oldest request was sent that came after the last answer. */
  #silentSince: number | undefined;
  readonly #hangMs: number;
  #exited = false;
  #busy = 0;

  constructor(o: {
    readonly name: string;
    readonly command: ServerCommand;
    readonly cwd: string;
    readonly settings: Readonly<Record<string, unknown>>;
    /** No answer to anything for so long, and the server counts as hanging. */
    readonly hangMs: number;
  }) {
    this.#name = o.name;
    this.#hangMs = o.hangMs;
    this.#failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    this.#failed.catch(() => undefined);
    this.#child = spawn(o.command.command, o.command.args, {
      cwd: o.cwd,
      stdio: ["pipe", "pipe", "pipe"],
      windowsHide: true,
      detached: process.platform !== "win32",
      // A bundled Electron or a debugger must not leak into the child.
      env: { ...process.env, ELECTRON_RUN_AS_NODE: "1", NODE_OPTIONS: "" },
    });
    this.#child.on("error", (error) => this.#lose(`could not be started: ${error.message}`));
    this.#child.on("exit", (code, signal) => {
      this.#exited = true;
      const said = this.#stderr.trim().split("\n")[0];
      this.#lose(`ended with ${signal ?? `code ${code}`}${said ? ` (${said})` : ""}`);
    });
    this.#child.stderr.on("data", (data: Buffer) => {
      if (this.#stderr.length < KEPT_STDERR) this.#stderr += data.toString();
    });
    // Writing to a dead child raises here, and its exit says the same.
    this.#child.stdin.on("error", () => undefined);

    this.#connection = createMessageConnection(
      new StreamMessageReader(this.#child.stdout),
      new StreamMessageWriter(this.#child.stdin),
    );
    this.#connection.onError(() => undefined);
    this.#connection.onRequest((method, params) => answer(method, params, o.settings));
    this.#connection.onUnhandledProgress(({ value }) => this.#progressed(value));
    this.#connection.listen();
  }

  get gone(): SourceGone | undefined {
    return this.#gone;
  }

  /** Waits until the server reports no work in progress (loading a project, indexing), at most `limitMs`. */
  async settled(limitMs: number): Promise<void> {
    const until = performance.now() + limitMs;
    let quietSince = performance.now();
    // Work that is over may be followed by more, and the first report takes a moment to come.
    while (performance.now() < until && performance.now() - quietSince < QUIET_MS && !this.#gone) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      if (this.#busy > 0) quietSince = performance.now();
    }
  }

  /** Rejects with RequestTimeout after `timeoutMs`, with SourceGone when the server is lost. */
  async request<Result>(method: string, params: unknown, timeoutMs: number): Promise<Result> {
    if (this.#gone) throw this.#gone;
    const cancel = new CancellationTokenSource();
    this.#silentSince ??= performance.now();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        cancel.cancel();
        reject(new RequestTimeout(`${method} took over ${Math.round(timeoutMs)} ms`));
      }, timeoutMs);
    });
    try {
      const answered = this.#connection.sendRequest<Result>(method, params, cancel.token);
      // An answer after the race is over, an error of a cancelled request among them, is nobody's.
      answered.catch(() => undefined);
      const result = await Promise.race([answered, late, this.#failed]);
      this.#silentSince = undefined;
      return result;
    } catch (error) {
      if (!(error instanceof RequestTimeout)) this.#silentSince = undefined;
      else if (performance.now() - (this.#silentSince ?? Infinity) >= this.#hangMs)
        this.#lose(`does not answer (${error.message})`);
      throw this.#gone ?? error;
    } finally {
      clearTimeout(timer);
      cancel.dispose();
    }
  }

  notify(method: string, params: unknown): void {
    if (this.#gone) return;
    this.#connection.sendNotification(method, params).catch(() => undefined);
  }

  /** Asks the server to end, and ends it. Returns within a bounded time, whatever the server does. */
  async dispose(): Promise<void> {
    if (!this.#gone) {
      await this.request("shutdown", undefined, SHUTDOWN_MS).catch(() => undefined);
      this.notify("exit", undefined);
      // The notification leaves with the next turn of the loop.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.#lose("was stopped");
    this.#connection.dispose();
    this.#kill();
  }

  #lose(reason: string): void {
    if (this.#gone) return;
    this.#gone = new SourceGone(`${this.#name} ${reason}`);
    this.#fail(this.#gone);
    this.#kill();
  }

  #kill(): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      // The whole group: servers start helpers, which outlive a killed parent.
      if (process.platform === "win32") this.#child.kill();
      else process.kill(-pid, "SIGKILL");
    } catch {
      if (!this.#exited) this.#child.kill("SIGKILL");
    }
  }

  #progressed(value: unknown): void {
    const { kind } = (value ?? {}) as { kind?: string };
    if (kind === "begin") this.#busy++;
    else if (kind === "end") this.#busy = Math.max(0, this.#busy - 1);
  }
}

/** What servers ask of a client: their settings, and leave to do things that need no answer. */
function answer(
  method: string,
  params: unknown,
  settings: Readonly<Record<string, unknown>>,
): unknown {
  if (method !== "workspace/configuration") return null;
  const { items } = params as { items: readonly { section?: string }[] };
  return items.map((item) => settings[item.section ?? ""] ?? null);
}
