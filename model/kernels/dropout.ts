/**
 * Dropout of a residual branch: the mask is a pure function of (seed, site, element), so the backward repeats
 * it instead of storing it, and a resumed run draws the same. Write a new seed before every training step.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { dropoutForward as twin } from "../cpu/dropout.ts";
import code from "./dropout.wgsl";
import { halfAliases } from "./halves.ts";

/** Elements per workgroup, as in the kernel. */
const PER_GROUP = 1024;

export const dropoutOp: OpSpec = {
  name: "dropout",
  access: ["read", "read", "write"],
  halves: [0, 2],
  units: (p) => p["n"]!,
  cpu: (b, p, start, end) =>
    twin(
      {
        x: b[0] as Floats,
        seed: b[1] as Uint32Array,
        y: b[2] as Floats,
        site: p["site"]!,
        threshold: p["threshold"]!,
        scale: p["scale"]!,
      },
      start,
      end,
    ),
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { X: 0, Y: 2 }, 1) + code,
    entryPoint: "forward",
    constants: { n: p["n"]!, site: p["site"]!, threshold: p["threshold"]!, scale: p["scale"]! },
    workgroups: gridFor(p["n"]!, PER_GROUP),
  }),
};

/** y = x·mask/(1 − rate); x, y of one size, seed u32 [2], rate in [0, 1), site an integer that tells places apart. */
export function dropoutForward(
  g: Graph,
  a: { x: Tensor; seed: Tensor; y: Tensor; rate: number; site: number },
): void {
  invariant(a.rate >= 0 && a.rate < 1, `dropout: rate is ${a.rate}; it must lie in [0, 1)`);
  invariant(
    Number.isInteger(a.site) && a.site >= 0 && a.site < 2 ** 32,
    `dropout: site is ${a.site}; it must be an unsigned 32-bit integer`,
  );
  expectSize("dropout", "seed", a.seed, 2);
  expectSize("dropout", "y", a.y, a.x.size);
  g.add(dropoutOp, [a.x, a.seed, a.y], {
    n: a.x.size,
    site: a.site,
    threshold: Math.floor(a.rate * 2 ** 32),
    scale: 1 / (1 - a.rate),
  });
}

/** dX = dY·mask/(1 − rate) with the forward's seed, rate and site. */
export function dropoutBackward(
  g: Graph,
  a: { dY: Tensor; seed: Tensor; dX: Tensor; rate: number; site: number },
): void {
  dropoutForward(g, { x: a.dY, seed: a.seed, y: a.dX, rate: a.rate, site: a.site });
}
