// The scalars of an attention sublayer. queries [rows, widthQ], of which [T, E] tied and [F, m] free columns count, and
// keys [rows, widthK], the same and [H] of salience → a, b [rows, H, m], c [rows, H]; H = T + F, tied heads first. A tied head's scalars are gain·λ, λ = e / (e + tau),
// e_b = Σ_{d in band b} mu_d y_d² / (Σ_d y_d² + eps); a free head's are gain·y. c = cap·tanh(salience / cap).
// prepare: prepared = mu [T, E], then a gain per head and band, four apart so that it is wide as mu is; slope [H].
// forward: one thread per (row, head, band), PASSES rows each, queries then keys; a head's bands meet in 4 KiB of
// workgroup memory, two buffers in turn, one barrier per pass. The launcher says how wide Wide is, and how many of
// them a band has (BAND).
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
const PASSES = 4u;
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

// Power and energy of each thread's band.
var<workgroup> shares: array<vec2f, 512>;

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
  let gain = across(ready[(T * E + 4u * scalar) / LANES]);
  var mu: array<Wide, BAND>;
  if (isTied) {
    for (var k = 0u; k < BAND; k++) { mu[k] = ready[head * E / LANES + band * BAND + k]; }
  }
  let first = tile % chunks * chunk;
  let end = min(rows, first + chunk);
  var buffer = 0u;
  for (var base = first; base < end; base += abreast) {
    let row = base + thread / S;
    let at = min(row, rows - 1u);
    let rowAt = at * select(widthQ, widthK, isKey);
    var power = Wide();
    var energy = Wide();
    if (isTied) {
      let start = (rowAt + head * E) / LANES + band * BAND;
      for (var k = 0u; k < BAND; k++) {
        var v: Wide;
        if (isKey) { v = Wide(keys[start + k]); } else { v = Wide(queries[start + k]); }
        power += v * v;
        energy += mu[k] * v * v;
      }
    }
    buffer = 256u - buffer;
    shares[buffer + local] = vec2f(across(power), across(energy));
    workgroupBarrier();
    var value: f32;
    if (isTied) {
      var whole = EPS;
      for (var k = 0u; k < m; k++) { whole += shares[buffer + thread - band + k].x; }
      let e = across(energy) / whole;
      value = e / (e + tau);
    } else {
      let source = rowAt + T * E + scalar - T * m;
      if (isKey) { value = oneKey(source); } else { value = oneQuery(source); }
    }
    if (local == thread && row < rows) {
      if (isKey) {
        b[row * S + scalar] = gain * value;
        // The clamp keeps drivers' tanh from overflowing; beyond it tanh is 1 in f32.
        if (band == 0u) {
          let raw = oneKey(rowAt + T * E + S - T * m + head);
          c[row * H + head] = cap * tanh(clamp(raw / cap, -15.0, 15.0));
        }
      } else {
        a[row * S + scalar] = gain * value;
      }
    }
  }
}
