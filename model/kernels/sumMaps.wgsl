// Sums the parts of two products whose k was split, and hands their columns to four matrices: queries [splitsQ, m, widthQ]
// = tied | query | …, keys [splitsK, m, widthK] = tied | key | salience | …; tied is the sum of both. One thread per row
// and column of the four, eight parts asked for before the first is added, in ascending order.
// Uniforms: m, splitsQ, widthQ, splitsK; widthK, and how many columns tied, query (as key) and salience have. No workgroup
// memory, no barriers.
@group(0) @binding(0) var<storage, read> queries: array<f32>;
@group(0) @binding(1) var<storage, read> keys: array<f32>;
@group(0) @binding(2) var<storage, read_write> tied: array<f32>;
@group(0) @binding(3) var<storage, read_write> query: array<f32>;
@group(0) @binding(4) var<storage, read_write> key: array<f32>;
@group(0) @binding(5) var<storage, read_write> salience: array<f32>;
@group(0) @binding(6) var<uniform> shape: array<vec4u, 2>;

fn sumQueries(row: u32, column: u32) -> f32 {
  let each = shape[0].x * shape[0].z;
  var at = row * shape[0].z + column;
  var sum = 0.0;
  var p = 0u;
  for (; p + 8u <= shape[0].y; p += 8u) {
    let x0 = queries[at];
    let x1 = queries[at + each];
    let x2 = queries[at + 2u * each];
    let x3 = queries[at + 3u * each];
    let x4 = queries[at + 4u * each];
    let x5 = queries[at + 5u * each];
    let x6 = queries[at + 6u * each];
    let x7 = queries[at + 7u * each];
    sum = (((((((sum + x0) + x1) + x2) + x3) + x4) + x5) + x6) + x7;
    at += 8u * each;
  }
  for (; p < shape[0].y; p++) {
    sum += queries[at];
    at += each;
  }
  return sum;
}

fn sumKeys(row: u32, column: u32) -> f32 {
  let each = shape[0].x * shape[1].x;
  var at = row * shape[1].x + column;
  var sum = 0.0;
  var p = 0u;
  for (; p + 8u <= shape[0].w; p += 8u) {
    let x0 = keys[at];
    let x1 = keys[at + each];
    let x2 = keys[at + 2u * each];
    let x3 = keys[at + 3u * each];
    let x4 = keys[at + 4u * each];
    let x5 = keys[at + 5u * each];
    let x6 = keys[at + 6u * each];
    let x7 = keys[at + 7u * each];
    sum = (((((((sum + x0) + x1) + x2) + x3) + x4) + x5) + x6) + x7;
    at += 8u * each;
  }
  for (; p < shape[0].w; p++) {
    sum += keys[at];
    at += each;
  }
  return sum;
}

@compute @workgroup_size(64)
fn sumMaps(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let nTied = shape[1].y;
  let nFree = shape[1].z;
  let nSalience = shape[1].w;
  let used = nTied + 2u * nFree + nSalience;
  let i = (group.y * groups.x + group.x) * 64u + lane;
  if (i >= shape[0].x * used) { return; }
  let row = i / used;
  let column = i % used;
  if (column < nTied) {
    tied[row * nTied + column] = sumQueries(row, column) + sumKeys(row, column);
  } else if (column < nTied + nFree) {
    query[row * nFree + column - nTied] = sumQueries(row, column);
  } else if (column < nTied + 2u * nFree) {
    key[row * nFree + column - nTied - nFree] = sumKeys(row, column - nFree);
  } else {
    salience[row * nSalience + column - nTied - 2u * nFree] = sumKeys(row, column - nFree);
  }
}
