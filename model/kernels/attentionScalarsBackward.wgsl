// Gradients of an attention sublayer's scalars; names as in attentionScalars.wgsl. queries and keys: one side's inputs
// (x, laid out as there) and the gradient of its scalars → dX, the gradient of x, and partial [2, chunks,
// T·E + 4·H·m] of mu's and of the gains' gradients (a gain's first of four), queries' half before keys'. reduce:
// partial → the parameters' gradients, four columns × 64 parts per workgroup. Threads are laid out as in the forward
// pass. Of dX they write the tied columns; the launcher's dQueryTail and dKeyTail make the ones behind, a Wide each.
// Workgroup memory: 14 KiB. One barrier per pass, and one per Wide of a band at the end of a chunk.
override rows: u32;
override T: u32;
override H: u32;
override m: u32;
override E: u32;
override tau: f32;
override cap: f32;
override tiedScale: f32;
override widthQ: u32;
override widthK: u32;
// 0: queries, 1: keys.
override side: u32 = 0u;
override W: u32 = select(widthQ, widthK, side == 1u);

override S: u32 = H * m;
override abreast: u32 = 256u / S;
const PASSES = 4u;
override chunk: u32 = abreast * PASSES;
override chunks: u32 = (rows + chunk - 1u) / chunk;
override width: u32 = T * E + 4u * S;
const EPS = 1e-6;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> ready: array<Wide>;
@group(0) @binding(2) var<storage, read> dScalars: array<f32>;
@group(0) @binding(3) var<storage, read_write> dX: array<DX>;
@group(0) @binding(4) var<storage, read_write> partial: array<Wide>;

// Of each thread's band, two buffers in turn.
var<workgroup> powers: array<f32, 512>;
var<workgroup> energies: array<f32, 512>;
var<workgroup> dLambdas: array<f32, 512>;
var<workgroup> sums: array<Wide, 512>;

// The bound is not a constant, or compilers unroll every copy of the loop.
fn sumRows(local: u32, turn: u32, count: u32, own: Wide, to: u32, isWanted: bool) {
  let buffer = turn % 2u * 256u;
  sums[buffer + local] = own;
  workgroupBarrier();
  if (local < S && isWanted) {
    var sum = Wide();
    for (var k = 0u; k < count; k++) { sum += sums[buffer + k * S + local]; }
    partial[to] = sum;
  }
}

fn oneOf(i: u32) -> f32 { return laneOf(Wide(x[i / LANES]), i); }

// Columns behind the tied ones in Wides, and the gradient of a free one.
override tail: u32 = (W - T * E) / LANES;
override perRow: u32 = max(tail, 1u);
fn dFreeAt(row: u32, column: u32) -> f32 {
  if (column >= S - T * m) { return 0.0; }
  let scalar = T * m + column;
  return dScalars[row * S + scalar] * across(ready[(T * E + 4u * scalar) / LANES]);
}

fn backward(tile: u32, local: u32) {
  let thread = min(local, abreast * S - 1u);
  let scalar = thread % S;
  let head = scalar / m;
  let band = scalar % m;
  let isTied = head < T;
  let gain = across(ready[(T * E + 4u * scalar) / LANES]);
  let muAt = head * E / LANES + band * BAND;
  var mu: array<Wide, BAND>;
  var dMu: array<Wide, BAND>;
  var dGain = 0.0;
  if (isTied) {
    for (var k = 0u; k < BAND; k++) { mu[k] = ready[muAt + k]; }
  }
  let end = min(rows, (tile + 1u) * chunk);
  var buffer = 0u;
  for (var base = tile * chunk; base < end; base += abreast) {
    let row = base + thread / S;
    let at = min(row, rows - 1u);
    let isOwn = local == thread && row < rows;
    let d = select(0.0, dScalars[at * S + scalar], isOwn);
    let first = (at * W + head * E) / LANES + band * BAND;
    var y: array<Wide, BAND>;
    var power = Wide();
    var energy = Wide();
    if (isTied) {
      for (var k = 0u; k < BAND; k++) { y[k] = Wide(x[first + k]); }
      for (var k = 0u; k < BAND; k++) {
        power += y[k] * y[k];
        energy += mu[k] * y[k] * y[k];
      }
    }
    buffer = 256u - buffer;
    powers[buffer + local] = across(power);
    energies[buffer + local] = across(energy);
    dLambdas[buffer + local] = d * gain;
    workgroupBarrier();
    if (isTied) {
      let bands = buffer + thread - band;
      var whole = EPS;
      for (var k = 0u; k < m; k++) { whole += powers[bands + k]; }
      // What the power, which all bands share, pulls on every coordinate.
      var pull = 0.0;
      for (var k = 0u; k < m; k++) {
        let e = energies[bands + k] / whole;
        pull += dLambdas[bands + k] * tau / ((e + tau) * (e + tau)) / whole * e;
      }
      let e = across(energy) / whole;
      let dE = d * gain * tau / ((e + tau) * (e + tau)) / whole;
      dGain += d * e / (e + tau);
      for (var k = 0u; k < BAND; k++) {
        dMu[k] += dE * y[k] * y[k];
        if (isOwn) { dX[first + k] = DX(2.0 * y[k] * (dE * mu[k] - Wide(pull))); }
      }
    } else {
      dGain += d * oneOf(at * W + T * E + scalar - T * m);
    }
  }
  let to = (side * chunks + tile) * width;
  let count = min(abreast, end - tile * chunk);
  for (var k = 0u; k < BAND; k++) { sumRows(local, k, count, dMu[k], to / LANES + muAt + k, isTied); }
  sumRows(local, BAND, count, Wide(dGain), (to + T * E + 4u * scalar) / LANES, true);
}

@compute @workgroup_size(256)
fn queries(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = group.y * groups.x + group.x;
  if (tile >= chunks) { return; }
  let first = tile * chunk;
  for (var i = local; i < (min(rows, first + chunk) - first) * tail; i += 256u) {
    let row = first + i / perRow;
    dX[(row * W + T * E) / LANES + i % perRow] = DX(dQueryTail(row, i % perRow * LANES));
  }
  backward(tile, local);
}

@group(0) @binding(5) var<storage, read> dC: array<f32>;

fn dKeyAt(row: u32, column: u32) -> f32 {
  let head = column - (S - T * m);
  if (column < S - T * m || head >= H) { return dFreeAt(row, column); }
  let t = tanh(clamp(oneOf(row * W + T * E + column) / cap, -15.0, 15.0));
  return dC[row * H + head] * (1.0 - t * t);
}

@compute @workgroup_size(256)
fn keys(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = group.y * groups.x + group.x;
  if (tile >= chunks) { return; }
  let first = tile * chunk;
  for (var i = local; i < (min(rows, first + chunk) - first) * tail; i += 256u) {
    let row = first + i / perRow;
    dX[(row * W + T * E) / LANES + i % perRow] = DX(dKeyTail(row, i % perRow * LANES));
  }
  backward(tile, local);
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read> spectrum: array<f32>;
@group(0) @binding(2) var<storage, read> tiedGain: array<f32>;
@group(0) @binding(3) var<storage, read> freeGain: array<f32>;
@group(0) @binding(4) var<storage, read> slopeRaw: array<f32>;
@group(0) @binding(5) var<storage, read> dSlope: array<f32>;
@group(0) @binding(6) var<storage, read_write> dSpectrum: array<f32>;
@group(0) @binding(7) var<storage, read_write> dTiedGain: array<f32>;
@group(0) @binding(8) var<storage, read_write> dFreeGain: array<f32>;
@group(0) @binding(9) var<storage, read_write> dSlopeRaw: array<f32>;

var<workgroup> parts: array<f32, 256>;

// The derivative of softplus.
fn sigmoid(r: f32) -> f32 {
  let e = exp(-abs(r));
  return select(e, 1.0, r >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(256)
fn reduce(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let mus = T * E;
  let j = group.x * 4u + thread % 4u;
  var sum = 0.0;
  if (j < mus + S) {
    let column = select(mus + 4u * (j - mus), j, j < mus);
    for (var k = thread / 4u; k < 2u * chunks; k += 64u) { sum += partials[k * width + column]; }
  }
  parts[thread] = sum;
  workgroupBarrier();
  if (thread >= 4u) { return; }
  sum = 0.0;
  for (var k = 0u; k < 64u; k++) { sum += parts[4u * k + thread]; }
  if (j < mus) {
    dSpectrum[j] = sum * sigmoid(spectrum[j]);
  } else if (j < mus + T * m) {
    let i = j - mus;
    dTiedGain[i] = sum * sigmoid(tiedGain[i]) * tiedScale;
  } else if (j < mus + S) {
    let i = j - mus - T * m;
    dFreeGain[i] = sum * sigmoid(freeGain[i]);
  } else if (j < mus + S + H) {
    let h = j - mus - S;
    dSlopeRaw[h] = dSlope[h] * sigmoid(slopeRaw[h]);
  }
}
