/** The position-wise sublayer: up, squared ReLU, down. The hidden layer is kept once, behind its nonlinearity. */
import type { Builder, Part } from "./builder.ts";
import type { Tensor } from "./graph.ts";
import { linear } from "./linear.ts";

/** x [rows, C], already normalized. */
export function feedForwardPart(
  b: Builder,
  prefix: string,
  x: Tensor,
  rows: number,
  channels: number,
): Part {
  const up = linear(b, `${prefix}.up`, x, rows, { dtype: b.half, epilogue: "reluSquared" });
  const down = linear(b, `${prefix}.down`, up.out, rows, { dtype: b.half });
  return {
    out: down.out,
    backward: (dY) => {
      const dUp = b.temp("dUp", [rows, 4 * channels], b.half);
      down.backward({ dOut: dY, dX: dUp, first: 1, hidden: "reluSquared" });
      const dX = b.temp("dX", [rows, channels], b.half);
      up.backward({ dOut: dUp, dX, first: 1 });
      return dX;
    },
  };
}
