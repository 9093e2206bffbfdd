/**
 * Runs a benchmark of this folder that is written in TypeScript on any Node from 20 on:
 * node test/bench/run.mjs NAME [arguments]. Its results go into media/.
 */
import { build } from "esbuild";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const [name] = process.argv.splice(2, 1);
if (!/^\w+$/.test(name ?? "")) {
  process.stderr.write("usage: node test/bench/run.mjs NAME [arguments] (after npm ci)\n");
  process.exit(2);
}
const folder = join(root, ".cache", "bench");
mkdirSync(folder, { recursive: true });
const outfile = join(folder, `${name}.mjs`);
await build({
  entryPoints: [join(here, `${name}.ts`)],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  // CommonJS dependencies inside an ES module bundle still call require().
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  loader: { ".wgsl": "text", ".py": "text", ".wasm": "binary" },
  external: ["webgpu"],
  logLevel: "warning",
});
process.chdir(root);
await import(pathToFileURL(outfile).href);
