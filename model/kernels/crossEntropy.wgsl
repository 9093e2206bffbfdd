// Cross-entropy with soft-capped logits, z = cap · tanh(logit / cap), and its gradient: logits [rows, V], targets
// [rows], weight [1] → loss [rows] in bits, dLogits [rows, V]. Skipped rows give zeros.
// The launcher says what Wide is (one or four columns) with its LANES, Index, OFFSETS and across(). The cap bounds z,
// so sums of exp(z − cap) need no pass for the maximum. 16, 64 or 256 lanes per row (override `lanes`); each keeps its
// at most KEPT values in registers. One barrier; lanes' sums are added in lane order. 2 KiB of workgroup memory.
override rows: u32;
override V: u32;
override cap: f32;
override lanes: u32;
override count: u32 = V / LANES;
// Values per lane.
override each: u32 = (count + lanes - 1u) / lanes;

const LOG2E = 1.4426950408889634;
const KEPT = 8;

@group(0) @binding(0) var<storage, read> logits: array<Logits>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dLogits: array<DLogits>;

struct Row {
  // tanh(logit / cap) of this lane's columns.
  t: array<Wide, KEPT>,
  // Σ exp(z − cap) over the row.
  total: f32,
  // t at the target.
  goal: f32,
}

var<workgroup> sums: array<vec2f, 256>;

fn readRow(thread: u32, row: u32, goal: u32) -> Row {
  let base = min(row, rows - 1u) * count;
  let lane = thread % lanes;
  var r: Row;
  for (var k = 0u; k < each; k++) { r.t[k] = Wide(logits[base + min(lane + k * lanes, count - 1u)]); }
  var own = vec2f();
  for (var k = 0u; k < each; k++) {
    // The clamp keeps drivers' tanh from overflowing; beyond it tanh is 1 in f32.
    r.t[k] = tanh(clamp(r.t[k] / cap, Wide(-15.0), Wide(15.0)));
    let c = lane + k * lanes;
    let isGoal = Index(c * LANES) + OFFSETS == Index(goal);
    let both = vec2f(across(exp(cap * (r.t[k] - Wide(1.0)))), across(select(Wide(0.0), r.t[k], isGoal)));
    own += select(vec2f(), both, c < count);
  }
  sums[thread] = own;
  workgroupBarrier();
  let first = thread / lanes * lanes;
  var total = vec2f();
  for (var i = 0u; i < lanes; i++) { total += sums[first + i]; }
  r.total = total.x;
  r.goal = total.y;
  return r;
}

@compute @workgroup_size(256)
fn both(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.y * groups.x + group.x) * (256u / lanes) + thread / lanes;
  let goal = targets[min(row, rows - 1u)];
  let r = readRow(thread, row, goal);
  if (row >= rows) { return; }
  let scored = goal < V;
  if (thread % lanes == 0u) {
    loss[row] = select(0.0, (log(r.total) - cap * (r.goal - 1.0)) * LOG2E, scored);
  }
  let scale = select(0.0, weight[0], scored);
  for (var k = 0u; k < each; k++) {
    let c = thread % lanes + k * lanes;
    let isGoal = Index(c * LANES) + OFFSETS == Index(goal);
    let p = exp(cap * (r.t[k] - Wide(1.0))) / r.total;
    let d = scale * (p - select(Wide(0.0), Wide(1.0), isGoal)) * (Wide(1.0) - r.t[k] * r.t[k]);
    if (c < count) { dLogits[row * count + c] = DLogits(d); }
  }
}
