/** WGSL types of bindings that may hold halves: a kernel declares its arrays by alias and computes in f32. */
import type { Stored } from "../graph.ts";

/** One line per alias name → binding, `lanes` values wide, after `enable f16;` where any of them needs it.
 *  A binding that the entry point at hand does not have counts as f32. */
export function halfAliases(
  stored: readonly Stored[],
  names: Readonly<Record<string, number>>,
  lanes: 1 | 2 | 4,
): string {
  let needed = "";
  let aliases = "";
  for (const [name, binding] of Object.entries(names)) {
    const type = stored[binding] === "f16" ? "f16" : "f32";
    if (type === "f16") needed = "enable f16;\n";
    aliases += `alias ${name} = ${lanes === 1 ? type : `vec${lanes}<${type}>`};\n`;
  }
  return needed + aliases;
}

/** The same for kernels over flat tensors: `Wide`, what they compute in, is four values where all sizes are
 *  multiples of four, else one. */
export function flatAliases(
  stored: readonly Stored[],
  names: Readonly<Record<string, number>>,
  multipleOf: number,
): { readonly code: string; readonly lanes: 1 | 4 } {
  const lanes = multipleOf % 4 === 0 ? 4 : 1;
  const code = `${halfAliases(stored, names, lanes)}alias Wide = ${lanes === 4 ? "vec4f" : "f32"};\n`;
  return { code, lanes };
}
