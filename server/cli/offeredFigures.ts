/** What a language server's lists were like at identifiers: how soon they came, and whether they had the name. */
import { OFFER_WAIT_MS } from "../offeredNames.ts";
import type { Offered } from "./offeredLists.ts";
import { quantile } from "./scoring.ts";

export interface LanguageServerResult {
  readonly name: string;
  readonly asked: number;
  readonly late: number;
  /** Share of the answers that come while the editor waits for them. */
  readonly in_time: number | null;
  readonly ms_median: number | null;
  readonly ms_p95: number | null;
  /** Places with a list, and the share of them whose list has the name that stands there. */
  readonly lists: number;
  readonly lists_with_name: number | null;
  /** The same of lists that are said to be complete. */
  readonly complete: number;
  readonly complete_with_name: number | null;
}

/** What a server did at identifiers. */
export class OfferedFigures {
  readonly #ms: number[] = [];
  #late = 0;
  readonly #lists = [0, 0];
  readonly #withName = [0, 0];

  add({ list, ms, said }: Offered, wanted: string): void {
    if (ms !== undefined) this.#ms.push(ms);
    if (said !== undefined) this.#late++;
    if (list === undefined) return;
    this.#lists[list.complete]!++;
    if (list.names.includes(wanted)) this.#withName[list.complete]!++;
  }

  result(name: string): LanguageServerResult {
    const share = (n: number, of: number): number | null => (of === 0 ? null : n / of);
    const [open, complete] = this.#lists as [number, number];
    const [openRight, completeRight] = this.#withName as [number, number];
    return {
      name,
      asked: this.#ms.length,
      late: this.#late,
      in_time: share(this.#ms.filter((ms) => ms <= OFFER_WAIT_MS).length, this.#ms.length),
      ms_median: quantile(this.#ms, 0.5),
      ms_p95: quantile(this.#ms, 0.95),
      lists: open + complete,
      lists_with_name: share(openRight + completeRight, open + complete),
      complete,
      complete_with_name: share(completeRight, complete),
    };
  }
}
