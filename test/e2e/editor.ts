/**
 * A VS Code of our own: code-server on a free loopback port with a fresh profile and the VSIX
 * installed into it. `using` stops every process it started.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

/** What a test needs quiet; Narrowgauge's own settings are added by the caller. */
const quietSettings = {
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.enableExperiments": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "extensions.autoCheckUpdates": false,
  "extensions.autoUpdate": false,
  "extensions.ignoreRecommendations": true,
  "chat.disableAIFeatures": true,
  // Without it a new window opens in restricted mode, with no dialog to answer.
  "security.workspace.trust.startupPrompt": "always",
  "editor.quickSuggestions": { other: "off", comments: "off", strings: "off" },
  "editor.minimap.enabled": false,
  // What is typed is what was meant: no closing quote of the editor's in the way.
  "editor.autoClosingBrackets": "never",
  "editor.autoClosingQuotes": "never",
  "editor.acceptSuggestionOnEnter": "off",
  "files.autoSave": "off",
  "git.enabled": false,
  "json.schemaDownload.enable": false,
  "npm.fetchOnlinePackageInfo": false,
  "typescript.disableAutomaticTypeAcquisition": true,
  "typescript.surveys.enabled": false,
};

export interface EditorOptions {
  /** code-server's entry script. */
  readonly entry: string;
  /** Installed first; without it the profile has no extension of ours. */
  readonly vsix?: string;
  /** Scratch folder: profile, extensions and logs. Emptied first. */
  readonly folder: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Where netWatch.cjs writes what our background processes do on the network; goes with `vsix`. */
  readonly networkLog?: string;
  /** More arguments for the server. */
  readonly args?: readonly string[];
}

export class Editor {
  readonly url: string;
  readonly userData: string;
  readonly extensions: string;
  readonly #child: ChildProcess;

  private constructor(
    child: ChildProcess,
    o: { url: string; userData: string; extensions: string },
  ) {
    this.#child = child;
    this.url = o.url;
    this.userData = o.userData;
    this.extensions = o.extensions;
  }

  static async start(o: EditorOptions): Promise<Editor> {
    rmSync(o.folder, { recursive: true, force: true });
    const userData = join(o.folder, "profile");
    const extensions = join(o.folder, "extensions");
    const config = join(o.folder, "config.yaml");
    // What belongs to the machine is read on the server's side, all else on the window's.
    for (const side of ["User", "Machine"]) {
      mkdirSync(join(userData, side), { recursive: true });
      writeFileSync(
        join(userData, side, "settings.json"),
        JSON.stringify({ ...quietSettings, ...o.settings }, null, 2),
      );
    }
    mkdirSync(extensions, { recursive: true });
    writeFileSync(config, "{}\n");
    const common = [
      o.entry,
      "--config",
      config,
      "--user-data-dir",
      userData,
      "--extensions-dir",
      extensions,
    ];
    // An empty gallery: the editor must not look anything up.
    const env = { ...process.env, EXTENSIONS_GALLERY: '{"serviceUrl":""}' };
    if (o.vsix !== undefined) {
      const install = spawnSync(process.execPath, [...common, "--install-extension", o.vsix], {
        encoding: "utf8",
        env,
      });
      if (install.status !== 0)
        throw new Error(`the VSIX was not installed:\n${install.stdout}${install.stderr}`);
      if (o.networkLog !== undefined)
        watchNetwork(join(extensions, installedFolder(extensions)), o.networkLog);
    }

    const port = await freePort();
    const log = openSync(join(o.folder, "server.log"), "w");
    const child = spawn(
      process.execPath,
      [
        ...common,
        "--auth",
        "none",
        "--bind-addr",
        `127.0.0.1:${port}`,
        "--disable-telemetry",
        "--disable-update-check",
        "--disable-getting-started-override",
        ...(o.args ?? []),
      ],
      // Its own process group, so that one signal reaches everything it starts.
      { env, stdio: ["ignore", log, log], detached: true },
    );
    const url = `http://127.0.0.1:${port}/`;
    await until("code-server answers", 60_000, async () => {
      if (child.exitCode !== null) throw new Error(`code-server ended with ${child.exitCode}`);
      return fetch(`${url}healthz`).then(
        (response) => response.ok,
        () => false,
      );
    });
    return new Editor(child, { url, userData, extensions });
  }

  /** Process ids of everything below code-server, with their command lines. */
  processes(): { pid: number; command: string }[] {
    const parents = new Map<number, number>();
    for (const name of readdirSync("/proc").filter((n) => /^\d+$/.test(n))) {
      const stat = readProc(`${name}/stat`);
      const parent = /\) \S (\d+)/.exec(stat)?.[1];
      if (parent !== undefined) parents.set(Number(name), Number(parent));
    }
    const below = (pid: number): boolean =>
      pid === this.#child.pid || (parents.has(pid) && pid > 1 && below(parents.get(pid)!));
    return [...parents.keys()]
      .filter(below)
      .map((pid) => ({ pid, command: readProc(`${pid}/cmdline`).replaceAll("\0", " ").trim() }));
  }

  /** Text of the extension's own log channel, all sessions in order. */
  extensionLog(): string {
    const logs = join(this.userData, "logs");
    return readdirSync(logs, { recursive: true, encoding: "utf8" })
      .filter((name) => /narrowgauge[^/]*\/[^/]*\.log$/i.test(name))
      .sort()
      .map((name) => readFileSync(join(logs, name), "utf8"))
      .join("");
  }

  async stop(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    const group = -this.#child.pid!;
    if (this.#child.exitCode !== null) return;
    process.kill(group, "SIGTERM");
    const late = setTimeout(() => process.kill(group, "SIGKILL"), 5000);
    await gone;
    clearTimeout(late);
  }
}

export function installedFolder(extensions: string): string {
  const found = readdirSync(extensions).filter((name) => name.startsWith("narrowgauge."));
  if (found.length !== 1) throw new Error(`expected one extension, found ${found.join(", ")}`);
  return found[0]!;
}

/**
 * Puts a script in front of the installed Node that preloads netWatch.cjs. The editor removes
 * NODE_OPTIONS from what it passes to extensions, so the environment alone does not reach that far.
 */
function watchNetwork(extension: string, networkLog: string): void {
  const node = join(extension, "dist", "node", "node");
  renameSync(node, `${node}.shipped`);
  writeFileSync(
    node,
    [
      "#!/bin/sh",
      `export NARROWGAUGE_TEST_NETWORK_LOG='${networkLog}'`,
      `export NODE_OPTIONS='--require=${join(import.meta.dirname, "netWatch.cjs")}'`,
      `exec '${node}.shipped' "$@"`,
      "",
    ].join("\n"),
    { mode: 0o755 },
  );
}

/** Remote ends of the sockets that a process holds, other than loopback and UNIX sockets. */
export function foreignSockets(pid: number): string[] {
  const inodes = new Set<string>();
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    }
  } catch {
    return []; // It ended between the listing and the look.
  }
  const found: string[] = [];
  for (const table of ["tcp", "tcp6", "udp", "udp6"])
    for (const line of readProc(`${pid}/net/${table}`).split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      const [local, remote, inode] = [fields[1] ?? "", fields[2] ?? "", fields[9] ?? ""];
      if (!inodes.has(inode)) continue;
      const connected = !/:0000$/.test(remote);
      const end = connected ? remote : local;
      if (
        !/^(0100007F|00000000000000000000000001000000|0000000000000000FFFF00000100007F):/.test(end)
      )
        found.push(`${table} ${local} ${remote}`);
    }
  return found;
}

function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return "";
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Waits for a condition; the error says what was waited for. */
export async function until(
  what: string,
  timeoutMs: number,
  condition: () => Promise<boolean> | boolean,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs / 1000} s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
