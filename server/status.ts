/** Holds the one ModelState the person sees and tells the extension when it changes, not more often than eyes need. */
import type { ModelState } from "./protocol.ts";

/** Progress within one kind of state is passed on at most this often. */
const MIN_INTERVAL_MS = 250;

export class Status {
  private state: ModelState = { kind: "starting" };
  private readonly publish: (state: ModelState) => void;
  private lastSent = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(publish: (state: ModelState) => void) {
    this.publish = publish;
  }

  get current(): ModelState {
    return this.state;
  }

  set(next: ModelState): void {
    if (JSON.stringify(next) === JSON.stringify(this.state)) return;
    const sameKind = next.kind === this.state.kind;
    this.state = next;
    const wait = sameKind ? this.lastSent + MIN_INTERVAL_MS - Date.now() : 0;
    if (wait <= 0) this.send();
    else this.timer ??= setTimeout(() => this.send(), wait);
  }

  dispose(): void {
    clearTimeout(this.timer);
  }

  private send(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lastSent = Date.now();
    this.publish(this.state);
  }
}
