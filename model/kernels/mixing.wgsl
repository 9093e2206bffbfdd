// A kind of mixing (the fragment before this) as an op of its own. forward: a [T, K] → mix [T, S, S]; backward: a,
// dMix [T, S, S] → dA [T, K]. ROWS tokens per workgroup of 64 lanes.
override T: u32;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> mix: array<f32>;

@group(0) @binding(1) var<storage, read> dMix: array<f32>;
@group(0) @binding(2) var<storage, read_write> dA: array<f32>;

fn rowsFrom(first: u32) -> u32 { return min(ROWS, T - min(first, T)); }

@compute @workgroup_size(64)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.y * groups.x + group.x) * ROWS;
  let rows = rowsFrom(first);
  for (var i = thread; i < rows * K; i += 64u) { logits[i] = a[first * K + i]; }
  workgroupBarrier();
  mixRows(thread, groups);
  for (var i = thread; i < rows * S * S; i += 64u) { mix[first * S * S + i] = mixes[i]; }
}

@compute @workgroup_size(64)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.y * groups.x + group.x) * ROWS;
  let rows = rowsFrom(first);
  for (var i = thread; i < rows * K; i += 64u) { logits[i] = a[first * K + i]; }
  for (var i = thread; i < rows * S * S; i += 64u) { dMixes[i] = dMix[first * S * S + i]; }
  workgroupBarrier();
  mixRows(thread, groups);
  mixRowsBackward(thread, groups);
  for (var i = thread; i < rows * K; i += 64u) { dA[first * K + i] = dLogits[i]; }
}
