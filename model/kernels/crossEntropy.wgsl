// Cross-entropy with soft-capped logits, z = cap · tanh(logit / cap), and its gradient: logits [rows, V], targets
// [rows], weight [1] → loss [rows] in bits, dLogits [rows, V]. Skipped rows give zeros.
// The cap bounds z, so sums of exp(z − cap) need no pass for the maximum. With w = 1 − tanh = 2 / (exp(2·logit/cap) + 1)
// that is exp(−cap·w), and tanh's slope is w·(2 − w): two exponentials and a division per logit, nothing cancels.
// `lanes` per row; each keeps its EACH values in registers and asks for all of them first.
// The launcher says what Wide is (one or four columns) with its LANES, Index, OFFSETS and across(), how many Wides a
// lane has (EACH), and how a row's lanes are summed: rowSum (crossEntropyLanes), with the barrier that it needs.
override rows: u32;
override V: u32;
override cap: f32;
override count: u32 = V / LANES;

const LOG2E = 1.4426950408889634;
override rate: f32 = 2.0 * LOG2E / cap;
override fall: f32 = -LOG2E * cap;

@group(0) @binding(0) var<storage, read> logits: array<Logits>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dLogits: array<DLogits>;

@compute @workgroup_size(256)
fn both(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (group.y * groups.x + group.x) * (256u / ROW_LANES) + thread / ROW_LANES;
  let lane = thread % ROW_LANES;
  let source = min(row, rows - 1u);
  let base = source * count;
  var w: array<Wide, EACH>;
  var e: array<Wide, EACH>;
  /* unroll */ for (var k = 0u; k < EACH; k++) {
    w[k] = Wide(logits[base + min(lane + k * ROW_LANES, count - 1u)]);
  }
  let goal = targets[source];
  // Σ exp(z − cap) over the row, and w at the target.
  var own = vec2f();
  /* unroll */ for (var k = 0u; k < EACH; k++) {
    // Clamped so that exp stays finite; beyond it tanh is 1 in f32.
    w[k] = 2.0 / (exp2(clamp(rate * w[k], Wide(-44.0), Wide(44.0))) + 1.0);
    e[k] = exp2(fall * w[k]);
    let c = lane + k * ROW_LANES;
    let isGoal = Index(c * LANES) + OFFSETS == Index(goal);
    let both = vec2f(across(e[k]), across(select(Wide(0.0), w[k], isGoal)));
    own += select(vec2f(), both, c < count);
  }
  let total = rowSum(thread, own);
  if (row >= rows) { return; }
  let scored = goal < V;
  if (lane == 0u) { loss[row] = select(0.0, (log(total.x) + cap * total.y) * LOG2E, scored); }
  let scale = select(0.0, weight[0], scored);
  let share = 1.0 / total.x;
  /* unroll */ for (var k = 0u; k < EACH; k++) {
    let c = lane + k * ROW_LANES;
    let isGoal = Index(c * LANES) + OFFSETS == Index(goal);
    let p = e[k] * share - select(Wide(0.0), Wide(1.0), isGoal);
    if (c < count) { dLogits[base + c] = DLogits(scale * p * w[k] * (2.0 - w[k])); }
  }
}
