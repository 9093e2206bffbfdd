// Exponential moving average of a tensor: ema += (1 - decay) · (param - ema). hyper [≥ 1] = decay, …;
// verdict as in verdict.wgsl.
// The launcher prepends `alias Real`. One thread per Real; groups folded. No workgroup memory, no barriers.
override size: u32;

@group(0) @binding(0) var<storage, read> param: array<Real>;
@group(0) @binding(1) var<storage, read_write> ema: array<Real>;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read> verdict: array<f32>;

@compute @workgroup_size(256)
fn emaStep(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= size || verdict[0] == 0.0) { return; }
  ema[i] += (1.0 - hyper[0]) * (param[i] - ema[i]);
}
