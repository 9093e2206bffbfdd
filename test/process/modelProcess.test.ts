/**
 * The model host as a child process, with a stand-in script spoken to over the same IPC: greeting, requests by id,
 * cancellation, death while callers wait, back-off, safe mode, restarts. The process boundary is real.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { HostExitError, NarrowError, ProtocolError } from "../../model/errors.ts";
import { silentLogger } from "../../model/logger.ts";
import { ModelProcess, type BackOff } from "../../server/modelProcess.ts";

const fakeHost = join(
  dirname(fileURLToPath(import.meta.url)),
  "..",
  "support",
  "fakeModelHost.mjs",
);

const FAST: BackOff = {
  firstMs: 20,
  maxMs: 80,
  windowMs: 60_000,
  safeModeAfter: 2,
  giveUpAfter: 4,
};

interface Seen {
  readonly started: { first: boolean; safeMode: boolean }[];
  readonly crashes: { message: string; retryMs: number | null }[];
}

const running: ModelProcess[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.dispose();
});

function host(
  options: Record<string, unknown> = {},
  o: { modulePath?: string; backOff?: BackOff } = {},
): { host: ModelProcess; seen: Seen } {
  const seen: Seen = { started: [], crashes: [] };
  const created = new ModelProcess({
    modulePath: o.modulePath ?? fakeHost,
    execPath: process.execPath,
    args: [JSON.stringify(options)],
    protocolVersion: 1,
    logger: silentLogger,
    backOff: o.backOff ?? FAST,
    onEvent: () => undefined,
    onStarted: (info) => seen.started.push(info),
    onCrash: ({ error, retryMs }) => seen.crashes.push({ message: error.message, retryMs }),
  });
  running.push(created);
  return { host: created, seen };
}

const completion = (path: string) => ({
  path,
  before: "",
  after: "",
  maxBytes: 10,
  singleLine: 1 as const,
});

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("the condition did not come true");
    await sleep(5);
  }
}

describe("the greeting", () => {
  test("comes before the first request, once for callers at the same time", async () => {
    const { host: process, seen } = host({ text: "ok" });
    const answers = await Promise.all([
      process.request("complete", completion("a")),
      process.request("complete", completion("b")),
      process.start(),
    ]);
    expect(answers[0]).toMatchObject({ text: "ok" });
    expect(seen.started).toEqual([{ first: true, safeMode: false }]);
  });

  test("of another version is refused", async () => {
    const { host: process } = host({ version: 7 });
    const error: unknown = await process.start().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ProtocolError);
    expect((error as NarrowError).message).toContain("protocol 7");
  });
});

describe("requests", () => {
  test("are answered by id, not by order", async () => {
    const { host: process } = host({ text: "slow", completeMs: 100 });
    const order: string[] = [];
    await process.start();
    await Promise.all([
      process.request("complete", completion("a")).then(() => order.push("complete")),
      process.request("info", {}).then(() => order.push("info")),
    ]);
    expect(order).toEqual(["info", "complete"]);
  });

  test("reject with the code that the host gave", async () => {
    const { host: process } = host();
    const error: unknown = await process
      .request("unheardOf" as "info", {})
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(NarrowError);
    expect((error as NarrowError).code).toBe("NG_UNKNOWN_METHOD");
  });

  test("reject at once when aborted, and the process goes on", async () => {
    const { host: process } = host({ completeMs: 5000 });
    await process.start();
    const abort = new AbortController();
    const waiting = process.request("complete", completion("a"), abort.signal);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
    await process.request("info", {});
  });
});

describe("a process that dies", () => {
  test("rejects every waiting caller and starts again by itself", async () => {
    const { host: process, seen } = host({ completeMs: 5000 });
    await process.start();
    const first = process.pid;
    const waiting = ["a", "b", "die"].map((path) =>
      process.request("complete", completion(path)).catch((error: unknown) => error),
    );
    for (const error of await Promise.all(waiting)) {
      expect(error).toBeInstanceOf(HostExitError);
      expect((error as HostExitError).message).toContain("SIGKILL");
    }
    await until(() => seen.started.length === 2);
    expect(seen.started[1]).toEqual({ first: false, safeMode: false });
    expect(process.pid).not.toBe(first);
    await process.request("info", {});
  });

  test("refuses requests while it rests, instead of jumping the back-off", async () => {
    const { host: process, seen } = host({}, { backOff: { ...FAST, firstMs: 300 } });
    await process.request("complete", completion("die")).catch(() => undefined);
    await expect(process.request("info", {})).rejects.toMatchObject({ code: "NG_HOST_RESTING" });
    await until(() => seen.started.length === 2);
  });

  test("again and again starts in safe mode, then not at all until asked", async () => {
    const { host: process, seen } = host();
    await process.start();
    for (let crash = 1; crash <= 4; crash++) {
      await until(() => seen.started.length === crash);
      await process.request("complete", completion("die")).catch(() => undefined);
    }
    expect(seen.started.map((one) => one.safeMode)).toEqual([false, false, true, true]);
    expect(seen.crashes.map((one) => one.retryMs)).toEqual([20, 40, 80, null]);
    await sleep(150);
    expect(seen.started).toHaveLength(4);
    process.forgive();
    await process.start();
    expect(seen.started.at(-1)).toEqual({ first: false, safeMode: false });
  });

  test("before it greets is a crash like any other", async () => {
    const { host: process, seen } = host({}, { modulePath: join(dirname(fakeHost), "absent.mjs") });
    await expect(process.start()).rejects.toBeInstanceOf(HostExitError);
    await until(() => seen.crashes.at(-1)?.retryMs === null);
    expect(seen.crashes).toHaveLength(4);
    expect(seen.started).toEqual([]);
  });

  test("when killed from outside says by which signal", async () => {
    const { host: child, seen } = host();
    await child.start();
    process.kill(child.pid!, "SIGKILL");
    await until(() => seen.crashes.length === 1);
    expect(seen.crashes[0]!.message).toContain("SIGKILL");
  });
});

describe("restarts", () => {
  test("asked for many times run once and queue once", async () => {
    const { host: process, seen } = host();
    await process.start();
    await Promise.all(Array.from({ length: 6 }, () => process.restart()));
    expect(seen.started).toHaveLength(3);
    expect(seen.crashes).toEqual([]);
  });

  test("after disposal do not happen", async () => {
    const { host: process, seen } = host();
    await process.start();
    const pid = process.pid!;
    await process.dispose();
    expect(() => globalThis.process.kill(pid, 0)).toThrow();
    await expect(process.request("info", {})).rejects.toMatchObject({ code: "NG_HOST_DISPOSED" });
    await sleep(100);
    expect(seen.started).toHaveLength(1);
    expect(seen.crashes).toEqual([]);
  });
});
