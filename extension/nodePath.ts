/**
 * Which Node the background processes run on. Never Electron: its memory cage refuses the external buffers through
 * which GPU results are read. The binary shipped with the extension is the normal case.
 */
import { accessSync, chmodSync, constants, existsSync } from "node:fs";
import { join } from "node:path";

export type NodeChoice =
  | { readonly path: string; readonly source: "setting" | "shipped" | "editor" }
  | { readonly problem: string };

export function findNode(o: {
  readonly extensionPath: string;
  readonly setting: string;
}): NodeChoice {
  if (o.setting !== "")
    return existsSync(o.setting)
      ? { path: o.setting, source: "setting" }
      : { problem: `the setting narrowgauge.nodePath names ${o.setting}, which does not exist` };
  const name = process.platform === "win32" ? "node.exe" : "node";
  const shipped = join(o.extensionPath, "dist", "node", name);
  if (existsSync(shipped)) {
    makeExecutable(shipped);
    return { path: shipped, source: "shipped" };
  }
  if (process.versions["electron"] === undefined)
    return { path: process.execPath, source: "editor" };
  return {
    problem:
      "this build of the extension has no Node of its own; set narrowgauge.nodePath to a Node.js 20 or later",
  };
}

/** Some installers unpack without the executable bit. */
function makeExecutable(path: string): void {
  if (process.platform === "win32") return;
  try {
    accessSync(path, constants.X_OK);
  } catch {
    try {
      chmodSync(path, 0o755);
    } catch {
      // Starting it will say what is wrong.
    }
  }
}
