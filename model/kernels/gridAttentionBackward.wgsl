// Grid attention backward, one workgroup per 64 rows and head; a score's gradient is
// weight_ij / total_i · (dOut_i·v_j − dOut_i·out_i), weights are formed again. queriesBackward: thread (query, every
// fourth key) for the pairs of the chunk, then its share of the dimensions against the state before the chunk (and its
// derivative by T). keysBackward: the same with roles swapped, against what the queries after the chunk left.
// keyGradients: sums of both. Before this text stand the aliases V, DOut, DV of four values each and
// gridAttentionHat.wgsl. Sums run in one order; 24 KiB of workgroup memory.
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> temperature: array<f32>;
// (total, dOut·out, c, slope) per row and head.
@group(0) @binding(3) var<storage, read> stats: array<vec4f>;
@group(0) @binding(4) var<storage, read> v: array<V>;
@group(0) @binding(5) var<storage, read> dOut: array<DOut>;
@group(0) @binding(6) var<storage, read> states: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dA: array<f32>;
// (T's gradient, Σ of scores' gradients).
@group(0) @binding(8) var<storage, read_write> queryParts: array<vec2f>;

@group(0) @binding(7) var<storage, read_write> dV: array<DV>;
// (dB, dC, T's gradient).
@group(0) @binding(8) var<storage, read_write> keyParts: array<vec4f>;

override quads: u32 = headDim / 4u;
override share: u32 = quads / 4u;
override stride: u32 = width / 4u;

// v, or dOut, of the chunk.
var<workgroup> values: array<vec4f, 1024>;
// Of keys: (b, exponent of salience and position, hat times K); of queries: (a, exponent, hat). Exponents are in
// units of ln 2.
var<workgroup> others: array<vec4f, CHUNK>;
// Of keys: T d/dT of hat times K; of queries: (1 / total, dOut·out).
var<workgroup> seconds: array<vec2f, CHUNK>;
var<workgroup> cells: array<u32, CHUNK>;
var<workgroup> partials: array<vec4f, 256>;

// The four parts of a row, in order.
fn reduced(t: u32, own: vec4f) -> vec4f {
  partials[t] = own;
  workgroupBarrier();
  let i = t % CHUNK;
  return (partials[i] + partials[i + 64u]) + (partials[i + 128u] + partials[i + 192u]);
}

@compute @workgroup_size(256)
fn queriesBackward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let h = group.y;
  let first = group.x * CHUNK;
  let count = min(CHUNK, rows - first);
  let row0 = (group.z * rows + first) * nHeads + h;
  let T = temperature[h];
  let d = spacing(T);
  let q = exp(-d);
  let scale = LOG2E / T;
  if (t < count) {
    let row = row0 + t * nHeads;
    let own = stats[row];
    let hat = hatOf(b[row], d);
    let heat = tangentsOf(b[row], d, hat).heat;
    cells[t] = hat.cell;
    others[t] = vec4f(b[row], (own.z + own.w * f32(t)) * LOG2E, hat.w + q * hat.w.yx);
    seconds[t] = heat + q * (heat.yx + d * hat.w.yx);
  }
  for (var k = t; k < count * quads; k += 256u) {
    values[k] = vec4f(v[(row0 + k / quads * nHeads) * quads + k % quads]);
  }
  workgroupBarrier();

  let i = min(t % CHUNK, count - 1u);
  let part = t / CHUNK;
  let row = row0 + i * nHeads;
  let own = stats[row];
  let x = a[row];
  let hat = hatOf(a[row], d);
  let tangents = tangentsOf(a[row], d, hat);
  let fade = own.w * f32(i) * LOG2E;
  let inverse = 1.0 / own.x;
  var g: array<vec4f, 16>;
  for (var k = 0u; k < quads; k++) { g[k] = vec4f(dOut[row * quads + k]); }
  // dA, T's, Σ.
  var sums = vec3f();
  for (var j = part; j <= i; j += 4u) {
    let key = others[j];
    var along = vec4f();
    for (var k = 0u; k < quads; k++) { along += g[k] * values[j * quads + k]; }
    let dWeight = ((along.x + along.y) + (along.z + along.w) - own.y) * inverse;
    let distance = scale * (x - key.x);
    let same = cells[j] == hat.cell;
    let e = dWeight * exp2(key.y - fade - select(abs(distance), 0.0, same));
    sums += e * select(
      vec3f(-sign(distance), abs(distance) / LOG2E, 1.0),
      vec3f(dot(tangents.slope, key.zw), dot(tangents.heat, key.zw) + dot(hat.w, seconds[j]), dot(hat.w, key.zw)),
      same,
    );
  }
  let at = (((group.z * nHeads + h) * chunks + group.x) * 2u * POINTS + hat.cell) * stride;
  let heated = at + POINTS * stride;
  // Of the two points: dOut·values − dOut·out·weights, and the same of the derivative.
  var low = vec4f();
  var high = vec4f();
  var warm = vec4f();
  for (var k = part * share; k < (part + 1u) * share; k++) {
    let own = vec4f(dOut[row * quads + k]);
    low += own * states[at + k];
    high += own * states[at + stride + k];
    warm += own * (hat.w.x * states[heated + k] + hat.w.y * states[heated + stride + k]);
  }
  var past = vec3f(dot(low, vec4f(1.0)), dot(high, vec4f(1.0)), dot(warm, vec4f(1.0)));
  if (part == 0u) {
    past -= own.y * vec3f(
      states[at + quads].x,
      states[at + stride + quads].x,
      hat.w.x * states[heated + quads].x + hat.w.y * states[heated + stride + quads].x,
    );
  }
  past *= inverse * exp2(-fade);
  sums += vec3f(dot(tangents.slope, past.xy), dot(tangents.heat, past.xy) + past.z, dot(hat.w, past.xy));
  let all = reduced(t, vec4f(sums, 0.0));
  if (t < count) {
    dA[row] = all.x / T;
    queryParts[row] = vec2f(all.y / T, all.z);
  }
}

@compute @workgroup_size(256)
fn keysBackward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let h = group.y;
  let first = group.x * CHUNK;
  let count = min(CHUNK, rows - first);
  let row0 = (group.z * rows + first) * nHeads + h;
  let T = temperature[h];
  let d = spacing(T);
  let q = exp(-d);
  let scale = LOG2E / T;
  if (t < count) {
    let row = row0 + t * nHeads;
    let own = stats[row];
    let hat = hatOf(a[row], d);
    cells[t] = hat.cell;
    others[t] = vec4f(a[row], -own.w * f32(t) * LOG2E, hat.w);
    seconds[t] = vec2f(1.0 / own.x, own.y);
  }
  for (var k = t; k < count * quads; k += 256u) {
    values[k] = vec4f(dOut[(row0 + k / quads * nHeads) * quads + k % quads]);
  }
  workgroupBarrier();

  let j = min(t % CHUNK, count - 1u);
  let part = t / CHUNK;
  let row = row0 + j * nHeads;
  let own = stats[row];
  let x = b[row];
  let hat = hatOf(b[row], d);
  let tangents = tangentsOf(b[row], d, hat);
  let near = hat.w + q * hat.w.yx;
  let nearSlope = tangents.slope + q * tangents.slope.yx;
  let rise = (own.z + own.w * f32(j)) * LOG2E;
  var mine: array<vec4f, 16>;
  for (var k = 0u; k < quads; k++) { mine[k] = vec4f(v[row * quads + k]); }
  // dB, dC, T's.
  var sums = vec3f();
  for (var i = part; i < count; i += 4u) {
    if (i < j) { continue; }
    let other = others[i];
    var along = vec4f();
    for (var k = 0u; k < quads; k++) { along += mine[k] * values[i * quads + k]; }
    let dWeight = ((along.x + along.y) + (along.z + along.w) - seconds[i].y) * seconds[i].x;
    let distance = scale * (other.x - x);
    let same = cells[i] == hat.cell;
    let e = dWeight * exp2(rise + other.y - select(abs(distance), 0.0, same));
    sums += vec3f(e * select(vec2f(sign(distance), 1.0), vec2f(dot(other.zw, nearSlope), dot(other.zw, near)), same), 0.0);
  }
  var acc: array<vec4f, 4>;
  let column = part * share;
  for (var i = j; i < count; i++) {
    let other = others[i];
    let same = cells[i] == hat.cell;
    let p = exp2(rise + other.y - select(scale * abs(other.x - x), 0.0, same)) * select(1.0, dot(other.zw, near), same) * seconds[i].x;
    for (var k = 0u; k < share; k++) { acc[k] += p * values[i * quads + column + k]; }
  }
  // What later chunks' queries left, as seen from the first row after this chunk.
  let fall = exp(own.z - own.w * f32(CHUNK - j));
  let at = (((group.z * nHeads + h) * chunks + group.x) * POINTS + hat.cell) * stride;
  var low = vec4f();
  var high = vec4f();
  for (var k = 0u; k < share; k++) {
    let x = states[at + column + k];
    let y = states[at + stride + column + k];
    let value = vec4f(v[row * quads + column + k]);
    low += value * x;
    high += value * y;
    acc[k] += fall * (hat.w.x * x + hat.w.y * y);
  }
  var later = vec2f(dot(low, vec4f(1.0)), dot(high, vec4f(1.0)));
  if (part == 0u) { later += vec2f(states[at + quads].x, states[at + stride + quads].x); }
  later *= fall;
  sums += vec3f(dot(tangents.slope, later), dot(hat.w, later), dot(tangents.heat, later));
  let all = reduced(t, vec4f(sums, 0.0));
  if (t % CHUNK >= count) { return; }
  for (var k = 0u; k < share; k++) { dV[row * quads + column + k] = DV(acc[k]); }
  if (part == 0u) { keyParts[row] = vec4f(all.x / T, all.y, all.z / T, 0.0); }
}
