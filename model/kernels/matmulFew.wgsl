// The matrix product for few rows (decoding): one thread per entry of out [batch, m, n], one fma chain over k, the same
// bits as the tiles make. 32 entries of b are asked for before the first is used, which hides most of the latency.
// Same constants and bindings as matmul.wgsl; k is not split. No workgroup memory, no barriers.
override m: u32;
override k: u32;
override n: u32;
override batch: u32;
override splits: u32;
override chunk: u32;
override transposeA: u32;
override transposeB: u32;
override accumulate: u32;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

fn quadA(at: u32) -> vec4f {
  let step = select(1u, m, transposeA == 1u);
  return vec4f(a[at], a[at + step], a[at + 2u * step], a[at + 3u * step]);
}

fn quadB(at: u32) -> vec4f {
  let step = select(n, 1u, transposeB == 1u);
  return vec4f(b[at], b[at + step], b[at + 2u * step], b[at + 3u * step]);
}

fn chain(x: vec4f, y: vec4f, sum: f32) -> f32 {
  return fma(x.w, y.w, fma(x.z, y.z, fma(x.y, y.y, fma(x.x, y.x, sum))));
}

@compute @workgroup_size(32)
fn few(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let at = (group.y * groups.x + group.x) * 32u + lane;
  if (at >= batch * m * n) { return; }
  let column = at % n;
  let row = (at / n) % m;
  let z = at / (n * m);
  let aStep = select(1u, m, transposeA == 1u);
  let bStep = select(n, 1u, transposeB == 1u);
  var aAt = z * m * k + select(row * k, row, transposeA == 1u);
  var bAt = z * k * n + select(column, column * k, transposeB == 1u);
  var sum = 0.0;
  var i = 0u;
  for (; i + 32u <= k; i += 32u) {
    let b0 = quadB(bAt);
    let b1 = quadB(bAt + 4u * bStep);
    let b2 = quadB(bAt + 8u * bStep);
    let b3 = quadB(bAt + 12u * bStep);
    let b4 = quadB(bAt + 16u * bStep);
    let b5 = quadB(bAt + 20u * bStep);
    let b6 = quadB(bAt + 24u * bStep);
    let b7 = quadB(bAt + 28u * bStep);
    sum = chain(quadA(aAt), b0, sum);
    sum = chain(quadA(aAt + 4u * aStep), b1, sum);
    sum = chain(quadA(aAt + 8u * aStep), b2, sum);
    sum = chain(quadA(aAt + 12u * aStep), b3, sum);
    sum = chain(quadA(aAt + 16u * aStep), b4, sum);
    sum = chain(quadA(aAt + 20u * aStep), b5, sum);
    sum = chain(quadA(aAt + 24u * aStep), b6, sum);
    sum = chain(quadA(aAt + 28u * aStep), b7, sum);
    aAt += 32u * aStep;
    bAt += 32u * bStep;
  }
  for (; i < k; i++) {
    sum = fma(a[aAt], b[bAt], sum);
    aAt += aStep;
    bAt += bStep;
  }
  if (accumulate == 1u) { out[at] += sum; } else { out[at] = sum; }
}
