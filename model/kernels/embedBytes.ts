/**
 * Embedding as a sum of K table rows per position (the byte, its hashes, its facts). The backward needs the
 * inverse lists of `invertIds`, made on the host whenever ids change. Ids must be below tableRows or NO_ROW.
 */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import {
  embedBytesBackward as backwardTwin,
  embedBytesForward as forwardTwin,
} from "../cpu/embedBytes.ts";
import { halfAliases } from "./halves.ts";
import code from "./embedBytes.wgsl";

export { invertIds, NO_ROW } from "../cpu/embedBytes.ts";

/** List entries per chunk of the backward, as in the kernel. */
const CHUNK = 64;

export const embedBytesForwardOp: OpSpec = {
  name: "embedBytesForward",
  access: ["read", "read", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    forwardTwin(
      {
        table: b[0] as Floats,
        ids: b[1] as Uint32Array,
        out: b[2] as Floats,
        K: p["K"]!,
        C: p["C"]!,
      },
      start,
      end,
    ),
  halves: [2],
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { Out: 2, DOut: 0 }, 4) + code,
    entryPoint: "forward",
    constants: { rows: p["rows"]!, C: p["C"]!, K: p["K"]! },
    workgroups: gridFor((p["rows"]! * p["C"]!) / 4, 256),
  }),
};

/** Writes dTable's rows whose list lies inside one chunk, and partial sums of the others. */
export const embedBytesPartialsOp: OpSpec = {
  name: "embedBytesPartials",
  access: ["read", "read", "read", "read", "write", "write", "write"],
  units: (p) => p["C"]!,
  cpu: (b, p, start, end) =>
    backwardTwin(
      {
        dOut: b[0] as Floats,
        listStart: b[2] as Uint32Array,
        list: b[3] as Uint32Array,
        dTable: b[4] as Floats,
        tableRows: p["tableRows"]!,
        K: p["K"]!,
        C: p["C"]!,
      },
      start,
      end,
    ),
  halves: [0],
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { Out: 2, DOut: 0 }, 4) + code,
    entryPoint: "partials",
    constants: { tableRows: p["tableRows"]!, C: p["C"]!, K: p["K"]! },
    workgroups: gridFor(p["chunks"]! * Math.ceil(p["C"]! / 256), 1),
  }),
};

/** Writes dTable's remaining rows. The twin has them already. */
export const embedBytesCombineOp: OpSpec = {
  name: "embedBytesCombine",
  access: ["read", "read", "read", "readWrite"],
  units: () => 0,
  cpu: () => undefined,
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { Out: 2, DOut: 0 }, 4) + code,
    entryPoint: "combine",
    constants: { tableRows: p["tableRows"]!, C: p["C"]! },
    workgroups: gridFor((p["tableRows"]! * p["C"]!) / 4, 64),
  }),
};

function shape(
  op: string,
  a: { table: Tensor; ids: Tensor; out: Tensor },
): { rows: number; tableRows: number; C: number; K: number } {
  const C = a.table.shape.at(-1)!;
  const rows = a.out.size / C;
  const K = a.ids.size / rows;
  invariant(
    C % 4 === 0 && Number.isInteger(rows) && Number.isInteger(K),
    `${op}: table [${a.table.shape.join(", ")}], ids [${a.ids.shape.join(", ")}] and rows [${a.out.shape.join(", ")}] ` +
      "do not fit as [tableRows, C], [rows, K], [rows, C] with C a multiple of 4",
  );
  return { rows, tableRows: a.table.size / C, C, K };
}

/** out[r, :] = Σ_k table[ids[r, k], :]; table [tableRows, C], ids u32 [rows, K], out [rows, C]. */
export function embedBytesForward(g: Graph, a: { table: Tensor; ids: Tensor; out: Tensor }): void {
  g.add(embedBytesForwardOp, [a.table, a.ids, a.out], shape("embedBytesForward", a));
}

/** dTable [tableRows, C] from dOut [rows, C]; listStart u32 [tableRows + 1] and list u32 [rows·K] from invertIds. */
export function embedBytesBackward(
  g: Graph,
  a: { dOut: Tensor; ids: Tensor; listStart: Tensor; list: Tensor; dTable: Tensor },
): void {
  const { rows, tableRows, C, K } = shape("embedBytesBackward", {
    table: a.dTable,
    ids: a.ids,
    out: a.dOut,
  });
  expectSize("embedBytesBackward", "listStart", a.listStart, tableRows + 1);
  expectSize("embedBytesBackward", "list", a.list, rows * K);
  const chunks = Math.ceil((rows * K) / CHUNK);
  const heads = g.temp("embedBytes heads", [chunks, C]);
  const tails = g.temp("embedBytes tails", [chunks, C]);
  g.add(embedBytesPartialsOp, [a.dOut, a.ids, a.listStart, a.list, a.dTable, heads, tails], {
    tableRows,
    C,
    K,
    chunks,
  });
  g.add(embedBytesCombineOp, [a.listStart, heads, tails, a.dTable], { tableRows, C });
}
