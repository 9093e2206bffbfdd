/**
 * Runs extensionHost.cjs in a desktop VS Code through @vscode/test-electron: the editor that NARROWGAUGE_TEST_VSCODE
 * names, or one that the library downloads where there is a network.
 *   node test/e2e/desktop.mjs [folder to open]
 */
import { dirname, join } from "node:path";
import { runTests } from "@vscode/test-electron";

const root = join(import.meta.dirname, "..", "..");
const executable = process.env["NARROWGAUGE_TEST_VSCODE"];

const code = await runTests({
  ...(executable ? { vscodeExecutablePath: executable } : {}),
  extensionDevelopmentPath: root,
  extensionTestsPath: join(import.meta.dirname, "extensionHost.cjs"),
  launchArgs: [process.argv[2] ?? root],
  // A stand-in for the editor must run on this Node, not on whichever is found first.
  extensionTestsEnv: { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` },
});
process.exit(code);
