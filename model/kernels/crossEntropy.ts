/**
 * Cross-entropy of soft-capped logits, z = cap·tanh(logit / cap). The loss is in bits per row, the gradient is
 * that of the mean in nats: weight[0] is 1 / number of scored rows. Probabilities are never stored.
 * Source of the soft cap: Gemma 2 (arXiv 2408.00118) §2.
 */
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
import {
  crossEntropyBackward as backwardTwin,
  crossEntropyForward as forwardTwin,
} from "../cpu/crossEntropy.ts";
import { flatAliases } from "./halves.ts";
import code from "./crossEntropy.wgsl";

/** A target that is not scored. */
export const SKIP = 0xffffffff;
/** exp(−2·cap) must stay a normal f32. */
export const MAX_SOFTCAP = 40;

/** A lane keeps eight values of its row in registers, so wider rows take more lanes. */
const lanesFor = (count: number): number => (count > 512 ? 256 : count > 128 ? 64 : 16);
const MAX_VALUES = 2048;

/** The columns of a value. */
const INDEX = {
  1: "alias Index = u32;\nconst OFFSETS = 0u;\n",
  4: "alias Index = vec4u;\nconst OFFSETS = vec4u(0u, 1u, 2u, 3u);\n",
} as const;

function kernel(p: Params, stored: readonly Stored[], entryPoint: string): GpuKernel {
  const aliases = flatAliases(stored, { Logits: 0, DLogits: 3 }, p["V"]!);
  const lanes = lanesFor(p["V"]! / aliases.lanes);
  return {
    code: aliases.code + INDEX[aliases.lanes] + code,
    entryPoint,
    constants: { rows: p["rows"]!, V: p["V"]!, cap: p["cap"]!, lanes },
    workgroups: gridFor(p["rows"]!, 256 / lanes),
  };
}

export const crossEntropyForwardOp: OpSpec = {
  name: "crossEntropyForward",
  access: ["read", "read", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    forwardTwin(
      {
        logits: b[0] as Floats,
        targets: b[1] as Uint32Array,
        loss: b[2] as Floats,
        V: p["V"]!,
        cap: p["cap"]!,
      },
      start,
      end,
    ),
  halves: [0],
  gpu: (p, _caps, stored) => kernel(p, stored, "forward"),
};

export const crossEntropyBackwardOp: OpSpec = {
  name: "crossEntropyBackward",
  access: ["read", "read", "read", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    backwardTwin(
      {
        logits: b[0] as Floats,
        targets: b[1] as Uint32Array,
        weight: b[2] as Floats,
        dLogits: b[3] as Floats,
        V: p["V"]!,
        cap: p["cap"]!,
      },
      start,
      end,
    ),
  halves: [0, 3],
  gpu: (p, _caps, stored) => kernel(p, stored, "backward"),
};

function shape(op: string, logits: Tensor, targets: Tensor, cap: number): Params {
  const rows = targets.size;
  const V = logits.size / rows;
  invariant(
    Number.isInteger(V) && V <= MAX_VALUES,
    `${op}: logits (${logits.name}) have ${logits.size} elements for ${rows} targets; rows may have up to ${MAX_VALUES}`,
  );
  invariant(
    cap > 0 && cap <= MAX_SOFTCAP,
    `${op}: softcap is ${cap}; it must lie in (0, ${MAX_SOFTCAP}]`,
  );
  return { rows, V, cap };
}

/** loss [rows] in bits, 0 where targets is SKIP; logits [rows, V], targets u32 [rows]. */
export function crossEntropyForward(
  g: Graph,
  a: { logits: Tensor; targets: Tensor; loss: Tensor; softcap: number },
): void {
  expectSize("crossEntropyForward", "loss", a.loss, a.targets.size);
  g.add(
    crossEntropyForwardOp,
    [a.logits, a.targets, a.loss],
    shape("crossEntropyForward", a.logits, a.targets, a.softcap),
  );
}

/** dLogits [rows, V] = weight[0]·(softmax(z) − onehot(target))·(1 − (z/cap)²), 0 where targets is SKIP. */
export function crossEntropyBackward(
  g: Graph,
  a: { logits: Tensor; targets: Tensor; weight: Tensor; dLogits: Tensor; softcap: number },
): void {
  expectSize("crossEntropyBackward", "weight", a.weight, 1);
  expectSize("crossEntropyBackward", "dLogits", a.dLogits, a.logits.size);
  g.add(
    crossEntropyBackwardOp,
    [a.logits, a.targets, a.weight, a.dLogits],
    shape("crossEntropyBackward", a.logits, a.targets, a.softcap),
  );
}
