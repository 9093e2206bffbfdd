// Gradients of an attention sublayer's scalars; names as in attentionScalars.wgsl. backward: queries, then keys; dA, dB
// and dC → dQueries, dKeys and partial [2, chunks, T·E + 4·H·m] of mu's and of the gains' gradients (a gain's first of
// four), queries' half before keys'. reduce: partial → the parameters' gradients, four columns × 64 parts per
// workgroup. Threads are laid out as in the forward pass. The launcher's dTail makes a Wide of columns behind the tied
// ones. Workgroup memory: 8 KiB and bandSum's. One barrier per Wide of a band at the end of a chunk, and bandSum's.
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
override S: u32 = H * m;
override abreast: u32 = 256u / S;
override chunk: u32 = abreast * PASSES;
override chunks: u32 = (rows + chunk - 1u) / chunk;
override partWidth: u32 = T * E + 4u * S;
const EPS = 1e-6;

@group(0) @binding(0) var<storage, read> queries: array<Queries>;
@group(0) @binding(1) var<storage, read> keys: array<Keys>;
@group(0) @binding(2) var<storage, read> ready: array<Wide>;
@group(0) @binding(3) var<storage, read> dA: array<f32>;
@group(0) @binding(4) var<storage, read> dB: array<f32>;
@group(0) @binding(5) var<storage, read> dC: array<f32>;
@group(0) @binding(6) var<storage, read_write> dQueries: array<DQueries>;
@group(0) @binding(7) var<storage, read_write> dKeys: array<DKeys>;
@group(0) @binding(8) var<storage, read_write> partial: array<Wide>;

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

fn oneOf(isKey: bool, i: u32) -> f32 {
  if (isKey) { return laneOf(Wide(keys[i / LANES]), i); }
  return laneOf(Wide(queries[i / LANES]), i);
}
fn dScalarAt(isKey: bool, i: u32) -> f32 {
  if (isKey) { return dB[i]; }
  return dA[i];
}

// The gradient of a column behind the tied ones: a free coordinate's, a salience's, or nothing.
fn dColumn(isKey: bool, row: u32, column: u32) -> f32 {
  if (column < S - T * m) {
    let scalar = T * m + column;
    return dScalarAt(isKey, row * S + scalar) * across(ready[(T * E + 4u * scalar) / LANES]);
  }
  let head = column - (S - T * m);
  if (!isKey || head >= H) { return 0.0; }
  let t = tanh(clamp(oneOf(true, row * widthK + T * E + column) / cap, -15.0, 15.0));
  return dC[row * H + head] * (1.0 - t * t);
}

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = group.y * groups.x + group.x;
  if (tile >= 2u * chunks) { return; }
  let isKey = tile >= chunks;
  let width = select(widthQ, widthK, isKey);
  let thread = min(local, abreast * S - 1u);
  let scalar = thread % S;
  let head = scalar / m;
  let band = scalar % m;
  let isTied = head < T;
  let start = tile % chunks * chunk;
  let first = start + thread / S;
  let end = min(rows, start + chunk);
  // All rows are asked for before anything is made of one.
  var bands: array<Wide, OWN>;
  var lone: array<f32, PASSES>;
  var given: array<f32, PASSES>;
  /* unroll */ for (var r = 0u; r < PASSES; r++) {
    let row = first + r * abreast;
    let at = min(row, rows - 1u);
    given[r] = select(0.0, dScalarAt(isKey, at * S + scalar), local == thread && row < rows);
    if (isTied) {
      let from0 = (at * width + head * E) / LANES + band * BAND;
      /* unroll */ for (var k = 0u; k < BAND; k++) {
        if (isKey) { bands[r * BAND + k] = Wide(keys[from0 + k]); } else { bands[r * BAND + k] = Wide(queries[from0 + k]); }
      }
    } else {
      lone[r] = oneOf(isKey, at * width + T * E + scalar - T * m);
    }
  }
  let tail = (width - T * E) / LANES;
  for (var i = local; i < (end - start) * tail; i += 256u) {
    let row = start + i / tail;
    let value = dTail(isKey, row, i % tail * LANES);
    let to = (row * width + T * E) / LANES + i % tail;
    if (isKey) { dKeys[to] = DKeys(value); } else { dQueries[to] = DQueries(value); }
  }
  let gain = across(ready[(T * E + 4u * scalar) / LANES]);
  let muAt = head * E / LANES + band * BAND;
  var mu: array<Wide, BAND>;
  var dMu: array<Wide, BAND>;
  var dGain = 0.0;
  if (isTied) {
    /* unroll */ for (var k = 0u; k < BAND; k++) { mu[k] = ready[muAt + k]; }
  }
  /* unroll */ for (var r = 0u; r < PASSES; r++) {
    let row = first + r * abreast;
    let d = given[r];
    var power = Wide();
    var energy = Wide();
    /* unroll */ for (var k = 0u; k < BAND; k++) {
      let y = bands[r * BAND + k];
      power += y * y;
      energy += mu[k] * y * y;
    }
    let whole = EPS + bandSum(local, thread, 2u * r, across(power));
    let e = across(energy) / whole;
    let dE = select(0.0, d * gain * tau / ((e + tau) * (e + tau)) / whole, isTied);
    // What the power, which all bands share, pulls on every coordinate.
    let pull = bandSum(local, thread, 2u * r + 1u, dE * e);
    if (isTied) {
      dGain += d * e / (e + tau);
      let to = (min(row, rows - 1u) * width + head * E) / LANES + band * BAND;
      /* unroll */ for (var k = 0u; k < BAND; k++) {
        let y = bands[r * BAND + k];
        dMu[k] += dE * y * y;
        let value = 2.0 * y * (dE * mu[k] - Wide(pull));
        if (local == thread && row < rows) {
          if (isKey) { dKeys[to + k] = DKeys(value); } else { dQueries[to + k] = DQueries(value); }
        }
      }
    } else {
      dGain += d * lone[r];
    }
  }
  let to = tile * partWidth;
  let count = min(abreast, end - start);
  /* unroll */ for (var k = 0u; k < BAND; k++) { sumRows(local, k, count, dMu[k], to / LANES + muAt + k, isTied); }
  sumRows(local, BAND, count, Wide(dGain), (to + T * E + 4u * scalar) / LANES, true);
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
    for (var k = thread / 4u; k < 2u * chunks; k += 64u) { sum += partials[k * partWidth + column]; }
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
