/**
 * Dense products as the tuner sees them: what is multiplied in which form, and what of a kernel is free to choose.
 * Every choice gives the same products; tiles even to the last bit, parts of k but for the order of the sums.
 */
import type { Epilogue } from "./kernels/matmulOutput.ts";

export type Real = "f32" | "f16";

/** out [batch, m, n] = op(a)·op(b), in the form that kernels/matmul.ts takes. */
export interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly batch: number;
  readonly transposeA: 0 | 1;
  readonly transposeB: 0 | 1;
  readonly a: Real;
  readonly b: Real;
  readonly out: Real;
  /** What the epilogue reads, if it reads a tensor. */
  readonly hidden?: Real;
  readonly epilogue: Epilogue;
  /** 1: parts of k are left, however many, for another kernel to add up. */
  readonly parted: 0 | 1;
}

/** What may be chosen; a tile that is left out is the model's. */
export interface ProductChoice {
  /** Place in the table of register tiles, or one of the kernels without tiles (matmul.ts). */
  readonly tile?: number;
  /** Place in the table of matrix tiles. */
  readonly matrixTile?: number;
  /** Ranges that k is cut into; 1 in all forms but Aᵀ·B. */
  readonly splits: number;
}

/** Asked whenever a product is recorded. */
export interface Products {
  /** Undefined: nothing better than the model's choice is known. */
  choose(product: Product): ProductChoice | undefined;
}

/** Equal for products that share a choice. */
export const productKey = (p: Product): string =>
  [
    `${p.m}x${p.k}x${p.n}`,
    ...(p.batch === 1 ? [] : [`${p.batch} of them`]),
    `${p.a}${p.transposeA === 1 ? "ᵀ" : ""}·${p.b}${p.transposeB === 1 ? "ᵀ" : ""}=${p.out}`,
    ...(p.epilogue === "none" ? [] : [p.epilogue + (p.hidden === undefined ? "" : ` ${p.hidden}`)]),
    ...(p.parted === 1 ? ["in parts"] : []),
  ].join(" ");
