/**
 * The tests that run inside an extension host, through @vscode/test-electron: with a stand-in for the desktop
 * editor here, with a real one where NARROWGAUGE_TEST_VSCODE names it.
 */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const here = dirname(fileURLToPath(import.meta.url));
const entry = process.env["NARROWGAUGE_TEST_EDITOR"];
const desktop = process.env["NARROWGAUGE_TEST_VSCODE"];

describe.skipIf(!entry && !desktop)("the extension in an extension host", () => {
  test("activates, registers its commands and has its settings", () => {
    const result = spawnSync(process.execPath, [join(here, "desktop.mjs")], {
      encoding: "utf8",
      timeout: 180_000,
      env: {
        ...process.env,
        NARROWGAUGE_TEST_VSCODE: desktop ?? join(here, "codeShim.mjs"),
        NARROWGAUGE_TEST_SCRATCH: join(here, "..", "..", ".cache", "e2e"),
      },
    });
    expect(result.status, result.stdout + result.stderr).toBe(0);
  });
});
