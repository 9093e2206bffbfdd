import { expect, test } from "vitest";
import { halfAliases } from "../../model/kernels/halves.ts";

test("aliases name what each binding holds", () => {
  expect(halfAliases(["f32", "u32", "f16"], { X: 0, Y: 2 }, 4)).toBe(
    "enable f16;\nalias X = vec4<f32>;\nalias Y = vec4<f16>;\n",
  );
  expect(halfAliases(["f16"], { X: 0 }, 1)).toBe("enable f16;\nalias X = f16;\n");
});

test("f16 is asked for only where a binding holds it", () => {
  expect(halfAliases(["f32", "f16"], { X: 0, Absent: 7 }, 2)).toBe(
    "alias X = vec2<f32>;\nalias Absent = vec2<f32>;\n",
  );
});
