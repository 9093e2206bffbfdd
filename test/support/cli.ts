/** The built command line as a process: one call, its status and both streams, and what they must look like. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/** Another build, such as the one inside a package, can be named. */
export const narrowgauge =
  process.env["NARROWGAUGE_CLI"] ??
  join(dirname(fileURLToPath(import.meta.url)), "..", "..", "dist", "narrowgauge.mjs");

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

/** Writes files below a folder, making folders as needed. */
export async function put(root: string, files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

/** One of a family of alike files: enough pattern to learn in seconds. */
export function sourceFile(i: number): string {
  return [
    `import { register } from "./registry";`,
    "",
    `/** Handles messages of kind ${i}. */`,
    `export class Handler${i} {`,
    `  constructor(private readonly queue: MessageQueue) {}`,
    "",
    `  handle(message: Message): HandlerResult {`,
    `    const payload = this.queue.decodePayload(message.body);`,
    `    if (payload === undefined) return { status: "ignored", code: ${i} };`,
    `    return { status: "handled", code: payload.code + ${i} };`,
    `  }`,
    `}`,
    "",
    `register("kind${i}", (queue) => new Handler${i}(queue));`,
    "",
  ].join("\n");
}

export const sources = (from: number, to: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: to - from }, (_, k) => [
      `src/handler${from + k}.ts`,
      sourceFile(from + k),
    ]),
  );

/**
 * Six names of its own, then sums of them in an order that nothing foretells: what is in scope helps here however
 * well a model is trained.
 */
export function sumsFile(i: number): string {
  let state = i + 1;
  const below = (n: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 16) % n;
  };
  const syllables = "ba co du fe gi ka lo mu ne po ri sa tu ve zi".split(" ");
  const syllable = () => syllables[below(syllables.length)]!;
  const names = Array.from({ length: 6 }, () => syllable() + syllable() + syllable());
  const any = () => names[below(names.length)]!;
  return [
    ...names.map((name) => `let ${name} = ${below(100)};`),
    ...Array.from({ length: 16 }, () => `${any()} = ${any()} + ${any()};`),
    "",
  ].join("\n");
}

export const sums = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, k) => [`src/sums${k}.ts`, sumsFile(k)]));

/** Standard output is one line of JSON and nothing else. */
export function json(result: CliResult): Record<string, unknown> {
  expect(result.stdout.split("\n").length, result.stderr).toBe(2);
  return JSON.parse(result.stdout) as Record<string, unknown>;
}

/** One sentence, one hint, the given status, nothing on standard output. */
export function expectRefusal(result: CliResult, status: 1 | 2, message: RegExp): void {
  expect(result.stderr).toMatch(message);
  expect(result.stderr).toMatch(/^narrowgauge: [^\n]+\nhint: [^\n]+\n$/m);
  expect(result.stderr).not.toMatch(/\n\s+at /);
  expect(result).toMatchObject({ status, stdout: "" });
}
