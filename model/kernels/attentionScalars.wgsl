// The scalars of an attention sublayer. queries [rows, widthQ], of which [T, E] tied and [F, m] free columns count, and
// keys [rows, widthK], the same and [H] of salience → a, b [rows, H, m], c [rows, H]; H = T + F, tied heads first. A tied head's scalars are gain·λ, λ = e / (e + tau),
// e_b = Σ_{d in band b} mu_d y_d² / (Σ_d y_d² + eps); a free head's are gain·y. c = cap·tanh(salience / cap).
// prepare: prepared = mu [T, E], then a gain per head and band, four apart so that it is wide as mu is; slope [H].
// forward: one thread per (row, tied head, band), PASSES rows each, and one after the other the columns behind; queries
// then keys. The launcher says how wide Wide is, how many of them a band has (BAND) and all its rows (OWN), and how a
// head's bands are summed: bandSum, with the barrier that it needs.
override rows: u32;
// T: tied heads; H: all; m: bands; E: coordinates of a tied head.
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
// Scalars of a row that are tied heads', and that are free ones'.
override tied: u32 = T * m;
override free: u32 = S - T * m;
// Rows per pass of a workgroup.
override breadth: u32 = max(tied, 1u);
override abreast: u32 = 256u / breadth;
override chunk: u32 = abreast * PASSES;
override chunks: u32 = (rows + chunk - 1u) / chunk;
const EPS = 1e-6;

@group(0) @binding(0) var<storage, read> spectrum: array<f32>;
@group(0) @binding(1) var<storage, read> tiedGain: array<f32>;
@group(0) @binding(2) var<storage, read> freeGain: array<f32>;
@group(0) @binding(3) var<storage, read> slopeRaw: array<f32>;
@group(0) @binding(4) var<storage, read_write> prepared: array<f32>;
@group(0) @binding(5) var<storage, read_write> slope: array<f32>;

fn softplus(r: f32) -> f32 { return max(r, 0.0) + log(1.0 + exp(-abs(r))); }

@compute @workgroup_size(256)
fn prepare(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i < H) { slope[i] = softplus(slopeRaw[i]); }
  if (i < T * E) { prepared[i] = softplus(spectrum[i]); }
  if (i < S) {
    var gain: f32;
    if (i < T * m) { gain = softplus(tiedGain[i]) * tiedScale; } else { gain = softplus(freeGain[i - T * m]); }
    let at = T * E + 4u * i;
    prepared[at] = gain;
    prepared[at + 1u] = 0.0;
    prepared[at + 2u] = 0.0;
    prepared[at + 3u] = 0.0;
  }
}

@group(0) @binding(0) var<storage, read> queries: array<Queries>;
@group(0) @binding(1) var<storage, read> keys: array<Keys>;
@group(0) @binding(2) var<storage, read> ready: array<Wide>;
@group(0) @binding(3) var<storage, read_write> a: array<f32>;
@group(0) @binding(4) var<storage, read_write> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> c: array<f32>;

fn oneQuery(i: u32) -> f32 { return laneOf(Wide(queries[i / LANES]), i); }
fn oneKey(i: u32) -> f32 { return laneOf(Wide(keys[i / LANES]), i); }

fn leave(isKey: bool, i: u32, value: f32) {
  if (isKey) { b[i] = value; } else { a[i] = value; }
}

// A column behind the tied ones: a free coordinate, or a salience.
fn leaveColumn(isKey: bool, row: u32, column: u32) {
  let width = select(widthQ, widthK, isKey);
  let at = row * width + T * E + column;
  var raw: f32;
  if (isKey) { raw = oneKey(at); } else { raw = oneQuery(at); }
  if (column < free) {
    let scalar = tied + column;
    leave(isKey, row * S + scalar, across(ready[(T * E + 4u * scalar) / LANES]) * raw);
  } else {
    // The clamp keeps drivers' tanh from overflowing; beyond it tanh is 1 in f32.
    c[row * H + column - free] = cap * tanh(clamp(raw / cap, -15.0, 15.0));
  }
}

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = group.y * groups.x + group.x;
  if (tile >= 2u * chunks) { return; }
  let isKey = tile >= chunks;
  // Threads that are left over repeat the last one.
  let thread = min(local, abreast * breadth - 1u);
  let scalar = thread % breadth;
  let head = scalar / m;
  let band = scalar % m;
  let start = tile % chunks * chunk;
  let end = min(rows, start + chunk);
  let first = start + thread / breadth;
  // All rows are asked for before anything is made of one.
  var bands: array<Wide, OWN>;
  /* unroll */ for (var r = 0u; r < PASSES; r++) {
    let rowAt = min(first + r * abreast, rows - 1u) * select(widthQ, widthK, isKey);
    let at = (rowAt + head * E) / LANES + band * BAND;
    /* unroll */ for (var k = 0u; k < BAND; k++) {
      if (isKey) { bands[r * BAND + k] = Wide(keys[at + k]); } else { bands[r * BAND + k] = Wide(queries[at + k]); }
    }
  }
  if (isKey) {
    for (var i = local; i < (end - start) * (free + H); i += 256u) {
      leaveColumn(true, start + i / (free + H), i % (free + H));
    }
  } else {
    for (var i = local; i < (end - start) * free; i += 256u) {
      leaveColumn(false, start + i / max(free, 1u), i % max(free, 1u));
    }
  }
  if (tied == 0u) { return; }
  let gain = across(ready[(T * E + 4u * scalar) / LANES]);
  var mu: array<Wide, BAND>;
  /* unroll */ for (var k = 0u; k < BAND; k++) { mu[k] = ready[head * E / LANES + band * BAND + k]; }
  /* unroll */ for (var r = 0u; r < PASSES; r++) {
    let row = first + r * abreast;
    var power = Wide();
    var energy = Wide();
    /* unroll */ for (var k = 0u; k < BAND; k++) {
      let v = bands[r * BAND + k];
      power += v * v;
      energy += mu[k] * v * v;
    }
    let whole = EPS + bandSum(local, thread, r, across(power));
    let e = across(energy) / whole;
    if (local == thread && row < rows) { leave(isKey, row * S + scalar, gain * e / (e + tau)); }
  }
}
