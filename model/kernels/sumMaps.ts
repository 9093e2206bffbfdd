/** The gradients of an attention sublayer's joined maps (joinMaps.ts): two long products, the parts of both summed into
 *  each map by one dispatch. The tied map stands in both. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { sumMaps as twin } from "../cpu/joinMaps.ts";
import { productParts } from "./sumColumns.ts";
import code from "./sumMaps.wgsl";

const SHAPE = [
  "m",
  "splitsQ",
  "widthQ",
  "splitsK",
  "widthK",
  "nTied",
  "nFree",
  "nSalience",
] as const;

export const sumMapsOp: OpSpec = {
  name: "sumMaps",
  access: ["read", "read", "write", "write", "write", "write"],
  units: (p) => p["m"]!,
  cpu: (b, p, start, end) => twin(b as readonly Floats[], p, start, end),
  gpu: (p) => ({
    code,
    entryPoint: "sumMaps",
    constants: {},
    uniforms: SHAPE.map((name) => p[name]!),
    workgroups: gridFor(p["m"]! * (p["nTied"]! + 2 * p["nFree"]! + p["nSalience"]!), 64),
  }),
};

export interface MapGradients {
  /** Inputs of the products that were made with the joined maps, [k, m]. */
  readonly x: Tensor;
  readonly xk: Tensor;
  /** Gradients of their outputs, [k, widthQ] and [k, widthK]: tied | query | …, tied | key | salience | …. */
  readonly dQueries: Tensor;
  readonly dKeys: Tensor;
  /** Gradients of the maps, [m, nTied], twice [m, nFree], [m, nSalience]: overwritten. */
  readonly tied: Tensor;
  readonly query: Tensor;
  readonly key: Tensor;
  readonly salience: Tensor;
  readonly m: number;
  readonly k: number;
}

/** tied | query = xᵀ·dQueries, tied | key | salience = xkᵀ·dKeys, the two tied ones added up. */
export function mapGradients(g: Graph, a: MapGradients): void {
  const { m, k, tied, query, key, salience } = a;
  const [widthQ, widthK] = [a.dQueries.size / k, a.dKeys.size / k];
  expectSize("mapGradients", "key", key, query.size);
  const q = productParts(g, { a: a.x, b: a.dQueries, into: tied, m, k, n: widthQ });
  const p = productParts(g, { a: a.xk, b: a.dKeys, into: tied, m, k, n: widthK });
  g.add(sumMapsOp, [q.parts, p.parts, tied, query, key, salience], {
    ...{ m, splitsQ: q.splits, widthQ, splitsK: p.splits, widthK },
    ...{ nTied: tied.size / m, nFree: query.size / m, nSalience: salience.size / m },
  });
}
