/**
 * What a compressor needs for the held-out files once it has seen the workspace: the difference of two compressed sizes,
 * of the workspace alone and of the workspace with the held-out files behind it, as bits per held-out byte. The held-out
 * files are one stream, so each is seen by those after it.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Primed = { readonly bpb: number } | { readonly missing: string };

interface Compressor {
  readonly program: string;
  /** Compresses `input` into `output`; both are paths. */
  readonly args: (o: { input: string; output: string; bytes: number }) => readonly string[];
  /** The compressed text comes on standard output. */
  readonly pipes: 0 | 1;
}

export const COMPRESSORS = {
  xz: {
    program: "xz",
    args: ({ input, bytes }) => [
      `--lzma2=preset=9e,dict=${dictionaryMiB(bytes)}MiB`,
      "--threads=1",
      "--keep",
      "--stdout",
      input,
    ],
    pipes: 1,
  },
  zpaq: {
    program: "zpaq",
    args: ({ input, output }) => ["add", output, input, "-m5", "-t1"],
    pipes: 0,
  },
} as const satisfies Record<string, Compressor>;

/** The whole workspace must be in reach; the program takes eleven times as much memory. */
function dictionaryMiB(bytes: number): number {
  return Math.min(256, Math.max(64, 2 ** Math.ceil(Math.log2(bytes / 2 ** 20))));
}

export type CompressorName = keyof typeof COMPRESSORS;

interface Files {
  readonly workspace: readonly Uint8Array[];
  readonly heldout: readonly Uint8Array[];
}

/** Asks for a program; says so where it is not installed. */
export async function primed(
  name: CompressorName,
  files: Files,
  signal: AbortSignal,
): Promise<Primed> {
  const compressor: Compressor = COMPRESSORS[name];
  const bytes = files.heldout.reduce((sum, file) => sum + file.length, 0);
  if (bytes === 0) return { missing: "no held-out bytes" };
  const dir = await mkdtemp(join(tmpdir(), "narrowgauge-compress-"));
  try {
    const sizeOf = async (kind: string, parts: readonly Uint8Array[]): Promise<number> => {
      // One name for both, so that what an archive notes of a name costs both alike.
      const input = join(dir, "stream");
      const output = join(dir, `${kind}.${name}`);
      const stream = Buffer.concat(parts);
      await writeFile(input, stream);
      const args = compressor.args({ input, output, bytes: stream.length });
      return compressedSize(compressor, { args, output }, signal);
    };
    const before = await sizeOf("workspace", files.workspace);
    const both = await sizeOf("both", [...files.workspace, ...files.heldout]);
    return { bpb: ((both - before) * 8) / bytes };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT")
      return { missing: `${compressor.program} is not installed` };
    throw error;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function compressedSize(
  compressor: Compressor,
  o: { readonly args: readonly string[]; readonly output: string },
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(compressor.program, o.args, {
      stdio: ["ignore", "pipe", "pipe"],
      signal,
    });
    let piped = 0;
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (piped += chunk.length));
    child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)));
    child.on("error", reject);
    child.on("close", (status) => {
      if (status !== 0)
        reject(new Error(`${compressor.program} ended with status ${status}: ${said.trim()}`));
      else if (compressor.pipes === 1) resolve(piped);
      else
        stat(o.output).then(
          ({ size }) => resolve(size),
          (error: unknown) =>
            reject(new Error(`${compressor.program} wrote no archive`, { cause: error })),
        );
    });
  });
}
