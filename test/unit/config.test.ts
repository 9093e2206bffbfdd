/** What a configuration may say, and which parameters it asks for. */
import { describe, expect, test } from "vitest";
import { presetConfig, PRESETS, type AttentionKind } from "../../model/config.ts";
import { paramTable } from "../../model/params.ts";
import { tinySpectrum } from "../support/tinyModel.ts";

const shapes = (attention: AttentionKind): Map<string, string> =>
  new Map(
    paramTable(presetConfig("nano", { attention }), tinySpectrum()).map((s) => [
      s.name,
      s.shape.join(" × "),
    ]),
  );

describe("attention kinds", () => {
  test("an unknown one is refused, with those there are", () => {
    expect(() => presetConfig("nano", { attention: "gird" as AttentionKind })).toThrow(
      expect.objectContaining({
        code: "NG_CONFIG",
        message: expect.stringContaining('no attention "gird"') as string,
        hint: expect.stringContaining("tau, grid, published, dot") as string,
      }),
    );
  });

  test("every preset can have the grid, other head dimensions cannot", () => {
    for (const preset of Object.keys(PRESETS)) presetConfig(preset, { attention: "grid" });
    expect(() => presetConfig("nano", { attention: "grid", trunkHeads: 8 })).toThrow(
      "trunk head dimension 24",
    );
  });

  test("on the grid the trunk's heads have one scalar, a place and a temperature; local layers are tau's", () => {
    const tau = shapes("tau");
    const grid = shapes("grid");
    expect(grid.get("trunk.0.attention.key")).toBe("192 × 3");
    expect(grid.get("trunk.0.attention.tiedGain")).toBe("3 × 1");
    expect(grid.get("trunk.0.attention.offset")).toBe("6");
    expect(grid.get("trunk.0.attention.heat")).toBe("6");
    for (const [name, shape] of tau)
      if (!name.startsWith("trunk.")) expect(grid.get(name), name).toBe(shape);
    for (const name of grid.keys())
      expect(tau.has(name) || /^trunk\.\d\.attention\.(offset|heat)$/.test(name), name).toBe(true);
  });
});
