// mixed = first·I + second·gram + third·gram², square matrices [batch, side, side] in quads; side is a multiple of 4.
// The launcher prepends `alias Gram`, `alias Squared` and `alias Mixed`. One thread per quad; groups folded into two
// dimensions. No workgroup memory, no barriers.
override batch: u32;
override side: u32;
override first: f32;
override second: f32;
override third: f32;

@group(0) @binding(0) var<storage, read> gram: array<Gram>;
@group(0) @binding(1) var<storage, read> gramSquared: array<Squared>;
@group(0) @binding(2) var<storage, read_write> mixed: array<Mixed>;

@compute @workgroup_size(256)
fn polynomial(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  let quads = side / 4u;
  if (i >= batch * side * quads) { return; }
  let row = (i / quads) % side;
  let columns = (i % quads) * 4u + vec4u(0u, 1u, 2u, 3u);
  let diagonal = select(vec4f(), vec4f(first), columns == vec4u(row));
  mixed[i] = Mixed(diagonal + second * vec4f(gram[i]) + third * vec4f(gramSquared[i]));
}
