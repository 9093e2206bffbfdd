// Cross-entropy with soft-capped logits, z = cap · tanh(logit / cap). forward: logits [rows, V], targets [rows],
// loss [rows] in bits; backward: logits, targets, weight [1], dLogits [rows, V]. Skipped rows give zeros.
// The cap bounds z, so sums of exp(z − cap) need no pass for the maximum. 16 lanes per row, 16 rows per workgroup;
// one barrier; lanes' sums are added in lane order. 1 KiB of workgroup memory.
override rows: u32;
override V: u32;
override cap: f32;

const LOG2E = 1.4426950408889634;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;

@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> dLogits: array<f32>;

var<workgroup> sums: array<f32, 256>;

// The clamp keeps drivers' tanh from overflowing; beyond it tanh is 1 in f32.
fn capped(logit: f32) -> f32 { return tanh(clamp(logit / cap, -15.0, 15.0)); }

fn sumOfExponentials(thread: u32, row: u32) -> f32 {
  var sum = 0.0;
  if (row < rows) {
    for (var v = thread % 16u; v < V; v += 16u) { sum += exp(cap * (capped(logits[row * V + v]) - 1.0)); }
  }
  sums[thread] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < 16u; i++) { total += sums[(thread / 16u) * 16u + i]; }
  return total;
}

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.y * groups.x + group.x) * 16u + thread / 16u;
  let total = sumOfExponentials(thread, row);
  if (row >= rows || thread % 16u != 0u) { return; }
  let goal = targets[row];
  if (goal >= V) {
    loss[row] = 0.0;
  } else {
    loss[row] = (log(total) - cap * (capped(logits[row * V + goal]) - 1.0)) * LOG2E;
  }
}

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.y * groups.x + group.x) * 16u + thread / 16u;
  let total = sumOfExponentials(thread, row);
  if (row >= rows) { return; }
  let goal = targets[row];
  let scale = select(weight[0], 0.0, goal >= V);
  for (var v = thread % 16u; v < V; v += 16u) {
    let t = capped(logits[row * V + v]);
    let p = exp(cap * (t - 1.0)) / total;
    dLogits[row * V + v] = scale * (p - select(0.0, 1.0, v == goal)) * (1.0 - t * t);
  }
}
