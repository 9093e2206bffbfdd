// The plain matrix product for software GPUs: one thread per entry of out [splits, batch, m, n], one fma chain over
// its range of k. Same constants and bindings as matmul.wgsl. No workgroup memory, no barriers.
override m: u32;
override k: u32;
override n: u32;
override batch: u32;
override splits: u32;
override chunk: u32;
override transposeA: u32;
override transposeB: u32;

// The launcher declares a, b and out as they are held: aAt(i), bAt(i) read, finish(at, x) stores.
@compute @workgroup_size(64)
fn plain(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let at = (group.y * groups.x + group.x) * 64u + lane;
  if (at >= splits * batch * m * n) { return; }
  let column = at % n;
  let row = (at / n) % m;
  let z = at / (n * m);
  let kFirst = (z / batch) * chunk;
  let kEnd = min(k, kFirst + chunk);
  let aStep = select(1u, m, transposeA == 1u);
  let bStep = select(n, 1u, transposeB == 1u);
  let aFirst = (z % batch) * m * k + select(row * k, row, transposeA == 1u);
  let bFirst = (z % batch) * k * n + select(column, column * k, transposeB == 1u);
  var sum = 0.0;
  for (var i = kFirst; i < kEnd; i++) { sum = fma(aAt(aFirst + i * aStep), bAt(bFirst + i * bStep), sum); }
  finish(at, sum);
}
