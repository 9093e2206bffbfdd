// Doubly stochastic mixing matrices from skew parameters: one kind of mixRows and mixRowsBackward (mixing.ts).
// N = S · O ≤ 12, A = skew(a) with the strict upper triangle row by row, W = (I + A)⁻¹, Q = 2W − I, mix_ij = mean of
// the squares of Q's O × O block (i, j).
// I + A has symmetric part I, so every pivot is at least 1 and Gauss-Jordan needs no pivoting; one Newton step takes
// the error to rounding. N lanes per row, each with a column of the matrix in registers; the pivot's column goes
// through workgroup memory, in two places in turn, so that every elimination step needs one barrier.
// Constants given: S, O, K, ROWS per workgroup, ROLLED. Workgroup arrays given: logits and dLogits [ROWS, K], mixes
// and dMixes [ROWS, S, S].
const N = S * O;
const SLOT = N * N + N; // The gap puts the rows of a warp on different banks.

var<workgroup> pivots: array<f32, 2u * ROWS * N>;
// W column by column, and H of the backward pass row by row.
var<workgroup> inverse: array<f32, ROWS * SLOT>;
var<workgroup> rotated: array<f32, ROWS * SLOT>;

struct Lane {
  row: u32, // 0 for idle lanes too, which neither load nor store.
  q: u32, // Column.
  base: u32, // Of the row's matrices.
  busy: bool,
}

fn laneOf(thread: u32) -> Lane {
  let busy = thread / N < ROWS;
  let row = select(0u, thread / N, busy);
  return Lane(row, thread % N, row * SLOT, busy);
}

fn skewIndex(p: u32, q: u32) -> u32 { return p * N - p * (p + 1u) / 2u + q - p - 1u; }

fn skewAt(row: u32, p: u32, q: u32) -> f32 {
  if (p == q) { return 0.0; }
  let value = logits[row * K + skewIndex(min(p, q), max(p, q))];
  return select(-value, value, p < q);
}

fn identityAt(p: u32, q: u32) -> f32 { return select(0.0, 1.0, p == q); }

// N; where loops are to stay rolled the compiler does not know that grids here have one layer.
fn order(groups: vec3u) -> u32 { return N + ROLLED * (groups.z - 1u); }

fn invertRows(l: Lane, n: u32) {
  let q = l.q;
  var column: array<f32, N>;
  if (l.busy) {
    for (var p = 0u; p < n; p++) { column[p] = identityAt(p, q) + skewAt(l.row, p, q); }
  }
  for (var k = 0u; k < n; k++) {
    let at = (k % 2u * ROWS + l.row) * N;
    if (l.busy && q == k) {
      for (var p = 0u; p < n; p++) { pivots[at + p] = column[p]; }
    }
    workgroupBarrier();
    if (l.busy) {
      let own = q == k;
      let pivot = select(column[k], 1.0, own) / pivots[at + k];
      for (var p = 0u; p < n; p++) {
        let value = select(column[p], 0.0, own) - pivots[at + p] * pivot;
        column[p] = select(value, pivot, p == k);
      }
    }
  }
  if (l.busy) {
    for (var p = 0u; p < n; p++) { inverse[l.base + q * N + p] = column[p]; }
  }
  workgroupBarrier();
  // Newton: W += W (I − (I + A) W).
  var better = column;
  if (l.busy) {
    for (var k = 0u; k < n; k++) {
      var residual = identityAt(k, q) - column[k];
      for (var m = 0u; m < n; m++) { residual -= skewAt(l.row, k, m) * column[m]; }
      for (var p = 0u; p < n; p++) { better[p] += inverse[l.base + k * N + p] * residual; }
    }
  }
  workgroupBarrier();
  if (l.busy) {
    for (var p = 0u; p < n; p++) { inverse[l.base + q * N + p] = better[p]; }
  }
  workgroupBarrier();
}

// mixes from logits. Every invocation of the workgroup calls it, after a barrier; it ends with one.
fn mixRows(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  invertRows(l, order(groups));
  if (l.busy) {
    for (var o = l.q; o < S * S; o += N) {
      let i = o / S;
      let j = o % S;
      var sum = 0.0;
      for (var p = i * O; p < (i + 1u) * O; p++) {
        for (var q = j * O; q < (j + 1u) * O; q++) {
          let value = 2.0 * inverse[l.base + q * N + p] - identityAt(p, q);
          sum += value * value;
        }
      }
      mixes[l.row * S * S + o] = select(sum / f32(O), 1.0, S == 1u);
    }
  }
  workgroupBarrier();
}

// dLogits from dMixes, after mixRows of the same logits. With G = dL/dQ, dL/dA = M = −2 Wᵀ G Wᵀ and
// da_pq = M_pq − M_qp.
fn mixRowsBackward(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  let q = l.q;
  let n = order(groups);
  // H = G Wᵀ: its row q.
  if (l.busy) {
    var row: array<f32, N>;
    for (var k = 0u; k < n; k++) {
      let rotation = 2.0 * inverse[l.base + k * N + q] - identityAt(q, k);
      let g = 2.0 / f32(O) * dMixes[(l.row * S + q / O) * S + k / O] * rotation;
      for (var p = 0u; p < n; p++) { row[p] += g * inverse[l.base + k * N + p]; }
    }
    for (var p = 0u; p < n; p++) { rotated[l.base + q * N + p] = row[p]; }
  }
  workgroupBarrier();
  // da_pq = 2 Σ_k (W_kq H_kp − W_kp H_kq).
  if (l.busy) {
    var sums: array<f32, N>;
    for (var k = 0u; k < n; k++) {
      let w = inverse[l.base + q * N + k];
      let h = rotated[l.base + k * N + q];
      for (var p = 0u; p < n; p++) {
        sums[p] += w * rotated[l.base + k * N + p] - inverse[l.base + p * N + k] * h;
      }
    }
    for (var p = 0u; p < n; p++) {
      if (p < q) { dLogits[l.row * K + skewIndex(p, q)] = 2.0 * sums[p]; }
    }
  }
  workgroupBarrier();
}
