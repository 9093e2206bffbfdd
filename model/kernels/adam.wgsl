// AdamW on one tensor. param, grad, m, v [size / lanes] of Real; hyper [8] = lr, beta1, beta2, eps, weightDecay,
// biasCorrection1, biasCorrection2, cautious; verdict as in verdict.wgsl. The launcher prepends `alias Real` (vec4f, or f32 where size is not a
// multiple of 4). One thread per Real; groups folded into two dimensions. No workgroup memory, no barriers.
override size: u32;

@group(0) @binding(0) var<storage, read_write> param: array<Real>;
@group(0) @binding(1) var<storage, read> grad: array<Real>;
@group(0) @binding(2) var<storage, read_write> m: array<Real>;
@group(0) @binding(3) var<storage, read_write> v: array<Real>;
@group(0) @binding(4) var<storage, read> hyper: array<f32>;
@group(0) @binding(5) var<storage, read> verdict: array<f32>;

@compute @workgroup_size(256)
fn adamStep(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= size || verdict[0] == 0.0) { return; }
  let g = grad[i] * verdict[1];
  let first = hyper[1] * m[i] + (1.0 - hyper[1]) * g;
  let second = hyper[2] * v[i] + (1.0 - hyper[2]) * g * g;
  m[i] = first;
  v[i] = second;
  let step = (first / hyper[5]) / (sqrt(second / hyper[6]) + Real(hyper[3]));
  let p = param[i];
  let decay = select(Real(1.0), select(Real(0.0), Real(1.0), step * p > Real(0.0)), hyper[7] != 0.0);
  param[i] = p - hyper[0] * (hyper[4] * decay * p + step);
}
