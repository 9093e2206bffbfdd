/** What the system's own words say about mains and battery. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { linuxPower, macPower, power } from "../../server/power.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "narrowgauge-power-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function supply(name: string, files: Record<string, string>): Promise<void> {
  await mkdir(join(folder, name));
  for (const [file, value] of Object.entries(files))
    await writeFile(join(folder, name, file), `${value}\n`);
}

describe("on Linux", () => {
  test("a connected adapter counts before a battery that discharges", async () => {
    await supply("BAT0", { type: "Battery", status: "Discharging", scope: "System" });
    expect(await linuxPower(folder)).toBe("battery");
    await supply("AC", { type: "Mains", online: "0" });
    expect(await linuxPower(folder)).toBe("battery");
    await supply("ucsi", { type: "USB", online: "1" });
    expect(await linuxPower(folder)).toBe("mains");
  });

  test("a mouse's battery says nothing, nor does an empty or absent folder", async () => {
    expect(await linuxPower(folder)).toBe("unknown");
    await supply("hid", { type: "Battery", status: "Discharging", scope: "Device" });
    expect(await linuxPower(folder)).toBe("unknown");
    expect(await linuxPower(join(folder, "absent"))).toBe("unknown");
  });

  test("a full battery is not one that is used", async () => {
    await supply("BAT0", { type: "Battery", status: "Full" });
    expect(await linuxPower(folder)).toBe("unknown");
  });
});

test("on a Mac, the first line of pmset decides", () => {
  expect(macPower("Now drawing from 'Battery Power'\n -InternalBattery-0 80%")).toBe("battery");
  expect(macPower("Now drawing from 'AC Power'\n -InternalBattery-0 80%")).toBe("mains");
  expect(macPower("")).toBe("unknown");
});

test("of this machine it is one of the three", async () => {
  expect(["mains", "battery", "unknown"]).toContain(await power());
});
