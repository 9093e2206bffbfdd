/**
 * The checks that are not tests: types per folder, lint, format, unused code. One argument names the
 * check; the exit code is the verdict.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const folders = ["model", "server", "extension", "media", "test"];
// AssemblyScript is not TypeScript: its decorators stop the formatter. Results are written by programs.
const formatted = [
  ...folders,
  "*.{json,md}",
  ".vscode",
  "!model/cpu/simd/assembly/**",
  "!media/{streamMixing,birkhoffCoverage,attentionKinds,memoryNetwork}.json",
];

/** Path of a tool's program inside its package. */
const program = (name, file) => join(root, "node_modules", name, file);

function run(file, ...args) {
  const result = spawnSync(process.execPath, [file, ...args], { cwd: root, stdio: "inherit" });
  return result.status === 0;
}

const gates = {
  types: () =>
    folders
      .filter((folder) =>
        readdirSync(join(root, folder), { recursive: true }).some((f) => /\.ts$/.test(f)),
      )
      .map((folder) => run(program("typescript", "bin/tsc"), "-p", folder, "--noEmit"))
      .every(Boolean),
  lint: () =>
    run(
      program("eslint", "bin/eslint.js"),
      "-c",
      "test/eslint.config.mjs",
      "--max-warnings",
      "0",
      ...folders,
    ),
  format: () =>
    run(program("prettier", "bin/prettier.cjs"), "--check", "--log-level", "warn", ...formatted),
  "format-write": () =>
    run(program("prettier", "bin/prettier.cjs"), "--write", "--log-level", "warn", ...formatted),
  unused: () => run(program("knip", "bin/knip.js"), "--no-progress"),
};

const gate = gates[process.argv[2]];
if (!gate || !existsSync(join(root, "node_modules"))) {
  process.stderr.write(`usage: gate.mjs ${Object.keys(gates).join("|")} (after npm ci)\n`);
  process.exit(2);
}
process.exit(gate() ? 0 : 1);
