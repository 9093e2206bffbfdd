// The sums that streamHead's backward pass left, groupSums [GROUPS, M + 3], added up to dBias [M] and dAlpha [3]: part of
// streamGradient, so that no dispatch waits for them. AT_ONCE columns per workgroup, THREADS / AT_ONCE parts of the
// groups for each; eight loads at a time, as few workgroups have little else to hide a load's delay behind.
// Constants given: M, GROUPS, THREADS, a power of two of AT_ONCE or more.
const AT_ONCE = 8u;
const COLUMNS = M + 3u;
const GAIN_WORKGROUPS = (COLUMNS + AT_ONCE - 1u) / AT_ONCE;

@group(0) @binding(6) var<storage, read> groupSums: array<f32>;
@group(0) @binding(7) var<storage, read_write> dBias: array<f32>;
@group(0) @binding(8) var<storage, read_write> dAlpha: array<f32>;

var<workgroup> gainParts: array<f32, THREADS>;

fn addGains(group: u32, thread: u32) {
  const PARTS = THREADS / AT_ONCE;
  let column = group * AT_ONCE + thread % AT_ONCE;
  let own = min(column, COLUMNS - 1u);
  var low = vec4f();
  var high = vec4f();
  for (var i = thread / AT_ONCE; i < GROUPS; i += 8u * PARTS) {
    let at = i + vec4u(0u, PARTS, 2u * PARTS, 3u * PARTS);
    let after = at + 4u * PARTS;
    let first = min(at, vec4u(GROUPS - 1u)) * COLUMNS + own;
    let second = min(after, vec4u(GROUPS - 1u)) * COLUMNS + own;
    let x = vec4f(groupSums[first.x], groupSums[first.y], groupSums[first.z], groupSums[first.w]);
    let y = vec4f(groupSums[second.x], groupSums[second.y], groupSums[second.z], groupSums[second.w]);
    low += select(vec4f(), x, at < vec4u(GROUPS));
    high += select(vec4f(), y, after < vec4u(GROUPS));
  }
  let both = low + high;
  gainParts[thread] = (both.x + both.y) + (both.z + both.w);
  for (var half = THREADS / 2u; half >= AT_ONCE; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { gainParts[thread] += gainParts[thread + half]; }
  }
  if (thread >= AT_ONCE || column >= COLUMNS) { return; }
  if (column < M) { dBias[column] = gainParts[thread]; } else { dAlpha[column - M] = gainParts[thread]; }
}
