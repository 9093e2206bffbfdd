/** Probabilities of the next byte for decoding and scoring: symbols that are not bytes are left out. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { EOM } from "../bytes.ts";
import { probabilitiesForward as twin } from "../cpu/probabilities.ts";
import { MAX_SOFTCAP } from "./crossEntropy.ts";
import code from "./probabilities.wgsl";

const BYTES = 256;

export const probabilitiesForwardOp: OpSpec = {
  name: "probabilitiesForward",
  access: ["read", "write", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    twin(
      {
        logits: b[0] as Floats,
        p: b[1] as Floats,
        eom: b[2] as Floats,
        V: p["V"]!,
        cap: p["cap"]!,
        eomId: p["eomId"]!,
      },
      start,
      end,
    ),
  gpu: (p) => ({
    code,
    entryPoint: "forward",
    constants: { rows: p["rows"]!, V: p["V"]!, cap: p["cap"]!, eomId: p["eomId"]! },
    workgroups: gridFor(p["rows"]!, 4),
  }),
};

/** p [rows, 256]: softmax of the capped logits over the byte values; eom [rows]: probability of EOM among all V.
 *  logits [rows, V] before the soft cap. */
export function probabilitiesForward(
  g: Graph,
  a: { logits: Tensor; p: Tensor; eom: Tensor; softcap: number },
): void {
  const rows = a.eom.size;
  const V = a.logits.size / rows;
  expectSize("probabilitiesForward", "p", a.p, rows * BYTES);
  invariant(
    Number.isInteger(V) && V > EOM,
    `probabilitiesForward: logits (${a.logits.name}) have ${a.logits.size} elements for ${rows} rows`,
  );
  invariant(
    a.softcap > 0 && a.softcap <= MAX_SOFTCAP,
    `probabilitiesForward: softcap is ${a.softcap}; it must lie in (0, ${MAX_SOFTCAP}]`,
  );
  g.add(probabilitiesForwardOp, [a.logits, a.p, a.eom], { rows, V, cap: a.softcap, eomId: EOM });
}
