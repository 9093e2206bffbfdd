/**
 * Folders are layers: extension → server/{protocol,settings}, server → model/{index,protocol},
 * media → types only, model → nothing above it. A wrong-way import fails here with the rule's text.
 */
import eslint from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** @returns {import("eslint").Linter.Config} */
function fence(files, message, pattern) {
  return {
    files,
    rules: { "no-restricted-imports": ["error", { patterns: [{ ...pattern, message }] }] },
  };
}

export default defineConfig(
  {
    ignores: [
      "**/node_modules/**",
      "dist/**",
      ".cache/**",
      "model/cpu/simd/build/**",
      // AssemblyScript: looks like TypeScript, is not.
      "model/cpu/simd/assembly/**",
    ],
  },
  eslint.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_", caughtErrorsIgnorePattern: "^_" },
      ],
      // Async by contract (an LSP handler, an interface's method), not by what the body awaits.
      "@typescript-eslint/require-await": "off",
    },
  },
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: { "no-console": "error", "max-lines": ["error", 600] },
  },
  fence(
    ["extension/**/*.ts"],
    "extension/ imports server/protocol.ts and server/settings.ts only (layer fence).",
    {
      regex:
        "^(\\.\\./)+(model|media|test)/|^(\\.\\./)+server/(?!(protocol|settings)\\.ts$)|^webgpu$",
    },
  ),
  fence(
    ["server/**/*.ts"],
    "server/ imports model/index.ts and model/protocol.ts only, and never the editor (layer fence).",
    {
      regex:
        "^(\\.\\./)+(extension|media|test)/|^(\\.\\./)+model/(?!(index|protocol)\\.ts$)|^(vscode|vscode-languageclient.*|webgpu)$",
    },
  ),
  fence(["model/**/*.ts"], "model/ knows nothing of LSP or the editor (layer fence).", {
    regex: "^(\\.\\./)+(extension|server|media|test)/|^vscode",
  }),
  {
    files: ["media/**/*.ts"],
    rules: {
      "@typescript-eslint/no-restricted-imports": [
        "error",
        {
          patterns: [
            {
              regex: "^(\\.\\./)+(extension|model|test)/|^(\\.\\./)+server/(?!protocol\\.ts$)",
              message: "media/ takes types of server/protocol.ts and nothing else (layer fence).",
            },
            {
              regex: "^(\\.\\./)+server/protocol\\.ts$",
              allowTypeImports: true,
              message: "media/ takes types from server/protocol.ts, no values (layer fence).",
            },
          ],
        },
      ],
    },
  },
  {
    // Command-line tools and tests of the editor print by design; scripts are plain JavaScript.
    files: ["**/*.mjs", "**/*.cjs"],
    languageOptions: {
      globals: {
        process: "readonly",
        console: "readonly",
        URL: "readonly",
        Buffer: "readonly",
        fetch: "readonly",
        setTimeout: "readonly",
        clearTimeout: "readonly",
        performance: "readonly",
        document: "readonly",
      },
    },
  },
);
