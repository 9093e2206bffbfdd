/**
 * The network as a straight list: bytes and facts → local encoder → a trunk over patches → local decoder → the
 * next byte at every position. `recordNetwork` records the forward pass for whole windows or for new rows
 * against caches, and returns the backward pass. Device-free: it only records ops.
 */
import { attentionSizes } from "./params.ts";
import { tauAttentionPart, type AttentionPart, type Lookup } from "./attention.ts";
import { controlAttentionPart } from "./controlAttention.ts";

import type { AuxHead } from "./auxHead.ts";
import { dropped } from "./branchDropout.ts";
import type { Builder, Part, Positions } from "./builder.ts";
import { engramDepths, recordEngram, type EngramDepth, type EngramInputs } from "./engram.ts";
import type { Tensor } from "./graph.ts";
import { feedForwardPart } from "./feedForward.ts";
import { gridLookup } from "./gridAttentionPart.ts";
import { addForward } from "./kernels/add.ts";
import { copyRows } from "./kernels/copyRows.ts";
import { embedBytesBackward, embedBytesForward } from "./kernels/embedBytes.ts";
import { gatherRowsForward } from "./kernels/gatherRows.ts";
import { rmsNormBackward, rmsNormForward } from "./kernels/rmsNorm.ts";
import { sumSegmentsForward } from "./kernels/sumSegments.ts";
import { linear } from "./linear.ts";
import { plainResiduals, streamResiduals, type Residuals, type Sublayer } from "./residual.ts";

/** What the host writes before a run. Rows are batch·bytes, patches batch·patch capacity. */
export interface NetworkInputs {
  /** u32 [rows, channels]: rows of the embedding table. */
  readonly ids: Tensor;
  /** u32 [patches]: the row that ends each patch. */
  readonly ends: Tensor;
  /** u32 [rows]: the newest patch each row sees; in extend mode an absolute patch. */
  readonly newest: Tensor;
  readonly bytes: Positions;
  readonly patches: Positions;
  /** Only for the backward pass: u32 [rows] patch that a row ends; u32 [patches + 1] first row of each patch;
   *  the embedding's inverted ids. */
  readonly endOf?: Tensor;
  readonly start?: Tensor;
  readonly listStart?: Tensor;
  readonly list?: Tensor;
  /** What else training predicts from the state behind the logits, [rows, C local]. */
  readonly heads?: readonly ((state: Tensor) => AuxHead)[];
  /** Where the configuration has an n-gram memory. */
  readonly engram?: EngramInputs | undefined;
}

export interface Network {
  /** [rows, V], before the soft cap. */
  readonly logits: Tensor;
  /** [rows, C local]: what logits are linear in. */
  readonly state: Tensor;
  /** [patches, C trunk]: the collapsed trunk state, normalized. */
  readonly trunkState: Tensor;
  backward(dLogits: Tensor): void;
}

function attentionSublayer(b: Builder, p: AttentionPart, lookup?: Lookup): Sublayer {
  const { attention } = b.config;
  return (x) =>
    dropped(
      b,
      attention === "tau" || attention === "grid"
        ? tauAttentionPart(b, p, x, lookup)
        : controlAttentionPart(b, p, x),
    );
}

function feedForwardSublayer(b: Builder, prefix: string, rows: number, channels: number): Sublayer {
  return (x) => dropped(b, feedForwardPart(b, prefix, x, rows, channels));
}

function localLayers(
  b: Builder,
  side: string,
  layers: number,
  positions: Positions,
  x: Tensor,
): Residuals {
  const rows = positions.batch * positions.rows;
  const C = b.config.localChannels;
  const sublayers: Sublayer[] = [];
  for (let i = 0; i < layers; i++)
    sublayers.push(
      attentionSublayer(b, {
        prefix: `${side}.${i}.attention`,
        sizes: attentionSizes(b.config, "local"),
        positions,
        window: b.config.localWindow,
      }),
      feedForwardSublayer(b, `${side}.${i}.feedForward`, rows, C),
    );
  return plainResiduals(b, x, rows, C, sublayers);
}

function trunk(b: Builder, positions: Positions, x: Tensor): Residuals {
  const rows = positions.batch * positions.rows;
  const C = b.config.trunkChannels;
  const sublayers: { prefix: string; f: Sublayer }[] = [];
  for (let i = 0; i < b.config.trunkLayers; i++)
    sublayers.push(
      {
        prefix: `trunk.${i}.attentionResidual`,
        f: attentionSublayer(
          b,
          {
            prefix: `trunk.${i}.attention`,
            sizes: attentionSizes(b.config, "trunk"),
            positions,
            window: 0,
          },
          b.config.attention === "grid" ? gridLookup : undefined,
        ),
      },
      {
        prefix: `trunk.${i}.feedForwardResidual`,
        f: feedForwardSublayer(b, `trunk.${i}.feedForward`, rows, C),
      },
    );
  const { residual: kind, streams: S, mixingBlock: O } = b.config;
  if (kind !== "plain") return streamResiduals(b, { kind, S, O }, x, rows, C, sublayers);
  return plainResiduals(
    b,
    x,
    rows,
    C,
    sublayers.map((s) => s.f),
  );
}

export function recordNetwork(b: Builder, inputs: NetworkInputs): Network {
  const g = b.graph;
  const { bytes, patches } = inputs;
  const Cl = b.config.localChannels;
  const Cg = b.config.trunkChannels;
  const rows = bytes.batch * bytes.rows;
  const patchRows = patches.batch * patches.rows;
  const normed = (x: Tensor, n: number, channels: number): Tensor => {
    const y = b.temp("normed", [n, channels], b.half);
    rmsNormForward(g, { x, y, channels });
    return y;
  };

  const embedded = b.temp("embedded", [rows, Cl], b.half);
  embedBytesForward(g, { table: b.param("embed"), ids: inputs.ids, out: embedded });
  const depths = engramDepths(b.config);
  const engram = depths.length === 0 ? undefined : recordEngram(b, inputs.engram!, rows);
  const remembering = (depth: EngramDepth, x: Tensor): Part => {
    const pick = depth === "trunk" ? { ends: inputs.ends, endOf: inputs.endOf } : undefined;
    return depths.includes(depth) ? engram!.at(depth, x, pick) : { out: x, backward: (d) => d };
  };
  const input = remembering("input", embedded);
  const h0 = normed(input.out, rows, Cl);
  const encoder = localLayers(b, "encoder", b.config.encoderLayers, bytes, h0);

  // Each patch starts from the encoder's state at the byte that ends it.
  const gathered = b.temp("pooled", [patchRows, Cl], b.half);
  gatherRowsForward(g, { x: encoder.normed, index: inputs.ends, out: gathered });
  const pool = linear(b, "pool", gathered, patchRows, { dtype: b.half });
  const p0 = normed(pool.out, patchRows, Cg);
  const trunkInput = remembering("trunk", p0);
  const middle = trunk(b, patches, trunkInput.out);
  const trunkState = middle.normed;
  const unpool = linear(b, "unpool", trunkState, patchRows, { dtype: b.half });

  // Every byte adds the newest patch's state that it may see.
  let patchStates = unpool.out;
  if (b.mode === "extend") {
    patchStates = b.cache("patch states", [patches.capacity, Cl]);
    copyRows(g, {
      src: unpool.out,
      dst: patchStates,
      span: patches.span,
      rows: patches.rows,
      capacity: patches.capacity,
    });
  }
  const spread = b.temp("spread", [rows, Cl], b.half);
  gatherRowsForward(g, { x: patchStates, index: inputs.newest, out: spread });
  const joined = b.temp("joined", [rows, Cl], b.half);
  addForward(g, { x: encoder.out, z: spread, y: joined });
  const decoderInput = remembering("decoder", joined);
  const decoder = localLayers(b, "decoder", b.config.decoderLayers, bytes, decoderInput.out);
  const last = decoder.normed;
  const unembed = linear(b, "unembed", last, rows);
  const heads = (inputs.heads ?? []).map((record) => record(last));

  return {
    logits: unembed.out,
    state: last,
    trunkState,
    backward: (dLogits) => {
      const dLast = b.temp("dLast", [rows, Cl], b.half);
      unembed.backward({ dOut: dLogits, dX: dLast, first: 1 });
      for (const head of heads) head.backward(dLast);
      const dDecoded = b.temp("dDecoded", [rows, Cl], b.half);
      rmsNormBackward(g, { x: decoder.out, dY: dLast, dX: dDecoded, channels: Cl });
      const dEncoded = decoderInput.backward(decoder.backward(dDecoded));
      const dStates = b.temp("dPatch states", [patchRows, Cl], b.half);
      sumSegmentsForward(g, { x: dEncoded, start: inputs.start!, out: dStates });
      const dTrunkState = b.temp("dTrunk state", [patchRows, Cg], b.half);
      unpool.backward({ dOut: dStates, dX: dTrunkState, first: 1 });
      const dMiddle = b.temp("dMiddle", [patchRows, Cg], b.half);
      rmsNormBackward(g, { x: middle.out, dY: dTrunkState, dX: dMiddle, channels: Cg });
      const dP0 = trunkInput.backward(middle.backward(dMiddle));
      const dPool = b.temp("dPool", [patchRows, Cg], b.half);
      rmsNormBackward(g, { x: pool.out, dY: dP0, dX: dPool, channels: Cg });
      const dGathered = b.temp("dPooled", [patchRows, Cl], b.half);
      pool.backward({ dOut: dPool, dX: dGathered, first: 1 });
      const dNormed = b.temp("dEncoded normed", [rows, Cl], b.half);
      gatherRowsForward(g, { x: dGathered, index: inputs.endOf!, out: dNormed });
      rmsNormBackward(g, {
        x: encoder.out,
        dY: dNormed,
        dX: dEncoded,
        channels: Cl,
        accumulate: 1,
      });
      const dH0 = encoder.backward(dEncoded);
      const dInput = b.temp("dEmbedded", [rows, Cl], b.half);
      rmsNormBackward(g, { x: input.out, dY: dH0, dX: dInput, channels: Cl });
      const dEmbedded = input.backward(dInput);
      engram?.backward();
      embedBytesBackward(g, {
        dOut: dEmbedded,
        ids: inputs.ids,
        listStart: inputs.listStart!,
        list: inputs.list!,
        dTable: b.gradient("embed"),
      });
    },
  };
}
