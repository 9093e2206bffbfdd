/** Dropout at the end of a sublayer, before it joins the stream(s): in training, where config.dropout is above 0. */
import type { Builder, Part } from "./builder.ts";
import { dropoutBackward, dropoutForward } from "./kernels/dropout.ts";

export function dropped(b: Builder, part: Part): Part {
  const seed = b.dropoutSeed;
  if (seed === undefined) return part;
  const rate = b.config.dropout;
  const site = b.nextSite();
  const { out } = part;
  const y = b.temp("dropped", out.shape, out.dtype);
  dropoutForward(b.graph, { x: out, seed, y, rate, site });
  return {
    out: y,
    backward: (dY) => {
      const dOut = b.temp("dDropped", out.shape, out.dtype);
      dropoutBackward(b.graph, { dY, seed, dX: dOut, rate, site });
      return part.backward(dOut);
    },
  };
}
