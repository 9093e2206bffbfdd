/**
 * Measures what matrix products may be made with and keeps what is faster than the choice of the model of their time,
 * which was fitted on one GPU. Timings are noise: a choice has to win by a margin, twice.
 */
import { choiceName } from "./kernels/matmulCandidates.ts";
import type { Logger } from "./logger.ts";
import { productKey, type Product, type ProductChoice } from "./products.ts";
import type { TunedProduct } from "./productFile.ts";

/** Of the model's time that a choice has to save in both measurements. */
export const MARGIN = 0.03;
/** Of the time, at most, that goes to compiling. */
const COMPILING = 0.6;

/** Undefined stands for the model's choice. */
export type Candidate = ProductChoice | undefined;

export interface TuneOptions {
  /** The most important first. */
  readonly products: readonly Product[];
  candidates(p: Product): readonly ProductChoice[];
  /** Compiles what a choice needs; rejects where that fails. */
  prepare(p: Product, choice: Candidate): Promise<void>;
  /** Microseconds of the product with each choice, measured in turns; `first` on a device that may be cold. */
  measure(p: Product, choices: readonly Candidate[], first: 0 | 1): Promise<readonly number[]>;
  /** Nothing new is begun after so many. */
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
  readonly logger: Logger;
  /** Milliseconds, from any moment on. */
  now(): number;
}

export interface Tuned {
  readonly entries: readonly TunedProduct[];
  /** Products for which the time did not suffice. */
  readonly left: number;
}

/** All pipelines first, then all measurements: a GPU that waits for the compiler clocks down. */
export async function tuneProducts(o: TuneOptions): Promise<Tuned> {
  const begin = o.now();
  const spent = (): number => (o.now() - begin) / 1e3;
  const over = (share: number): boolean =>
    o.signal?.aborted === true || spent() > share * o.seconds;
  const prepared: { product: Product; choices: readonly ProductChoice[] }[] = [];
  for (const product of o.products) {
    if (over(COMPILING)) break;
    const choices = o.candidates(product);
    const works = await Promise.allSettled(
      [undefined, ...choices].map((choice) => o.prepare(product, choice)),
    );
    works.forEach((result, i) => {
      if (result.status === "rejected")
        o.logger.warn(
          `${productKey(product)} cannot be made with ${i === 0 ? "the model's choice" : choiceName(choices[i - 1]!)}: ${String(result.reason)}`,
        );
    });
    if (works[0]!.status === "fulfilled")
      prepared.push({
        product,
        choices: choices.filter((_, i) => works[i + 1]!.status === "fulfilled"),
      });
  }
  const entries: TunedProduct[] = [];
  for (const { product, choices } of prepared) {
    if (over(1)) break;
    entries.push(await best(o, product, choices, entries.length === 0 ? 1 : 0));
  }
  return { entries, left: o.products.length - entries.length };
}

async function best(
  o: TuneOptions,
  product: Product,
  choices: readonly ProductChoice[],
  first: 0 | 1,
): Promise<TunedProduct> {
  const [modelUs, ...others] = (await o.measure(product, [undefined, ...choices], first)) as [
    number,
    ...number[],
  ];
  const us = Math.min(...others);
  if (us >= modelUs * (1 - MARGIN)) return { product, choice: null, modelUs, us: modelUs };
  const choice = choices[others.indexOf(us)]!;
  const [modelAgain, again] = (await o.measure(product, [undefined, choice], 0)) as [
    number,
    number,
  ];
  return again < modelAgain * (1 - MARGIN)
    ? { product, choice, modelUs: modelAgain, us: again }
    : { product, choice: null, modelUs: modelAgain, us: modelAgain };
}
