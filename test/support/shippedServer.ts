/**
 * The language server as it is shipped: the built bundle in a process of its own, with the real model host below
 * it, on a tiny workspace of its own. `using` is not possible with an asynchronous end, so `stop` has to be called.
 */
import { fork, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  createProtocolConnection,
  IPCMessageReader,
  IPCMessageWriter,
} from "vscode-languageserver/node";
import { URI } from "vscode-uri";
import { LspClient } from "./lspClient.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const server = join(root, "dist", "server.mjs");

export const bundlesExist = existsSync(server) && existsSync(join(root, "dist", "model.mjs"));

export interface ShippedServer {
  readonly client: LspClient;
  readonly workspace: string;
  /** What netWatch.cjs saw, one JSON object a line. */
  readonly networkLog: string;
  stop(): Promise<void>;
}

export async function startShippedServer(
  settings: Record<string, unknown>,
): Promise<ShippedServer> {
  const folder = await mkdtemp(join(tmpdir(), "narrowgauge-shipped-"));
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
  const child: ChildProcess = fork(server, ["--node-ipc"], {
    execArgv: [],
    env: {
      ...process.env,
      NODE_OPTIONS: `--require=${join(root, "test", "e2e", "netWatch.cjs")}`,
      NARROWGAUGE_TEST_NETWORK_LOG: networkLog,
    },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const connection = createProtocolConnection(
    new IPCMessageReader(child),
    new IPCMessageWriter(child),
  );
  const client = new LspClient(connection, settings);
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
  return {
    client,
    workspace,
    networkLog,
    stop: async () => {
      connection.dispose();
      const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL");
        await gone;
      }
      // The model host ends with its parent and may still write for a moment.
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}
