// param = param·(1 − lr·weightDecay) − lr·max(1, cols / rows)^0.5·x. One workgroup per 32 × 32 tile of x (muonPlace.wgsl);
// hyper and verdict as in muon.wgsl. A barrier in uniform control flow.
@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read_write> param: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> hyper: array<f32>;
@group(0) @binding(4) var<storage, read> verdict: array<f32>;

@compute @workgroup_size(256)
fn update(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let block = group.y * count.x + group.x;
  if (verdict[0] == 0.0 || block >= blocks()) { return; }
  let place = placeOf(block);
  let side = place.batch.y;
  let long = place.batch.z;
  let m = table[place.batch.x + place.index];
  let tall = m.y > m.z;
  let scale = sqrt(max(1.0, f32(m.z) / f32(m.y)));
  let at = place.at;
  let to = select(at, at.yx, tall);
  let column = lane % 32u;
  for (var row = lane / 32u; row < 32u; row += 8u) {
    let s = at.x + row;
    let l = at.y + column;
    var value = 0.0;
    if (s < side && l < long) { value = f32(x[place.batch.w + (place.index * side + s) * long + l]); }
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
