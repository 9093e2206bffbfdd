// Between one vector and S streams per token. spread: x [T, C] → y [T, S, C], every stream scale · x;
// sum: x [T, S, C] → y [T, C], scale · Σ of the streams. Expand and collapse are each other's gradients up to scale.
// One thread per four columns of the vector. No workgroup memory, no barriers. C % 4 == 0. Aliases given: X, Y.
override T: u32;
override S: u32;
override C: u32;
override scale: f32;
override C4: u32 = C / 4u;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read_write> y: array<Y>;

@compute @workgroup_size(256)
fn spread(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= T * C4) { return; }
  let v = Y(scale * vec4f(x[i]));
  let base = (i / C4) * S * C4 + i % C4;
  for (var s = 0u; s < S; s++) { y[base + s * C4] = v; }
}

@compute @workgroup_size(256)
fn sum(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= T * C4) { return; }
  let base = (i / C4) * S * C4 + i % C4;
  var total = vec4f();
  for (var s = 0u; s < S; s++) { total += vec4f(x[base + s * C4]); }
  y[i] = Y(scale * total);
}
