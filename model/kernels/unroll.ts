/**
 * Loops written out. Drivers keep an array that a loop indexes in slow local memory unless they unroll the loop, which
 * they do not always; with literal indices its entries are registers.
 */
import { invariant } from "../errors.ts";

const MARK = /\/\* unroll \*\/ for \(var (\w+) = 0u; \1 < (\w+); \1\+\+\) \{/;

/** WGSL whose loops marked with an unroll comment are repeated, their variable replaced by its values; `bounds` by the
 *  names that the loops use. */
export function unroll(code: string, bounds: Readonly<Record<string, number>>): string {
  const found = MARK.exec(code);
  if (found === null) return code;
  const [head, name, bound] = found as unknown as [string, string, string];
  const count = bounds[bound];
  invariant(count !== undefined, `there is no bound ${bound} for the loop over ${name}`);
  const start = found.index + head.length;
  let end = start;
  for (let depth = 1; depth > 0; end++) depth += code[end] === "{" ? 1 : code[end] === "}" ? -1 : 0;
  const body = code.slice(start, end - 1);
  const variable = new RegExp(`\\b${name}\\b`, "g");
  const copies = Array.from(
    { length: count },
    (_, i) => `{${body.replace(variable, `${i}u`)}}`,
  ).join("\n");
  return unroll(code.slice(0, found.index) + copies + code.slice(end), bounds);
}
