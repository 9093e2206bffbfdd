/** A weight matrix applied to rows, with the two matrix products of its backward pass. */
import type { Builder } from "./builder.ts";
import type { DType, Tensor } from "./graph.ts";
import { matmul } from "./kernels/matmul.ts";

export interface LinearOptions {
  /** How the output is held; default f32. */
  readonly dtype?: DType;
  /** max(·, 0)² of the output. Its gradient is taken by the layer that reads it (`hidden`). */
  readonly epilogue?: "reluSquared";
}

export interface Linear {
  readonly out: Tensor;
  /** Adds (or with `first: 1` writes) dOut·Wᵀ into dX, and writes xᵀ·dOut into the weight's gradient;
   *  `again: 1` adds it instead, for a weight that is used twice. With `hidden`, x is max(u, 0)² and dX becomes
   *  the gradient of u. */
  backward(o: {
    dOut: Tensor;
    dX: Tensor;
    first: 0 | 1;
    again?: 0 | 1;
    hidden?: "reluSquared";
  }): void;
}

/** x [rows, in] · W [in, out] → [rows, out]. */
export function linear(
  b: Builder,
  weight: string,
  x: Tensor,
  rows: number,
  options: LinearOptions = {},
): Linear {
  const whole = b.param(weight);
  const [k, n] = whole.shape as [number, number];
  // Matrix units load 16 bytes, which rows of halves fill only by eights.
  const w = n % 8 === 0 ? b.weight(weight) : whole;
  const out = b.temp(weight, [rows, n], options.dtype);
  const { epilogue } = options;
  matmul(b.graph, {
    a: x,
    b: w,
    out,
    m: rows,
    k,
    n,
    ...(epilogue === undefined ? {} : { epilogue }),
  });
  return {
    out,
    backward: ({ dOut, dX, first, again, hidden }) => {
      const toInput = { a: dOut, b: w, out: dX, m: rows, k: n, n: k, transposeB: 1 } as const;
      if (hidden === undefined) matmul(b.graph, { ...toInput, accumulate: first === 1 ? 0 : 1 });
      else matmul(b.graph, { ...toInput, epilogue: "reluSquaredBackward", hidden: x });
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
