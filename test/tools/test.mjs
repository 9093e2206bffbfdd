/**
 * `npm test`: sets up what is missing, builds, and runs every gate and test on software adapters.
 * The last line is `N passed, N failed`: tests counted one each, and so is every other gate.
 * `--only a,b` runs some stages; `--no-setup` trusts that the machine is ready.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  adapterEnvironment,
  cache,
  codeServerEntry,
  ensureCodeServer,
  ensureDebianPackages,
  ensureLavapipe,
  ensureModules,
  passThrough,
  privateDirectories,
  root,
  shippedNode,
  stage,
} from "./setup.mjs";

const { values } = parseArgs({
  options: { only: { type: "string" }, "no-setup": { type: "boolean", default: false } },
});
const only = values.only?.split(",");
const started = performance.now();
let passed = 0;
let failed = 0;

/** One check that is not a test file: passes or fails as a whole. */
async function gate(name, args, env = {}) {
  if (only && !only.includes(name)) return false;
  const began = performance.now();
  const ok = (await passThrough(shippedNode(), args, env)) === 0;
  if (ok) passed++;
  else failed++;
  report(name, ok ? "ok" : "FAILED", began);
  return ok;
}

/** One vitest project; its JSON report is what counts, a run that leaves none counts as a failure. */
async function project(name, { label = name, env = {}, flags = [] } = {}) {
  if (only && !only.includes(label)) return;
  const began = performance.now();
  const file = join(cache, "test", `${label}.json`);
  mkdirSync(join(cache, "test"), { recursive: true });
  rmSync(file, { force: true });
  const code = await passThrough(
    shippedNode(),
    [
      join(root, "node_modules", "vitest", "vitest.mjs"),
      "run",
      "-c",
      "test/vitest.config.ts",
      "--project",
      name,
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${file}`,
      ...flags,
    ],
    env,
  );
  if (!existsSync(file)) {
    failed++;
    report(label, "FAILED: vitest left no report", began);
    return;
  }
  const result = JSON.parse(readFileSync(file, "utf8"));
  // A file that fails to load has no tests in it, and an error outside every test has no file.
  const broken = result.testResults.filter(
    (t) => t.status === "failed" && !t.assertionResults.some((a) => a.status === "failed"),
  ).length;
  let bad = result.numFailedTests + broken;
  if (code !== 0 && bad === 0) bad = 1;
  passed += result.numPassedTests;
  failed += bad;
  report(label, `${result.numPassedTests} passed, ${bad} failed`, began);
}

function report(name, verdict, began) {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  process.stdout.write(`── ${name}: ${verdict} (${seconds} s)\n`);
}

if (!values["no-setup"]) {
  await stage("set up node_modules", ensureModules);
  await stage("set up Debian packages", ensureDebianPackages);
  await stage("set up lavapipe", ensureLavapipe);
  await stage("set up the editor", ensureCodeServer);
}

const lavapipe = adapterEnvironment("lavapipe");
const swiftShader = adapterEnvironment("swiftshader");
const base = privateDirectories();
const tools = (name) => join(root, "test", "tools", name);

await gate("build", [tools("build.mjs"), "--strict"]);
await gate("types", [tools("gate.mjs"), "types"]);
await gate("lint", [tools("gate.mjs"), "lint"]);
await gate("format", [tools("gate.mjs"), "format"]);
await gate("unused", [tools("gate.mjs"), "unused"]);
for (const name of ["unit", "kernels", "network", "server", "process"])
  await project(name, { env: { ...base, ...lavapipe } });
// A second implementation of the same specification, several times slower: some of the kernels.
if (swiftShader)
  await project("kernels", {
    label: "kernels-swiftshader",
    flags: ["add", "rmsNorm", "keyShift", "crossEntropy", "gatherRows", "streamWrite"],
    env: { ...base, ...swiftShader },
  });
if (existsSync(codeServerEntry())) {
  if (await gate("package", [tools("package.mjs"), "--target", "linux-x64"]))
    await project("e2e", {
      // Its steps build on each other.
      flags: ["--bail=1"],
      env: { ...base, ...lavapipe, NARROWGAUGE_TEST_EDITOR: codeServerEntry() },
    });
} else if (process.env.CI) {
  failed++;
  process.stdout.write("── e2e: FAILED: no editor on this machine\n");
} else process.stdout.write("── e2e: skipped, the editor is only set up on Debian x64\n");

process.stdout.write(`── all: ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exit(failed ? 1 : 0);
