/** Appends to a decoding cache: the new rows go to the position that span names. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { copyRows as twin } from "../cpu/copyRows.ts";
import { flatAliases } from "./halves.ts";
import code from "./copyRows.wgsl";

export const copyRowsOp: OpSpec = {
  name: "copyRows",
  access: ["read", "read", "readWrite"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    twin(b[0] as Floats, b[1] as Uint32Array, b[2] as Floats, p, start, end),
  halves: [0, 2],
  gpu: (p, _caps, stored) => {
    const aliases = flatAliases(stored, { Src: 0, Dst: 2 }, p["channels"]!);
    const channels = p["channels"]! / aliases.lanes;
    return {
      code: aliases.code + code,
      entryPoint: "copyRows",
      constants: { rows: p["rows"]!, channels, capacity: p["capacity"]! },
      workgroups: gridFor(p["rows"]! * channels, 256),
    };
  },
};

/** src [rows, C] → dst [capacity, C] at row span[0]; the other rows of dst keep their values, and rows that would
 *  pass the end are dropped. Throws ShapeError on other sizes. */
export function copyRows(
  g: Graph,
  a: { src: Tensor; dst: Tensor; span: Tensor; rows: number; capacity: number },
): void {
  const channels = a.src.size / a.rows;
  invariant(
    Number.isInteger(channels),
    `copyRows: src (${a.src.name}) has ${a.src.size} elements, not ${a.rows} rows`,
  );
  expectSize("copyRows", "dst", a.dst, a.capacity * channels);
  expectSize("copyRows", "span", a.span, 1);
  g.add(copyRowsOp, [a.src, a.span, a.dst], { rows: a.rows, channels, capacity: a.capacity });
}
