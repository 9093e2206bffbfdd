// Tiled f32 matrix product: out[z, m, n] (+)= op(a)[z, m, k] · op(b)[z, k, n]. a and b are dense, z is the batch;
// with splits > 1 the z dimension of the grid also walks ranges of k and out is [splits, batch, m, n].
// matmulTile.ts puts the tile's constants, `a`, `b`, `out`, readA, readB and the unrolled loops around this text.
// One workgroup makes one tileM × tileN block; every entry is one fma chain over k in ascending order whatever the
// tile, so a row's bits do not depend on m. Workgroup memory: (tileM + tileN) · tileK floats, at most 16 KiB.
// Two barriers per tileK step, in uniform control flow.
override m: u32;
override k: u32;
override n: u32;
override batch: u32;
override splits: u32;
/** Length of one range of k; k itself when splits is 1. */
override chunk: u32;
override transposeA: u32;
override transposeB: u32;

var<workgroup> tileA: array<vec4f, tileM * tileK / 4u>;
var<workgroup> tileB: array<vec4f, tileN * tileK / 4u>;

struct Block {
  r0: vec4f,
  r1: vec4f,
  r2: vec4f,
  r3: vec4f,
}

fn transposed(x: Block) -> Block {
  return Block(
    vec4f(x.r0.x, x.r1.x, x.r2.x, x.r3.x),
    vec4f(x.r0.y, x.r1.y, x.r2.y, x.r3.y),
    vec4f(x.r0.z, x.r1.z, x.r2.z, x.r3.z),
    vec4f(x.r0.w, x.r1.w, x.r2.w, x.r3.w),
  );
}

/** Which 4 × 4 block of a tile a job loads: x = quad along m or n, y = quad along k. Neighbours in a warp write
 *  neighbouring vec4 of one k row; where k is contiguous in memory they also share its 64-byte segments. */
fn jobAt(job: u32, quads: u32, kIsContiguous: u32) -> vec2u {
  if (kIsContiguous == 1u) {
    let wide = min(quads, 8u);
    return vec2u(job % wide + wide * (job / (wide * (tileK / 4u))), (job / wide) % (tileK / 4u));
  }
  return vec2u(job % quads, job / quads);
}

/** Four k rows of a's tile: entries [kAt + i, mAt + j]. */
fn loadA(base: u32, mAt: u32, kAt: u32, kEnd: u32) -> Block {
  if (transposeA == 1u) {
    let at = base + kAt * m + mAt;
    return Block(
      readA(at, select(0u, m, kAt < kEnd), mAt),
      readA(at + m, select(0u, m, kAt + 1u < kEnd), mAt),
      readA(at + 2u * m, select(0u, m, kAt + 2u < kEnd), mAt),
      readA(at + 3u * m, select(0u, m, kAt + 3u < kEnd), mAt),
    );
  }
  let at = base + mAt * k + kAt;
  return transposed(Block(
    readA(at, select(0u, kEnd, mAt < m), kAt),
    readA(at + k, select(0u, kEnd, mAt + 1u < m), kAt),
    readA(at + 2u * k, select(0u, kEnd, mAt + 2u < m), kAt),
    readA(at + 3u * k, select(0u, kEnd, mAt + 3u < m), kAt),
  ));
}

/** Four k rows of b's tile: entries [kAt + i, nAt + j]. */
fn loadB(base: u32, nAt: u32, kAt: u32, kEnd: u32) -> Block {
  if (transposeB == 0u) {
    let at = base + kAt * n + nAt;
    return Block(
      readB(at, select(0u, n, kAt < kEnd), nAt),
      readB(at + n, select(0u, n, kAt + 1u < kEnd), nAt),
      readB(at + 2u * n, select(0u, n, kAt + 2u < kEnd), nAt),
      readB(at + 3u * n, select(0u, n, kAt + 3u < kEnd), nAt),
    );
  }
  let at = base + nAt * k + kAt;
  return transposed(Block(
    readB(at, select(0u, kEnd, nAt < n), kAt),
    readB(at + k, select(0u, kEnd, nAt + 1u < n), kAt),
    readB(at + 2u * k, select(0u, kEnd, nAt + 2u < n), kAt),
    readB(at + 3u * k, select(0u, kEnd, nAt + 3u < n), kAt),
  ));
}
