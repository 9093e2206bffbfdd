// The elementwise parts of a Muon step on matrices that lie in packs. table [matrices] = offset, rows, cols, elements;
// hyper [8] = lr, momentum, weightDecay, nesterov, cautious, 0, 0, 0; verdict as in verdict.wgsl. The launcher prepends
// `alias X`, what x is held in. x holds [count, side, length] from element `start` on: the matrices table[first …], tall
// ones transposed, zero beyond their shape.
//   momentum  buffer = mu·buffer + grad; parts [matrices, partCount] are sums of squares of the direction,
//             grad + mu·buffer (nesterov) or buffer. One workgroup per part; matrices in quads, gaps hold zero.
//   norms     1 / (Frobenius norm + 1e-7) from the parts in fixed order. One workgroup per matrix.
//   load      x = direction · norm. One workgroup per 32 × 32 tile of x.
//   update    param = param·(1 − lr·weightDecay) − lr·max(1, cols / rows)^0.5·x. Tiles as in load.
// Workgroup memory 1 KiB (momentum, norms), 4.2 KiB (load, update); barriers in uniform control flow.
override first: u32 = 0u;
override partCount: u32 = 1u;
override side: u32 = 1u;
override long: u32 = 1u;
override start: u32 = 0u;

var<workgroup> sums: array<f32, 256>;
// A column more than the tile has: columns then lie in different banks.
var<workgroup> tile: array<f32, 1056>;

fn reduce(lane: u32, value: f32) -> f32 {
  sums[lane] = value;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  return sums[0];
}

@group(0) @binding(0) var<storage, read> grad: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> buffer: array<vec4f>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> hyper: array<f32>;
@group(0) @binding(4) var<storage, read> verdict: array<f32>;
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(256)
fn momentum(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let base = table[group.y].x / 4u;
  let quads = (table[group.y].w + 3u) / 4u;
  var sum = 0.0;
  for (var i = group.x * 256u + lane; i < quads; i += partCount * 256u) {
    let g = grad[base + i] * verdict[1];
    let moved = hyper[1] * buffer[base + i] + g;
    if (verdict[0] != 0.0) { buffer[base + i] = moved; }
    let d = select(moved, g + hyper[1] * moved, hyper[3] != 0.0);
    sum += dot(d, d);
  }
  let total = reduce(lane, sum);
  if (lane == 0u) { parts[group.y * partCount + group.x] = total; }
}

@group(0) @binding(0) var<storage, read> squareSums: array<f32>;
@group(0) @binding(1) var<storage, read_write> inverseNorms: array<f32>;

@compute @workgroup_size(256)
fn norms(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var part = 0.0;
  if (lane < partCount) { part = squareSums[group.x * partCount + lane]; }
  let sum = reduce(lane, part);
  if (lane == 0u) { inverseNorms[group.x] = 1.0 / (sqrt(sum) + 1e-7); }
}

// Where a workgroup's tile starts in x: side, length.
fn tileAt(index: u32) -> vec2u {
  let across = (long + 31u) / 32u;
  return vec2u(index / across, index % across) * 32u;
}

@group(0) @binding(0) var<storage, read> lastGrad: array<f32>;
@group(0) @binding(1) var<storage, read> moved: array<f32>;
@group(0) @binding(5) var<storage, read> norm: array<f32>;
@group(0) @binding(6) var<storage, read_write> loaded: array<X>;

@compute @workgroup_size(256)
fn load(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let m = table[first + group.y];
  let tall = m.y > m.z;
  let at = tileAt(group.x);
  let source = select(at, at.yx, tall);
  let column = lane % 32u;
  for (var row = lane / 32u; row < 32u; row += 8u) {
    let r = source.x + row;
    let c = source.y + column;
    var d = 0.0;
    if (r < m.y && c < m.z) {
      let i = m.x + r * m.z + c;
      d = moved[i];
      if (hyper[3] != 0.0) { d = lastGrad[i] * verdict[1] + hyper[1] * d; }
    }
    tile[row * 33u + column] = d * norm[first + group.y];
  }
  workgroupBarrier();
  for (var row = lane / 32u; row < 32u; row += 8u) {
    let s = at.x + row;
    let l = at.y + column;
    if (s < side && l < long) {
      let value = tile[select(row * 33u + column, column * 33u + row, tall)];
      loaded[start + (group.y * side + s) * long + l] = X(value);
    }
  }
}

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read_write> param: array<f32>;

@compute @workgroup_size(256)
fn update(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (verdict[0] == 0.0) { return; }
  let m = table[first + group.y];
  let tall = m.y > m.z;
  let scale = sqrt(max(1.0, f32(m.z) / f32(m.y)));
  let at = tileAt(group.x);
  let to = select(at, at.yx, tall);
  let column = lane % 32u;
  for (var row = lane / 32u; row < 32u; row += 8u) {
    let s = at.x + row;
    let l = at.y + column;
    var value = 0.0;
    if (s < side && l < long) { value = f32(x[start + (group.y * side + s) * long + l]); }
    tile[row * 33u + column] = value;
  }
  workgroupBarrier();
  for (var row = lane / 32u; row < 32u; row += 8u) {
    let r = to.x + row;
    let c = to.y + column;
    if (r < m.y && c < m.z) {
      let i = m.x + r * m.z + c;
      let step = scale * tile[select(row * 33u + column, column * 33u + row, tall)];
      let p = param[i];
      let decay = select(1.0, select(0.0, 1.0, step * p > 0.0), hyper[4] != 0.0);
      param[i] = p - hyper[0] * (hyper[2] * decay * p + step);
    }
  }
}
