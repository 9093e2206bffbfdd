// Doubly stochastic mixing matrices from skew parameters: one kind of mixRows and mixRowsBackward (mixing.ts).
// N = S · O ≤ 12, A = skew(a) with the strict upper triangle row by row, W = (I + A)⁻¹, Q = 2W − I, mix_ij = mean of
// the squares of Q's O × O block (i, j).
// I + A has symmetric part I, so every pivot is at least 1 and Gauss-Jordan needs no pivoting; one Newton step takes
// the error to rounding. N lanes per row, each owning a column. Matrices take turns in workgroup memory, so that
// every elimination step needs one barrier.
// Constants given: S, O, K, ROWS per workgroup, ROLLED. Workgroup arrays given: logits and dLogits [ROWS, K], mixes
// and dMixes [ROWS, S, S].
const N = S * O;
const SLOT = N * N + N; // The gap puts the rows of a warp on different banks.
const MATRICES = ROWS * SLOT;
// Where invertRows leaves W, and the matrix it leaves free.
const W_AT = (N + 1u) % 2u * MATRICES;
const FREE_AT = N % 2u * MATRICES;

var<workgroup> cell: array<f32, 4u * MATRICES>;

struct Lane {
  row: u32, // 0 for idle lanes too, which neither load nor store.
  q: u32, // Column.
  base: u32, // Of the row's first matrix.
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
  var source = l.base;
  var sink = l.base + MATRICES;
  let original = l.base + 3u * MATRICES;
  if (l.busy) {
    for (var p = 0u; p < n; p++) {
      let value = identityAt(p, q) + skewAt(l.row, p, q);
      cell[source + p * N + q] = value;
      cell[original + p * N + q] = value;
    }
  }
  workgroupBarrier();
  for (var k = 0u; k < n; k++) {
    if (l.busy) {
      let own = q == k;
      let pivot = select(cell[source + k * N + q], 1.0, own) / cell[source + k * N + k];
      for (var p = 0u; p < n; p++) {
        let value = select(cell[source + p * N + q], 0.0, own) - cell[source + p * N + k] * pivot;
        cell[sink + p * N + q] = select(value, pivot, p == k);
      }
    }
    workgroupBarrier();
    let next = source;
    source = sink;
    sink = next;
  }
  // Newton: W += W (I − (I + A) W).
  if (l.busy) {
    let residual = l.base + 2u * MATRICES; // Only its own column, so no barrier.
    for (var p = 0u; p < n; p++) {
      var sum = identityAt(p, q);
      for (var k = 0u; k < n; k++) { sum -= cell[original + p * N + k] * cell[source + k * N + q]; }
      cell[residual + p * N + q] = sum;
    }
    for (var p = 0u; p < n; p++) {
      var sum = 0.0;
      for (var k = 0u; k < n; k++) { sum += cell[source + p * N + k] * cell[residual + k * N + q]; }
      cell[sink + p * N + q] = cell[source + p * N + q] + sum;
    }
  }
  workgroupBarrier();
}

// mixes from logits. Every invocation of the workgroup calls it, after a barrier; it ends with one.
fn mixRows(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  invertRows(l, order(groups));
  if (l.busy) {
    let w = l.base + W_AT;
    for (var o = l.q; o < S * S; o += N) {
      let i = o / S;
      let j = o % S;
      var sum = 0.0;
      for (var p = i * O; p < (i + 1u) * O; p++) {
        for (var q = j * O; q < (j + 1u) * O; q++) {
          let value = 2.0 * cell[w + p * N + q] - identityAt(p, q);
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
  let w = l.base + W_AT;
  let h = l.base + FREE_AT;
  let g = l.base + 2u * MATRICES;
  if (l.busy) {
    for (var p = 0u; p < n; p++) {
      let rotation = 2.0 * cell[w + p * N + q] - identityAt(p, q);
      cell[g + p * N + q] = 2.0 / f32(O) * dMixes[(l.row * S + p / O) * S + q / O] * rotation;
    }
  }
  workgroupBarrier();
  if (l.busy) {
    // H = G Wᵀ.
    for (var p = 0u; p < n; p++) {
      var sum = 0.0;
      for (var k = 0u; k < n; k++) { sum += cell[g + p * N + k] * cell[w + q * N + k]; }
      cell[h + p * N + q] = sum;
    }
  }
  workgroupBarrier();
  if (l.busy) {
    for (var p = 0u; p < q; p++) {
      var sum = 0.0;
      for (var k = 0u; k < n; k++) {
        sum += cell[w + k * N + q] * cell[h + k * N + p] - cell[w + k * N + p] * cell[h + k * N + q];
      }
      dLogits[l.row * K + skewIndex(p, q)] = 2.0 * sum;
    }
  }
  workgroupBarrier();
}
