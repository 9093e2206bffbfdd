/** Whether the machine runs on its battery, where that can be known without asking a person. */
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export type Power = "mains" | "battery" | "unknown";

const SUPPLIES = "/sys/class/power_supply";
const ASK_TIMEOUT_MS = 2000;

/** Of this machine; on Windows it is not known. */
export async function power(): Promise<Power> {
  if (process.platform === "linux") return linuxPower(SUPPLIES);
  if (process.platform !== "darwin") return "unknown";
  return new Promise((resolve) => {
    execFile("/usr/bin/pmset", ["-g", "batt"], { timeout: ASK_TIMEOUT_MS }, (error, stdout) =>
      resolve(error === null ? macPower(stdout) : "unknown"),
    );
  });
}

/** From the kernel's list of power supplies: a connected adapter counts before a battery that discharges. */
export async function linuxPower(folder: string): Promise<Power> {
  let found: Power = "unknown";
  for (const name of await readdir(folder).catch(() => [])) {
    const read = async (file: string): Promise<string> =>
      (await readFile(join(folder, name, file), "utf8").catch(() => "")).trim();
    const type = await read("type");
    if (type === "Battery") {
      // Mice and headsets have batteries too.
      if ((await read("scope")) === "Device") continue;
      if ((await read("status")) === "Discharging") found = "battery";
    } else if ((await read("online")) === "1") return "mains";
  }
  return found;
}

/** From the first line of `pmset -g batt`. */
export function macPower(output: string): Power {
  if (output.includes("'Battery Power'")) return "battery";
  return output.includes("'AC Power'") ? "mains" : "unknown";
}
