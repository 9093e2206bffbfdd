/**
 * Exit of the streams: their mean. Differs from the paper's sum by 1/S, so that copies of one vector come out
 * as that vector. Source: go-mHC (arXiv 2604.02309) §2.
 */
import type { Graph, Tensor } from "../graph.ts";
import { streamShape, streamSpreadOp, streamSumOp } from "./streamExpand.ts";

/** y [T, C]: mean of x [T, S, C] over streams. */
export function streamCollapseForward(g: Graph, a: { x: Tensor; y: Tensor }): void {
  const shape = streamShape("streamCollapseForward", a.y, a.x);
  g.add(streamSumOp, [a.x, a.y], { ...shape, scale: 1 / shape.S });
}

/** dX [T, S, C]: dY [T, C] / S on every stream. */
export function streamCollapseBackward(g: Graph, a: { dY: Tensor; dX: Tensor }): void {
  const shape = streamShape("streamCollapseBackward", a.dY, a.dX);
  g.add(streamSpreadOp, [a.dY, a.dX], { ...shape, scale: 1 / shape.S });
}
