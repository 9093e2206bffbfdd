/** Runs tasks one after the other: a scorer's and a decoder's tensors serve one call at a time. */
export class Exclusive {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    // A task that fails fails its caller, not those behind it.
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when every task so far has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
