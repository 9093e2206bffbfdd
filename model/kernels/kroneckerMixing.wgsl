// Kronecker product of 2 × 2 factors: one kind of mixRows and mixRowsBackward (mixing.ts). Factor f, the first one the
// highest bit of a stream's index, keeps that bit with the share keep_f = softmax(a_2f, a_2f+1)[0] and flips it with the
// rest, so mix_ij is a product over the bits of i xor j. S lanes per row.
// Constants given: S = 2^FACTORS, K = 2 FACTORS, ROWS per workgroup. Workgroup arrays given: logits and dLogits
// [ROWS, K], mixes and dMixes [ROWS, S, S].

// The gradients of the entries whose indices differ by x, added up.
var<workgroup> dEntries: array<f32, ROWS * S>;

struct Lane {
  row: u32, // 0 for idle lanes too, which neither load nor store.
  i: u32,
  busy: bool,
}

fn laneOf(thread: u32) -> Lane {
  let busy = thread / S < ROWS;
  return Lane(select(0u, thread / S, busy), thread % S, busy);
}

fn bitOf(x: u32, f: u32) -> bool { return ((x >> (FACTORS - 1u - f)) & 1u) == 1u; }

// The share of keeping a bit, or of flipping it. The clamp keeps exp finite; beyond it the share is 0 or 1 in f32.
fn shareOf(row: u32, f: u32, flips: bool) -> f32 {
  let difference = logits[row * K + 2u * f] - logits[row * K + 2u * f + 1u];
  return 1.0 / (1.0 + exp(clamp(select(-difference, difference, flips), -80.0, 80.0)));
}

// Product over all factors but one.
fn productOf(row: u32, x: u32, without: u32) -> f32 {
  var value = 1.0;
  for (var f = 0u; f < FACTORS; f++) {
    if (f != without) { value *= shareOf(row, f, bitOf(x, f)); }
  }
  return value;
}

// mixes from logits. Every invocation of the workgroup calls it, after a barrier; it ends with one.
fn mixRows(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  if (l.busy) {
    let entry = productOf(l.row, l.i, FACTORS);
    for (var k = 0u; k < S; k++) { mixes[(l.row * S + k) * S + (k ^ l.i)] = entry; }
  }
  workgroupBarrier();
}

// dLogits from dMixes.
fn mixRowsBackward(thread: u32, groups: vec3u) {
  let l = laneOf(thread);
  if (l.busy) {
    var sum = 0.0;
    for (var k = 0u; k < S; k++) { sum += dMixes[(l.row * S + k) * S + (k ^ l.i)]; }
    dEntries[l.row * S + l.i] = sum;
  }
  workgroupBarrier();
  if (l.busy && l.i < FACTORS) {
    var sum = 0.0;
    for (var x = 0u; x < S; x++) {
      let term = dEntries[l.row * S + x] * productOf(l.row, x, l.i);
      sum += select(term, -term, bitOf(x, l.i));
    }
    let d = shareOf(l.row, l.i, false) * shareOf(l.row, l.i, true) * sum;
    dLogits[l.row * K + 2u * l.i] = d;
    dLogits[l.row * K + 2u * l.i + 1u] = -d;
  }
  workgroupBarrier();
}
