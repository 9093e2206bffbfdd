/**
 * The end of the keys' backward kernel on subgroup matrices (tauAttentionMatrixBackward.ts): what its threads
 * summed over their queries becomes dB, dC and the distance sum of the key tile, in a fixed order.
 */
import { MATRIX_TILE, times } from "./tauAttentionTiles.ts";

/** Needs, per thread, `wholeSalience` and the sums of its bands, of its key quad `quad`, and `distance`; as room `pairs`
 *  (of vec4u, 17 per 8 threads) and `gradients` (256). Two quantities at a time: each quad's lanes lie side by side,
 *  8 threads add them up. */
export function sumsOverQueries(m: number, threads: number): string {
  const quantities = m + 1;
  const quads = MATRIX_TILE / 4;
  const lanes = (2 * threads) / quads;
  const stride = lanes + 1;
  const round = (r: number): string => {
    const own = [2 * r, 2 * r + 1].filter((k) => k < quantities);
    return `
  ${own
    .map((k, i) =>
      times(
        2,
        (g) =>
          `pairs[(${quads * i}u + quad${g}) * ${stride}u + lane % 16u] = bitcast<vec4u>(${k === m ? `wholeSalience${g}` : `2.0 * whole${g}_${k} - wholeSalience${g}`});`,
      ),
    )
    .join("\n")}
  workgroupBarrier();
  for (var i = t; i < ${own.length * 2 * MATRIX_TILE}u; i += ${threads}u) {
    let at = i / 8u * ${stride}u + i % 8u;
    gradients[i] = bitcast<vec4u>(${Array.from({ length: lanes / 8 }, (_, l) => `bitcast<vec4f>(pairs[at + ${8 * l}u])`).join(" + ")});
  }
  workgroupBarrier();
  if (t < ${own.length * MATRIX_TILE}u) {
    var sum = 0.0;
    for (var l = 0u; l < 8u; l++) { sum += bitcast<f32>(gradients[t / 4u * 8u + l][t % 4u]); }
    let key = firstKey + t % TILE;
    if (key < rows) {
      let at = (batchRow + key) * nHeads + h;
      ${own
        .map(
          (k, i) =>
            `if (t / TILE == ${i}u) { ${k === m ? "dC[at] = sum;" : `dB[at * bands + ${k}u] = sum;`} }`,
        )
        .join("\n")}
    }
  }`;
  };
  return `
  ${times(2, (g) => `distance -= dot(wholeSalience${g}, vec4f(vec4u(4u * quad${g}) + vec4u(0u, 1u, 2u, 3u)));`)}
  workgroupBarrier();
  ${times(Math.ceil(quantities / 2), round)}
  pairs[t / 4u][t % 4u] = bitcast<u32>(distance);
  workgroupBarrier();
  if (t < 16u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < ${threads / 64}u; i++) { sum += bitcast<vec4f>(pairs[t + 16u * i]); }
    pairs[${threads / 4}u + t / 4u][t % 4u] = bitcast<u32>(sum4(sum));
  }
  workgroupBarrier();
  if (t == 0u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { sum += bitcast<vec4f>(pairs[${threads / 4}u + i]); }
    parts[PARTS + (group.z * TILES + group.x) * nHeads + h] = sum4(sum);
  }`;
}
