import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeSafetensors, encodeSafetensors } from "../../model/safetensors.ts";
import { CheckpointError } from "../../model/errors.ts";

const tensors = new Map([
  ["a", { shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, 5, 6]) }],
  ["b.c", { shape: [1], data: Float32Array.from([-0.5]) }],
]);

describe("safetensors", () => {
  test("reads back what it wrote, also out of a larger Buffer at an odd offset", () => {
    const bytes = encodeSafetensors(tensors, { note: "x" });
    expect(decodeSafetensors(bytes, "f")).toEqual(tensors);
    const pool = Buffer.alloc(bytes.length + 13);
    pool.set(bytes, 13);
    expect(decodeSafetensors(pool.subarray(13), "f")).toEqual(tensors);
  });

  test("follows the format: length, JSON header, aligned data", () => {
    const bytes = encodeSafetensors(tensors);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<
      string,
      unknown
    >;
    expect(header["b.c"]).toEqual({ dtype: "F32", shape: [1], data_offsets: [24, 28] });
    expect((8 + length) % 8).toBe(0);
    expect(bytes.length).toBe(8 + length + 28);
  });

  test("refuses damage with a CheckpointError that names the file, never with another error", () => {
    const whole = encodeSafetensors(tensors);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), (cut) => {
        expect(() => decodeSafetensors(whole.subarray(0, cut), "model/x")).toThrow(CheckpointError);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
        expect(() => decodeSafetensors(noise, "model/x")).toThrow(/model\/x/);
      }),
    );
  });
});
