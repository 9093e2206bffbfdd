/**
 * Reference twin of embedBytes. Units are rows forward and columns backward: lists have very different
 * lengths, columns do not.
 */
import type { Floats } from "../graph.ts";

export const NO_ROW = 0xffffffff;

export function embedBytesForward(
  a: { table: Floats; ids: Uint32Array; out: Floats; K: number; C: number },
  start: number,
  end: number,
): void {
  const { table, ids, out, K, C } = a;
  for (let row = start; row < end; row++) {
    const to = row * C;
    out.fill(0, to, to + C);
    for (let k = 0; k < K; k++) {
      const id = ids[row * K + k]!;
      if (id === NO_ROW) continue;
      const from = id * C;
      for (let c = 0; c < C; c++) out[to + c]! += table[from + c]!;
    }
  }
}

export function embedBytesBackward(
  a: {
    dOut: Floats;
    listStart: Uint32Array;
    list: Uint32Array;
    dTable: Floats;
    tableRows: number;
    K: number;
    C: number;
  },
  start: number,
  end: number,
): void {
  const { dOut, listStart, list, dTable, tableRows, K, C } = a;
  for (let id = 0; id < tableRows; id++) {
    const to = id * C;
    dTable.fill(0, to + start, to + end);
    const last = listStart[id + 1]!;
    for (let e = listStart[id]!; e < last; e++) {
      const from = Math.floor(list[e]! / K) * C;
      for (let c = start; c < end; c++) dTable[to + c]! += dOut[from + c]!;
    }
  }
}

/**
 * The inverse of ids for the backward: a counting sort. list holds the positions of ids that name table row r
 * at [listStart[r], listStart[r + 1]), ascending; NO_ROW is left out, so the end of list may stay unused.
 */
export function invertIds(a: {
  ids: Uint32Array;
  tableRows: number;
  listStart: Uint32Array;
  list: Uint32Array;
}): void {
  const { ids, tableRows, listStart, list } = a;
  listStart.fill(0);
  for (let i = 0; i < ids.length; i++) if (ids[i]! !== NO_ROW) listStart[ids[i]!]!++;
  let sum = 0;
  for (let r = 0; r <= tableRows; r++) {
    sum += listStart[r]!;
    listStart[r] = sum;
  }
  // Ends become starts while positions are dealt from the back, which keeps them ascending.
  for (let i = ids.length - 1; i >= 0; i--) {
    const id = ids[i]!;
    if (id !== NO_ROW) list[--listStart[id]!] = i;
  }
}
