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
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import {
  crossEntropyBackward as backwardTwin,
  crossEntropyForward as forwardTwin,
} from "../cpu/crossEntropy.ts";
import code from "./crossEntropy.wgsl";

/** A target that is not scored. */
export const SKIP = 0xffffffff;
/** exp(−2·cap) must stay a normal f32. */
export const MAX_SOFTCAP = 40;

function kernel(p: Params, entryPoint: string): GpuKernel {
  return {
    code,
    entryPoint,
    constants: { rows: p["rows"]!, V: p["V"]!, cap: p["cap"]! },
    workgroups: gridFor(p["rows"]!, 16),
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
  gpu: (p) => kernel(p, "forward"),
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
  gpu: (p) => kernel(p, "backward"),
};

function shape(op: string, logits: Tensor, targets: Tensor, cap: number): Params {
  const rows = targets.size;
  const V = logits.size / rows;
  invariant(
    Number.isInteger(V),
    `${op}: logits (${logits.name}) have ${logits.size} elements for ${rows} targets`,
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
