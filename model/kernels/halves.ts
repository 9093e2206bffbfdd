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
