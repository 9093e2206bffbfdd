/** A weight matrix applied to rows, with the two matrix products of its backward pass. */
import type { Builder } from "./builder.ts";
import type { Tensor } from "./graph.ts";
import { matmul } from "./kernels/matmul.ts";

export interface Linear {
  readonly out: Tensor;
  /** Adds (or with `first: 1` writes) dOut·Wᵀ into dX, and writes xᵀ·dOut into the weight's gradient;
   *  `again: 1` adds it instead, for a weight that is used twice. */
  backward(o: { dOut: Tensor; dX: Tensor; first: 0 | 1; again?: 0 | 1 }): void;
}

/** x [rows, in] · W [in, out] → [rows, out]. */
export function linear(b: Builder, weight: string, x: Tensor, rows: number): Linear {
  const w = b.param(weight);
  const n = w.shape[1]!;
  const k = w.shape[0]!;
  const out = b.temp(weight, [rows, n]);
  matmul(b.graph, { a: x, b: w, out, m: rows, k, n });
  return {
    out,
    backward: ({ dOut, dX, first, again }) => {
      matmul(b.graph, {
        a: dOut,
        b: w,
        out: dX,
        m: rows,
        k: n,
        n: k,
        transposeB: 1,
        accumulate: first === 1 ? 0 : 1,
      });
      matmul(b.graph, {
        a: x,
        b: dOut,
        out: b.gradient(weight),
        m: k,
        k: rows,
        n,
        transposeA: 1,
        accumulate: again ?? 0,
      });
    },
  };
}
