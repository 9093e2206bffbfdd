/**
 * The language server and the model host as they are shipped (the built bundles, real processes, the real host):
 * trains on a tiny workspace, completes and answers a query, and opens no socket but loopback meanwhile. A script
 * preloaded into both reports every attempt to reach or serve anything else.
 */
import { fork, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createProtocolConnection,
  IPCMessageReader,
  IPCMessageWriter,
} from "vscode-languageserver/node";
import { URI } from "vscode-uri";
import { QueryRequest, StartTrainingRequest } from "../../server/protocol.ts";
import { LspClient } from "../support/lspClient.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const server = join(root, "dist", "server.mjs");
const netWatch = join(root, "test", "e2e", "netWatch.cjs");

let folder: string;
let child: ChildProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "narrowgauge-network-"));
});
afterEach(async () => {
  child?.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

const built = existsSync(server) && existsSync(join(root, "dist", "model.mjs"));

describe.skipIf(!built && !process.env["CI"])("the shipped processes", () => {
  test("train, complete and answer without any socket but loopback", async () => {
    const workspace = join(folder, "workspace");
    await mkdir(workspace);
    for (let n = 0; n < 8; n++)
      await writeFile(
        join(workspace, `shape${n}.ts`),
        `export function areaOfShape${n}(width: number, height: number): number {\n  return width * height * ${n};\n}\n`.repeat(
          8,
        ),
      );
    const networkLog = join(folder, "network.jsonl");
    child = fork(server, ["--node-ipc"], {
      execArgv: [],
      env: {
        ...process.env,
        NODE_OPTIONS: `--require=${netWatch}`,
        NARROWGAUGE_TEST_NETWORK_LOG: networkLog,
      },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const connection = createProtocolConnection(
      new IPCMessageReader(child),
      new IPCMessageWriter(child),
    );
    const client = new LspClient(connection, {
      training: { budgetMinutes: 0.1 },
      completion: { debounceMs: 0, deadlineMs: 5000, minConfidence: 0 },
      device: { backend: "cpu" },
    });
    await connection.sendRequest("initialize", {
      processId: process.pid,
      rootUri: null,
      capabilities: {
        workspace: { configuration: true, didChangeConfiguration: { dynamicRegistration: true } },
        textDocument: { inlineCompletion: { dynamicRegistration: true } },
      },
      workspaceFolders: [{ uri: URI.file(workspace).toString(), name: "workspace" }],
      initializationOptions: { storagePath: join(folder, "storage"), consented: true },
    });
    await connection.sendNotification("initialized", {});

    await client.untilState("notTrained", 30_000);
    const hits = await client.request(QueryRequest, { text: "areaOfShape3", limit: 5 });
    expect(hits[0]!.path).toBe("shape3.ts");

    expect(await client.request(StartTrainingRequest, {})).toEqual({ outcome: "started" });
    await client.until(
      "the end of training",
      () => client.state?.kind === "ready" || client.state?.kind === "error",
      150_000,
    );
    expect(client.state, JSON.stringify([client.state, client.logs.slice(-8)])).toMatchObject({
      kind: "ready",
      device: { kind: "cpu" },
    });
    expect(client.points.length).toBeGreaterThan(0);

    const cursor = await client.write(
      URI.file(join(workspace, "shape9.ts")).toString(),
      "export function areaOfShape9(width: number, hei|",
    );
    const items = await client.complete(cursor, { triggerKind: 1 });
    expect(items?.[0]?.insertText).toMatch(/^ght/);
    await client.close();

    const lines = (await readFile(networkLog, "utf8"))
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { event: string; program: string });
    const programs = lines.filter((line) => line.event === "start").map((line) => line.program);
    expect(programs.join(" ")).toContain("server.mjs");
    expect(programs.join(" ")).toContain("model.mjs");
    expect(lines.filter((line) => line.event !== "start")).toEqual([]);
  });
});
