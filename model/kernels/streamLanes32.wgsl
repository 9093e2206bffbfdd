// The sums of streamLanes where subgroups have 32 lanes and LANES is 32: all lanes get the same bits.
fn sum32(own: f32) -> f32 {
  var sum = own;
  sum += subgroupShuffleXor(sum, 16u);
  sum += subgroupShuffleXor(sum, 8u);
  sum += subgroupShuffleXor(sum, 4u);
  sum += subgroupShuffleXor(sum, 2u);
  sum += subgroupShuffleXor(sum, 1u);
  return sum;
}

fn sumLanes(thread: u32, own: f32) -> f32 { return sum32(own); }

fn sumDots(local: u32, thread: u32, own: array<f32, DOTS>) {
  /* unroll */ for (var o = 0u; o < DOTS; o++) {
    let sum = sum32(own[o]);
    if (thread % 32u == o) { reads[local * DOTS + o] = sum; }
  }
}

const GAIN_PARTS = THREADS / 32u;
var<workgroup> gainParts: array<vec3f, GAIN_PARTS>;

fn sumGains(thread: u32, own: vec3f) {
  let sum = vec3f(sum32(own.x), sum32(own.y), sum32(own.z));
  if (thread % 32u == 0u) { gainParts[thread / 32u] = sum; }
}
