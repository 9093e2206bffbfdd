/** Exports of the SIMD module, one line per source file. */
export { matmulRows } from "./matmul";
export { dots, tauForwardRow, tauKeyRow, tauQueryRow, weightedSum } from "./attention";
export {
  tauBackwardHead,
  tauBackwardScratch,
  tauForwardScratch,
  tauForwardTiles,
} from "./attentionTiles";
export {
  scaleRow,
  streamGradient4,
  streamRead,
  streamWriteBackward,
  streamWriteForward,
  sumSquares,
} from "./streams";
export { cayleyBackward, cayleyForward } from "./cayley";
export {
  addNorm,
  crossEntropyRow,
  rmsNormBackward,
  rmsNormForward,
  tapPartials,
  tapSum,
} from "./rows";
