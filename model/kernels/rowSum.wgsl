// What kernels with several lanes per row share: which row is a thread's, and sums over a row's lanes. 256 invocations
// per workgroup; `lanes`, a power of two, is given elsewhere. 2 KiB of workgroup memory.
var<workgroup> sums: array<vec2f, 256>;

// Of a thread in a grid of workgroups; it may be behind the last row.
fn rowOf(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.y * groups.x + group.x) * (256u / lanes) + thread / lanes;
}

// One barrier: every lane adds its row's partial sums in lane order.
fn rowSum(thread: u32, own: vec2f) -> vec2f {
  sums[thread] = own;
  workgroupBarrier();
  let first = thread / lanes * lanes;
  var total = vec2f();
  for (var i = 0u; i < lanes; i++) { total += sums[first + i]; }
  return total;
}
