// Sums the parts of a product whose k was split, and hands its columns to several matrices: parts [splits, m, n];
// first [m, firstWidth] (+)= the leading columns, second and third the next ones; columns behind them count nowhere.
// One thread per column and row that counts, eight parts asked for before the first is added, in ascending order.
// Uniforms: m, n, splits, a bit per matrix that is added to; the widths. No workgroup memory, no barriers.
@compute @workgroup_size(64)
fn sumColumns(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let rows = size[0].x;
  let n = size[0].y;
  let splits = size[0].z;
  let adds = size[0].w;
  let widths = size[1];
  let used = widths.x + widths.y + widths.z;
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= rows * used) { return; }
  let row = i / used;
  let column = i % used;
  let each = rows * n;
  var at = row * n + column;
  var sum = 0.0;
  var p = 0u;
  for (; p + 8u <= splits; p += 8u) {
    let x0 = parts[at];
    let x1 = parts[at + each];
    let x2 = parts[at + 2u * each];
    let x3 = parts[at + 3u * each];
    let x4 = parts[at + 4u * each];
    let x5 = parts[at + 5u * each];
    let x6 = parts[at + 6u * each];
    let x7 = parts[at + 7u * each];
    sum = (((((((sum + x0) + x1) + x2) + x3) + x4) + x5) + x6) + x7;
    at += 8u * each;
  }
  for (; p < splits; p++) {
    sum += parts[at];
    at += each;
  }
  leave(row, column, sum, adds, widths);
}
