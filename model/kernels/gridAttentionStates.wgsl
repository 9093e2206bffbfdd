// Per chunk and head what its 64 rows leave on the grid: Σ weight · hat ⊗ value, then times e^(−distance of points/T),
// [batch, head, chunk, grid, point, width]. One thread per column, so sums have one order; 17.5 KiB of workgroup
// memory. Before this text stand the bindings and weightOf, scalarOf, valueOf, temperatureOf.
var<workgroup> points: array<f32, 4352>;
var<workgroup> cells: array<u32, CHUNK>;
var<workgroup> weights: array<vec2f, CHUNK>;

@compute @workgroup_size(96)
fn chunkStates(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let h = group.y;
  let first = group.x * CHUNK;
  let count = min(CHUNK, rows - first);
  let row0 = (group.z * rows + first) * nHeads + h;
  let d = spacing(temperatureOf(h));
  if (t < count) {
    let row = row0 + t * nHeads;
    let hat = hatOf(scalarOf(row), d);
    cells[t] = hat.cell;
    weights[t] = hat.w * weightOf(row, h, t);
  }
  if (t < width) {
    for (var m = 0u; m < POINTS; m++) { points[m * width + t] = 0.0; }
  }
  workgroupBarrier();
  if (t >= width) { return; }
  for (var j = 0u; j < count; j++) {
    let x = valueOf(row0 + j * nHeads, t) * weights[j];
    let at = cells[j] * width + t;
    points[at] += x.x;
    points[at + width] += x.y;
  }
  // K = e^(−|m − n| d) as two walks: from above in place, then from below, where S comes back as a difference. Its
  // error is an ulp of what lies above, no more than an ulp of the result.
  let q = exp(-d);
  let base = (((group.z * nHeads + h) * chunks + group.x) * grids * POINTS) * width + t;
  var above = 0.0;
  for (var m = POINTS; m > 0u; m--) {
    above = points[(m - 1u) * width + t] + q * above;
    points[(m - 1u) * width + t] = above;
  }
  var below = 0.0;
  for (var m = 0u; m < POINTS; m++) {
    var next = 0.0;
    if (m + 1u < POINTS) { next = points[(m + 1u) * width + t]; }
    let beyond = q * next;
    let own = above - beyond;
    above = next;
    below = own + q * below;
    states[base + m * width] = below + beyond;
    points[m * width + t] = own;
  }
  if (grids == 1u) { return; }
  // T dK/dT = |m − n| d q^|m − n|, likewise.
  let second = base + POINTS * width;
  var sum = 0.0;
  var moment = 0.0;
  for (var m = POINTS; m > 0u; m--) {
    moment = q * (moment + d * sum);
    sum = points[(m - 1u) * width + t] + q * sum;
    states[second + (m - 1u) * width] = moment;
  }
  sum = 0.0;
  moment = 0.0;
  for (var m = 0u; m < POINTS; m++) {
    moment = q * (moment + d * sum);
    sum = points[m * width + t] + q * sum;
    states[second + m * width] += moment;
  }
}
