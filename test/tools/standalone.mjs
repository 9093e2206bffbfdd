/**
 * Bundles the kernel and network tests with a small runner into one file, for a machine that has a GPU and no
 * packages: node test/tools/standalone.mjs OUT.mjs [folder…]; there: NARROWGAUGE_DAWN_NODE=… node OUT.mjs [name].
 */
import { build } from "esbuild";
import { readdirSync } from "node:fs";
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
await build({
  stdin: {
    contents: `${files.map((f) => `import ${JSON.stringify(f)};`).join("\n")}
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
process.stdout.write(`${files.length} test files → ${out}\n`);
