/**
 * The n-gram memory in the network: the rows of a position's contexts side by side, brought to a key and a value at
 * each depth, the value added as far as the hidden state agrees with the key. Rows start at zero, so a model starts
 * as if it had none. Source: Engram (arXiv 2601.07372) §2.2 and §2.3, without its convolution.
 */
import type { Builder, Part } from "./builder.ts";
import type { ModelConfig } from "./config.ts";
import { engramContextCount } from "./engramContexts.ts";
import { invariant } from "./errors.ts";
import type { Tensor } from "./graph.ts";
import { addForward } from "./kernels/add.ts";
import { embedBytesBackward, embedBytesForward } from "./kernels/embedBytes.ts";
import { engramGateBackward, engramGateForward } from "./kernels/engramGate.ts";
import { gatherRowsForward } from "./kernels/gatherRows.ts";
import { rmsNormBackward, rmsNormForward } from "./kernels/rmsNorm.ts";
import { linear } from "./linear.ts";

/** Places that may read the memory: the sum of embeddings, what the trunk starts from, what the decoder starts from. */
export const ENGRAM_DEPTHS = ["input", "trunk", "decoder"] as const;
export type EngramDepth = (typeof ENGRAM_DEPTHS)[number];

export const engramDepths = (c: Pick<ModelConfig, "engram" | "engramDepths">): EngramDepth[] =>
  c.engram === "on" ? ENGRAM_DEPTHS.filter((d) => c.engramDepths.split("+").includes(d)) : [];

/** Row width of all contexts of a position together. */
export const engramWidth = (c: Pick<ModelConfig, "engramLongest" | "engramChannels">): number =>
  engramContextCount(c) * c.engramChannels;

export interface EngramInputs {
  /** u32 [rows, contexts]: table rows, or NO_ROW. */
  readonly ids: Tensor;
  /** Only for the backward pass, see engramBatch.ts: the same as entries of the touched list, their inverse, and
   *  what takes the gradient of each touched row, f32 [capacity, channels]. */
  readonly entries?: Tensor;
  readonly listStart?: Tensor;
  readonly list?: Tensor;
  readonly gradient?: Tensor;
}

export interface Engram {
  /** x [n, C] with what the memory adds at this depth. Without `pick` its rows are positions; with it, position
   *  `ends[r]` is row r's, and `endOf` is the inverse. */
  at(depth: EngramDepth, x: Tensor, pick?: { ends: Tensor; endOf: Tensor | undefined }): Part;
  /** After the backward passes of all depths. */
  backward(): void;
}

export function recordEngram(b: Builder, inputs: EngramInputs, rows: number): Engram {
  const g = b.graph;
  const width = engramWidth(b.config);
  const values = b.temp("engram values", [rows, width], b.half);
  // Contexts side by side are rows of their own to the gather.
  embedBytesForward(g, { table: b.param("engram.rows"), ids: inputs.ids, out: values });
  let dValues: Tensor | undefined;

  const at: Engram["at"] = (depth, x, pick) => {
    const C = x.shape.at(-1)!;
    const n = x.size / C;
    let read = values;
    if (pick !== undefined) {
      read = b.temp("engram picked", [n, width], b.half);
      gatherRowsForward(g, { x: values, index: pick.ends, out: read });
    }
    const kv = linear(b, `engram.${depth}`, read, n, { dtype: b.half });
    const normed = b.temp("engram normed", [n, C], b.half);
    rmsNormForward(g, { x, y: normed });
    const out = b.temp("engram out", [n, C], x.dtype);
    engramGateForward(g, { x, n: normed, kv: kv.out, y: out });
    return {
      out,
      backward: (dY) => {
        const dN = b.temp("dEngram normed", [n, C], b.half);
        const dKv = b.temp("dEngram kv", [n, 2 * C], b.half);
        engramGateBackward(g, { dY, n: normed, kv: kv.out, dN, dKv });
        const dRead = b.temp("dEngram read", [n, width], b.half);
        kv.backward({ dOut: dKv, dX: dRead, first: 1 });
        rmsNormBackward(g, { x, dY: dN, dX: dY, accumulate: 1 });
        let dHere = dRead;
        if (pick !== undefined) {
          dHere = b.temp("dEngram spread", [rows, width], b.half);
          gatherRowsForward(g, { x: dRead, index: pick.endOf!, out: dHere });
        }
        if (dValues === undefined) dValues = dHere;
        else {
          const sum = b.temp("dEngram values", [rows, width], b.half);
          addForward(g, { x: dValues, z: dHere, y: sum });
          dValues = sum;
        }
        return dY;
      },
    };
  };
  return {
    at,
    backward: () => {
      invariant(dValues !== undefined, "no depth of the n-gram memory was differentiated");
      const { entries, listStart, list, gradient } = inputs;
      embedBytesBackward(g, {
        dOut: dValues,
        ids: entries!,
        listStart: listStart!,
        list: list!,
        dTable: gradient!,
      });
    },
  };
}
