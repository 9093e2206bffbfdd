// Sums the parts of a product whose k was split: out[i] (+)= Σ parts[p, i], p ascending. parts [splits, size], out [size].
// One thread per entry; groups folded into two dimensions. No workgroup memory, no barriers.
override size: u32;
override splits: u32;
override accumulate: u32;

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn sumParts(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= size) { return; }
  var sum = 0.0;
  for (var p = 0u; p < splits; p++) { sum += parts[p * size + i]; }
  if (accumulate == 1u) { out[i] += sum; } else { out[i] = sum; }
}
