/** What a vector of four lanes is made into: exponentials and sums. */
import { madd } from "./madd";

/** Below this the exponential is 0: float32 has no normal numbers left there. */
const LOWEST_EXPONENT: f32 = -87.0;

/** exp of four numbers ≤ 0: 2^n by the exponent field times a polynomial on ±ln 2 / 2 (degree 6, Taylor). */
export function exp4(x: v128): v128 {
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504)));
  // ln 2 in two parts, so that the difference keeps its bits.
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693145752)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(0.00000142860677)));
  let p = f32x4.splat(0.00138888889);
  p = madd(p, r, f32x4.splat(0.00833333333));
  p = madd(p, r, f32x4.splat(0.0416666667));
  p = madd(p, r, f32x4.splat(0.166666667));
  p = madd(p, r, f32x4.splat(0.5));
  p = madd(p, r, f32x4.splat(1));
  p = madd(p, r, f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return v128.and(f32x4.mul(p, power), f32x4.gt(x, f32x4.splat(LOWEST_EXPONENT)));
}

/** The sum of the lanes. */
export function sum4(x: v128): f32 {
  const pairs = f32x4.add(
    x,
    i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7),
  );
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** The sums of the lanes of four vectors. */
export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}
