import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { fromHalf, fromHalves, toHalf, toHalves } from "../../model/half.ts";

describe("half precision", () => {
  test("every finite half survives the way there and back", () => {
    for (let h = 0; h < 65536; h++) {
      const exponent = (h >> 10) & 31;
      if (exponent === 31) continue;
      expect(toHalf(fromHalf(h))).toBe(h);
    }
  });

  test("rounds to the nearest half, ties to even", () => {
    for (let h = 1; h < 0x7bff; h++) {
      const low = fromHalf(h);
      const high = fromHalf(h + 1);
      const middle = (low + high) / 2;
      expect(toHalf(middle)).toBe(h % 2 === 0 ? h : h + 1);
      expect(toHalf(middle + (high - low) / 8)).toBe(h + 1);
      expect(toHalf(-(middle - (high - low) / 8))).toBe(h | 0x8000);
    }
  });

  test("too large is infinite, and what is no number stays none", () => {
    expect(fromHalf(toHalf(65504))).toBe(65504);
    expect(fromHalf(toHalf(65519))).toBe(65504);
    expect(fromHalf(toHalf(65520))).toBe(Infinity);
    expect(fromHalf(toHalf(-1e9))).toBe(-Infinity);
    expect(fromHalf(toHalf(Number.NaN))).toBeNaN();
  });

  test("an odd count is padded to whole words", () => {
    expect(toHalves([1, 2, 3])).toHaveLength(4);
    expect([...fromHalves(toHalves([1, -2, 0.5]))]).toEqual([1, -2, 0.5, 0]);
  });
});

describe("views", () => {
  test("share the memory of the tensor they are part of", async () => {
    for (const precision of ["f32", "f64"] as const) {
      const device = await createCpuDevice({ threads: 0, precision });
      const whole = device.tensor("whole", [512]);
      const part = device.view(whole, "part", [4, 16], 128);
      device.write(part, [1, 2, 3], 5);
      expect((await device.read(whole, 132, 5)).join()).toBe("0,1,2,3,0");
      device.write(whole, [9], 128);
      expect((await device.read(part, 0, 1)).join()).toBe("9");
      expect(() => device.view(whole, "askew", [4], 8)).toThrow(/does not fit/);
      expect(() => device.view(whole, "long", [512], 128)).toThrow(/does not fit/);
      device.free(part);
      expect((await device.read(whole, 133, 1)).join()).toBe("1");
      device.free(whole);
    }
  });
});
