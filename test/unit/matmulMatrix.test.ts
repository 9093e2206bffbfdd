/** The text of the matrix kernels: valid WGSL in every form. What they compute is checked on a GPU that has matrices. */
import { describe, expect, test } from "vitest";
import { matrixSource, matrixThreads } from "../../model/kernels/matmulMatrix.ts";
import { matrixTiles, pickMatrixTile } from "../../model/kernels/matmulTiles.ts";
import { EPILOGUES } from "../../model/kernels/matmulOutput.ts";
import { wgslErrors } from "../support/nullGpu.ts";

describe("matrix kernels", () => {
  test.each(matrixTiles.map((tile, i) => [i, tile] as const))(
    "tile %i is valid in every form",
    async (i, tile) => {
      for (const transposeA of [0, 1])
        for (const transposeB of [0, 1])
          for (const whole of [true, false]) {
            const stored = (transposeA + transposeB + i) % 2 === 0 ? "f16" : "f32";
            const other = whole ? "f16" : "f32";
            const code = matrixSource(tile, {
              transposeA,
              transposeB,
              a: stored,
              b: other,
              out: stored,
              hidden: other,
              singlesA: !whole && transposeB === 0,
              singlesB: !whole && transposeB === 1,
              together: whole ? 8 : transposeA === 0 ? 1 : 4,
              epilogue: EPILOGUES[(i + transposeA + 2 * transposeB) % EPILOGUES.length]!,
              wholeM: whole,
              wholeN: whole,
              wholeK: whole,
              // Several products in one dispatch, in half of the forms.
              ...(transposeA === 0 && whole ? { groups: 3 } : {}),
            });
            expect(await wgslErrors(code)).toEqual([]);
          }
    },
  );

  test("no tile asks for more than a workgroup may hold", () => {
    for (const t of matrixTiles) {
      const large = matrixThreads(t) > 256;
      expect(t.tileM % t.warpM).toBe(0);
      expect(t.tileN % t.warpN).toBe(0);
      const code = matrixSource(t, {
        transposeA: 0,
        transposeB: 0,
        a: "f16",
        b: "f16",
        out: "f32",
        hidden: "f32",
        singlesA: false,
        singlesB: false,
        together: 4,
        epilogue: "none",
        wholeM: true,
        wholeN: true,
        wholeK: true,
      });
      const units = Number(/var<workgroup> tile: array<vec4u, (\d+)>/.exec(code)![1]);
      expect(units * 16 * t.resident).toBeLessThanOrEqual(49152);
      if (!large) expect(units * 16).toBeLessThanOrEqual(36864);
    }
  });

  test("a tile of more than 256 threads is taken only where a workgroup may have them, and a lies along k", () => {
    const pick = (transposeA: number, maxInvocations: number): number =>
      matrixThreads(
        pickMatrixTile(8704, 1536, 384, 1, { transposeA, transposeB: 0, maxInvocations }).tile,
      );
    expect(pick(0, 1024)).toBe(384);
    for (const threads of [pick(0, 256), pick(1, 1024)]) expect(threads).toBeLessThanOrEqual(256);
    expect(matrixThreads(pickMatrixTile(8704, 1536, 384, 1).tile)).toBeLessThanOrEqual(256);
  });

  test("narrow products take narrow tiles", () => {
    expect(pickMatrixTile(32768, 256, 4, 1).tile.tileN).toBeLessThanOrEqual(32);
    expect(pickMatrixTile(8704, 1536, 36, 1).tile.tileN).toBe(16);
    expect(pickMatrixTile(4096, 4096, 4096, 1).tile.tileM).toBe(128);
    expect(pickMatrixTile(16, 256, 256, 1).tile.tileM).toBeLessThanOrEqual(32);
  });
});
