/**
 * Rewrites a kernel that keeps operands of subgroup matrices in registers while it overwrites what they were loaded
 * from, so that any GPU with f16 runs it: every invocation holds whole matrices and forms whole products. Shuffles go
 * through workgroup memory, so they must stand where a barrier may. For small shapes: it is 32 times the work.
 * Matrices are loaded from an array called `tile` of vec4u; the first binding is called `x`.
 */
import type { OpSpec } from "../../model/graph.ts";

const LOAD =
  /subgroupMatrixLoad<subgroup_matrix_(left|right)<f16, 16, 16>, (row|col)_major>\(&tile, ([^;]+), (\d+u)\);/g;
const STORE = /subgroupMatrixStore<row_major>\(&tile, ([^;]+), (\w+), (\d+u)\);/g;

const held = (threads: string): string => `
struct Held { v: array<f32, 256> }
// In a loop's bound it stops software rasterizers from unrolling the loop, which costs them minutes.
fn opaqueZero() -> u32 { return arrayLength(&x) >> 31u; }
fn halfAt(offset: u32, i: u32) -> f32 { return unpack2x16float(tile[offset + i / 8u][i % 8u / 2u])[i % 2u]; }
fn load_row(offset: u32, stride: u32) -> Held {
  var m: Held;
  for (var i = 0u; i < 256u + opaqueZero(); i++) { m.v[i] = halfAt(offset + i / 16u * stride, i % 16u); }
  return m;
}
fn load_col(offset: u32, stride: u32) -> Held {
  var m: Held;
  for (var i = 0u; i < 256u + opaqueZero(); i++) { m.v[i] = halfAt(offset + i % 16u * stride, i / 16u); }
  return m;
}
fn multiply(a: Held, b: Held, into: Held) -> Held {
  var m = into;
  for (var i = 0u; i < 256u + opaqueZero(); i++) {
    for (var k = 0u; k < 16u + opaqueZero(); k++) { m.v[i] += a.v[i / 16u * 16u + k] * b.v[k * 16u + i % 16u]; }
  }
  return m;
}
fn store(offset: u32, m: Held, stride: u32) {
  for (var i = 0u; i < 256u + opaqueZero(); i++) {
    tile[offset + i / 16u * stride + i % 16u / 4u][i % 4u] = bitcast<u32>(m.v[i]);
  }
}
var<workgroup> shuffled: array<f32, ${threads}>;
fn shuffleXor(thread: u32, own: f32, mask: u32) -> f32 {
  workgroupBarrier();
  shuffled[thread] = own;
  workgroupBarrier();
  return shuffled[thread ^ mask];
}
`;

export function emulateHeldMatrices(code: string): string {
  const threads = /@workgroup_size\((\d+)\)/.exec(code)![1]!;
  return (
    code
      .replace(/^diagnostic.*\n/m, "")
      .replace(/^enable (?!f16)\w+;\n/gm, "")
      .replace(LOAD, (_, _side: string, layout: string, offset: string, stride: string) => {
        return `load_${layout}(${offset}, ${stride});`;
      })
      .replaceAll("subgroupMatrixMultiplyAccumulate(", "multiply(")
      .replaceAll("subgroup_matrix_result<f32, 16, 16>()", "Held()")
      .replace(STORE, "if (thread % 32u == 0u) { store($1, $2, $3); }")
      .replaceAll("subgroupShuffleXor(", "shuffleXor(thread, ") + held(threads)
  );
}

/** The op on matrix units: the GPU's own, or emulated where it has none. */
export const onHeldMatrices = (op: OpSpec): OpSpec => ({
  ...op,
  gpu: (p, caps, stored) => {
    if (caps.subgroupMatrix) return op.gpu(p, caps, stored);
    const able = { ...caps, software: false, subgroups: true, subgroupMatrix: true };
    const kernel = op.gpu(p, able, stored);
    return kernel.code.includes("subgroup_matrix")
      ? { ...kernel, code: emulateHeldMatrices(kernel.code) }
      : kernel;
  },
});
