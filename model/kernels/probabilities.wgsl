// Byte probabilities from soft-capped logits: logits [rows, V]; p [rows, 256], softmax over the byte values only;
// eom [rows], the probability of the end-of-middle symbol under the softmax over all V.
// 64 lanes per row, 4 rows per workgroup; one barrier; lanes' sums are added in lane order. 2 KiB of workgroup memory.
override rows: u32;
override V: u32;
override cap: f32;
override eomId: u32;

const BYTES = 256u;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;
@group(0) @binding(2) var<storage, read_write> eom: array<f32>;

var<workgroup> byteSums: array<f32, 256>;
var<workgroup> otherSums: array<f32, 256>;

// exp(z − cap), which needs no maximum; the clamp keeps drivers' tanh from overflowing.
fn exponential(logit: f32) -> f32 { return exp(cap * (tanh(clamp(logit / cap, -15.0, 15.0)) - 1.0)); }

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let local = thread / 64u;
  let lane = thread % 64u;
  let row = (group.y * groups.x + group.x) * 4u + local;
  var bytes = 0.0;
  var others = 0.0;
  if (row < rows) {
    for (var v = lane; v < BYTES; v += 64u) { bytes += exponential(logits[row * V + v]); }
    for (var v = BYTES + lane; v < V; v += 64u) { others += exponential(logits[row * V + v]); }
  }
  byteSums[thread] = bytes;
  otherSums[thread] = others;
  workgroupBarrier();
  if (row >= rows) { return; }
  var byteTotal = 0.0;
  var otherTotal = 0.0;
  for (var i = 0u; i < 64u; i++) {
    byteTotal += byteSums[local * 64u + i];
    otherTotal += otherSums[local * 64u + i];
  }
  for (var v = lane; v < BYTES; v += 64u) { p[row * BYTES + v] = exponential(logits[row * V + v]) / byteTotal; }
  if (lane == 0u) { eom[row] = exponential(logits[row * V + eomId]) / (byteTotal + otherTotal); }
}
