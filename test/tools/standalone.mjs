/**
 * Bundles the kernel and network tests with a small runner into one file, for a machine that has a GPU and no
 * packages: node test/tools/standalone.mjs OUT.mjs [folder…]; there: NARROWGAUGE_DAWN_NODE=… node OUT.mjs [name].
 */
import { build } from "esbuild";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const [out = "standalone.mjs", ...folders] = process.argv.slice(2);
const runner = join(root, "test", "support", "standalone.ts");
const files = (folders.length > 0 ? folders : ["test/kernels", "test/network"]).flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((f) => f.endsWith(".test.ts"))
    .map((f) => `./${folder}/${f}`),
);
/** The small runner cannot stand in for functions: what does is left to vitest. */
const needsVitest = (file) =>
  /import \{[^}]*\bvi\b[^}]*\} from "vitest"/.test(readFileSync(join(root, file), "utf8"));
const left = files.filter(needsVitest);
if (left.length > 0) process.stdout.write(`left out: ${left.join(", ")}\n`);
await build({
  stdin: {
    contents: `${files
      .filter((f) => !left.includes(f))
      .map((f) => `import ${JSON.stringify(f)};`)
      .join("\n")}
import { runAll } from "./test/support/standalone.ts";
await runAll();`,
    resolveDir: root,
    loader: "ts",
  },
  outfile: resolve(out),
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  loader: { ".wgsl": "text", ".py": "text", ".wasm": "binary" },
  alias: { vitest: runner },
  external: ["webgpu"],
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "warning",
});
process.stdout.write(`${files.length - left.length} test files → ${out}\n`);
