// Doubly stochastic mixing matrices from skew parameters, as in cayleyMixing.wgsl, for subgroups of 32: mixRows and
// mixRowsBackward. WIDTH lanes per row, a power of two, of which N hold a column each: A's, W's, then those of the
// backward pass. Whole columns go to other lanes by shuffles. No workgroup memory but the arrays given, and no barriers
// but one at the end of each function.
// Constants given: S, O, K, ROWS per workgroup, WIDTH. Workgroup arrays given: logits and dLogits [ROWS, K], mixes and
// dMixes [ROWS, S, S]. Functions given: appliedTo, (I + A)·x; turned, the transpose of a WIDTH × WIDTH matrix.
const N = S * O;
// Whole subgroups.
const BUSY = (ROWS * WIDTH + 31u) / 32u * 32u;

// W's column of this lane, from mixRows for mixRowsBackward.
var<private> kept: array<f32, N>;

fn skewIndex(p: u32, q: u32) -> u32 { return p * N - p * (p + 1u) / 2u + q - p - 1u; }

fn skewAt(row: u32, p: u32, q: u32) -> f32 {
  if (p == q) { return 1.0; }
  let value = logits[row * K + skewIndex(min(p, q), max(p, q))];
  return select(-value, value, p < q);
}

// Lanes behind the last column repeat it, subgroups' leftover rows the last row; neither stores.
fn invert(row: u32, q: u32, base: u32) -> array<f32, N> {
  var column: array<f32, N>;
  var skew: array<f32, K>;
  /* unroll */ for (var p = 0u; p < N; p++) { column[p] = skewAt(row, p, q); }
  /* unroll */ for (var i = 0u; i < K; i++) { skew[i] = logits[row * K + i]; }
  /* unroll */ for (var k = 0u; k < N; k++) {
    let own = q == k;
    let reciprocal = 1.0 / subgroupShuffle(column[k], base + k);
    let pivot = select(column[k], 1.0, own) * reciprocal;
    /* unroll */ for (var p = 0u; p < N; p++) {
      let other = subgroupShuffle(column[p], base + k);
      column[p] = select(select(column[p], 0.0, own) - other * pivot, pivot, p == k);
    }
  }
  // Newton: W += W (I − (I + A) W).
  let product = appliedTo(skew, column);
  var better = column;
  /* unroll */ for (var k = 0u; k < N; k++) {
    let residual = select(0.0, 1.0, q == k) - product[k];
    /* unroll */ for (var p = 0u; p < N; p++) { better[p] += subgroupShuffle(column[p], base + k) * residual; }
  }
  return better;
}

fn mixRows(thread: u32, groups: vec3u) {
  if (thread < BUSY) {
    let row = min(thread / WIDTH, ROWS - 1u);
    let base = thread % 32u / WIDTH * WIDTH;
    let q = min(thread % WIDTH, N - 1u);
    let column = invert(row, q, base);
    kept = column;
    let writes = thread < ROWS * WIDTH && thread % WIDTH < N && q % O == 0u;
    var squares: array<f32, S>;
    /* unroll */ for (var p = 0u; p < N; p++) {
      let value = 2.0 * column[p] - select(0.0, 1.0, q == p);
      squares[p / O] += value * value;
    }
    /* unroll */ for (var i = 0u; i < S; i++) {
      var sum = 0.0;
      /* unroll */ for (var d = 0u; d < O; d++) { sum += subgroupShuffle(squares[i], base + q / O * O + d); }
      if (writes) { mixes[(row * S + i) * S + q / O] = select(sum / f32(O), 1.0, S == 1u); }
    }
  }
  workgroupBarrier();
}

// With G = dL/dQ and Z = Wᵀ G Wᵀ, da_pq = 2 (Z_qp − Z_pq).
fn mixRowsBackward(thread: u32, groups: vec3u) {
  if (thread < BUSY) {
    let row = min(thread / WIDTH, ROWS - 1u);
    let base = thread % 32u / WIDTH * WIDTH;
    let q = min(thread % WIDTH, N - 1u);
    let column = kept;
    var g: array<f32, N>;
    /* unroll */ for (var p = 0u; p < N; p++) {
      let rotation = 2.0 * column[p] - select(0.0, 1.0, q == p);
      g[p] = 2.0 / f32(O) * dMixes[(row * S + p / O) * S + q / O] * rotation;
    }
    // Column q of Wᵀ G.
    var left: array<f32, WIDTH>;
    /* unroll */ for (var p = 0u; p < N; p++) {
      var sum = 0.0;
      /* unroll */ for (var k = 0u; k < N; k++) { sum += subgroupShuffle(column[k], base + p) * g[k]; }
      left[p] = sum;
    }
    // Its row q, then row q of Z and its column q.
    let across = turned(left, thread % WIDTH);
    var z: array<f32, WIDTH>;
    /* unroll */ for (var k = 0u; k < N; k++) {
      /* unroll */ for (var p = 0u; p < N; p++) { z[p] += subgroupShuffle(column[p], base + k) * across[k]; }
    }
    let down = turned(z, thread % WIDTH);
    let writes = thread < ROWS * WIDTH && thread % WIDTH < N;
    /* unroll */ for (var p = 0u; p < N; p++) {
      if (writes && p < q) { dLogits[row * K + skewIndex(p, q)] = 2.0 * (z[p] - down[p]); }
    }
  }
  workgroupBarrier();
}
