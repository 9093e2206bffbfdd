// x = direction · norm, the direction being grad + mu·buffer (nesterov) or buffer. One workgroup per 32 × 32 tile of x
// (muonPlace.wgsl); hyper and verdict as in muon.wgsl. A barrier in uniform control flow.
@group(0) @binding(0) var<storage, read> lastGrad: array<f32>;
@group(0) @binding(1) var<storage, read> moved: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> hyper: array<f32>;
@group(0) @binding(4) var<storage, read> verdict: array<f32>;
@group(0) @binding(5) var<storage, read> norm: array<f32>;
@group(0) @binding(6) var<storage, read_write> loaded: array<X>;

@compute @workgroup_size(256)
fn load(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let block = group.y * count.x + group.x;
  if (block >= blocks()) { return; }
  let place = placeOf(block);
  let side = place.batch.y;
  let long = place.batch.z;
  let matrix = place.batch.x + place.index;
  let m = table[matrix];
  let tall = m.y > m.z;
  let at = place.at;
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
    tile[row * 33u + column] = d * norm[matrix];
  }
  workgroupBarrier();
  for (var row = lane / 32u; row < 32u; row += 8u) {
    let s = at.x + row;
    let l = at.y + column;
    if (s < side && l < long) {
      let value = tile[select(row * 33u + column, column * 33u + row, tall)];
      loaded[place.batch.w + (place.index * side + s) * long + l] = X(value);
    }
  }
}
