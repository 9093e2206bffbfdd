/** Exports of the SIMD module, one line per source file. */
export { matmulRows } from "./matmul";
export { dots, tauForwardRow, tauKeyRow, tauQueryRow, weightedSum } from "./attention";
