// The scalars of an attention sublayer. queries [rows, widthQ], of which [T, E] tied and [F, m] free columns count, and
// keys [rows, widthK], the same and [H] of salience → a, b [rows, H, m], c [rows, H]; H = T + F, tied heads first. A tied head's scalars are gain·λ, λ = e / (e + tau),
// e_b = Σ_{d in band b} mu_d y_d² / (Σ_d y_d² + eps); a free head's are gain·y. c = cap·tanh(salience / cap).
// prepare: prepared = mu [T, E], then a gain per head and band, four apart so that it is wide as mu is; slope [H].
// forward: one thread per (row, head, band), PASSES rows each, queries then keys. The launcher says how wide Wide is,
// how many of them a band has (BAND) and all its rows (OWN), and how a head's bands are summed: bandSum, with the
// barrier that it needs.
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
// Rows per pass of a workgroup.
override abreast: u32 = 256u / S;
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
  let thread = min(local, abreast * S - 1u);
  let scalar = thread % S;
  let head = scalar / m;
  let band = scalar % m;
  let isTied = head < T;
  let first = tile % chunks * chunk + thread / S;
  // All rows are asked for before anything is made of one: of a tied head the band, of a free one the coordinate.
  var bands: array<Wide, OWN>;
  var lone: array<f32, PASSES>;
  var salience: array<f32, PASSES>;
  /* unroll */ for (var r = 0u; r < PASSES; r++) {
    let rowAt = min(first + r * abreast, rows - 1u) * select(widthQ, widthK, isKey);
    if (isTied) {
      let start = (rowAt + head * E) / LANES + band * BAND;
      /* unroll */ for (var k = 0u; k < BAND; k++) {
        if (isKey) { bands[r * BAND + k] = Wide(keys[start + k]); } else { bands[r * BAND + k] = Wide(queries[start + k]); }
      }
    } else {
      let at = rowAt + T * E + scalar - T * m;
      if (isKey) { lone[r] = oneKey(at); } else { lone[r] = oneQuery(at); }
    }
    if (isKey && band == 0u) { salience[r] = oneKey(rowAt + T * E + S - T * m + head); }
  }
  let gain = across(ready[(T * E + 4u * scalar) / LANES]);
  var mu: array<Wide, BAND>;
  if (isTied) {
    /* unroll */ for (var k = 0u; k < BAND; k++) { mu[k] = ready[head * E / LANES + band * BAND + k]; }
  }
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
    var value = lone[r];
    if (isTied) {
      let e = across(energy) / whole;
      value = e / (e + tau);
    }
    if (local == thread && row < rows) {
      if (isKey) {
        b[row * S + scalar] = gain * value;
        // The clamp keeps drivers' tanh from overflowing; beyond it tanh is 1 in f32.
        if (band == 0u) { c[row * H + head] = cap * tanh(clamp(salience[r] / cap, -15.0, 15.0)); }
      } else {
        a[row * S + scalar] = gain * value;
      }
    }
  }
}
