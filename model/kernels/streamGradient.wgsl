// Gradient of a sublayer's streams in one pass: dX [T, S, C] holds dY, the gradient of y = mix·x + post·f, and becomes
// mixᵀ·dY + pre·dH + dU·phiᵀ + along·x, where dH = scale·dNormed + slope·Σ_j pre_j x_j. x [T, S, C], dNormed [T, C],
// terms [T, TERMS] = mix, pre, scale, slope, along; dU [T, M], phi [S · C, M].
// A workgroup takes QUADS quadruples of channels of all streams, whose part of phi it holds in workgroup memory, and
// TILES times FOURS·4 rows; each invocation makes one quadruple of four rows. C % 4 == 0.
// The first workgroups add up the heads' gains instead (streamGains, in front of this).
// Constants given: T, S, C, M, TERMS, QUADS, FOURS, TILES, THREADS. Aliases given: X, H (dNormed), DX.
const C4 = C / 4u;
const SLABS = (C4 + QUADS - 1u) / QUADS;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> dNormed: array<H>;
@group(0) @binding(2) var<storage, read> terms: array<vec4f>;
@group(0) @binding(3) var<storage, read> dU: array<f32>;
@group(0) @binding(4) var<storage, read> phi: array<f32>;
@group(0) @binding(5) var<storage, read_write> dX: array<DX>;

// [M, S, QUADS], and dU of four rows at a time [M, FOURS].
var<workgroup> slab: array<vec4f, M * S * QUADS>;
var<workgroup> tile: array<vec4f, M * FOURS>;

// Whole quadruples are stored: parts of one are no memory locations of their own.
fn phiAt(i: u32) -> vec4f { return vec4f(phi[i], phi[i + M], phi[i + 2u * M], phi[i + 3u * M]); }

fn dUAt(t: u32, m: u32) -> vec4f {
  let rows = min(vec4u(t, t + 1u, t + 2u, t + 3u), vec4u(T - 1u)) * M + m;
  return vec4f(dU[rows.x], dU[rows.y], dU[rows.z], dU[rows.w]);
}

fn term(t: u32, i: u32) -> f32 { return terms[t * (TERMS / 4u) + i / 4u][i % 4u]; }

// What the end of a row needs of memory.
struct Row {
  streams: array<X, S>,
  dY: array<DX, S>,
  branch: H,
}

fn rowAt(t: u32, c: u32) -> Row {
  var row: Row;
  if (t < T && c < C4) {
    for (var j = 0u; j < S; j++) {
      row.streams[j] = x[(t * S + j) * C4 + c];
      row.dY[j] = dX[(t * S + j) * C4 + c];
    }
    row.branch = dNormed[t * C4 + c];
  }
  return row;
}

fn finish(t: u32, c: u32, row: Row, product: array<vec4f, S>) {
  if (t >= T || c >= C4) { return; }
  var given = row;
  var sums = product;
  var h = vec4f();
  for (var j = 0u; j < S; j++) { h += term(t, S * S + j) * vec4f(given.streams[j]); }
  let dH = term(t, S * S + S) * vec4f(given.branch) + term(t, S * S + S + 1u) * h;
  for (var j = 0u; j < S; j++) {
    var sum = sums[j] + term(t, S * S + j) * dH + term(t, S * S + S + 2u) * vec4f(given.streams[j]);
    for (var o = 0u; o < S; o++) { sum += term(t, o * S + j) * vec4f(given.dY[o]); }
    dX[(t * S + j) * C4 + c] = DX(sum);
  }
}

@compute @workgroup_size(THREADS)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let workgroup = group.y * groups.x + group.x;
  if (workgroup < GAIN_WORKGROUPS) {
    addGains(workgroup, thread);
    return;
  }
  let index = workgroup - GAIN_WORKGROUPS;
  let quad = thread % QUADS;
  let four = thread / QUADS;
  let c = index % SLABS * QUADS + quad;
  for (var i = thread; i < S * QUADS * M; i += THREADS) {
    let m = i % M;
    let s = i / M / QUADS;
    let place = i / M % QUADS;
    let at = index % SLABS * QUADS + place;
    if (at < C4) { slab[(m * S + s) * QUADS + place] = phiAt((s * C + 4u * at) * M + m); }
  }
  for (var k = 0u; k < TILES; k++) {
    let first = (index / SLABS * TILES + k) * 4u * FOURS;
    workgroupBarrier();
    for (var i = thread; i < FOURS * M; i += THREADS) {
      tile[i % M * FOURS + i / M] = dUAt(first + 4u * (i / M), i % M);
    }
    workgroupBarrier();
    // The four rows are named: an indexed array of their sums would land in slow local memory. They are on their
    // way while the product is made, and every store to dX comes after every load.
    let t = first + 4u * four;
    let row0 = rowAt(t, c);
    let row1 = rowAt(t + 1u, c);
    let row2 = rowAt(t + 2u, c);
    let row3 = rowAt(t + 3u, c);
    // Without an initializer they would keep the last tile's values.
    var sums0 = array<vec4f, S>();
    var sums1 = array<vec4f, S>();
    var sums2 = array<vec4f, S>();
    var sums3 = array<vec4f, S>();
    for (var m = 0u; m < M; m++) {
      let d = tile[m * FOURS + four];
      for (var s = 0u; s < S; s++) {
        let p = slab[(m * S + s) * QUADS + quad];
        sums0[s] += d.x * p;
        sums1[s] += d.y * p;
        sums2[s] += d.z * p;
        sums3[s] += d.w * p;
      }
    }
    finish(t, c, row0, sums0);
    finish(t + 1u, c, row1, sums1);
    finish(t + 2u, c, row2, sums2);
    finish(t + 3u, c, row3, sums3);
  }
}
