import { describe, expect, test } from "vitest";
import { createCpuDevice } from "../../model/cpu/device.ts";
import { ConfigError } from "../../model/errors.ts";
import { Pacer } from "../../model/gpu/pacing.ts";

/** Measures every submit of one run on a GPU where dispatch i takes `ms[i]`. */
function run(pacer: Pacer, ms: readonly number[], bound: number): number {
  let longest = 0;
  for (const span of pacer.spans(bound)) {
    const took = ms.slice(span.from, span.to).reduce((a, b) => a + b, 0);
    longest = Math.max(longest, took);
    pacer.measured(span, took);
  }
  return longest;
}

describe("submits", () => {
  test("cover every dispatch once, in order", () => {
    const spans = new Pacer(1000).spans(16);
    expect(spans[0]!.from).toBe(0);
    expect(spans.at(-1)!.to).toBe(1000);
    spans.slice(1).forEach((s, i) => expect(s.from).toBe(spans[i]!.to));
  });

  test("come to keep the bound whatever the dispatches take, after few runs", () => {
    // A few long ones among many short ones.
    const ms = Array.from({ length: 600 }, (_, i) => (i % 50 === 0 ? 6 : 0.05));
    for (const bound of [16, 100]) {
      const pacer = new Pacer(ms.length);
      for (let i = 0; i < 8; i++) run(pacer, ms, bound);
      expect(run(pacer, ms, bound)).toBeLessThan(1.5 * bound);
      const total = ms.reduce((a, b) => a + b, 0);
      expect(pacer.spans(bound).length).toBeLessThan(3 * Math.ceil(total / bound));
    }
  });

  test("are not slept by before some of them were waited for", () => {
    const pacer = new Pacer(10);
    expect(pacer.isSettled).toBe(false);
    for (let i = 0; i < 20; i++) run(pacer, new Array<number>(10).fill(1), 100);
    expect(pacer.isSettled).toBe(true);
  });

  test("recover from a measurement that was far too long", () => {
    const ms = new Array<number>(300).fill(0.02);
    const pacer = new Pacer(ms.length);
    for (let i = 0; i < 4; i++) run(pacer, ms, 16);
    for (const span of pacer.spans(16)) pacer.measured(span, 10_000);
    for (let i = 0; i < 4; i++) run(pacer, ms, 16);
    expect(pacer.whole().ms).toBeLessThan(2 * 6);
  });
});

test("a memory limit is said before anything is taken", async () => {
  const device = await createCpuDevice({ threads: 0 });
  device.memoryLimit = 2 ** 20;
  const kept = device.tensor("kept", [1000]);
  const before = device.allocatedBytes;
  expect(() => device.tensor("large", [1 << 19])).toThrow(ConfigError);
  expect(() => device.tensor("large", [1 << 19])).toThrow(
    "large takes 2 MiB beside the 1 MiB in use, and the limit is 1 MiB",
  );
  expect(device.allocatedBytes).toBe(before);
  device.free(kept);
});
