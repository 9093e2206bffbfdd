// Gradient of a sublayer's streams but for what goes through phi: dX [T, S, C] holds dY, the gradient of
// y = mix·x + post·f, and becomes mixᵀ·dY + pre·dH + along·x, where dH = scale·dNormed + slope·Σ_j pre_j x_j. x [T, S, C],
// dNormed [T, C], terms [T, TERMS] = mix, pre, scale, slope, along. One thread per four columns. C % 4 == 0.
// Constants given: T, S, C, TERMS. Aliases given: X, H (dNormed), DX.
const C4 = C / 4u;

@group(0) @binding(0) var<storage, read> x: array<X>;
@group(0) @binding(1) var<storage, read> dNormed: array<H>;
@group(0) @binding(2) var<storage, read> terms: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dX: array<DX>;

fn term(t: u32, i: u32) -> f32 { return terms[t * (TERMS / 4u) + i / 4u][i % 4u]; }

@compute @workgroup_size(128)
fn backward(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let at = (group.y * groups.x + group.x) * 128u + lane;
  if (at >= T * C4) { return; }
  let t = at / C4;
  let base = t * S * C4 + at % C4;
  var streams: array<vec4f, S>;
  var given: array<vec4f, S>;
  for (var j = 0u; j < S; j++) {
    streams[j] = vec4f(x[base + j * C4]);
    given[j] = vec4f(dX[base + j * C4]);
  }
  let branch = vec4f(dNormed[at]);
  var h = vec4f();
  for (var j = 0u; j < S; j++) { h += term(t, S * S + j) * streams[j]; }
  let dH = term(t, S * S + S) * branch + term(t, S * S + S + 1u) * h;
  for (var j = 0u; j < S; j++) {
    var sum = term(t, S * S + j) * dH + term(t, S * S + S + 2u) * streams[j];
    for (var i = 0u; i < S; i++) { sum += term(t, i * S + j) * given[i]; }
    dX[base + j * C4] = DX(sum);
  }
}
