// Grid attention forward, one workgroup per 64 queries and head: thread (query, quarter of the dimensions) walks the
// keys of the chunk up to its own, then adds two rows of the state before the chunk. Before this text stand the
// aliases V and Out of four values each and gridAttentionHat.wgsl; 18 KiB of workgroup memory.
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read> temperature: array<f32>;
@group(0) @binding(4) var<storage, read> slope: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<V>;
@group(0) @binding(6) var<storage, read> states: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<Out>;
@group(0) @binding(8) var<storage, read_write> total: array<f32>;

override quads: u32 = headDim / 4u;
// Of a thread.
override share: u32 = quads / 4u;

var<workgroup> values: array<vec4f, 1024>;
// (b, exponent of salience and position in units of ln 2, hat times K).
var<workgroup> keys: array<vec4f, CHUNK>;
var<workgroup> cells: array<u32, CHUNK>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let h = group.y;
  let first = group.x * CHUNK;
  let count = min(CHUNK, rows - first);
  let row0 = (group.z * rows + first) * nHeads + h;
  let d = spacing(temperature[h]);
  let q = exp(-d);
  let gamma = slope[h] * LOG2E;
  let scale = LOG2E / temperature[h];
  if (t < count) {
    let row = row0 + t * nHeads;
    let hat = hatOf(b[row], d);
    cells[t] = hat.cell;
    keys[t] = vec4f(b[row], c[row] * LOG2E + gamma * f32(t), hat.w + q * hat.w.yx);
  }
  for (var k = t; k < count * quads; k += 256u) {
    values[k] = vec4f(v[(row0 + k / quads * nHeads) * quads + k % quads]);
  }
  workgroupBarrier();

  let i = min(t % CHUNK, count - 1u);
  let part = t / CHUNK * share;
  let row = row0 + i * nHeads;
  let x = a[row];
  let hat = hatOf(a[row], d);
  let fade = gamma * f32(i);
  var acc: array<vec4f, 4>;
  var sum = 0.0;
  for (var j = 0u; j <= i; j++) {
    let key = keys[j];
    let same = cells[j] == hat.cell;
    let p = exp2(key.y - fade - select(scale * abs(x - key.x), 0.0, same)) * select(1.0, dot(hat.w, key.zw), same);
    sum += p;
    for (var k = 0u; k < share; k++) { acc[k] += p * values[j * quads + part + k]; }
  }
  let w = hat.w * exp2(-fade);
  let stride = width / 4u;
  let at = (((group.z * nHeads + h) * chunks + group.x) * POINTS + hat.cell) * stride;
  sum += dot(w, vec2f(states[at + quads].x, states[at + stride + quads].x));
  if (t % CHUNK >= count) { return; }
  for (var k = 0u; k < share; k++) {
    let past = w.x * states[at + part + k] + w.y * states[at + stride + part + k];
    out[row * quads + part + k] = Out((acc[k] + past) / sum);
  }
  if (part == 0u) { total[row] = sum; }
}
