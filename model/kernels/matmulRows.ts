/** Chooses the matrix product for few rows (decoding): many short slices of k instead of one long chain. */
import { gridFor, type GpuCaps, type GpuKernel, type Params, type Stored } from "../graph.ts";
import { EPILOGUES, operandSource, outputSource, type MatmulOutput } from "./matmulOutput.ts";
import code from "./matmulRows.wgsl";

/** Stands for this kernel in `tile`. */
export const SLICED = -2;
/** Rows up to a whole prefill: above it, tiles reuse more. */
const MOST_ROWS = 1024;
const ROWS = 8;
const COLUMNS = 8;

/** Only f32 operands as they stand, and not on software GPUs, which would compile for long. */
export const fitsRows = (p: Params, caps: GpuCaps, stored: readonly Stored[]): boolean =>
  !caps.software &&
  p["tile"] === undefined &&
  p["m"]! <= MOST_ROWS &&
  p["batch"] === 1 &&
  p["splits"] === 1 &&
  (p["epilogue"] === EPILOGUES.indexOf("none") ||
    p["epilogue"] === EPILOGUES.indexOf("reluSquared")) &&
  p["transposeA"] === 0 &&
  p["transposeB"] === 0 &&
  p["k"]! % 4 === 0 &&
  stored[0] === "f32" &&
  stored[1] === "f32";

export function rowsKernel(
  size: { readonly m: number; readonly k: number; readonly n: number },
  output: MatmulOutput,
  constants: Readonly<Record<string, number>>,
): GpuKernel {
  const { m, k, n } = size;
  const lanes = n % 4 === 0 ? 4 : 1;
  const across = Math.ceil(n / lanes / COLUMNS);
  return {
    code:
      (output.out === "f16" || output.hidden === "f16" ? "enable f16;\n" : "") +
      `alias WIDE = ${lanes === 4 ? "vec4f" : "f32"};\nconst LANES = ${lanes}u;\n` +
      operandSource("a", 0, "f32", 4) +
      operandSource("b", 1, "f32", lanes) +
      outputSource(output, lanes) +
      code,
    entryPoint: "rowsProduct",
    constants: { m, k, n, ...constants },
    workgroups: gridFor(Math.ceil(m / ROWS) * across, 1),
  };
}
