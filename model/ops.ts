/** Every op by name: worker threads receive programs as op names. A new op is listed here once. */
import type { OpSpec } from "./graph.ts";
import * as adam from "./kernels/adam.ts";
import * as ema from "./kernels/ema.ts";
import * as matmul from "./kernels/matmul.ts";
import * as matmulGroups from "./kernels/matmulGroups.ts";
import * as muon from "./kernels/muon.ts";
import * as rmsNorm from "./kernels/rmsNorm.ts";
import * as add from "./kernels/add.ts";
import * as aheadTargets from "./kernels/aheadTargets.ts";
import * as addNorm from "./kernels/addNorm.ts";
import * as embedBytes from "./kernels/embedBytes.ts";
import * as engramGate from "./kernels/engramGate.ts";
import * as engramStep from "./kernels/engramStep.ts";
import * as gatherRows from "./kernels/gatherRows.ts";
import * as sumColumns from "./kernels/sumColumns.ts";
import * as sumSegments from "./kernels/sumSegments.ts";
import * as crossEntropy from "./kernels/crossEntropy.ts";
import * as probabilities from "./kernels/probabilities.ts";
import * as columnSum from "./kernels/columnSum.ts";
import * as streamExpand from "./kernels/streamExpand.ts";
import * as streamGradient from "./kernels/streamGradient.ts";
import * as streamHead from "./kernels/streamHead.ts";
import * as streamWrite from "./kernels/streamWrite.ts";
import * as convert from "./kernels/convert.ts";
import * as attentionScalars from "./kernels/attentionScalarsOps.ts";
import * as copyRows from "./kernels/copyRows.ts";
import * as joinMaps from "./kernels/joinMaps.ts";
import * as joinSums from "./kernels/joinSums.ts";
import * as keyShift from "./kernels/keyShift.ts";
import * as taumode from "./kernels/taumode.ts";
import * as dropout from "./kernels/dropout.ts";
import * as tauAttention from "./kernels/tauAttention.ts";
import * as attentionRows from "./kernels/attentionRows.ts";
import * as mixing from "./kernels/mixing.ts";
import * as rope from "./kernels/rope.ts";
import * as dotAttention from "./kernels/dotAttention.ts";
import * as gridAttention from "./kernels/gridAttention.ts";
import * as gridAttentionBackward from "./kernels/gridAttentionBackward.ts";
import * as gridAttentionFew from "./kernels/gridAttentionFew.ts";
import * as gridAttentionScalars from "./kernels/gridAttentionScalars.ts";
import * as verdict from "./kernels/verdict.ts";

const modules: readonly Record<string, unknown>[] = [
  adam,
  ema,
  matmul,
  matmulGroups,
  muon,
  rmsNorm,
  add,
  addNorm,
  aheadTargets,
  embedBytes,
  engramGate,
  engramStep,
  gatherRows,
  sumSegments,
  crossEntropy,
  probabilities,
  columnSum,
  streamExpand,
  streamGradient,
  streamHead,
  streamWrite,
  copyRows,
  joinMaps,
  joinSums,
  sumColumns,
  keyShift,
  taumode,
  dropout,
  tauAttention,
  attentionRows,
  mixing,
  convert,
  attentionScalars,
  rope,
  dotAttention,
  gridAttention,
  gridAttentionBackward,
  gridAttentionFew,
  gridAttentionScalars,
  verdict,
];

function isOp(value: unknown): value is OpSpec {
  return (
    typeof value === "object" &&
    value !== null &&
    "access" in value &&
    "cpu" in value &&
    "gpu" in value
  );
}

export const ops: ReadonlyMap<string, OpSpec> = new Map(
  modules.flatMap((m) => Object.values(m).filter(isOp)).map((op) => [op.name, op]),
);
