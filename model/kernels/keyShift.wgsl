// Key shift: y_i = Σ_k mix_k ⊙ x_{span + i − k}, k = 0, 1, 2; zero before the window's start.
// x [batch, capacity, C], mix [3, C], span [1], y [batch, rows, C]. Backward: capacity = rows, span = 0; dY, x, mix →
// dX (written, or added to), partial [chunks, 3, C] of mix's gradient; columnSum adds the chunks.
// channels counts Wide values (launcher: one or four columns). forward: one thread per RUN rows of a value, each row
// loaded once. backward: 32 values × 8 parts of PART rows per workgroup; the parts meet in 12 KiB of workgroup memory
// behind one barrier.
override batch: u32;
override rows: u32;
override capacity: u32;
override channels: u32;
override total: u32 = batch * rows;

const RUN = 8u;
override runs: u32 = (rows + RUN - 1u) / RUN;
const PART = 16u;
const CHUNK = 8u * PART;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> mix: array<Wide>;
@group(0) @binding(2) var<storage, read> span: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  let window = i / channels / runs;
  if (window >= batch) { return; }
  let column = i % channels;
  let first = (i / channels) % runs * RUN;
  let position = span[0] + first;
  // values[k] is at position + k − 2. Decoding may pass the cache's end; those rows are dropped later.
  var values: array<Wide, RUN + 2u>;
  for (var k = 0u; k < RUN + 2u; k++) {
    let at = min(max(position + k, 2u) - 2u, capacity - 1u);
    values[k] = Wide(x[(window * capacity + at) * channels + column]);
    values[k] = select(Wide(), values[k], position + k >= 2u);
  }
  let m0 = mix[column];
  let m1 = mix[channels + column];
  let m2 = mix[2u * channels + column];
  for (var k = 0u; k < RUN; k++) {
    if (first + k < rows) {
      y[(window * rows + first + k) * channels + column] = Y(m0 * values[k + 2u] + m1 * values[k + 1u] + m2 * values[k]);
    }
  }
}

@group(0) @binding(0) var<storage, read> dY: array<X>;
@group(0) @binding(1) var<storage, read> input: array<Input>;
@group(0) @binding(2) var<storage, read> taps: array<Wide>;
@group(0) @binding(3) var<storage, read_write> dX: array<Y>;
@group(0) @binding(4) var<storage, read_write> partial: array<Wide>;

var<workgroup> sums: array<Wide, 768>;

override tiles: u32 = (channels + 31u) / 32u;
override accumulate: u32 = 0u;

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.y * groups.x + group.x;
  let chunk = tile / tiles;
  let own = tile % tiles * 32u + thread % 32u;
  let column = min(own, channels - 1u);
  let m0 = taps[column];
  let m1 = taps[channels + column];
  let m2 = taps[2u * channels + column];
  var sum0 = Wide();
  var sum1 = Wide();
  var sum2 = Wide();
  let start = chunk * CHUNK + thread / 32u * PART;
  for (var first = start; first < start + PART; first += 4u) {
    // d[k] is at row first + k, values[k] at first + k − 2.
    var d: array<Wide, 6>;
    var values: array<Wide, 6>;
    var old: array<Wide, 4>;
    for (var k = 0u; k < 6u; k++) {
      let row = first + k;
      d[k] = select(Wide(), Wide(dY[min(row, total - 1u) * channels + column]), row < total);
      values[k] = Wide(input[min(max(row, 2u) - 2u, total - 1u) * channels + column]);
    }
    if (accumulate == 1u) {
      for (var k = 0u; k < 4u; k++) { old[k] = Wide(dX[min(first + k, total - 1u) * channels + column]); }
    }
    for (var k = 0u; k < 4u; k++) {
      let row = first + k;
      let position = row % rows;
      let after = rows - 1u - position;
      sum0 += d[k] * values[k + 2u];
      sum1 += select(Wide(), d[k] * values[k + 1u], position >= 1u);
      sum2 += select(Wide(), d[k] * values[k], position >= 2u);
      let next = select(Wide(), m1 * d[k + 1u], after >= 1u) + select(Wide(), m2 * d[k + 2u], after >= 2u);
      if (own < channels && row < total) { dX[row * channels + column] = Y(old[k] + (m0 * d[k] + next)); }
    }
  }
  sums[thread] = sum0;
  sums[256u + thread] = sum1;
  sums[512u + thread] = sum2;
  workgroupBarrier();
  let tap = thread / 32u;
  if (tap >= 3u || own >= channels) { return; }
  var sum = Wide();
  for (var k = 0u; k < 8u; k++) { sum += sums[tap * 256u + k * 32u + thread % 32u]; }
  partial[(chunk * 3u + tap) * channels + own] = sum;
}
