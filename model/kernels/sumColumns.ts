/** A weight's gradient whose columns belong to several matrices: one long product, its parts summed into each. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { invariant } from "../errors.ts";
import { sumColumns as twin } from "../cpu/matmul.ts";
import { holdsHalves, matmulPartsOp, modelSplits, partsOf, productOf } from "./matmul.ts";
import code from "./sumColumns.wgsl";

const WIDTHS = ["width0", "width1", "width2"] as const;
const ADDS = ["adds0", "adds1", "adds2"] as const;
const NAMES = ["first", "second", "third"] as const;

/** The destinations' bindings, and leave(): where a sum goes. */
function leaveSource(count: number): string {
  const bindings = NAMES.slice(0, count)
    .map((n, i) => `@group(0) @binding(${i + 1}) var<storage, read_write> ${n}: array<f32>;\n`)
    .join("");
  const before = ["0u", "widths.x", "(widths.x + widths.y)"];
  const stores = NAMES.slice(0, count).map((name, i) => {
    const width = `widths.${"xyz"[i]}`;
    return `  if (column >= ${before[i]} && column - ${before[i]} < ${width}) {
    let at = row * ${width} + column - ${before[i]};
    if ((adds & ${1 << i}u) != 0u) { ${name}[at] += sum; } else { ${name}[at] = sum; }
  }`;
  });
  return `@group(0) @binding(0) var<storage, read> parts: array<f32>;
${bindings}@group(0) @binding(${count + 1}) var<uniform> size: array<vec4u, 2>;
fn leave(row: u32, column: u32, sum: f32, adds: u32, widths: vec4u) {
${stores.join("\n")}
}
`;
}

function sumOp(count: 1 | 2 | 3): OpSpec {
  return {
    name: `sumColumns${count}`,
    access: ["read", ...NAMES.slice(0, count).map(() => "readWrite" as const)],
    units: (p) => p["m"]!,
    cpu: (b, p, start, end) => {
      const [parts, ...outs] = b as readonly Floats[];
      const into = outs.map((out, i) => ({ out, width: p[WIDTHS[i]!]!, adds: p[ADDS[i]!]! }));
      // The CPU's product left everything in the first part.
      twin(parts!, into, p["n"]!, start, end);
    },
    gpu: (p) => {
      const widths = WIDTHS.slice(0, count).map((name) => p[name]!);
      const adds = ADDS.slice(0, count).reduce((bits, name, i) => bits | (p[name]! << i), 0);
      const used = widths.reduce((a, b) => a + b, 0);
      return {
        code: leaveSource(count) + code,
        entryPoint: "sumColumns",
        constants: {},
        uniforms: [p["m"]!, p["n"]!, p["splits"]!, adds, ...widths, ...[0, 0, 0].slice(count - 1)],
        workgroups: gridFor(p["m"]! * used, 64),
      };
    },
  };
}
export const sumColumns1Op = sumOp(1);
export const sumColumns2Op = sumOp(2);
export const sumColumns3Op = sumOp(3);

export interface Columns {
  /** [m, width] */
  readonly out: Tensor;
  /** 1 adds to it. */
  readonly accumulate: 0 | 1;
}

/** The columns of aᵀ·b, a [k, m], b [k, n]: the leading ones into the first matrix, the next ones into the second, and
 *  so on; at most three. Columns that are left over are dropped. */
export function matmulColumns(
  g: Graph,
  x: { a: Tensor; b: Tensor; outs: readonly Columns[]; m: number; k: number; n: number },
): void {
  const { m, k, n, outs } = x;
  expectSize("matmulColumns", "a", x.a, k * m);
  expectSize("matmulColumns", "b", x.b, k * n);
  const widths = outs.map(({ out }) => out.size / m);
  const op = [undefined, sumColumns1Op, sumColumns2Op, sumColumns3Op][outs.length];
  invariant(
    op !== undefined && widths.every(Number.isInteger) && widths.reduce((a, b) => a + b, 0) <= n,
    `matmulColumns: ${n} columns do not hold matrices of ${widths.join(", ")}`,
  );
  const form = { m, k, n, batch: 1, transposeA: 1, transposeB: 0 } as const;
  const tuned = g.products?.choose({
    ...productOf({ ...form, a: x.a, b: x.b, out: outs[0]!.out }),
    parted: 1,
  });
  const tile = {
    ...(tuned?.tile !== undefined && { tile: tuned.tile }),
    ...(tuned?.matrixTile !== undefined && { matrixTile: tuned.matrixTile }),
  };
  const shape = { ...form, ...tile, accumulate: 0, epilogue: 0 };
  const { splits, chunk } = partsOf(
    k,
    tuned?.splits ?? modelSplits(holdsHalves(x.a.dtype, x.b.dtype), form),
  );
  const parts = g.temp("matmul parts", [splits, m, n]);
  g.add(matmulPartsOp, [x.a, x.b, parts], { ...shape, splits, chunk });
  const places = outs.flatMap(({ accumulate }, i) => [
    [WIDTHS[i]!, widths[i]!] as const,
    [ADDS[i]!, accumulate] as const,
  ]);
  g.add(op, [parts, ...outs.map((o) => o.out)], {
    ...{ m, n, splits },
    ...Object.fromEntries(places),
  });
}
