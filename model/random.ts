/**
 * Counter-based random numbers: the n-th number of a seed is a pure function of (seed, n), so a run can be
 * resumed anywhere and two devices draw the same values. Mixing: the finalizer of SplitMix64 cut to 32 bits.
 */
export function hash32(seed: number, counter: number): number {
  let x = (Math.imul(seed | 0, 0x9e3779b1) ^ Math.imul(counter | 0, 0x85ebca77)) | 0;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  x ^= x >>> 16;
  return x >>> 0;
}

export class Random {
  readonly #seed: number;
  #counter = 0;

  constructor(seed: number, stream = 0) {
    this.#seed = hash32(seed, stream ^ 0x5bd1e995);
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return hash32(this.#seed, this.#counter++) / 4294967296;
  }

  /** Integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    const u = 1 - this.uniform();
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.uniform());
  }

  get counter(): number {
    return this.#counter;
  }

  set counter(value: number) {
    this.#counter = value;
  }
}
