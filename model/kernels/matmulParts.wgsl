// Sums the parts of a product whose k was split: out[i] (+)= Σ parts[p, i], p ascending. parts [splits, size], out [size],
// in the launcher's alias Real (vec4f, or f32 where size is no multiple of 4). One thread per Real, four parts asked for
// before the first is added; groups folded into two dimensions. No workgroup memory, no barriers.
// Uniforms: size in Reals, splits, accumulate: one pipeline serves all shapes.
@group(0) @binding(0) var<storage, read> parts: array<Real>;
@group(0) @binding(1) var<storage, read_write> out: array<Real>;
@group(0) @binding(2) var<uniform> shape: vec4u;

@compute @workgroup_size(256)
fn sumParts(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let size = shape.x;
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= size) { return; }
  var sum = Real();
  var p = 0u;
  for (; p + 4u <= shape.y; p += 4u) {
    let at = p * size + i;
    let x0 = parts[at];
    let x1 = parts[at + size];
    let x2 = parts[at + 2u * size];
    let x3 = parts[at + 3u * size];
    sum = (((sum + x0) + x1) + x2) + x3;
  }
  for (; p < shape.y; p++) { sum += parts[p * size + i]; }
  if (shape.z == 1u) { out[i] += sum; } else { out[i] = sum; }
}
