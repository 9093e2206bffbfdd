/** WGSL types of bindings that may hold halves: a kernel declares its arrays by alias and computes in f32. */
import type { Stored } from "../graph.ts";

type Names = Readonly<Record<string, number>>;

const isHalf = (stored: readonly Stored[], binding: number): boolean => stored[binding] === "f16";

function lines(stored: readonly Stored[], names: Names, lanes: 1 | 2 | 4): string {
  let aliases = "";
  for (const [name, binding] of Object.entries(names)) {
    const type = isHalf(stored, binding) ? "f16" : "f32";
    aliases += `alias ${name} = ${lanes === 1 ? type : `vec${lanes}<${type}>`};\n`;
  }
  return aliases;
}

const enabled = (stored: readonly Stored[], ...names: readonly Names[]): string =>
  names.some((n) => Object.values(n).some((binding) => isHalf(stored, binding)))
    ? "enable f16;\n"
    : "";

/** One line per alias name → binding, `lanes` values wide, after `enable f16;` where any of them needs it.
 *  A binding that the entry point at hand does not have counts as f32. */
export function halfAliases(stored: readonly Stored[], names: Names, lanes: 1 | 2 | 4): string {
  return enabled(stored, names) + lines(stored, names, lanes);
}

const across = {
  1: "alias Wide = f32;\nfn across(value: f32) -> f32 { return value; }\n",
  4: "alias Wide = vec4f;\nfn across(value: vec4f) -> f32 { return dot(value, vec4f(1.0)); }\n",
} as const;

/** The same for kernels that are as wide as sizes allow: `Wide`, what they compute in, is four values where all
 *  sizes are multiples of four, else one; across() sums them; LANES says how many. `scalars` are never wide. */
export function flatAliases(
  stored: readonly Stored[],
  names: Names,
  multipleOf: number,
  scalars: Names = {},
): { readonly code: string; readonly lanes: 1 | 4 } {
  const lanes = multipleOf % 4 === 0 ? 4 : 1;
  return {
    code:
      enabled(stored, names, scalars) +
      lines(stored, names, lanes) +
      lines(stored, scalars, 1) +
      across[lanes] +
      `const LANES = ${lanes}u;\n`,
    lanes,
  };
}
