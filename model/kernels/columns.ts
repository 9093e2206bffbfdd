/** Puts two row-major matrices side by side, and takes them apart: each is the other's backward pass. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Params,
  type Tensor,
} from "../graph.ts";
import { joinColumns as joinTwin, splitColumns as splitTwin } from "../cpu/columns.ts";
import code from "./columns.wgsl";

const sizes = (p: Params): { rows: number; n1: number; n2: number } => ({
  rows: p["rows"]!,
  n1: p["n1"]!,
  n2: p["n2"]!,
});
const grid = (p: Params): [number, number, number] =>
  gridFor(p["rows"]! * (p["n1"]! + p["n2"]!), 256);

export const joinColumnsOp: OpSpec = {
  name: "joinColumns",
  access: ["read", "read", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    joinTwin(b[0] as Floats, b[1] as Floats, b[2] as Floats, sizes(p), start, end),
  gpu: (p) => ({ code, entryPoint: "join", constants: sizes(p), workgroups: grid(p) }),
};

export const splitColumnsOp: OpSpec = {
  name: "splitColumns",
  access: ["read", "write", "write"],
  units: (p) => p["rows"]!,
  cpu: (b, p, start, end) =>
    splitTwin(b[0] as Floats, b[1] as Floats, b[2] as Floats, sizes(p), start, end),
  gpu: (p) => ({ code, entryPoint: "split", constants: sizes(p), workgroups: grid(p) }),
};

export interface Columns {
  /** [rows, n1] */
  readonly x1: Tensor;
  /** [rows, n2] */
  readonly x2: Tensor;
  /** [rows, n1 + n2] */
  readonly y: Tensor;
  readonly rows: number;
}

function add(g: Graph, op: OpSpec, c: Columns, order: readonly Tensor[]): void {
  expectSize(op.name, "y", c.y, c.x1.size + c.x2.size);
  g.add(op, order, { rows: c.rows, n1: c.x1.size / c.rows, n2: c.x2.size / c.rows });
}

export function joinColumns(g: Graph, c: Columns): void {
  add(g, joinColumnsOp, c, [c.x1, c.x2, c.y]);
}

export function splitColumns(g: Graph, c: Columns): void {
  add(g, splitColumnsOp, c, [c.y, c.x1, c.x2]);
}
