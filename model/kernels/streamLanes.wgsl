// Sums over the LANES lanes of a row through workgroup memory, in lane order; for streamHead on any device. A
// barrier of the caller separates one sum from the next.
const STRIDE = DOTS + 1u; // Odd, so that lanes fall on different banks.
var<workgroup> partial: array<f32, THREADS * STRIDE>;

fn sumLanes(thread: u32, own: f32) -> f32 {
  partial[thread] = own;
  workgroupBarrier();
  var sum = 0.0;
  for (var l = 0u; l < LANES; l++) { sum += partial[thread / LANES * LANES + l]; }
  return sum;
}

// To reads, whose readers wait for a barrier.
fn sumDots(local: u32, thread: u32, own: array<f32, DOTS>) {
  /* unroll */ for (var o = 0u; o < DOTS; o++) { partial[thread * STRIDE + o] = own[o]; }
  workgroupBarrier();
  for (var o = thread; o < ROWS * DOTS; o += THREADS) {
    var sum = 0.0;
    for (var l = 0u; l < LANES; l++) { sum += partial[(o / DOTS * LANES + l) * STRIDE + o % DOTS]; }
    reads[o] = sum;
  }
}

// What a workgroup's sums of Σ dv·z are made of, for each of the three gains.
const GAIN_PARTS = THREADS;
var<workgroup> gainParts: array<f32, 3u * GAIN_PARTS>;

// Σ dv·z of a row over all columns, each times its gain; to gainParts by gain.
fn sumGains(thread: u32, own: vec3f) -> f32 {
  for (var i = 0u; i < 3u; i++) { gainParts[3u * thread + i] = own[i]; }
  return sumLanes(thread, dot(own, vec3f(alpha[0], alpha[1], alpha[2])));
}
