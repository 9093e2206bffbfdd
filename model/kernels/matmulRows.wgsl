// The f32 matrix product of decoding, a [m, k] · b [k, n]: few rows, so latency counts. A workgroup makes 8 rows by
// 8 columns (of 4 lanes where n allows); 16 slices of its threads take every 16th quad of k and are added in order.
// A row's bits do not depend on how many rows there are. 16 KiB of workgroup memory, 16 barriers' worth in one.
override m: u32;
override k: u32;
override n: u32;

// The launcher declares a (quads), b (LANES wide), WIDE, LANES and finish(at, x).
const ROWS = 8u;
const COLUMNS = 8u;
const SLICES = 16u;

var<workgroup> sums: array<WIDE, ROWS * COLUMNS * SLICES>;

@compute @workgroup_size(128)
fn rowsProduct(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let across = (n / LANES + COLUMNS - 1u) / COLUMNS;
  let index = group.y * groups.x + group.x;
  let first = (index / across) * ROWS;
  // A folded grid has groups behind the last row.
  if (first >= m) { return; }
  let width = n / LANES;
  let column = (index % across) * COLUMNS + lane % COLUMNS;
  let slice = lane / COLUMNS;
  let at = min(column, width - 1u);
  let quads = k / 4u;
  // Rows behind the last read the last one, and are not stored.
  let r0 = first * quads;
  let r1 = min(first + 1u, m - 1u) * quads;
  let r2 = min(first + 2u, m - 1u) * quads;
  let r3 = min(first + 3u, m - 1u) * quads;
  let r4 = min(first + 4u, m - 1u) * quads;
  let r5 = min(first + 5u, m - 1u) * quads;
  let r6 = min(first + 6u, m - 1u) * quads;
  let r7 = min(first + 7u, m - 1u) * quads;
  var s0 = WIDE();
  var s1 = WIDE();
  var s2 = WIDE();
  var s3 = WIDE();
  var s4 = WIDE();
  var s5 = WIDE();
  var s6 = WIDE();
  var s7 = WIDE();
  for (var q = slice; q < quads; q += SLICES) {
    let b0 = bAt((4u * q) * width + at);
    let b1 = bAt((4u * q + 1u) * width + at);
    let b2 = bAt((4u * q + 2u) * width + at);
    let b3 = bAt((4u * q + 3u) * width + at);
    let a0 = aAt(r0 + q);
    let a1 = aAt(r1 + q);
    let a2 = aAt(r2 + q);
    let a3 = aAt(r3 + q);
    let a4 = aAt(r4 + q);
    let a5 = aAt(r5 + q);
    let a6 = aAt(r6 + q);
    let a7 = aAt(r7 + q);
    s0 += a0.x * b0 + a0.y * b1 + a0.z * b2 + a0.w * b3;
    s1 += a1.x * b0 + a1.y * b1 + a1.z * b2 + a1.w * b3;
    s2 += a2.x * b0 + a2.y * b1 + a2.z * b2 + a2.w * b3;
    s3 += a3.x * b0 + a3.y * b1 + a3.z * b2 + a3.w * b3;
    s4 += a4.x * b0 + a4.y * b1 + a4.z * b2 + a4.w * b3;
    s5 += a5.x * b0 + a5.y * b1 + a5.z * b2 + a5.w * b3;
    s6 += a6.x * b0 + a6.y * b1 + a6.z * b2 + a6.w * b3;
    s7 += a7.x * b0 + a7.y * b1 + a7.z * b2 + a7.w * b3;
  }
  // [slice][row][column]
  let mine = slice * ROWS * COLUMNS + lane % COLUMNS;
  sums[mine] = s0;
  sums[mine + COLUMNS] = s1;
  sums[mine + 2u * COLUMNS] = s2;
  sums[mine + 3u * COLUMNS] = s3;
  sums[mine + 4u * COLUMNS] = s4;
  sums[mine + 5u * COLUMNS] = s5;
  sums[mine + 6u * COLUMNS] = s6;
  sums[mine + 7u * COLUMNS] = s7;
  workgroupBarrier();
  let row = first + slice;
  if (slice >= ROWS || row >= m || column >= width) { return; }
  var sum = WIDE();
  for (var s = 0u; s < SLICES; s++) { sum += sums[s * ROWS * COLUMNS + lane]; }
  finish((row * width + column) * LANES, sum);
}
