// What attention of few queries against a long cache shares, whatever its weights are: what decoding runs, where latency
// is all. Workgroup (query row, 16 of the D dimensions, batch × head), 256 threads: every key is one thread's, so one
// row fills the device's lanes. Pieces of 1,024 keys: weights into workgroup memory, then weights·v with thread
// (4 dimensions, every 64th key). Keys are counted from the row's first one: its bits depend on its own keys only.
// 9 KiB of workgroup memory. Barriers stand in loops whose bounds come from read-only storage, hence uniform.
// Given elsewhere: aliases V and Out of four values each, rows, nHeads and headDim, v and span,
// struct Query and fn weightOf(q: Query, keyAt: u32, distance: u32) -> f32, with keyAt = (key, head).
override capacity: u32;

const PIECE = 1024u;

var<workgroup> weights: array<f32, 1024>;
var<workgroup> parts: array<vec4f, 256>;
var<workgroup> scalars: array<f32, 256>;

struct Row {
  head: u32,
  // (row, head) among all rows.
  at: u32,
  // Keys from `first` on, up to its own; the first one's place in the cache; the row's own position, less `first`.
  keys: u32,
  keyBase: u32,
  position: u32,
}

// A window of 0 reaches back to the first position.
fn rowOf(group: vec3u, window: u32) -> Row {
  var row: Row;
  row.head = group.z % nHeads;
  let batch = group.z / nHeads;
  row.at = (batch * rows + group.x) * nHeads + row.head;
  let position = span[0] + group.x;
  let first = select(0u, position + 1u - window, window != 0u && position + 1u > window);
  row.keys = min(capacity, position + 1u) - first;
  row.keyBase = batch * capacity + first;
  row.position = position - first;
  return row;
}

fn keyOf(row: Row, j: u32) -> u32 { return (row.keyBase + j) * nHeads + row.head; }

// Leaves the sum of weights in scalars[0] and that of weights·v in parts[0 .. 4), four dimensions each.
fn sumOver(row: Row, q: Query, column: u32, t: u32) {
  let quads = headDim / 4u;
  var sum = 0.0;
  var acc = vec4f(0.0);
  for (var piece = 0u; piece < row.keys; piece += PIECE) {
    let end = min(row.keys, piece + PIECE);
    for (var j = piece + t; j < end; j += 256u) {
      let weight = weightOf(q, keyOf(row, j), row.position - j);
      weights[j - piece] = weight;
      sum += weight;
    }
    workgroupBarrier();
    if (column < quads) {
      for (var j = piece + t / 4u; j < end; j += 64u) {
        acc += weights[j - piece] * vec4f(v[keyOf(row, j) * quads + column]);
      }
    }
    workgroupBarrier();
  }

  scalars[t] = sum;
  parts[t] = acc;
  for (var step = 128u; step > 0u; step /= 2u) {
    workgroupBarrier();
    if (t < step) { scalars[t] += scalars[t + step]; }
    // Thread t's dimensions are those of t mod 4.
    if (t < step && step >= 4u) { parts[t] += parts[t + step]; }
  }
  workgroupBarrier();
}
