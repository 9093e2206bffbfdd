/** The built command line as a process: one call, its status and both streams. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const narrowgauge = join(
  dirname(fileURLToPath(import.meta.url)),
  "..",
  "..",
  "dist",
  "narrowgauge.mjs",
);

export interface CliResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Shell words in front of the command, such as a resource limit. */
  readonly before?: string;
  /** Called with everything written to standard error so far; may send signals. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

export function runCli(argv: readonly string[], o: CliOptions = {}): Promise<CliResult> {
  if (!existsSync(narrowgauge))
    throw new Error("dist/narrowgauge.mjs is missing: run npm run build before the process tests");
  const command = [process.execPath, narrowgauge, ...argv];
  const child =
    o.before === undefined
      ? spawn(command[0]!, command.slice(1), { cwd: o.cwd, env: { ...process.env, ...o.env } })
      : spawn("bash", ["-c", `${o.before}; exec "$@"`, "bash", ...command], {
          cwd: o.cwd,
          env: { ...process.env, ...o.env },
        });
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      o.onStderr?.(stderr, (signal) => child.kill(signal));
    });
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}
