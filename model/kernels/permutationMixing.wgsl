// A convex mixture of all S! = K permutation matrices: one kind of mixRows and mixRowsBackward (mixing.ts), with
// weights softmax(a). S lanes per row: lane i makes row i of the mixture, and every S-th weight.
// Constants given: S, K, ROWS per workgroup, ROLLED, ORDERS [K] (four bits for each row's column). Workgroup arrays given:
// logits and dLogits [ROWS, K], mixes and dMixes [ROWS, S, S].

// exp(a − max a), not yet divided by their sum.
var<workgroup> shares: array<f32, ROWS * K>;

struct Lane {
  row: u32, // 0 for idle lanes too, which neither load nor store.
  i: u32,
  busy: bool,
}

fn laneOf(thread: u32) -> Lane {
  let busy = thread / S < ROWS;
  return Lane(select(0u, thread / S, busy), thread % S, busy);
}

fn columnOf(order: u32, i: u32) -> u32 { return (order >> (4u * i)) & 15u; }

// K; where loops are to stay rolled the compiler does not know that grids here have one layer.
fn rolled(groups: vec3u) -> u32 { return K + ROLLED * (groups.z - 1u); }

// mixes from logits. Every invocation of the workgroup calls it, after a barrier; it ends with one.
fn mixRows(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  let base = l.row * K;
  let count = rolled(groups);
  if (l.busy) {
    var top = logits[base];
    for (var k = 1u; k < count; k++) { top = max(top, logits[base + k]); }
    for (var k = l.i; k < count; k += S) { shares[base + k] = exp(logits[base + k] - top); }
  }
  workgroupBarrier();
  if (l.busy) {
    var entries: array<f32, S>;
    for (var k = 0u; k < count; k++) {
      let column = columnOf(ORDERS[k], l.i);
      let weight = shares[base + k];
      for (var j = 0u; j < S; j++) { entries[j] += select(0.0, weight, j == column); }
    }
    // Not of the shares one by one: K roundings would show in the sums.
    var total = 0.0;
    for (var j = 0u; j < S; j++) { total += entries[j]; }
    for (var j = 0u; j < S; j++) { mixes[(l.row * S + l.i) * S + j] = entries[j] / total; }
  }
  workgroupBarrier();
}

// dLogits from dMixes, after mixRows of the same logits: weight_k (⟨P_k, dMix⟩ − ⟨mix, dMix⟩).
fn mixRowsBackward(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  let base = l.row * K;
  let count = rolled(groups);
  if (l.busy) {
    var total = 0.0;
    for (var k = 0u; k < count; k++) { total += shares[base + k]; }
    var mean = 0.0;
    for (var o = l.row * S * S; o < (l.row + 1u) * S * S; o++) { mean += mixes[o] * dMixes[o]; }
    for (var k = l.i; k < count; k += S) {
      var sum = -mean;
      for (var i = 0u; i < S; i++) {
        sum += dMixes[(l.row * S + i) * S + columnOf(ORDERS[k], i)];
      }
      dLogits[base + k] = shares[base + k] / total * sum;
    }
  }
  workgroupBarrier();
}
