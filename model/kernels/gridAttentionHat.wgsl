// What grid attention's kernels share: a scalar in [0, 1] as weights on the two of 64 grid points around it,
// w = sinh(distance to the other point / T) / sinh(spacing / T).
override rows: u32;
override nHeads: u32;
override headDim: u32;
override chunks: u32 = (rows + 63u) / 64u;
// Values per grid point in a state: headDim, the sum of weights, three of padding.
override width: u32 = headDim + 4u;
// Grids per chunk: one, or two where the state's derivative by T follows it.
override grids: u32 = 1u;

const CHUNK = 64u;
const POINTS = 64u;
const CELLS = 63.0;
const LOG2E = 1.4426950408889634;

struct Hat {
  cell: u32,
  // On the point below and on the one above.
  w: vec2f,
}

// Grid spacing over T.
fn spacing(temperature: f32) -> f32 { return 1.0 / (CELLS * temperature); }

// sinh without cancellation, up to 1.
fn smallSinh(x: vec2f) -> vec2f {
  let y = x * x;
  return x * (1.0 + y / 6.0 * (1.0 + y / 20.0 * (1.0 + y / 42.0 * (1.0 + y / 72.0))));
}

// Distances to the other point over T.
fn reach(z: f32, cell: u32, d: f32) -> vec2f {
  let x = clamp(fma(z, CELLS, -f32(cell)), 0.0, 1.0);
  return vec2f(1.0 - x, x) * d;
}

fn cellOf(z: f32) -> u32 { return min(u32(max(z, 0.0) * CELLS), u32(CELLS) - 1u); }

fn hatOf(z: f32, d: f32) -> Hat {
  let cell = cellOf(z);
  let x = reach(z, cell, d);
  if (d <= 1.0) { return Hat(cell, smallSinh(x) / smallSinh(vec2f(d))); }
  return Hat(cell, exp(x - d) * (1.0 - exp(-2.0 * x)) / (1.0 - exp(-2.0 * d)));
}

struct Tangents {
  // By the scalar over T, and T times the derivative by T.
  slope: vec2f,
  heat: vec2f,
}

fn tangentsOf(z: f32, d: f32, hat: Hat) -> Tangents {
  let x = reach(z, hat.cell, d);
  let scale = select(2.0 * exp(-d) / (1.0 - exp(-2.0 * d)), 1.0 / smallSinh(vec2f(d)).x, d <= 1.0);
  let high = 0.5 * (exp(x) + exp(-x)) * scale;
  let coth = 0.5 * (exp(d) + exp(-d)) * scale;
  return Tangents(high * vec2f(-1.0, 1.0), hat.w * (d * coth) - x * high);
}
