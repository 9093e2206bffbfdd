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
const output = join(root, "model", "cpu", "simd", "build", "kernels.wasm");

/** Memory is imported and shared, so that worker threads see the same bytes; sizes are in 64 KiB pages. */
const flags = [
  "--runtime",
  "stub",
  "--enable",
  "simd,relaxed-simd,threads",
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
  if (
    existsSync(output) &&
    statSync(output).mtimeMs >=
      Math.max(newest(sourceDirectory), statSync(fileURLToPath(import.meta.url)).mtimeMs)
  )
    return "fresh";
  mkdirSync(dirname(output), { recursive: true });
  const compiler = join(
    dirname(createRequire(import.meta.url).resolve("assemblyscript/package.json")),
    "bin",
    "asc.js",
  );
  // Written aside and renamed: test workers may be reading the old file.
  const draft = `${output}.${process.pid}.wasm`;
  const result = spawnSync(process.execPath, [compiler, entry, "--outFile", draft, ...flags], {
    cwd: root,
    encoding: "utf8",
  });
  if (result.status !== 0)
    throw new Error(`asc failed with ${result.status}\n${result.stdout}${result.stderr}`);
  renameSync(draft, output);
  return "built";
}
