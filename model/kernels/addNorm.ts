/** y = x + f with y's RMS normalization: where one plain residual ends and the next sublayer starts. Its gradient is
 *  rmsNorm's, added to that of y. Source: RMSNorm (arXiv 1910.07467) eq. 4. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { addNorm as twin } from "../cpu/addNorm.ts";
import { halfAliases } from "./halves.ts";
import code from "./addNorm.wgsl";

/** Lanes per row: few, as long as a lane's share of the row fits its registers. */
const lanesFor = (C: number): number => (C > 2048 ? 256 : C > 512 ? 64 : 16);

export const addNormOp: OpSpec = {
  name: "addNorm",
  access: ["read", "read", "write", "write"],
  halves: [0, 1, 2, 3],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    twin(
      {
        x: b[0] as Floats,
        f: b[1] as Floats,
        y: b[2] as Floats,
        normed: b[3] as Floats,
        C: p["C"]!,
      },
      start,
      end,
    ),
  gpu: (p, _caps, stored) => {
    const lanes = lanesFor(p["C"]!);
    return {
      code: `${halfAliases(stored, { X: 0, F: 1, Y: 2, H: 3 }, 4)}const T: u32 = ${p["rows"]};
const C: u32 = ${p["C"]};
const LANES: u32 = ${lanes};
${code}`,
      entryPoint: "forward",
      constants: {},
      workgroups: gridFor(p["rows"]!, 256 / lanes),
    };
  },
};

/** y = x + f and normed = y / sqrt(mean(y²) + 1e-6), all [rows, C] with C a multiple of 4. */
export function addNorm(g: Graph, a: { x: Tensor; f: Tensor; y: Tensor; normed: Tensor }): void {
  const C = a.x.shape.at(-1)!;
  invariant(C % 4 === 0, `addNorm: x (${a.x.name}) has ${C} channels, not a multiple of 4`);
  expectSize("addNorm", "f", a.f, a.x.size);
  expectSize("addNorm", "y", a.y, a.x.size);
  expectSize("addNorm", "normed", a.normed, a.x.size);
  g.add(addNormOp, [a.x, a.f, a.y, a.normed], { rows: a.x.size / C, C });
}
