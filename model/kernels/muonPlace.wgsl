// Which tile of which matrix a workgroup of muonLoad and muonUpdate has. x holds batches [count, side, length], each from
// element `start` on: the matrices table[first …] (offset, rows, cols, elements), tall ones transposed, zero beyond their
// shape. The launcher prepends `alias X`, what x is held in, and GROUPS with the uniform `groups`: of each batch first, side,
// length, start; its first workgroup. Workgroup memory 4.2 KiB.
// A column more than the tile has: columns then lie in different banks.
var<workgroup> tile: array<f32, 1056>;

// What a workgroup has to do.
struct Place {
  // The batch: first, side, length, start.
  batch: vec4u,
  // The matrix in the batch.
  index: u32,
  // Where the tile starts in it: along side, along length.
  at: vec2u,
}
// The last pair of `groups` says how many workgroups there are.
fn blocks() -> u32 { return groups[2u * GROUPS].x; }
fn placeOf(block: u32) -> Place {
  var g = 0u;
  while (g + 1u < GROUPS && block >= groups[2u * g + 3u].x) { g++; }
  let batch = groups[2u * g];
  let across = (batch.z + 31u) / 32u;
  let tiles = across * ((batch.y + 31u) / 32u);
  let mine = block - groups[2u * g + 1u].x;
  let tile = mine % tiles;
  return Place(batch, mine / tiles, vec2u(tile / across, tile % across) * 32u);
}
