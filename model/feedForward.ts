/** The position-wise sublayer: up, squared ReLU, down. */
import type { Builder, Part } from "./builder.ts";
import type { Tensor } from "./graph.ts";
import { reluSquaredBackward, reluSquaredForward } from "./kernels/reluSquared.ts";
import { linear } from "./linear.ts";

/** x [rows, C], already normalized. */
export function feedForwardPart(
  b: Builder,
  prefix: string,
  x: Tensor,
  rows: number,
  channels: number,
): Part {
  const g = b.graph;
  const up = linear(b, `${prefix}.up`, x, rows);
  const hidden = b.temp("hidden", [rows, 4 * channels]);
  reluSquaredForward(g, { x: up.out, y: hidden });
  const down = linear(b, `${prefix}.down`, hidden, rows);
  return {
    out: down.out,
    backward: (dY) => {
      const dHidden = b.temp("dHidden", [rows, 4 * channels]);
      down.backward({ dOut: dY, dX: dHidden, first: 1 });
      const dUp = b.temp("dUp", [rows, 4 * channels]);
      reluSquaredBackward(g, { x: up.out, dY: dHidden, dX: dUp });
      const dX = b.temp("dX", [rows, channels]);
      up.backward({ dOut: dUp, dX, first: 1 });
      return dX;
    },
  };
}
