// A gated addition per row. forward: x, n [rows, C], kv [rows, 2·C] (k before v) → y = x + σ(⟨n, k⟩/√C)·v.
// backward: dY, n, kv → dN [rows, C], dKv [rows, 2·C].
// 16 lanes per row (rowSum.wgsl), 4-wide loads, so C % 4 == 0. Rows behind the last read the last and write nothing.
override rows: u32;
override C: u32;
override C4: u32 = C / 4u;

const lanes = 16u;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> n: array<N>;
@group(0) @binding(2) var<storage, read> kv: array<KV>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
@group(0) @binding(4) var<storage, read_write> dKv: array<DKV>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups, thread);
  let base = min(row, rows - 1u) * C4;
  var own = 0.0;
  for (var c = thread % lanes; c < C4; c += lanes) { own += dot(vec4f(n[base + c]), vec4f(kv[2u * base + c])); }
  let gate = 1.0 / (1.0 + exp(-rowSum(thread, vec2f(own, 0.0)).x * inverseSqrt(f32(C))));
  if (row >= rows) { return; }
  for (var c = thread % lanes; c < C4; c += lanes) {
    y[base + c] = Y(vec4f(x[base + c]) + gate * vec4f(kv[2u * base + C4 + c]));
  }
}

// x holds dY, and y is dN.
@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = rowOf(group, groups, thread);
  let base = min(row, rows - 1u) * C4;
  // Of n·k and of dY·v.
  var own = vec2f();
  for (var c = thread % lanes; c < C4; c += lanes) {
    let key = vec4f(kv[2u * base + c]);
    let value = vec4f(kv[2u * base + C4 + c]);
    own += vec2f(dot(vec4f(n[base + c]), key), dot(vec4f(x[base + c]), value));
  }
  let total = rowSum(thread, own);
  let scale = inverseSqrt(f32(C));
  let gate = 1.0 / (1.0 + exp(-total.x * scale));
  let slope = total.y * gate * (1.0 - gate) * scale;
  if (row >= rows) { return; }
  for (var c = thread % lanes; c < C4; c += lanes) {
    let key = vec4f(kv[2u * base + c]);
    y[base + c] = Y(slope * key);
    dKv[2u * base + c] = DKV(slope * vec4f(n[base + c]));
    dKv[2u * base + C4 + c] = DKV(gate * vec4f(x[base + c]));
  }
}
