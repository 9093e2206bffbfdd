// Streams to branch input. forward: x [T, S, C], pre [T, S], h [T, C] = Σ_j pre_j x_j, one thread per four columns.
// backward: x, pre, dH [T, C], dPre [T, S] = ⟨dH, x_j⟩, dX [T, S, C] = pre_j dH; 32 lanes per token, 8 tokens per
// workgroup; one barrier, lanes are added in lane order. C % 4 == 0, S ≤ 8; 1 KiB · (S + 1) of workgroup memory.
override T: u32;
override S: u32;
override C: u32;
override C4: u32 = C / 4u;
override stride: u32 = S + 1u; // Odd strides for even S keep lanes on different banks.
override cells: u32 = 256u * stride;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> pre: array<f32>;
@group(0) @binding(2) var<storage, read_write> h: array<vec4f>;

@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + lane;
  if (i >= T * C4) { return; }
  let t = i / C4;
  let base = t * S * C4 + i % C4;
  var sum = vec4f();
  for (var j = 0u; j < S; j++) { sum += pre[t * S + j] * x[base + j * C4]; }
  h[i] = sum;
}

@group(0) @binding(2) var<storage, read> dH: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dPre: array<f32>;
@group(0) @binding(4) var<storage, read_write> dX: array<vec4f>;

var<workgroup> dots: array<f32, cells>;

fn writeDots(group: u32, thread: u32, partial: array<f32, 8>) {
  var mine = partial;
  for (var j = 0u; j < S; j++) { dots[thread * stride + j] = mine[j]; }
  workgroupBarrier();
  let local = thread / S;
  let t = group * 8u + local;
  if (local < 8u && t < T) {
    var sum = 0.0;
    for (var l = 0u; l < 32u; l++) { sum += dots[(local * 32u + l) * stride + thread % S]; }
    dPre[t * S + thread % S] = sum;
  }
}

@compute @workgroup_size(256)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.y * groups.x + group.x;
  let t = tile * 8u + thread / 32u;
  var partial: array<f32, 8>;
  if (t < T) {
    for (var c = thread % 32u; c < C4; c += 32u) {
      let d = dH[t * C4 + c];
      for (var j = 0u; j < S; j++) {
        let at = (t * S + j) * C4 + c;
        partial[j] += dot(d, x[at]);
        dX[at] = pre[t * S + j] * d;
      }
    }
  }
  writeDots(tile, thread, partial);
}

@compute @workgroup_size(256)
fn backwardAccumulate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.y * groups.x + group.x;
  let t = tile * 8u + thread / 32u;
  var partial: array<f32, 8>;
  if (t < T) {
    for (var c = thread % 32u; c < C4; c += 32u) {
      let d = dH[t * C4 + c];
      for (var j = 0u; j < S; j++) {
        let at = (t * S + j) * C4 + c;
        partial[j] += dot(d, x[at]);
        dX[at] = dX[at] + pre[t * S + j] * d;
      }
    }
  }
  writeDots(tile, thread, partial);
}
