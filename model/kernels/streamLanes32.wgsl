// The sums of streamLanes where subgroups have 32 lanes and LANES is 32: all lanes get the same bits. sumDots is the
// launcher's.
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

// Half of a row's sums are left to the other half of its lanes, and so on: a few shuffles in all, not five a sum.
fn sumGains(thread: u32, own: vec3f) -> f32 {
  let lane = thread % 32u;
  let others = vec2f(own.z, dot(own, vec3f(alpha[0], alpha[1], alpha[2])));
  let upper = (lane & 16u) != 0u;
  let two = select(own.xy, others, upper) + subgroupShuffleXor(select(others, own.xy, upper), 16u);
  let odd = (lane & 8u) != 0u;
  var sum = select(two.x, two.y, odd) + subgroupShuffleXor(select(two.y, two.x, odd), 8u);
  sum += subgroupShuffleXor(sum, 4u);
  sum += subgroupShuffleXor(sum, 2u);
  sum += subgroupShuffleXor(sum, 1u);
  if (lane % 8u == 0u && lane < 24u) { gainParts[thread / 32u * 3u + lane / 8u] = sum; }
  return subgroupShuffle(sum, 24u);
}

const GAIN_PARTS = THREADS / 32u;
var<workgroup> gainParts: array<f32, 3u * GAIN_PARTS>;
