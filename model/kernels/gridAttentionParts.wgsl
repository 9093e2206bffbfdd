// What grid attention's keys and queries left, one thread per row and head: dB and dC on their own, minus the row's
// shares of the temperature's and the slope's gradients, the latter −Σ (i − j) dScore_ij as moments.
override rows: u32;
override nHeads: u32;
override n: u32;

@group(0) @binding(0) var<storage, read> keyParts: array<vec4f>;
@group(0) @binding(1) var<storage, read> queryParts: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> dB: array<f32>;
@group(0) @binding(3) var<storage, read_write> dC: array<f32>;
@group(0) @binding(4) var<storage, read_write> heatPartial: array<f32>;
@group(0) @binding(5) var<storage, read_write> slopePartial: array<f32>;

@compute @workgroup_size(256)
fn parts(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i >= n) { return; }
  let key = keyParts[i];
  let query = queryParts[i];
  dB[i] = key.x;
  dC[i] = key.y;
  heatPartial[i] = -(query.x + key.z);
  slopePartial[i] = (f32(i / nHeads % rows) - 0.5 * f32(rows)) * (query.y - key.y);
}
