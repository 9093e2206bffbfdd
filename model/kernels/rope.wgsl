// Rotary positions on half-split pairs (m, m + D/2): y1 = x1 cos + x2 sin, y2 = x2 cos − x1 sin, angle =
// (span + i)·base^(−2m/D). x, y [batch, rows, H, D], span [1]. direction −1 turns back, which is the gradient.
// One thread per pair, folded grid. Angles are reduced to one turn before cos and sin; their float32 rounding
// grows with the position.
override pairs: u32;
override rows: u32;
override nHeads: u32;
override headDim: u32;
override logBase: f32;
override direction: f32;

const TURN = 6.283185307179586;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> span: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn rotate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= pairs) { return; }
  let half = headDim / 2u;
  let m = i % half;
  let vector = i / half;
  let position = span[0] + (vector / nHeads) % rows;
  let turns = f32(position) * (exp(-logBase * f32(2u * m) / f32(headDim)) / TURN);
  let angle = (turns - round(turns)) * TURN;
  let c = cos(angle);
  let s = sin(angle) * direction;
  let at = vector * headDim + m;
  let x1 = x[at];
  let x2 = x[at + half];
  y[at] = x1 * c + x2 * s;
  y[at + half] = x2 * c - x1 * s;
}
