// Sum of table rows per position. forward: table [tableRows, C], ids [rows, K], result [rows, C].
// Backward walks the list of (row, k) pairs sorted by table row, cut into chunks of CHUNK entries so that no
// workgroup walks a frequent byte alone. partials: a chunk's first run goes to heads, its last to tails, runs
// inside it straight to dTable. combine: adds heads and tails of rows whose list crosses a chunk's border, in
// an order that only their number sets, and zeroes rows without entries. 512 bytes of workgroup memory and one
// barrier in partials.
override rows: u32;
override tableRows: u32;
override C: u32;
override K: u32;
override C4: u32 = C / 4u;

const NO_ROW = 0xffffffffu;
const CHUNK = 64u;
const AHEAD = 16u;

@group(0) @binding(0) var<storage, read> table: array<vec4f>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<Out>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= rows * C4) { return; }
  let row = i / C4;
  let c = i % C4;
  var sum = vec4f();
  for (var k = 0u; k < K; k++) {
    let id = ids[row * K + k];
    if (id != NO_ROW) { sum += table[id * C4 + c]; }
  }
  result[i] = Out(sum);
}

@group(0) @binding(0) var<storage, read> dOut: array<DOut>;
@group(0) @binding(2) var<storage, read> listStart: array<u32>;
@group(0) @binding(3) var<storage, read> list: array<u32>;
@group(0) @binding(4) var<storage, read_write> dTable: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> heads: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> tails: array<vec4f>;

// The chunk's entries: the row of dOut and the table row.
var<workgroup> sources: array<u32, CHUNK>;
var<workgroup> owners: array<u32, CHUNK>;

// One workgroup per chunk and 64 column quadruples. AHEAD entries are loaded ahead of their sums.
@compute @workgroup_size(64)
fn partials(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let columnGroups = (C4 + 63u) / 64u;
  let tile = group.y * groups.x + group.x;
  let chunk = tile / columnGroups;
  let c = (tile % columnGroups) * 64u + lane;
  let total = listStart[tableRows];
  let first = chunk * CHUNK;
  let count = select(0u, min(CHUNK, total - first), first < total);
  if (lane < count) {
    let position = list[first + lane];
    sources[lane] = position / K;
    owners[lane] = ids[position];
  }
  workgroupBarrier();
  if (count == 0u || c >= C4) { return; }
  var sum = vec4f();
  var current = owners[0];
  var runs = 0u;
  for (var e = 0u; e < count; e += AHEAD) {
    var values: array<DOut, AHEAD>;
    for (var k = 0u; k < AHEAD; k++) { values[k] = dOut[sources[min(e + k, count - 1u)] * C4 + c]; }
    for (var k = 0u; k < AHEAD; k++) {
      if (e + k < count) {
        let id = owners[e + k];
        if (id != current) {
          if (runs == 0u) { heads[chunk * C4 + c] = sum; } else { dTable[current * C4 + c] = sum; }
          runs++;
          current = id;
          sum = vec4f();
        }
        sum += vec4f(values[k]);
      }
    }
  }
  if (runs == 0u) { heads[chunk * C4 + c] = sum; } else { tails[chunk * C4 + c] = sum; }
}

@group(0) @binding(0) var<storage, read> starts: array<u32>;
@group(0) @binding(1) var<storage, read> headSums: array<vec4f>;
@group(0) @binding(2) var<storage, read> tailSums: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> gradient: array<vec4f>;

@compute @workgroup_size(64)
fn combine(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= tableRows * C4) { return; }
  let row = i / C4;
  let c = i % C4;
  let start = starts[row];
  let end = starts[row + 1u];
  if (start == end) {
    gradient[i] = vec4f();
    return;
  }
  let chunk = start / CHUNK;
  let chunkEnd = min((chunk + 1u) * CHUNK, starts[tableRows]);
  let isHead = start == chunk * CHUNK;
  if (!isHead && end < chunkEnd) { return; }
  var sum: vec4f;
  if (isHead) { sum = headSums[chunk * C4 + c]; } else { sum = tailSums[chunk * C4 + c]; }
  let last = (end - 1u) / CHUNK;
  // Eight sums in turn, so that a long list's loads do not wait for each other.
  var sums: array<vec4f, 8>;
  for (var k = chunk + 1u; k <= last; k += 8u) {
    for (var m = 0u; m < 8u; m++) {
      let value = headSums[min(k + m, last) * C4 + c];
      sums[m] += select(vec4f(), value, k + m <= last);
    }
  }
  for (var m = 0u; m < 8u; m++) { sum += sums[m]; }
  gradient[i] = sum;
}
