/** Sums over the same inputs in six sets of weights at once: every input is fetched once for all of them. */

/** Inputs that are not 0, by their numbers, in [from, end). */
export interface Inputs {
  readonly input: Float64Array;
  readonly index: Uint8Array;
  readonly from: number;
  readonly end: number;
}

/** `rows` from `at` on: where the weights of the six begin. Writes their sums to the same places of `sums`. */
export function sumSix(
  { input, index, from, end }: Inputs,
  weight: Float32Array,
  rows: Int32Array,
  at: number,
  sums: Float64Array,
): void {
  const r0 = rows[at]!;
  const r1 = rows[at + 1]!;
  const r2 = rows[at + 2]!;
  const r3 = rows[at + 3]!;
  const r4 = rows[at + 4]!;
  const r5 = rows[at + 5]!;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let s4 = 0;
  let s5 = 0;
  for (let i = from; i < end; i++) {
    const x = input[i]!;
    const k = index[i]!;
    s0 += x * weight[r0 + k]!;
    s1 += x * weight[r1 + k]!;
    s2 += x * weight[r2 + k]!;
    s3 += x * weight[r3 + k]!;
    s4 += x * weight[r4 + k]!;
    s5 += x * weight[r5 + k]!;
  }
  sums[at] = s0;
  sums[at + 1] = s1;
  sums[at + 2] = s2;
  sums[at + 3] = s3;
  sums[at + 4] = s4;
  sums[at + 5] = s5;
}

/** Moves the weights of the six by `steps`, one each, times the inputs. */
export function stepSix(
  { input, index, from, end }: Inputs,
  weight: Float32Array,
  rows: Int32Array,
  at: number,
  steps: Float64Array,
): void {
  const r0 = rows[at]!;
  const r1 = rows[at + 1]!;
  const r2 = rows[at + 2]!;
  const r3 = rows[at + 3]!;
  const r4 = rows[at + 4]!;
  const r5 = rows[at + 5]!;
  const [s0, s1, s2, s3, s4, s5] = [
    steps[0]!,
    steps[1]!,
    steps[2]!,
    steps[3]!,
    steps[4]!,
    steps[5]!,
  ];
  for (let i = from; i < end; i++) {
    const x = input[i]!;
    const k = index[i]!;
    weight[r0 + k]! += s0 * x;
    weight[r1 + k]! += s1 * x;
    weight[r2 + k]! += s2 * x;
    weight[r3 + k]! += s3 * x;
    weight[r4 + k]! += s4 * x;
    weight[r5 + k]! += s5 * x;
  }
}
