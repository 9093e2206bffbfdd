// Doubly stochastic mixing matrices from skew parameters. N = S · O ≤ 12, A = skew(a) with the strict upper triangle
// row by row, W = (I + A)⁻¹, Q = 2W − I, mix_ij = mean of the squares of Q's O × O block (i, j).
// forward: a [T, K], mix [T, S, S]; backward: a, dMix [T, S, S], dA [T, K]. K = N(N − 1)/2.
// I + A has symmetric part I, so every pivot is at least 1 and Gauss-Jordan needs no pivoting; one Newton step takes
// the error to rounding. N lanes per token, each owning a column; `tokens` tokens per workgroup of 64. Matrices take
// turns in workgroup memory (under 13 KiB), so that every elimination step needs one barrier.
// Loops run to order(), which is N but no constant to the compiler: unrolled threefold nests take it many seconds.
override T: u32;
override S: u32;
override O: u32;
override N: u32 = S * O;
override K: u32 = N * (N - 1u) / 2u;
override tokens: u32 = 64u / N;
override slot: u32 = N * N + N; // The gap puts the tokens of a warp on different banks.
override half: u32 = tokens * slot;
override cells: u32 = 4u * half;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> mix: array<f32>;

@group(0) @binding(1) var<storage, read> dMix: array<f32>;
@group(0) @binding(2) var<storage, read_write> dA: array<f32>;

var<workgroup> cell: array<f32, cells>;

struct Lane {
  t: u32, // Token; a token below T for idle lanes too, which compute and store nothing.
  q: u32, // Column.
  base: u32, // Of the token's first matrix.
  busy: bool,
}

fn laneOf(group: vec3u, groups: vec3u, thread: u32) -> Lane {
  let tile = group.y * groups.x + group.x;
  let local = thread / N;
  let t = tile * tokens + local;
  let busy = local < tokens && t < T;
  return Lane(select(0u, t, busy), thread % N, select(0u, local * slot, busy), busy);
}

fn skewIndex(p: u32, q: u32) -> u32 { return p * N - p * (p + 1u) / 2u + q - p - 1u; }

fn skewAt(t: u32, p: u32, q: u32) -> f32 {
  if (p == q) { return 0.0; }
  let value = a[t * K + skewIndex(min(p, q), max(p, q))];
  return select(-value, value, p < q);
}

fn identityAt(p: u32, q: u32) -> f32 { return select(0.0, 1.0, p == q); }

// N, see the header: grids here have one layer.
fn order(groups: vec3u) -> u32 { return N + groups.z - 1u; }

// Leaves W and returns where it starts; the other matrix is free.
fn invert(l: Lane, n: u32) -> u32 {
  let q = l.q;
  var source = l.base;
  var sink = l.base + half;
  let original = l.base + 3u * half;
  if (l.busy) {
    for (var p = 0u; p < n; p++) {
      let value = identityAt(p, q) + skewAt(l.t, p, q);
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
    let residual = l.base + 2u * half; // Only its own column, so no barrier.
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
  return sink;
}

@compute @workgroup_size(64)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let l = laneOf(group, groups, thread);
  let w = invert(l, order(groups));
  if (!l.busy) { return; }
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
    mix[l.t * S * S + o] = select(sum / f32(O), 1.0, S == 1u);
  }
}

// With G = dL/dQ, dL/dA = M = −2 Wᵀ G Wᵀ and dA_pq = M_pq − M_qp.
@compute @workgroup_size(64)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let l = laneOf(group, groups, thread);
  let q = l.q;
  let n = order(groups);
  let w = invert(l, n);
  let h = select(l.base, l.base + half, w == l.base);
  let g = l.base + 2u * half;
  if (l.busy) {
    for (var p = 0u; p < n; p++) {
      let rotation = 2.0 * cell[w + p * N + q] - identityAt(p, q);
      cell[g + p * N + q] = 2.0 / f32(O) * dMix[(l.t * S + p / O) * S + q / O] * rotation;
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
  if (!l.busy) { return; }
  for (var p = 0u; p < q; p++) {
    var sum = 0.0;
    for (var k = 0u; k < n; k++) {
      sum += cell[w + k * N + q] * cell[h + k * N + p] - cell[w + k * N + p] * cell[h + k * N + q];
    }
    dA[l.t * K + skewIndex(p, q)] = 2.0 * sum;
  }
}
