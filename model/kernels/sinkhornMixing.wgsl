// Sinkhorn's iteration: one kind of mixRows and mixRowsBackward (mixing.ts). mix_ij = u_i E_ij v_j with E = exp(a),
// u = 1 at first, then STEPS times v_j = 1 / Σ_i u_i E_ij and u_i = 1 / Σ_j E_ij v_j. Logits are clamped to ± RANGE,
// which keeps E and its scales within f32. S lanes per row, each with a row and a column of E in registers; every
// step's scales have a place of their own, so each half of a step needs one barrier.
// Constants given: S, K, ROWS per workgroup, STEPS, RANGE. Workgroup arrays given: logits and dLogits [ROWS, K], mixes
// and dMixes [ROWS, S, S].
const SCALES = (2u * STEPS + 1u) * S;

// u before the first step, then v and u of each.
var<workgroup> scales: array<f32, ROWS * SCALES>;
// Gradients of the logarithms of one step's u and v.
var<workgroup> dScales: array<f32, ROWS * 2u * S>;

struct Lane {
  row: u32, // 0 for idle lanes too, which neither load nor store.
  i: u32,
  base: u32, // Of the row's scales.
  busy: bool,
}

fn laneOf(thread: u32) -> Lane {
  let busy = thread / S < ROWS;
  let row = select(0u, thread / S, busy);
  return Lane(row, thread % S, row * SCALES, busy);
}

fn raised(row: u32, i: u32, j: u32) -> f32 {
  return exp(clamp(logits[row * K + i * S + j], -RANGE, RANGE));
}

// mixes from logits. Every invocation of the workgroup calls it, after a barrier; it ends with one.
fn mixRows(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  var across: array<f32, S>;
  var down: array<f32, S>;
  if (l.busy) {
    for (var k = 0u; k < S; k++) {
      across[k] = raised(l.row, l.i, k);
      down[k] = raised(l.row, k, l.i);
    }
    scales[l.base + l.i] = 1.0;
  }
  workgroupBarrier();
  for (var step = 0u; step < STEPS; step++) {
    let at = l.base + 2u * step * S;
    if (l.busy) {
      var sum = 0.0;
      for (var k = 0u; k < S; k++) { sum += scales[at + k] * down[k]; }
      scales[at + S + l.i] = 1.0 / sum;
    }
    workgroupBarrier();
    if (l.busy) {
      var sum = 0.0;
      for (var k = 0u; k < S; k++) { sum += across[k] * scales[at + S + k]; }
      scales[at + 2u * S + l.i] = 1.0 / sum;
    }
    workgroupBarrier();
  }
  if (l.busy) {
    let u = l.base + 2u * STEPS * S;
    for (var k = 0u; k < S; k++) {
      mixes[(l.row * S + l.i) * S + k] = scales[u + l.i] * across[k] * scales[u - S + k];
    }
  }
  workgroupBarrier();
}

// dLogits from dMixes, after mixRows of the same logits. Backwards through each half of a step in logarithms: of a
// log-sum-exp's arguments each gets the share that it has of the sum.
fn mixRowsBackward(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  let dU = l.row * 2u * S;
  let dV = dU + S;
  var across: array<f32, S>;
  var down: array<f32, S>;
  var gradient: array<f32, S>; // Of row i's logits.
  var through = 0.0; // What the last v gets from mix itself.
  if (l.busy) {
    var sum = 0.0;
    for (var k = 0u; k < S; k++) {
      across[k] = raised(l.row, l.i, k);
      down[k] = raised(l.row, k, l.i);
      let own = (l.row * S + l.i) * S + k;
      let other = (l.row * S + k) * S + l.i;
      gradient[k] = dMixes[own] * mixes[own];
      sum += gradient[k];
      through += dMixes[other] * mixes[other];
    }
    dScales[dU + l.i] = sum;
  }
  workgroupBarrier();
  for (var step = STEPS; step > 0u; step--) {
    let u = l.base + 2u * step * S;
    let v = u - S;
    let before = v - S; // u of the step before.
    if (l.busy) {
      var sum = 0.0;
      for (var k = 0u; k < S; k++) { sum += dScales[dU + k] * (scales[u + k] * down[k]); }
      dScales[dV + l.i] = through - scales[v + l.i] * sum;
      through = 0.0;
    }
    workgroupBarrier();
    if (l.busy) {
      let own = dScales[dU + l.i] * scales[u + l.i];
      var sum = 0.0;
      for (var k = 0u; k < S; k++) {
        let d = dScales[dV + k] * (scales[before + l.i] * across[k] * scales[v + k]);
        gradient[k] -= own * across[k] * scales[v + k] + d;
        sum += d;
      }
      dScales[dU + l.i] = -sum;
    }
    workgroupBarrier();
  }
  if (l.busy) {
    for (var k = 0u; k < S; k++) {
      let at = l.row * K + l.i * S + k;
      dLogits[at] = select(gradient[k], 0.0, abs(logits[at]) > RANGE);
    }
  }
  workgroupBarrier();
}
