/** RMS normalization without gain, y = x / sqrt(mean(x²) + 1e-6). Source: RMSNorm (arXiv 1910.07467) eq. 4. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type GpuKernel,
  type OpSpec,
  type Params,
  type Stored,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { rmsNormBackward as backwardTwin, rmsNormForward as forwardTwin } from "../cpu/rmsNorm.ts";
import { halfAliases } from "./halves.ts";
import code from "./rmsNorm.wgsl";
import rowSumCode from "./rowSum.wgsl";

/** A lane keeps eight quadruples of its row in registers, so wider rows take more lanes. */
const lanesFor = (C: number): number => (C > 2048 ? 256 : C > 512 ? 64 : 16);
const MAX_CHANNELS = 8192;

function kernel(p: Params, stored: readonly Stored[], entryPoint: string): GpuKernel {
  const lanes = lanesFor(p["C"]!);
  return {
    code: halfAliases(stored, { X: 0, Y: 1, DX: 2 }, 4) + rowSumCode + code,
    entryPoint,
    constants: { rows: p["rows"]!, C: p["C"]!, lanes },
    workgroups: gridFor(p["rows"]!, 256 / lanes),
  };
}

export const rmsNormForwardOp: OpSpec = {
  name: "rmsNormForward",
  access: ["read", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    forwardTwin({ x: b[0] as Floats, y: b[1] as Floats, C: p["C"]! }, start, end),
  halves: [0, 1],
  gpu: (p, _caps, stored) => kernel(p, stored, "forward"),
};

function backwardOp(accumulate: 0 | 1): OpSpec {
  return {
    name: accumulate === 1 ? "rmsNormBackwardAccumulate" : "rmsNormBackward",
    access: ["read", "read", accumulate === 1 ? "readWrite" : "write"],
    units: (p) => p["rows"]!,
    cpu: (b, p, start, end) =>
      backwardTwin(
        { x: b[0] as Floats, dY: b[1] as Floats, dX: b[2] as Floats, C: p["C"]!, accumulate },
        start,
        end,
      ),
    halves: [0, 1, 2],
    gpu: (p, _caps, stored) =>
      kernel(p, stored, accumulate === 1 ? "backwardAccumulate" : "backward"),
  };
}
export const rmsNormBackwardOp = backwardOp(0);
export const rmsNormBackwardAccumulateOp = backwardOp(1);

function shape(op: string, x: Tensor, channels: number | undefined): Params {
  const C = channels ?? x.shape.at(-1)!;
  invariant(
    C % 4 === 0 && C <= MAX_CHANNELS && x.size % C === 0,
    `${op}: x (${x.name}) has ${x.size} elements, which is not rows of ${C} channels, a multiple of 4 up to ${MAX_CHANNELS}`,
  );
  return { rows: x.size / C, C };
}

/** x, y [rows, channels]; channels, a multiple of 4 up to 8,192, is x's last dimension unless given. */
export function rmsNormForward(g: Graph, a: { x: Tensor; y: Tensor; channels?: number }): void {
  expectSize("rmsNormForward", "y", a.y, a.x.size);
  g.add(rmsNormForwardOp, [a.x, a.y], shape("rmsNormForward", a.x, a.channels));
}

/** dX from x and dY, all [rows, channels]; accumulate 1 adds to dX. */
export function rmsNormBackward(
  g: Graph,
  a: { x: Tensor; dY: Tensor; dX: Tensor; channels?: number; accumulate?: 0 | 1 },
): void {
  expectSize("rmsNormBackward", "dY", a.dY, a.x.size);
  expectSize("rmsNormBackward", "dX", a.dX, a.x.size);
  const op = a.accumulate === 1 ? rmsNormBackwardAccumulateOp : rmsNormBackwardOp;
  g.add(op, [a.x, a.dY, a.dX], shape("rmsNormBackward", a.x, a.channels));
}
