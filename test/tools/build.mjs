/**
 * Bundles the four programs and the training view, and lays the native and grammar files beside them.
 * Everything under dist/ is what a VSIX holds, less the Node binary (package.mjs adds it).
 * A source that does not exist yet is reported and left out; `--strict` makes that an error.
 */
import { build } from "esbuild";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildWasm } from "./wasm.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const dist = join(root, "dist");
const require = createRequire(import.meta.url);

/** The grammars that server/facts asks for; the runtime is copied with them. */
const grammars = [
  "typescript",
  "tsx",
  "javascript",
  "python",
  "rust",
  "go",
  "java",
  "c-sharp",
  "cpp",
  "bash",
  "css",
  "ruby",
  "php",
];

/** The folder of the `webgpu` package that holds the binary of a platform. */
export function dawnSource(platform, arch) {
  const folder = platform === "darwin" ? "darwin-universal" : `${platform}-${arch}`;
  return join(dirname(require.resolve("webgpu")), "dist", folder);
}

const node = {
  platform: "node",
  format: "esm",
  target: "node20",
  // CommonJS dependencies inside an ES module bundle still call require().
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  external: ["vscode", "webgpu"],
};

const bundles = [
  {
    entryPoints: ["extension/main.ts"],
    outfile: "dist/extension.cjs",
    platform: "node",
    format: "cjs",
    target: "node20",
    external: ["vscode"],
  },
  { ...node, entryPoints: ["server/main.ts"], outfile: "dist/server.mjs" },
  { ...node, entryPoints: ["server/cli/main.ts"], outfile: "dist/narrowgauge.mjs" },
  { ...node, entryPoints: ["model/host.ts"], outfile: "dist/model.mjs" },
  { ...node, entryPoints: ["model/cpu/worker.ts"], outfile: "dist/cpuWorker.mjs" },
  { ...node, entryPoints: ["model/memory/worker.ts"], outfile: "dist/memoryWorker.mjs" },
  { ...node, entryPoints: ["model/mixerWorker.ts"], outfile: "dist/mixerWorker.mjs" },
  {
    entryPoints: ["media/trainingView.ts"],
    outfile: "dist/trainingView.js",
    platform: "browser",
    format: "iife",
    target: "es2022",
  },
];

function copyAssets() {
  const dawn = join(dist, "dawn", `${process.platform}-${process.arch}`);
  const source = dawnSource(process.platform, process.arch);
  if (existsSync(source)) {
    mkdirSync(dawn, { recursive: true });
    for (const name of readdirSync(source))
      if (/\.(node|dll)$/.test(name)) cpSync(join(source, name), join(dawn, name));
  }
  const from = dirname(require.resolve("@vscode/tree-sitter-wasm/wasm/tree-sitter.wasm"));
  const to = join(dist, "grammars");
  mkdirSync(to, { recursive: true });
  for (const name of ["tree-sitter.wasm", ...grammars.map((g) => `tree-sitter-${g}.wasm`)])
    cpSync(join(from, name), join(to, name));
}

/** Builds everything it can; answers the entry points that were not there, and the failures. */
export async function buildAll({ minify, sourcemap }) {
  buildWasm();
  rmSync(join(dist, "node"), { recursive: true, force: true });
  const absent = bundles
    .map((b) => b.entryPoints[0])
    .filter((entry) => !existsSync(join(root, entry)));
  const results = await Promise.allSettled(
    bundles
      .filter((b) => !absent.includes(b.entryPoints[0]))
      .map((b) =>
        build({
          ...b,
          absWorkingDir: root,
          bundle: true,
          minify,
          sourcemap,
          keepNames: true,
          logLevel: "warning",
          loader: { ".wgsl": "text", ".py": "text", ".wasm": "binary", ".css": "text" },
        }),
      ),
  );
  copyAssets();
  const failures = results.filter((r) => r.status === "rejected").map((r) => r.reason.message);
  return { absent, failures };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const started = performance.now();
  const { absent, failures } = await buildAll({
    minify: process.argv.includes("--minify"),
    sourcemap: process.argv.includes("--sourcemap"),
  });
  process.stdout.write(
    `built dist/ in ${Math.round(performance.now() - started)} ms${absent.length ? `, without ${absent.join(", ")}` : ""}\n`,
  );
  if (failures.length || (absent.length && process.argv.includes("--strict"))) process.exit(1);
}
