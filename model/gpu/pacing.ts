/**
 * How long a program's dispatches take, learned from the wall time of its submits, and where it is cut so that no
 * submit keeps the GPU longer than a bound: the desktop draws between submits, and a completion goes in between.
 */

/** Before anything is measured: so much that the first submits are small on any GPU. */
const START_MS = 0.25;
const LEAST_MS = 1e-4;
/** An estimate that was slept through shrinks by this until an end is seen again: what is noticed late measures
 *  our own sleep, and a GPU left idle clocks down. */
const LATE_SHRINK = 0.7;
/** One measurement raises an estimate at most by this factor: the driver may have compiled, or the process may
 *  have been away, meanwhile. */
const MOST_RISE = 8;
/** Before so many submits were waited for, estimates follow a GPU that is only reaching its clock. */
const SETTLING = 12;

export interface Span {
  readonly from: number;
  readonly to: number;
  /** Expected time on the GPU. */
  readonly ms: number;
}

export class Pacer {
  readonly #ms: Float64Array;
  readonly #seen: Uint8Array;
  #waits = 0;

  constructor(dispatches: number) {
    this.#ms = new Float64Array(dispatches).fill(START_MS);
    this.#seen = new Uint8Array(dispatches);
  }

  whole(): Span {
    return { from: 0, to: this.#ms.length, ms: this.#ms.reduce((sum, ms) => sum + ms, 0) };
  }

  known(span: Span): boolean {
    return this.#seen[span.from] === 1 && this.#seen[span.to - 1] === 1;
  }

  /** The program in submits of at most `boundMs`; a dispatch that takes longer has one of its own. */
  spans(boundMs: number): Span[] {
    const spans: Span[] = [];
    let from = 0;
    let ms = 0;
    for (let i = 0; i < this.#ms.length; i++) {
      if (i > from && ms + this.#ms[i]! > boundMs) {
        spans.push({ from, to: i, ms });
        from = i;
        ms = 0;
      }
      ms += this.#ms[i]!;
    }
    if (from < this.#ms.length) spans.push({ from, to: this.#ms.length, ms });
    return spans;
  }

  /** Whether one may sleep by these estimates. */
  get isSettled(): boolean {
    return this.#waits >= SETTLING;
  }

  /** A span had ended before anybody looked: its estimate was too long. */
  late(span: Span, ms: number): void {
    this.#waits++;
    const factor = LATE_SHRINK * Math.min(1, ms / span.ms);
    for (let i = span.from; i < span.to; i++)
      this.#ms[i] = Math.max(LEAST_MS, this.#ms[i]! * factor);
  }

  /** A span took so long. What is measured for the first time, or shows that the estimate is far too high, is
   *  believed, other measurements halfway. */
  measured(span: Span, ms: number): void {
    this.#waits++;
    let before = 0;
    for (let i = span.from; i < span.to; i++) before += this.#ms[i]!;
    const change = Math.min(MOST_RISE, ms / before);
    for (let i = span.from; i < span.to; i++) {
      const factor = this.#seen[i] === 1 && change > 0.25 ? Math.sqrt(change) : change;
      this.#ms[i] = Math.max(LEAST_MS, this.#ms[i]! * factor);
      this.#seen[i] = 1;
    }
  }
}
