/** WGSL text shared by every matmul kernel: how operands are declared, and how an entry or a quad leaves. */
import type { Stored } from "../graph.ts";

/** What happens to a product before it is stored: see matmul.ts. */
export const EPILOGUES = [
  "none",
  "accumulate",
  "reluSquared",
  "reluSquaredBackward",
  "blend",
] as const;
export type Epilogue = (typeof EPILOGUES)[number];

export interface MatmulOutput {
  readonly out: Stored;
  readonly epilogue: Epilogue;
  /** How the tensor at binding 3 is held (reluSquaredBackward, blend). */
  readonly hidden: Stored;
}

const element = (stored: Stored, lanes: 1 | 4): string => {
  const scalar = stored === "f16" ? "f16" : "f32";
  return lanes === 4 ? `vec4<${scalar}>` : scalar;
};

/** `enable f16;` where a kernel needs it; must come before any declaration. */
export const enableHalves = (stored: readonly Stored[]): string =>
  stored.includes("f16") ? "enable f16;\n" : "";

/** Declares operand `name` and `name`At(i): its i-th element, or quad where lanes is 4, as f32. */
export function operandSource(name: string, binding: number, stored: Stored, lanes: 1 | 4): string {
  const real = lanes === 4 ? "vec4f" : "f32";
  return `@group(0) @binding(${binding}) var<storage, read> ${name}: array<${element(stored, lanes)}>;
fn ${name}At(i: u32) -> ${real} { return ${real}(${name}[i]); }
`;
}

const BLEND = "override hiddenShare: f32;\noverride productShare: f32;\n";

/** Whether what is stored depends on a tensor besides the product. */
export const readsBefore = (epilogue: Epilogue): boolean =>
  epilogue !== "none" && epilogue !== "reluSquared";

/** Declares `out` (and `hidden`); before(at): what the epilogue reads there; finishFrom(at, x, before) stores x at
 *  element `at`, a multiple of `lanes`; finish(at, x) does both. */
export function outputSource(o: MatmulOutput, lanes: 1 | 4): string {
  const real = lanes === 4 ? "vec4f" : "f32";
  const type = element(o.out, lanes);
  const i = lanes === 4 ? "at / 4u" : "at";
  const value: Record<Epilogue, string> = {
    none: "x",
    accumulate: "before + x",
    reluSquared: `max(x, ${real}()) * max(x, ${real}())`,
    reluSquaredBackward: `2.0 * sqrt(before) * x`,
    blend: `hiddenShare * before + productShare * x`,
  };
  const reads = o.epilogue === "reluSquaredBackward" || o.epilogue === "blend";
  const before =
    o.epilogue === "accumulate" ? `${real}(out[${i}])` : reads ? `hiddenAt(${i})` : `${real}()`;
  return `${o.epilogue === "blend" ? BLEND : ""}${reads ? operandSource("hidden", 3, o.hidden, lanes) : ""}@group(0) @binding(2) var<storage, read_write> out: array<${type}>;
fn beforeAt(at: u32) -> ${real} { return ${before}; }
fn finishFrom(at: u32, x: ${real}, before: ${real}) { out[${i}] = ${type}(${value[o.epilogue]}); }
fn finish(at: u32, x: ${real}) { finishFrom(at, x, beforeAt(at)); }
`;
}
