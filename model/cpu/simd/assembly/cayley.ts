/**
 * go-mHC's mixing of one token, in float64 by two lanes: addresses in bytes. w is [N, stride] with `stride` the next
 * even number, so that every row starts on 16 bytes; what pads it is zero and stays zero.
 * Source: go-mHC (arXiv 2604.02309) §3, as in model/cpu/cayleyMixing.ts, its plain twin.
 */

/** w = (I + skew(a))⁻¹ by Gauss-Jordan without pivoting: every pivot is at least 1. */
function invert(a: usize, w: usize, N: i32, wide: usize): void {
  for (let p = 0; p < N; p++) {
    const row = w + <usize>p * wide;
    if (N & 1) store<f64>(row + ((<usize>N) << 3), 0);
    store<f64>(row + ((<usize>p) << 3), 1);
    for (let q = p + 1; q < N; q++) {
      const value = load<f64>(a);
      store<f64>(row + ((<usize>q) << 3), value);
      store<f64>(w + <usize>q * wide + ((<usize>p) << 3), -value);
      a += 8;
    }
  }
  for (let pivot = 0; pivot < N; pivot++) {
    const row = w + <usize>pivot * wide;
    const at = (<usize>pivot) << 3;
    const reciprocal = f64x2.splat(1 / load<f64>(row + at));
    store<f64>(row + at, 1);
    for (let q: usize = 0; q < wide; q += 16)
      v128.store(row + q, f64x2.mul(v128.load(row + q), reciprocal));
    for (let p = 0; p < N; p++) {
      if (p == pivot) continue;
      const other = w + <usize>p * wide;
      const factor = v128.load_splat<f64>(other + at);
      store<f64>(other + at, 0);
      for (let q: usize = 0; q < wide; q += 16)
        v128.store(
          other + q,
          f64x2.sub(v128.load(other + q), f64x2.mul(factor, v128.load(row + q))),
        );
    }
  }
}

/** mix [S, S]: means of the squares of the O × O blocks of 2w − I. Leaves w for the backward pass. */
export function cayleyForward(a: usize, mix: usize, w: usize, S: i32, O: i32): void {
  const N = S * O;
  const wide = (<usize>((N + 1) & ~1)) << 3;
  invert(a, w, N, wide);
  for (let i = 0; i < S; i++)
    for (let j = 0; j < S; j++) {
      let sum: f64 = 0;
      for (let p = i * O; p < (i + 1) * O; p++)
        for (let q = j * O; q < (j + 1) * O; q++) {
          const value = 2 * load<f64>(w + <usize>p * wide + ((<usize>q) << 3)) - (p == q ? 1 : 0);
          sum += value * value;
        }
      store<f64>(mix, sum / <f64>O);
      mix += 8;
    }
}

/** dA from dMix and the forward's w. With G = dL/dQ, dL/dA = M = −2 Wᵀ G Wᵀ and dA_pq = M_pq − M_qp.
 *  `work` holds three more matrices like w. */
export function cayleyBackward(
  dMix: usize,
  dA: usize,
  w: usize,
  work: usize,
  S: i32,
  O: i32,
): void {
  const N = S * O;
  const wide = (<usize>((N + 1) & ~1)) << 3;
  const size = <usize>N * wide;
  const g = work;
  const h = g + size;
  const m = h + size;
  const factor = 2 / <f64>O;
  for (let p = 0; p < N; p++) {
    const row = g + <usize>p * wide;
    const from = w + <usize>p * wide;
    if (N & 1) store<f64>(row + ((<usize>N) << 3), 0);
    for (let q = 0; q < N; q++) {
      const at = (<usize>q) << 3;
      const value = 2 * load<f64>(from + at) - (p == q ? 1 : 0);
      store<f64>(
        row + at,
        factor * load<f64>(dMix + ((<usize>((p / O) * S + q / O)) << 3)) * value,
      );
    }
  }
  // h = g wᵀ
  for (let p = 0; p < N; p++)
    for (let q = 0; q < N; q++) {
      const x = g + <usize>p * wide;
      const y = w + <usize>q * wide;
      let sum = f64x2.splat(0);
      for (let k: usize = 0; k < wide; k += 16)
        sum = f64x2.add(sum, f64x2.mul(v128.load(x + k), v128.load(y + k)));
      store<f64>(
        h + <usize>p * wide + ((<usize>q) << 3),
        f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1),
      );
    }
  // m = hᵀ w
  for (let p = 0; p < N; p++) {
    const to = m + <usize>p * wide;
    for (let q: usize = 0; q < wide; q += 16) {
      let sum = f64x2.splat(0);
      let x = h + ((<usize>p) << 3);
      let y = w + q;
      for (let k = 0; k < N; k++) {
        sum = f64x2.add(sum, f64x2.mul(v128.load_splat<f64>(x), v128.load(y)));
        x += wide;
        y += wide;
      }
      v128.store(to + q, sum);
    }
  }
  for (let p = 0; p < N; p++)
    for (let q = p + 1; q < N; q++) {
      const above = load<f64>(m + <usize>p * wide + ((<usize>q) << 3));
      const below = load<f64>(m + <usize>q * wide + ((<usize>p) << 3));
      store<f64>(dA, 2 * (above - below));
      dA += 8;
    }
}
