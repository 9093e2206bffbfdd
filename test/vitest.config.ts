/**
 * Six projects by what they need: unit (nothing), kernels and network (any GPU adapter), server
 * (in-memory streams), process (real forks of the built bundles), e2e (a real editor).
 * `.wgsl` and `.wasm` imports give what the bundler gives: text, and bytes.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import type { Plugin } from "vitest/config";
import { buildWasm } from "./tools/wasm.mjs";

const here = dirname(fileURLToPath(import.meta.url));

buildWasm();

/** Same default exports as esbuild's `text` and `binary` loaders. */
const assets: Plugin = {
  name: "assets",
  enforce: "pre",
  load(id) {
    const path = id.split("?")[0]!;
    if (/\.(wgsl|py)$/.test(path))
      return { code: `export default ${JSON.stringify(readFileSync(path, "utf8"))};`, map: null };
    if (path.endsWith(".wasm"))
      return {
        code: `import { readFileSync } from "node:fs"; export default new Uint8Array(readFileSync(${JSON.stringify(path)}));`,
        map: null,
      };
    return null;
  },
};

function project(name: string, o: { timeoutMs: number; serial?: true; files?: string[] }) {
  return {
    extends: true as const,
    test: {
      name,
      include: o.files ?? [`test/${name}/**/*.test.ts`],
      setupFiles: [join(here, "setup.ts")],
      testTimeout: o.timeoutMs,
      hookTimeout: o.timeoutMs,
      ...(o.serial ? { fileParallelism: false } : {}),
    },
  };
}

export default defineConfig({
  root: join(here, ".."),
  plugins: [assets],
  test: {
    pool: "forks",
    maxWorkers: 2,
    projects: [
      project("unit", {
        timeoutMs: 60_000,
        files: ["test/unit/**/*.test.ts", "test/package.test.ts"],
      }),
      project("kernels", { timeoutMs: 120_000, serial: true }),
      project("network", { timeoutMs: 300_000, serial: true }),
      project("server", { timeoutMs: 60_000 }),
      project("process", { timeoutMs: 180_000, serial: true }),
      project("e2e", { timeoutMs: 900_000, serial: true }),
    ],
  },
});
