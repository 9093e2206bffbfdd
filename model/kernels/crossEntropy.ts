/**
 * Cross-entropy of soft-capped logits, z = cap·tanh(logit / cap), with its gradient in one pass. The loss is in bits
 * per row, the gradient is that of the mean in nats: weight[0] is 1 / number of scored rows. Probabilities are never
 * stored.
 * Source of the soft cap: Gemma 2 (arXiv 2408.00118) §2.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type GpuCaps,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { crossEntropy as twin } from "../cpu/crossEntropy.ts";
import { flatAliases } from "./halves.ts";
import { unroll } from "./unroll.ts";
import code from "./crossEntropy.wgsl";

export { SKIP } from "../cpu/crossEntropy.ts";
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

/** Sums over the `lanes` lanes of a row: by shuffles where subgroups have 32 and that is enough, else in workgroup
 *  memory, in lane order. */
function rowSum(lanes: number, caps: GpuCaps): string {
  if (!caps.subgroupMatrix || lanes > 32)
    return `var<workgroup> sums: array<vec2f, 256>;
fn rowSum(thread: u32, own: vec2f) -> vec2f {
  sums[thread] = own;
  workgroupBarrier();
  var total = vec2f();
  for (var i = 0u; i < ROW_LANES; i++) { total += sums[thread / ROW_LANES * ROW_LANES + i]; }
  return total;
}
`;
  let steps = "";
  for (let step = lanes / 2; step >= 1; step /= 2)
    steps += `  total += subgroupShuffleXor(total, ${step}u);\n`;
  return `fn rowSum(thread: u32, own: vec2f) -> vec2f {
  var total = own;
${steps}  return total;
}
`;
}

export const crossEntropyOp: OpSpec = {
  name: "crossEntropy",
  access: ["read", "read", "read", "write", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    twin(
      {
        logits: b[0] as Floats,
        targets: b[1] as Uint32Array,
        weight: b[2] as Floats,
        loss: b[3] as Floats,
        dLogits: b[4] as Floats,
        V: p["V"]!,
        cap: p["cap"]!,
      },
      start,
      end,
    ),
  halves: [0, 4],
  gpu: (p, caps, stored) => {
    const aliases = flatAliases(stored, { Logits: 0, DLogits: 4 }, p["V"]!);
    const count = p["V"]! / aliases.lanes;
    const lanes = lanesFor(count);
    const each = Math.ceil(count / lanes);
    const sum = rowSum(lanes, caps);
    return {
      code:
        (sum.includes("subgroup") ? "enable subgroups;\n" : "") +
        aliases.code +
        INDEX[aliases.lanes] +
        `const ROW_LANES = ${lanes}u;\nconst EACH = ${each}u;\n` +
        sum +
        (caps.software ? code : unroll(code, { EACH: each })),
      entryPoint: "both",
      constants: { rows: p["rows"]!, V: p["V"]!, cap: p["cap"]! },
      workgroups: gridFor(p["rows"]!, 256 / lanes),
    };
  },
};

/** loss [rows] in bits and dLogits [rows, V] = weight[0]·(softmax(z) − onehot(target))·(1 − (z/cap)²), both 0 where
 *  targets is SKIP; logits [rows, V], targets u32 [rows], weight [1]. */
export function crossEntropy(
  g: Graph,
  a: {
    logits: Tensor;
    targets: Tensor;
    weight: Tensor;
    loss: Tensor;
    dLogits: Tensor;
    softcap: number;
  },
): void {
  const op = "crossEntropy";
  const rows = a.targets.size;
  const V = a.logits.size / rows;
  invariant(
    Number.isInteger(V) && V <= MAX_VALUES,
    `${op}: logits (${a.logits.name}) have ${a.logits.size} elements for ${rows} targets; rows may have up to ${MAX_VALUES}`,
  );
  invariant(
    a.softcap > 0 && a.softcap <= MAX_SOFTCAP,
    `${op}: softcap is ${a.softcap}; it must lie in (0, ${MAX_SOFTCAP}]`,
  );
  expectSize(op, "weight", a.weight, 1);
  expectSize(op, "loss", a.loss, rows);
  expectSize(op, "dLogits", a.dLogits, a.logits.size);
  g.add(crossEntropyOp, [a.logits, a.targets, a.weight, a.loss, a.dLogits], {
    rows,
    V,
    cap: a.softcap,
  });
}
