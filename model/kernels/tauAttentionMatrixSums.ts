/**
 * The end of the keys' backward kernel on subgroup matrices (tauAttentionMatrixBackward.ts): what its 256 threads
 * summed over their queries becomes dB, dC and the distance sum of the key tile, in a fixed order.
 */
import { MATRIX_TILE, times } from "./tauAttentionTiles.ts";

/** Needs, per thread, `salience0`, `salience1`, `band0_0` … of its key quads `warp` and `warp + 8`, and `distance`; as
 *  room `pairs` (1,056 vec4u) and `gradients` (256). Two quantities at a time: each quad's 32 lanes lie side by side,
 *  8 threads add them up four by four. */
export function sumsOverQueries(m: number): string {
  const quantities = m + 1;
  const round = (r: number): string => {
    const own = [2 * r, 2 * r + 1].filter((k) => k < quantities);
    return `
  ${own
    .map((k, i) =>
      times(
        2,
        (g) =>
          `pairs[(${16 * i + 8 * g}u + warp) * 33u + lane] = bitcast<vec4u>(${k === m ? `salience${g}` : `2.0 * band${g}_${k} - salience${g}`});`,
      ),
    )
    .join("\n")}
  workgroupBarrier();
  if (t < ${own.length * 2 * MATRIX_TILE}u) {
    let at = t / 8u * 33u + t % 8u;
    gradients[t] = bitcast<vec4u>(${[0, 8, 16, 24].map((l) => `bitcast<vec4f>(pairs[at + ${l}u])`).join(" + ")});
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
  ${times(2, (g) => `distance -= dot(salience${g}, vec4f(vec4u(4u * warp + ${32 * g}u) + vec4u(0u, 1u, 2u, 3u)));`)}
  workgroupBarrier();
  ${times(Math.ceil(quantities / 2), round)}
  pairs[t / 4u][t % 4u] = bitcast<u32>(distance);
  workgroupBarrier();
  if (t < 16u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { sum += bitcast<vec4f>(pairs[t + 16u * i]); }
    pairs[128u + t / 4u][t % 4u] = bitcast<u32>(sum4(sum));
  }
  workgroupBarrier();
  if (t == 0u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < 4u; i++) { sum += bitcast<vec4f>(pairs[128u + i]); }
    parts[PARTS + (group.z * TILES + group.x) * nHeads + h] = sum4(sum);
  }`;
}
