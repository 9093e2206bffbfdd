/**
 * The narrow maps of an attention sublayer side by side, so that one product makes all that queries need of x, and one
 * all that keys need of the shifted x. The tied map stands in both.
 */
import { expectSize, type Graph, type OpSpec, type Tensor } from "../graph.ts";
import { joinMaps as twin } from "../cpu/joinMaps.ts";
import { halfAliases } from "./halves.ts";
import code from "./joinMaps.wgsl";

const CONSTANTS = ["C", "nTied", "nFree", "nSalience", "widthQ", "widthK"] as const;

export const joinMapsOp: OpSpec = {
  name: "joinMaps",
  access: ["read", "read", "read", "read", "write", "write"],
  halves: [4, 5],
  units: (p) => p["C"]!,
  cpu: twin,
  gpu: (p, _caps, stored) => ({
    code: halfAliases(stored, { Queries: 4, Keys: 5 }, 1) + code,
    entryPoint: "joinMaps",
    constants: Object.fromEntries(CONSTANTS.map((name) => [name, p[name]!])),
    workgroups: [Math.ceil((p["C"]! * (p["widthQ"]! + p["widthK"]!)) / 256), 1, 1],
  }),
};

export interface JoinedMaps {
  /** [C, T·E], [C, F·m] twice and [C, H]; those of a kind of heads that there is none of are left out. */
  readonly tied?: Tensor | undefined;
  readonly query?: Tensor | undefined;
  readonly key?: Tensor | undefined;
  readonly salience: Tensor;
  /** [C, width ≥ T·E + F·m] and [C, width ≥ T·E + F·m + H]. */
  readonly queries: Tensor;
  readonly keys: Tensor;
}

/** queries = tied | query | 0, keys = tied | key | salience | 0. */
export function joinMaps(g: Graph, a: JoinedMaps): void {
  const C = a.salience.shape[0]!;
  const p = {
    C,
    nTied: (a.tied?.size ?? 0) / C,
    nFree: (a.query?.size ?? 0) / C,
    nSalience: a.salience.size / C,
    widthQ: a.queries.size / C,
    widthK: a.keys.size / C,
  };
  expectSize("joinMaps", "key", a.key ?? a.salience, a.query?.size ?? a.salience.size);
  expectSize(
    "joinMaps",
    "queries",
    a.queries,
    C * Math.ceil(Math.max(p.widthQ, p.nTied + p.nFree)),
  );
  expectSize(
    "joinMaps",
    "keys",
    a.keys,
    C * Math.ceil(Math.max(p.widthK, p.nTied + p.nFree + p.nSalience)),
  );
  // A binding that is never read takes any tensor.
  const maps = [a.tied, a.query, a.key].map((t) => t ?? a.salience);
  g.add(joinMapsOp, [...maps, a.salience, a.queries, a.keys], p);
}
