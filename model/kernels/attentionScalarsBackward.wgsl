// Gradients of an attention sublayer's scalars; names as in attentionScalars.wgsl. backward: queries, then keys; dA, dB
// and dC → dQueries, dKeys and partial [2, chunks, T·E + 4·H·m] of mu's and of the gains' gradients (a gain's first of
// four), queries' half before keys'. reduce: partial → the parameters' gradients, four columns × 64 parts per
// workgroup. Threads are laid out as in the forward pass, `turns` times over; the columns behind the tied ones have
// workgroups of their own. The launcher's givenTail and gainTail make Wides of givenOf and gainOf. Workgroup memory:
// 8 KiB and bandSum's. Barriers: three in those workgroups; in the others two per Wide of a band, and bandSum's.
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
override tied: u32 = T * m;
override free: u32 = S - T * m;
override breadth: u32 = max(tied, 1u);
override abreast: u32 = 256u / breadth;
// How often a workgroup goes on to further rows before it adds up what it has for the parameters.
override turns: u32;
override chunk: u32 = abreast * PASSES * turns;
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

// Of `count` rows, `width` threads each, in two levels: a part of the rows by each of some threads, in the place of
// its first, then the parts. The bounds are not constants, or compilers unroll every copy of the loops.
fn sumRows(local: u32, turn: u32, width: u32, count: u32, own: Wide) -> Wide {
  let buffer = turn % 2u * 256u;
  let parts = min(count, select(4u, 8u, count > 32u));
  sums[buffer + local] = own;
  workgroupBarrier();
  var sum = Wide();
  if (local < width * parts) {
    for (var k = local; k < width * count; k += width * parts) { sum += sums[buffer + k]; }
    sums[buffer + local] = sum;
  }
  workgroupBarrier();
  sum = Wide();
  if (local < width) {
    for (var k = 0u; k < parts; k++) { sum += sums[buffer + k * width + local]; }
  }
  return sum;
}

fn dScalarAt(isKey: bool, i: u32) -> f32 {
  if (isKey) { return dB[i]; }
  return dA[i];
}

// The gradient of what a column behind the tied ones became: a free coordinate's scalar, or a salience, whose bound is
// made of `raw`; zero of a column that nothing reads.
fn givenOf(isKey: bool, row: u32, column: u32, raw: f32) -> f32 {
  if (column < free) { return dScalarAt(isKey, row * S + tied + column); }
  let head = column - free;
  if (!isKey || head >= H) { return 0.0; }
  let t = tanh(clamp(raw / cap, -15.0, 15.0));
  return dC[row * H + head] * (1.0 - t * t);
}

// What such a column was multiplied by.
fn gainOf(column: u32) -> f32 {
  if (column >= free) { return 1.0; }
  return across(ready[(T * E + 4u * (tied + column)) / LANES]);
}

fn wideAt(isKey: bool, i: u32) -> Wide {
  if (isKey) { return Wide(keys[i]); }
  return Wide(queries[i]);
}
fn leave(isKey: bool, i: u32, value: Wide) {
  if (isKey) { dKeys[i] = DKeys(value); } else { dQueries[i] = DQueries(value); }
}

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index >= 4u * chunks) { return; }
  // Workgroups for the tied columns first, and as many for those behind.
  let tile = index % (2u * chunks);
  let isKey = tile >= chunks;
  let width = select(widthQ, widthK, isKey);
  let thread = min(local, abreast * breadth - 1u);
  let scalar = thread % breadth;
  let head = scalar / m;
  let band = scalar % m;
  let start = tile % chunks * chunk;
  let end = min(rows, start + chunk);
  let part = tile * partWidth;
  // The columns behind the tied ones: a Wide of one row per thread, at most 256 Wides of a row at a time.
  if (index >= 2u * chunks) {
    let tail = (width - T * E) / LANES;
    for (var begin = 0u; begin < tail; begin += 256u) {
      let wides = min(tail - begin, 256u);
      let beside = 256u / wides;
      let column = (begin + local % wides) * LANES;
      let gains = gainTail(column);
      var dGains = Wide();
      if (local < beside * wides) {
        for (var row = start + local / wides; row < end; row += beside) {
          let at = (row * width + T * E + column) / LANES;
          let raw = wideAt(isKey, at);
          let given = givenTail(isKey, row, column, raw);
          leave(isKey, at, given * gains);
          dGains += given * raw;
        }
      }
      workgroupBarrier();
      let sum = sumRows(local, 0u, wides, beside, dGains);
      if (local < wides) {
        for (var i = 0u; i < LANES; i++) {
          if (column + i < free) { partial[(part + T * E + 4u * (tied + column + i)) / LANES] = Wide(laneOf(sum, i)); }
        }
      }
    }
    return;
  }
  if (tied == 0u) { return; }
  let gain = across(ready[(T * E + 4u * scalar) / LANES]);
  let muAt = head * E / LANES + band * BAND;
  var mu: array<Wide, BAND>;
  var dMu: array<Wide, BAND>;
  var dGain = 0.0;
  /* unroll */ for (var k = 0u; k < BAND; k++) { mu[k] = ready[muAt + k]; }
  for (var turn = 0u; turn < turns; turn++) {
    let first = start + turn * abreast * PASSES + thread / breadth;
    // All rows of a turn are asked for before anything is made of one.
    var bands = array<Wide, OWN>();
    var given = array<f32, PASSES>();
    /* unroll */ for (var r = 0u; r < PASSES; r++) {
      let row = first + r * abreast;
      let at = min(row, rows - 1u);
      given[r] = select(0.0, dScalarAt(isKey, at * S + scalar), local == thread && row < rows);
      let begin = (at * width + head * E) / LANES + band * BAND;
      /* unroll */ for (var k = 0u; k < BAND; k++) { bands[r * BAND + k] = wideAt(isKey, begin + k); }
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
      let dE = d * gain * tau / ((e + tau) * (e + tau)) / whole;
      // What the power, which all bands share, pulls on every coordinate.
      let pull = bandSum(local, thread, 2u * r + 1u, dE * e);
      dGain += d * e / (e + tau);
      let to = (min(row, rows - 1u) * width + head * E) / LANES + band * BAND;
      /* unroll */ for (var k = 0u; k < BAND; k++) {
        let y = bands[r * BAND + k];
        dMu[k] += dE * y * y;
        if (local == thread && row < rows) { leave(isKey, to + k, 2.0 * y * (dE * mu[k] - Wide(pull))); }
      }
    }
  }
  /* unroll */ for (var k = 0u; k < BAND; k++) {
    let sum = sumRows(local, k + 1u, tied, abreast, dMu[k]);
    if (local < tied) { partial[part / LANES + muAt + k] = sum; }
  }
  let sum = sumRows(local, BAND + 1u, tied, abreast, Wide(dGain));
  if (local < tied) { partial[(part + T * E + 4u * scalar) / LANES] = sum; }
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
