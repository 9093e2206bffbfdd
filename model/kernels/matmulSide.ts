/**
 * WGSL text that takes one operand's tile from memory to matrices: loads to registers, 16 bytes at a time, stores to
 * workgroup memory and matrix loads from there. Where rows lie along k, blocks of 16 of them lie side by side in
 * workgroup memory: rows of a matrix are then an odd number of 16-byte units apart, which keeps the hardware's loads
 * free of bank conflicts, at little padding.
 */
import type { Stored } from "../graph.ts";
import { operandSource } from "./matmulOutput.ts";

export interface SideForm {
  readonly name: "a" | "b";
  readonly stored: Stored;
  /** Neighbours in memory lie along k; else along m or n. */
  readonly alongK: boolean;
  /** Entries along m or n, and along k. */
  readonly across: number;
  readonly tileK: number;
  readonly threads: number;
  /** Whether m or n, and every range of k, are multiples of the tile. */
  readonly wholeAcross: boolean;
  readonly wholeK: boolean;
  /** Rows do not start on 16 bytes: entries are read one by one. */
  readonly singles: boolean;
  /** First unit in workgroup memory. */
  readonly firstUnit: number;
}

export interface Side {
  /** Units of workgroup memory. */
  readonly units: number;
  /** Declares the operand, and read_a or read_b. */
  readonly declarations: string;
  /** Declares where this thread's pieces lie, and registers for them. */
  readonly positions: string;
  /** Loads the slice that starts at k = `at` to registers. */
  load(at: string): string;
  /** Stores what was loaded, `shift` units further on. */
  store(shift: string): string;
  /** Arguments of a matrix load: the i-th 16 entries from `warp` on (a multiple of 16 itself), and k from kk on. */
  matrix(warp: string, i: number, kk: number, shift: string): string;
  /** How such a matrix lies. */
  readonly layout: "row_major" | "col_major";
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** A function that reads 8 neighbours as halves; beyond the end of k (or across, where that lies along) they read as
 *  zero. */
function reader(s: SideForm, guardRows: boolean, guardColumns: boolean): string {
  const binding = s.name === "a" ? 0 : 1;
  const type = s.stored === "f16" ? "vec4u" : "vec4f";
  const declaration = `@group(0) @binding(${binding}) var<storage, read> ${s.name}: array<${type}>;`;
  const outside = [
    ...(guardRows ? ["row >= rowEnd"] : []),
    ...(guardColumns ? ["column >= columnEnd"] : []),
  ].join(" || ");
  const guard = outside === "" ? "" : `  if (${outside}) { return vec4u(); }\n`;
  if (s.singles) {
    const one = (i: number): string => `one_${s.name}(at + ${i}u, column + ${i}u, columnEnd)`;
    const pair = (i: number): string => `pack2x16float(vec2f(${one(i)}, ${one(i + 1)}))`;
    return `${operandSource(s.name, binding, s.stored, 1)}
fn one_${s.name}(at: u32, column: u32, columnEnd: u32) -> f32 {
  if (column >= columnEnd) { return 0.0; }
  return ${s.name}At(at);
}
fn read_${s.name}(at: u32, row: u32, rowEnd: u32, column: u32, columnEnd: u32) -> vec4u {
${guard}  return vec4u(${pair(0)}, ${pair(2)}, ${pair(4)}, ${pair(6)});
}`;
  }
  if (s.stored === "f16")
    return `${declaration}
fn read_${s.name}(at: u32, row: u32, rowEnd: u32, column: u32, columnEnd: u32) -> vec4u {
${guard}  return ${s.name}[at / 8u];
}`;
  const high = guardColumns
    ? `var y = vec4f();
  if (column + 4u < columnEnd) { y = ${s.name}[at / 4u + 1u]; }`
    : `let y = ${s.name}[at / 4u + 1u];`;
  return `${declaration}
fn read_${s.name}(at: u32, row: u32, rowEnd: u32, column: u32, columnEnd: u32) -> vec4u {
${guard}  let x = ${s.name}[at / 4u];
  ${high}
  return vec4u(pack2x16float(x.xy), pack2x16float(x.zw), pack2x16float(y.xy), pack2x16float(y.zw));
}`;
}

export function side(s: SideForm): Side {
  const { name, alongK, across, tileK, threads } = s;
  const rows = alongK ? across : tileK;
  const perRow = (alongK ? tileK : across) / 8;
  // 16-byte units from row to row.
  const stride = (alongK ? (across / 16) * perRow : perRow) + 1;
  const units = (alongK ? 16 : tileK) * stride;
  const [width, limit, first] = name === "a" ? ["m", "m", "mFirst"] : ["n", "n", "nFirst"];
  const slotOf = (row: string): string =>
    alongK ? `${row} % 16u * ${stride}u + ${row} / 16u * ${perRow}u` : `${row} * ${stride}u`;
  const pieces = range(Math.ceil((rows * perRow) / threads)).map((i) => {
    const piece = `(lane + ${i * threads}u)`;
    const partial = (i + 1) * threads > rows * perRow;
    return {
      id: `${name}${i}`,
      row: `(${piece} / ${perRow}u)`,
      unit: `${piece} % ${perRow}u`,
      mine: partial ? `if (${piece} < ${rows * perRow}u) ` : "",
    };
  });
  const positions = pieces.map(({ id, row, unit }) => {
    // Rows past the last one read that one again; nothing of them is stored.
    const memoryRow = !alongK
      ? row
      : s.wholeAcross
        ? `${row} + ${first}`
        : `min(${row} + ${first}, ${limit} - 1u)`;
    return `  let ${id}Row = ${memoryRow};
  let ${id}Column = ${unit} * 8u${alongK ? "" : ` + ${first}`};
  let ${id}At = ${name}Base + ${id}Row * ${alongK ? "k" : width} + ${id}Column;
  let ${id}Slot = ${s.firstUnit}u + ${slotOf(row)} + ${unit};
  var ${id} = vec4u();`;
  });
  return {
    units,
    declarations: reader(s, !alongK && !s.wholeK, alongK ? !s.wholeK : !s.wholeAcross),
    positions: positions.join("\n"),
    load: (at) =>
      pieces
        .map(({ id, mine }) => {
          const place = alongK
            ? `${id}At + ${at}, ${id}Row, ${limit}, ${id}Column + ${at}, kEnd`
            : `${id}At + ${at} * ${width}, ${id}Row + ${at}, kEnd, ${id}Column, ${limit}`;
          return `    ${mine}{ ${id} = read_${name}(${place}); }`;
        })
        .join("\n"),
    store: (shift) =>
      pieces.map(({ id, mine }) => `    ${mine}{ tile[${id}Slot + ${shift}] = ${id}; }`).join("\n"),
    matrix: (warp, i, kk, shift) =>
      alongK
        ? `${shift} + ${warp} / 16u * ${perRow}u + ${s.firstUnit + i * perRow + kk / 8}u, ${stride}u`
        : `${shift} + ${warp} / 8u + ${s.firstUnit + kk * stride + i * 2}u, ${stride}u`,
    layout: (name === "a") === alongK ? "row_major" : "col_major",
  };
}
