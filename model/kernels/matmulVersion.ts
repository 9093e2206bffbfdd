/** Names the state of the matrix products' kernels: what was measured with others says nothing about these. */
import { createHash } from "node:crypto";
import fewCode from "./matmulFew.wgsl";
import { matrixSource } from "./matmulMatrix.ts";
import partsCode from "./matmulParts.wgsl";
import { tiles } from "./matmulRegisterTiles.ts";
import rowsCode from "./matmulRows.wgsl";
import { tileSource } from "./matmulTile.ts";
import { matrixTiles } from "./matmulTiles.ts";

let version: string | undefined;

/** A hash of the tables of tiles and of every kernel's text, in the forms of a layer's two gradients. */
export function productKernels(): string {
  if (version !== undefined) return version;
  const output = { a: "f16", b: "f16", out: "f32", hidden: "f32", epilogue: "accumulate" } as const;
  const matrix = {
    ...({ singlesA: false, singlesB: true, together: 4 } as const),
    ...({ wholeM: true, wholeN: false, wholeK: true } as const),
  };
  const forms = [
    { transposeA: 0, transposeB: 1 },
    { transposeA: 1, transposeB: 0 },
  ];
  const hash = createHash("sha256").update(JSON.stringify([tiles, matrixTiles]));
  for (const t of matrixTiles)
    for (const form of forms) hash.update(matrixSource(t, { ...output, ...matrix, ...form }));
  for (const t of tiles) hash.update(tileSource(t, { ...output, vectors: { a: 1, b: 0, out: 1 } }));
  for (const code of [fewCode, rowsCode, partsCode]) hash.update(code);
  return (version = hash.digest("hex").slice(0, 16));
}
