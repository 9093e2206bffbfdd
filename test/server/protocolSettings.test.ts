/** Settings are read totally, and the manifest's section says what the code does. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  configurationSection,
  SETTINGS,
  settingsFrom,
  type SettingKey,
} from "../../server/settings.ts";

const keys = Object.keys(SETTINGS) as SettingKey[];

describe("settingsFrom", () => {
  test("gives the defaults for nothing", () => {
    for (const section of [undefined, null, {}, 7, "x", []])
      for (const key of keys) expect(settingsFrom(section)[key]).toEqual(SETTINGS[key].default);
  });

  test("reads nested and flat keys", () => {
    expect(settingsFrom({ completion: { debounceMs: 5 } })["completion.debounceMs"]).toBe(5);
    expect(settingsFrom({ "completion.debounceMs": 6 })["completion.debounceMs"]).toBe(6);
  });

  test("falls back to the default for a wrong type, a wrong name and a value out of bounds", () => {
    const section = {
      completion: { debounceMs: "soon", maxBytes: 1e9 },
      model: { preset: "huge" },
      corpus: { exclude: ["*.log", 3] },
      enable: "yes",
    };
    const settings = settingsFrom(section);
    for (const key of [
      "completion.debounceMs",
      "completion.maxBytes",
      "model.preset",
      "enable",
    ] as const)
      expect(settings[key]).toBe(SETTINGS[key].default);
    expect(settings["corpus.exclude"]).toEqual([]);
  });

  test("never throws and always yields values that its own schema accepts", () => {
    fc.assert(
      fc.property(fc.object({ maxDepth: 3 }), fc.anything(), (section, odd) => {
        const settings = settingsFrom({
          ...section,
          enable: odd,
          completion: odd,
          "model.preset": odd,
        });
        for (const key of keys)
          expect(SETTINGS[key].schema.safeParse(settings[key]).success).toBe(true);
      }),
    );
  });
});

describe("the settings section", () => {
  const properties = configurationSection()["properties"] as Record<
    string,
    Record<string, unknown>
  >;

  test("has at most sixteen settings", () => {
    expect(keys.length).toBeLessThanOrEqual(16);
  });

  test("gives each a type, a scope, a description and its default", () => {
    for (const key of keys) {
      const property = properties[`narrowgauge.${key}`]!;
      expect(property, key).toMatchObject({ default: SETTINGS[key].default });
      expect(property["type"], key).toBeTypeOf("string");
      expect(["resource", "window", "machine"]).toContain(property["scope"]);
      expect(String(property["markdownDescription"]).length).toBeGreaterThan(20);
    }
  });

  test("lets no workspace name an executable or a place to write", () => {
    for (const key of ["nodePath", "model.checkpointDirectory"] as const)
      expect(SETTINGS[key].scope).toBe("machine");
  });

  test("bounds every number", () => {
    for (const [key, property] of Object.entries(properties))
      if (property["type"] === "integer" || property["type"] === "number") {
        expect(property["minimum"], key).toBeTypeOf("number");
        expect(property["maximum"], key).toBeTypeOf("number");
      }
  });
});
