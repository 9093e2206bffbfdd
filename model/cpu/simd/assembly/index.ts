/** Exports of the SIMD module, one line per source file. */
export { matmulRows } from "./matmul";
export { tauForwardRow, tauKeyRow, tauQueryRow } from "./attention";
