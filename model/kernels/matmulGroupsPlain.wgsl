// Products of several sizes, one thread per entry, one fma chain over ascending k: for devices without matrix units. The
// launcher prepends the operands, out, GROUPS, TRANSPOSED (of b) and sizes: for each group m, k, n, batch, its first
// workgroup, and the elements at which its a, b and out start.
@compute @workgroup_size(64)
fn plain(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let dispatched = group.y * groups.x + group.x;
  var which = 0u;
  for (var i = 1u; i < GROUPS; i++) {
    if (dispatched >= sizes[2u * i + 1u].x) { which = i; }
  }
  let shape = sizes[2u * which];
  let begins = sizes[2u * which + 1u];
  let at = (dispatched - begins.x) * 64u + lane;
  if (at >= shape.w * shape.x * shape.z) { return; }
  let k = shape.y;
  let n = shape.z;
  let row = at / n;
  let column = at % n;
  let aRow = begins.y + row * k;
  let b = begins.z + row / shape.x * k * n;
  var sum = 0.0;
  for (var i = 0u; i < k; i++) {
    sum = fma(aAt(aRow + i), bAt(b + select(i * n + column, column * k + i, TRANSPOSED)), sum);
  }
  finish(begins.w + at, sum);
}
