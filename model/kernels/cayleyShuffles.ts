/**
 * cayleyMixing for subgroups of 32: the same formulas, with a column of a row's matrices per lane and shuffles where
 * the plain form goes through workgroup memory. Enough lanes of whole subgroups work for ROWS rows and meet no
 * barrier; the others wait for them at the end.
 */
import { unroll } from "./unroll.ts";
import code from "./cayleyShuffles.wgsl";

export function cayleyShuffles(S: number, O: number): string {
  const N = S * O;
  const lanes = 2 ** Math.ceil(Math.log2(N));
  // Entry of the strict upper triangle, row by row.
  const at = (p: number, q: number): number => p * N - (p * (p + 1)) / 2 + q - p - 1;
  const range = Array.from({ length: N }, (_, i) => i);
  // (I + A) · column, whose A has constant places.
  const applied = range
    .map((p) => {
      const terms = range
        .filter((q) => q !== p)
        .map((q) => `${p < q ? "+" : "-"} skew[${p < q ? at(p, q) : at(q, p)}] * x[${q}]`);
      return `  y[${p}] = x[${p}] ${terms.join(" ")};`;
    })
    .join("\n");
  const steps = Array.from({ length: Math.log2(lanes) }, (_, i) => 1 << i);
  // Lane q's register p and lane p's register q change places, a bit of both numbers at a time.
  const turned = steps
    .flatMap((bit) =>
      Array.from({ length: lanes }, (_, i) => i)
        .filter((i) => (i & bit) === 0)
        .map(
          (i) => `  {
    let sent = select(r[${i | bit}], r[${i}], (q & ${bit}u) != 0u);
    let got = subgroupShuffleXor(sent, ${bit}u);
    if ((q & ${bit}u) != 0u) { r[${i}] = got; } else { r[${i | bit}] = got; }
  }`,
        ),
    )
    .join("\n");
  return `const O: u32 = ${O};
const WIDTH: u32 = ${lanes};
fn appliedTo(skew: array<f32, K>, x: array<f32, N>) -> array<f32, N> {
  var y: array<f32, N>;
${applied}
  return y;
}
fn turned(own: array<f32, WIDTH>, q: u32) -> array<f32, WIDTH> {
  var r = own;
${turned}
  return r;
}
${unroll(code, { N, K: (N * (N - 1)) / 2, S, O })}`;
}
