/**
 * The one place that knows how the CPU's SIMD kernels are compiled from AssemblyScript.
 * Used by the build and by the test set-up; compiles only when a source is newer than the output.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const sourceDirectory = join(root, "model", "cpu", "simd", "assembly");
const folder = join(root, "model", "cpu", "simd", "build");
/** One source, two builds: relaxed SIMD has fused multiply-add, but Node 20 does not validate it. */
const outputs = [
  { file: join(folder, "kernels.wasm"), features: "simd,relaxed-simd,threads" },
  { file: join(folder, "kernelsPlain.wasm"), features: "simd,threads" },
];

/** Memory is imported and shared, so that worker threads see the same bytes; sizes are in 64 KiB pages. */
const flags = [
  "--runtime",
  "stub",
  "--importMemory",
  "--sharedMemory",
  "--initialMemory",
  "1",
  "--maximumMemory",
  "65536",
  "-O3",
  "--noAssert",
];

/** Newest modification time under a folder, in milliseconds. */
function newest(folder) {
  return Math.max(
    ...readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs),
  );
}

/** Compiles the kernels when they exist and are out of date. Answers what it did. */
export function buildWasm() {
  const entry = join(sourceDirectory, "index.ts");
  if (!existsSync(entry)) return "absent";
  const changed = Math.max(
    newest(sourceDirectory),
    statSync(fileURLToPath(import.meta.url)).mtimeMs,
  );
  const stale = outputs.filter(({ file }) => !existsSync(file) || statSync(file).mtimeMs < changed);
  if (stale.length === 0) return "fresh";
  mkdirSync(folder, { recursive: true });
  const compiler = join(
    dirname(createRequire(import.meta.url).resolve("assemblyscript/package.json")),
    "bin",
    "asc.js",
  );
  for (const { file, features } of stale) {
    // Written aside and renamed: test workers may be reading the old file.
    const draft = `${file}.${process.pid}.wasm`;
    const result = spawnSync(
      process.execPath,
      [compiler, entry, "--outFile", draft, "--enable", features, ...flags],
      { cwd: root, encoding: "utf8" },
    );
    if (result.status !== 0)
      throw new Error(`asc failed with ${result.status}\n${result.stdout}${result.stderr}`);
    renameSync(draft, file);
  }
  return "built";
}
