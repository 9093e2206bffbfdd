// Adam on touched rows. rowsOf, m, v [tableRows, C]; grad [capacity, C] by entry; touched [1 + capacity] = count, then
// the table row of each entry, all different; hyper [8] as in adam.wgsl; verdict as in verdict.wgsl. One thread per
// quadruple of an entry; groups folded into two dimensions. No workgroup memory, no barriers.
override capacity: u32;
override C: u32;
override C4: u32 = C / 4u;

@group(0) @binding(0) var<storage, read_write> rowsOf: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(3) var<storage, read> grad: array<vec4f>;
@group(0) @binding(4) var<storage, read> touched: array<u32>;
@group(0) @binding(5) var<storage, read> hyper: array<f32>;
@group(0) @binding(6) var<storage, read> verdict: array<f32>;

const exponent = vec4u(0x7f800000u);

@compute @workgroup_size(256)
fn engramStep(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  let entry = i / C4;
  if (entry >= capacity || entry >= touched[0] || verdict[0] == 0.0) { return; }
  let at = touched[1u + entry] * C4 + i % C4;
  let raw = grad[i];
  // Arithmetic may assume that there are no infinities, bits cannot.
  if (any((bitcast<vec4u>(raw) & exponent) == exponent)) { return; }
  let g = raw * verdict[1];
  let first = hyper[1] * m[at] + (1.0 - hyper[1]) * g;
  let second = hyper[2] * v[at] + (1.0 - hyper[2]) * g * g;
  m[at] = first;
  v[at] = second;
  rowsOf[at] -= hyper[0] * (first / hyper[5]) / (sqrt(second / hyper[6]) + vec4f(hyper[3]));
}
