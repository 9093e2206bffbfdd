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

// The launcher declares a, b and out as they are held: aAt(i), bAt(i) read, finish(at, x) stores.
fn quadA(at: u32) -> vec4f {
  let step = select(1u, m, transposeA == 1u);
  return vec4f(aAt(at), aAt(at + step), aAt(at + 2u * step), aAt(at + 3u * step));
}

fn quadB(at: u32) -> vec4f {
  let step = select(n, 1u, transposeB == 1u);
  return vec4f(bAt(at), bAt(at + step), bAt(at + 2u * step), bAt(at + 3u * step));
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
  var aNow = z * m * k + select(row * k, row, transposeA == 1u);
  var bNow = z * k * n + select(column, column * k, transposeB == 1u);
  var sum = 0.0;
  var i = 0u;
  for (; i + 32u <= k; i += 32u) {
    let b0 = quadB(bNow);
    let b1 = quadB(bNow + 4u * bStep);
    let b2 = quadB(bNow + 8u * bStep);
    let b3 = quadB(bNow + 12u * bStep);
    let b4 = quadB(bNow + 16u * bStep);
    let b5 = quadB(bNow + 20u * bStep);
    let b6 = quadB(bNow + 24u * bStep);
    let b7 = quadB(bNow + 28u * bStep);
    sum = chain(quadA(aNow), b0, sum);
    sum = chain(quadA(aNow + 4u * aStep), b1, sum);
    sum = chain(quadA(aNow + 8u * aStep), b2, sum);
    sum = chain(quadA(aNow + 12u * aStep), b3, sum);
    sum = chain(quadA(aNow + 16u * aStep), b4, sum);
    sum = chain(quadA(aNow + 20u * aStep), b5, sum);
    sum = chain(quadA(aNow + 24u * aStep), b6, sum);
    sum = chain(quadA(aNow + 28u * aStep), b7, sum);
    aNow += 32u * aStep;
    bNow += 32u * bStep;
  }
  for (; i < k; i++) {
    sum = fma(aAt(aNow), bAt(bNow), sum);
    aNow += aStep;
    bNow += bStep;
  }
  finish(at, sum);
}
