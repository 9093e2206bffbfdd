/**
 * `npm run demo`: the main job on the command line, on this repository itself. Installs and builds what
 * is missing, trains the smallest model for at most two minutes on whatever device there is, and shows
 * what it learned. The lines to complete are chosen by their place, before any result is known.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cache, ensureModules, passThrough, root, shippedNode, stage } from "./setup.mjs";

const minutes = "2";
const nLines = 5;
const questions = [
  "splitHeldout",
  "leave out files that hold secrets",
  "start the model host again after a crash",
];

const model = join(cache, "demo-model");
const copies = join(cache, "demo-heldout");
const command = join(root, "dist", "narrowgauge.mjs");
const say = (text = "") => process.stdout.write(`${text}\n`);
const heading = (text) => say(`\n\u001b[1m${text}\u001b[0m`);

/** What the graphics loader prints where there is no driver; the device line says it in plain words. */
const driverNoise = /Warning: vk[^\n]*\n(?: +at Check[^\n]*\n\n?)?/g;

/** Runs one command of ours and parses its line of JSON; "live" shows its progress meanwhile. */
function narrowgauge(show, ...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(shippedNode(), [command, ...args, "--json"], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let said = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => {
      said += chunk;
      if (show === "live") process.stderr.write(String(chunk).replace(driverNoise, ""));
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(JSON.parse(output));
      else reject(new Error(`narrowgauge ${args[0]} ended with ${code}\n${said}`));
    });
  });
}

/** Places inside lines of held-out files, spread evenly over all lines that are long enough. */
function cuts(paths) {
  const places = [];
  for (const path of paths) {
    const text = readFileSync(join(root, path), "utf8");
    let start = 0;
    let number = 0;
    for (const line of text.split("\n")) {
      number++;
      const indent = line.length - line.trimStart().length;
      const code = /\.(ts|mjs)$/.test(path) && !/^\s*(\*|\/[/*])/.test(line);
      // Far enough into the line that there is something to go on from.
      const least = indent + 12 + Math.floor(line.trim().length / 3);
      const cut = least + /^\w*\W?/.exec(line.slice(least))[0].length;
      if (code && line.trim().length >= 30 && line.length - cut >= 6)
        places.push({ path, number, line, cut, start, text });
      start += line.length + 1;
    }
  }
  return Array.from({ length: Math.min(nLines, places.length) }, (_, i) =>
    places.at(Math.floor(((i + 0.5) * places.length) / Math.min(nLines, places.length))),
  );
}

/** The file as it stands while the line is being typed: what comes after the cursor on it is not there. */
async function completion({ path, line, cut, start, text }) {
  const copy = join(copies, path);
  const before = text.slice(0, start + cut);
  mkdirSync(dirname(copy), { recursive: true });
  writeFileSync(copy, before + text.slice(start + line.length));
  return narrowgauge(
    "quiet",
    "complete",
    "--model",
    model,
    "--workspace",
    copies,
    "--file",
    copy,
    "--offset",
    String(Buffer.byteLength(before)),
  );
}

const started = performance.now();
heading("1. Set up");
await stage("node_modules", ensureModules);
await stage("build", async () => {
  if (
    (await passThrough(shippedNode(), [join(root, "test", "tools", "build.mjs"), "--strict"])) !== 0
  )
    process.exit(1);
});

heading(`2. Train on this repository (at most ${minutes} minutes)`);
rmSync(model, { recursive: true, force: true });
rmSync(copies, { recursive: true, force: true });
const result = await narrowgauge(
  "live",
  "train",
  "--workspace",
  root,
  "--out",
  model,
  "--preset",
  "nano",
  "--minutes",
  minutes,
);
const bits = (value) => (value === null ? "not measured" : `${value.toFixed(3)} bits per byte`);
say(
  `${(result.params / 1e6).toFixed(2)} M parameters, ${(result.bytes / 1e6).toFixed(2)} MB read in ${result.seconds.toFixed(0)} s on ${result.device} (${result.deviceReason})`,
);

heading("3. Files it has never seen (8 bits per byte is knowing nothing)");
say(`memory alone   ${bits(result.heldout_bpb_memory)}`);
say(`network alone  ${bits(result.heldout_bpb_network)}`);
say(`both           ${bits(result.heldout_bpb)}`);

heading("4. Lines of those files, completed");
const extension = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const floor =
  extension.contributes.configuration.properties["narrowgauge.completion.minConfidence"].default;
say(
  `(the editor stays silent below a confidence of ${floor}; here everything is shown, by\na process that starts for each line, where the editor's is warm)`,
);
const manifest = JSON.parse(readFileSync(join(model, "manifest.json"), "utf8"));
for (const place of cuts(manifest.saw.heldout)) {
  const { text, confidence, ms } = await completion(place);
  const typed = place.line.slice(0, place.cut).trimStart();
  const shown = text.replaceAll("\n", "⏎");
  say(`${place.path}:${place.number}`);
  say(`  typed  ${typed}`);
  say(
    `  model  ${shown || "(nothing)"}   [confidence ${confidence.toFixed(2)}, ${ms.toFixed(0)} ms]`,
  );
  say(`  truth  ${place.line.slice(place.cut)}`);
}

heading("5. Where things are");
for (const question of questions) {
  say(`? ${question}`);
  const answers = await narrowgauge("quiet", "query", question, "--model", model, "--limit", "3");
  for (const { path, startLine, endLine, why } of answers)
    say(`  ${path}:${startLine}${endLine > startLine ? `-${endLine}` : ""}  ${why}`);
}

heading("6. In the editor");
const { name, version } = extension;
const target = `${process.platform}-${process.arch}`;
say(`npm run package -- --target ${target}`);
say(`code --install-extension ${name}-${target}-${version}.vsix`);
say("then, in the command palette: Narrowgauge: Train on This Workspace");
say(`\ndone in ${((performance.now() - started) / 1000).toFixed(0)} s`);
