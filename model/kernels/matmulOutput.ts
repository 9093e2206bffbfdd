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

/** What `before` is read from, if from anything. */
const beforeOf = (o: MatmulOutput): Stored =>
  o.epilogue === "accumulate" ? o.out : readsBefore(o.epilogue) ? o.hidden : "f32";

/** Whether eight halves can leave at once: whatever the epilogue reads is held in halves too. */
export const leavesByEights = (o: MatmulOutput): boolean =>
  o.out === "f16" && (!readsBefore(o.epilogue) || beforeOf(o) === "f16");

/** Declares `out` (and `hidden`) and `alias Before`, what the epilogue reads as it is held; beforeAt(at) reads it;
 *  finishFrom(at, x, before) stores x at element `at`, a multiple of `lanes`, or with 8 lanes x and y, four each;
 *  finish(at, x) does both. */
export function outputSource(o: MatmulOutput, lanes: 1 | 4 | 8): string {
  const real = lanes === 1 ? "f32" : "vec4f";
  const type = lanes === 8 ? "vec4u" : element(o.out, lanes);
  const held = lanes === 8 ? "vec4u" : element(beforeOf(o), lanes);
  const i = lanes === 1 ? "at" : `at / ${lanes}u`;
  const value: Record<Epilogue, string> = {
    none: "x",
    accumulate: "before + x",
    reluSquared: `max(x, ${real}()) * max(x, ${real}())`,
    reluSquaredBackward: `2.0 * sqrt(before) * x`,
    blend: `hiddenShare * before + productShare * x`,
  };
  const reads = o.epilogue === "reluSquaredBackward" || o.epilogue === "blend";
  const before = o.epilogue === "accumulate" ? `out[${i}]` : reads ? `hidden[${i}]` : "Before()";
  const hidden = `@group(0) @binding(3) var<storage, read> hidden: array<Before>;\n`;
  const finish =
    lanes === 8
      ? `fn eight(x: vec4f, y: vec4f) -> vec4u {
  return vec4u(pack2x16float(x.xy), pack2x16float(x.zw), pack2x16float(y.xy), pack2x16float(y.zw));
}
fn four(low: u32, high: u32) -> vec4f { return vec4f(unpack2x16float(low), unpack2x16float(high)); }
fn finishFrom(at: u32, x: vec4f, y: vec4f, b: Before) { out[${i}] = eight(finished(x, four(b.x, b.y)), finished(y, four(b.z, b.w))); }
`
      : `fn finishFrom(at: u32, x: ${real}, b: Before) { out[${i}] = ${type}(finished(x, ${real}(b))); }
fn finish(at: u32, x: ${real}) { finishFrom(at, x, beforeAt(at)); }
`;
  return `${o.epilogue === "blend" ? BLEND : ""}alias Before = ${held};
${reads ? hidden : ""}@group(0) @binding(2) var<storage, read_write> out: array<${type}>;
fn beforeAt(at: u32) -> Before { return ${before}; }
fn finished(x: ${real}, before: ${real}) -> ${real} { return ${value[o.epilogue]}; }
${finish}`;
}
