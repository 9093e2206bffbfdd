/**
 * Rewrites a kernel that uses subgroup matrices so that any GPU runs it: a loaded operand becomes its place in
 * workgroup memory, a product is formed entry by entry where the hardware would multiply. A result is spread over
 * 32 neighbouring invocations, 8 entries each. Right as long as nothing overwrites an operand between its load and
 * its last use, which is what a kernel that loads and multiplies between two barriers guarantees.
 */
import type { OpSpec } from "../../model/graph.ts";

const LOAD =
  /let (\w+) = subgroupMatrixLoad<subgroup_matrix_(?:left|right)<f16, 16, 16>, (row|col)_major>\(&(\w+), ([^;]+), (\d+u)\);/g;
/** Operands whose names begin so are copied when they are loaded: what they were loaded from may be overwritten after
 *  the next barrier. */
const HELD = /^held/;
const MULTIPLY = /subgroupMatrixMultiplyAccumulate\((\w+), (\w+), (\w+)\)/g;
const STORE = /subgroupMatrixStore<row_major>\(&(\w+), ([^;]+), (\w+), (\d+u)\);/g;

/** Shuffles, of u32, go through workgroup memory: they must stand where a barrier may. */
const shuffles = (threads: number): string => `
var<workgroup> shuffled: array<u32, ${threads}>;
fn shuffleXor(thread: u32, own: u32, mask: u32) -> u32 {
  workgroupBarrier();
  shuffled[thread] = own;
  workgroupBarrier();
  return shuffled[thread ^ mask];
}
`;

/** Half `row, column` of an operand at x = (offset, stride) in vec4u. */
function entry(array: string, layout: string, row: string, column: string): string {
  const [line, at] = layout === "row" ? [row, column] : [column, row];
  return `half_(${array}[x.x + (${line}) * x.y + (${at}) / 8u], (${at}) % 8u)`;
}

/** The kernel calls its local invocation index `invocation` and its first binding `a`. */
export function emulateMatrices(code: string, invocation = "t"): string {
  const operands = new Map<string, { array: string; layout: string }>();
  const threads = Number(/@workgroup_size\((\d+)\)/.exec(code)?.[1] ?? 0);
  let held = 0;
  const wide = new Map<string, string>();
  for (const [, name, type] of code.matchAll(/var<workgroup> (\w+): array<(\w+),/g))
    wide.set(name!, type!);
  const functions = new Map<string, string>();
  // Line by line: names of operands come again.
  const line = (text: string): string =>
    text
      .replace(
        LOAD,
        (_, name: string, layout: string, array: string, offset: string, stride: string) => {
          if (!HELD.test(name)) {
            operands.set(name, { array, layout });
            return `let ${name} = vec2u(${offset}, ${stride});`;
          }
          operands.set(name, { array: "heldOperands", layout });
          const own = `${held++ * threads}u + ${invocation} / 32u * 32u`;
          return `heldOperands[${own} + ${invocation} % 32u] = ${array}[${offset} + ${invocation} % 32u / 2u * ${stride} + ${invocation} % 2u]; let ${name} = vec2u(${own}, 2u);`;
        },
      )
      .replace(MULTIPLY, (_, x: string, y: string, into: string) => {
        const [left, right] = [operands.get(x)!, operands.get(y)!];
        const name = `multiply_${left.array}_${left.layout}_${right.array}_${right.layout}`;
        functions.set(
          name,
          `fn left_${name}(x: vec2u, row: u32, column: u32) -> f32 { return ${entry(left.array, left.layout, "row", "column")}; }
fn right_${name}(x: vec2u, row: u32, column: u32) -> f32 { return ${entry(right.array, right.layout, "row", "column")}; }
fn ${name}(x: vec2u, y: vec2u, into: array<f32, 8>, t: u32) -> array<f32, 8> {
  var r = into;
  for (var i = 0u; i < 8u + opaqueZero(); i++) {
    let at = t % 32u * 8u + i;
    for (var k = 0u; k < 16u + opaqueZero(); k++) { r[i] += left_${name}(x, at / 16u, k) * right_${name}(y, k, at % 16u); }
  }
  return r;
}
`,
        );
        return `${name}(${x}, ${y}, ${into}, ${invocation})`;
      });
  const body = code
    .replace(/^diagnostic.*\n/m, "")
    .replace(/^enable \w+;\n/gm, "")
    .replace(/(for \(var \w+ = \d+u; \w+ < \d+u)(?=;| &&)/g, "$1 + opaqueZero()")
    .replaceAll("subgroup_matrix_result<f32, 16, 16>()", "array<f32, 8>()")
    .replaceAll("subgroupShuffleXor(", `shuffleXor(${invocation}, `)
    .split("\n")
    .map(line)
    .join("\n")
    .replace(STORE, (_, array: string, offset: string, value: string, stride: string) => {
      const bits = wide.get(array) === "vec4u" ? "bitcast<u32>(value[i])" : "value[i]";
      functions.set(
        `store_${array}`,
        `fn store_${array}(offset: u32, value: array<f32, 8>, stride: u32, t: u32) {
  for (var i = 0u; i < 8u + opaqueZero(); i++) {
    let at = t % 32u * 8u + i;
    ${array}[offset + at / 16u * stride + at % 16u / 4u][at % 4u] = ${bits};
  }
}
`,
      );
      return `store_${array}(${offset}, ${value}, ${stride}, ${invocation});`;
    });
  if (functions.size === 0) return code;
  return `${body}
// In a loop's bound it stops software rasterizers from unrolling the loop, which costs them minutes.
fn opaqueZero() -> u32 { return arrayLength(&a) >> 31u; }
fn half_(x: vec4u, i: u32) -> f32 { return unpack2x16float(x[i / 2u])[i % 2u]; }
${held > 0 ? `var<workgroup> heldOperands: array<vec4u, ${held * threads}>;` : ""}
${body.includes("shuffleXor(") ? shuffles(threads) : ""}${[...functions.values()].join("")}`;
}

/** The op on matrix units: the GPU's own, or emulated where it has none. */
export const onMatrices = (op: OpSpec): OpSpec => ({
  ...op,
  gpu: (p, caps, stored) => {
    if (caps.subgroupMatrix) return op.gpu(p, caps, stored);
    const able = {
      ...caps,
      software: false,
      f16: true,
      subgroups: true,
      subgroupMatrix: true,
      maxWorkgroupStorageSize: 49152,
      maxInvocations: 1024,
    };
    const kernel = op.gpu(p, able, stored);
    return { ...kernel, code: emulateMatrices(kernel.code) };
  },
});

/** The op as GPUs without matrix units run it. */
export const withoutMatrices = (op: OpSpec): OpSpec => ({
  ...op,
  gpu: (p, caps, stored) => op.gpu(p, { ...caps, subgroupMatrix: false }, stored),
});
