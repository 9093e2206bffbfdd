// The maps behind an attention sublayer's scalars side by side: tied [C, nTied], query and key [C, nFree], salience
// [C, nSalience] → queries [C, widthQ] = tied, query; keys [C, widthK] = tied, key, salience; zeros behind them. One
// thread per entry. The launcher says what Queries and Keys are held in. No workgroup memory, no barriers.
override C: u32;
override nTied: u32;
override nFree: u32;
override nSalience: u32;
override widthQ: u32;
override widthK: u32;

@group(0) @binding(0) var<storage, read> tied: array<f32>;
@group(0) @binding(1) var<storage, read> query: array<f32>;
@group(0) @binding(2) var<storage, read> key: array<f32>;
@group(0) @binding(3) var<storage, read> salience: array<f32>;
@group(0) @binding(4) var<storage, read_write> queries: array<Queries>;
@group(0) @binding(5) var<storage, read_write> keys: array<Keys>;

@compute @workgroup_size(256)
fn joinMaps(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x / (widthQ + widthK);
  let at = id.x % (widthQ + widthK);
  if (row >= C) { return; }
  let isKey = at >= widthQ;
  let column = select(at, at - widthQ, isKey);
  let own = column - nTied;
  var x = 0.0;
  if (column < nTied) {
    x = tied[row * nTied + column];
  } else if (own < nFree) {
    if (isKey) { x = key[row * nFree + own]; } else { x = query[row * nFree + own]; }
  } else if (isKey && own - nFree < nSalience) {
    x = salience[row * nSalience + own - nFree];
  }
  if (isKey) { keys[row * widthK + column] = Keys(x); } else { queries[row * widthQ + column] = Queries(x); }
}
