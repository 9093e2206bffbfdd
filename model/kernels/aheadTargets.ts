/** What the heads for bytes further ahead predict, made of the targets of the next byte where these already are. */
import { expectSize, gridFor, type Graph, type OpSpec, type Tensor } from "../graph.ts";
import { invariant } from "../errors.ts";
import { aheadTargets as twin } from "../cpu/aheadTargets.ts";
import code from "./aheadTargets.wgsl";

export { countAhead } from "../cpu/aheadTargets.ts";

export const aheadTargetsOp: OpSpec = {
  name: "aheadTargets",
  access: ["read", "write"],
  units: (p) => p["size"]!,
  cpu: (b, p, start, end) =>
    twin({ targets: b[0]!, out: b[1]!, rows: p["rows"]!, heads: p["heads"]! }, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "ahead",
    constants: { size: p["size"]!, rows: p["rows"]!, heads: p["heads"]! },
    workgroups: gridFor(p["size"]!, 256),
  }),
};

/** out u32 [size, heads]: the symbol 2 + j behind each position, or SKIP, from targets u32 [size], which are those of
 *  windows of `rows` positions. */
export function aheadTargets(
  g: Graph,
  a: { targets: Tensor; out: Tensor; rows: number; heads: number },
): void {
  const size = a.targets.size;
  invariant(size % a.rows === 0, `aheadTargets: ${size} targets are no windows of ${a.rows}`);
  expectSize("aheadTargets", "out", a.out, size * a.heads);
  g.add(aheadTargetsOp, [a.targets, a.out], { size, rows: a.rows, heads: a.heads });
}
