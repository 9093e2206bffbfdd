// Copies src [rows, C] into dst [capacity, C] at row span[0]; rows past the cache's end are dropped.
// channels counts Wide values (launcher: one or four elements). One thread per value, folded grid. No workgroup
// memory.
override rows: u32;
override channels: u32;
override capacity: u32;

@group(0) @binding(0) var<storage, read> src: array<Src>;
@group(0) @binding(1) var<storage, read> span: array<u32>;
@group(0) @binding(2) var<storage, read_write> dst: array<Dst>;

@compute @workgroup_size(256)
fn copyRows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= rows * channels) { return; }
  let row = span[0] + i / channels;
  if (row >= capacity) { return; }
  dst[row * channels + i % channels] = Dst(Wide(src[i]));
}
