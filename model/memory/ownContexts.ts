/** Which bytes followed the contexts of all kinds in the file being read, so far: an open-addressing table of context
 *  hashes with linked lists of followers. Grows by one byte at a time and is copied with its cursor. */

const FIRST_SLOTS = 1024;
const FIRST_ENTRIES = 1024;
/** Part of the slots in use at which their number doubles. */
const FULL = 0.75;
const SCATTER = 0x9e3779b1;
/** A file of very many contexts adds no new ones to the tables. */
const MOST_CONTEXTS = 1 << 21;
export const NO_CONTEXT = -1;

export class OwnContexts {
  /** Per slot: hash of the context (0: free), and its first entry. */
  private hash = new Uint32Array(FIRST_SLOTS);
  private head = new Uint32Array(FIRST_SLOTS);
  private used = 0;
  /** Per entry: a byte that followed, how often, and the next entry; 0 ends the list. */
  byte = new Uint8Array(FIRST_ENTRIES);
  count = new Uint16Array(FIRST_ENTRIES);
  next = new Uint32Array(FIRST_ENTRIES);
  private entries = 1;

  copy(): OwnContexts {
    const copy = new OwnContexts();
    copy.hash = this.hash.slice();
    copy.head = this.head.slice();
    copy.used = this.used;
    copy.byte = this.byte.slice();
    copy.count = this.count.slice();
    copy.next = this.next.slice();
    copy.entries = this.entries;
    return copy;
  }

  /** Slot of a context; NO_CONTEXT where it was not seen. */
  find(hash: number): number {
    const slot = this.slotOf(key(hash));
    return this.hash[slot] === 0 ? NO_CONTEXT : slot;
  }

  /** First entry of the context in a slot. */
  first(slot: number): number {
    return this.head[slot]!;
  }

  add(hash: number, byte: number): void {
    let slot = this.slotOf(key(hash));
    if (this.hash[slot] === 0) {
      if (this.used === MOST_CONTEXTS) return;
      if (this.used >= this.hash.length * FULL) {
        this.grow();
        slot = this.slotOf(key(hash));
      }
      this.hash[slot] = key(hash);
      this.used++;
    }
    let entry = this.head[slot]!;
    while (entry !== 0 && this.byte[entry] !== byte) entry = this.next[entry]!;
    if (entry === 0) {
      if (this.entries === this.byte.length) this.growEntries();
      entry = this.entries++;
      this.byte[entry] = byte;
      this.next[entry] = this.head[slot]!;
      this.head[slot] = entry;
    }
    // A context that never ends, as in a file of one byte, stops counting.
    if (this.count[entry] === 0xffff) return;
    this.count[entry]!++;
  }

  private slotOf(wanted: number): number {
    const { hash } = this;
    const last = hash.length - 1;
    let slot = Math.imul(wanted, SCATTER) >>> Math.clz32(last);
    while (hash[slot] !== 0 && hash[slot] !== wanted) slot = (slot + 1) & last;
    return slot;
  }

  private grow(): void {
    const { hash, head } = this;
    const size = hash.length * 2;
    this.hash = new Uint32Array(size);
    this.head = new Uint32Array(size);
    for (let i = 0; i < hash.length; i++) {
      if (hash[i] === 0) continue;
      const slot = this.slotOf(hash[i]!);
      this.hash[slot] = hash[i]!;
      this.head[slot] = head[i]!;
    }
  }

  private growEntries(): void {
    const size = this.byte.length * 2;
    const byte = new Uint8Array(size);
    byte.set(this.byte);
    this.byte = byte;
    const count = new Uint16Array(size);
    count.set(this.count);
    this.count = count;
    const next = new Uint32Array(size);
    next.set(this.next);
    this.next = next;
  }
}

/** 0 stands for a free slot. */
function key(hash: number): number {
  return hash === 0 ? 1 : hash >>> 0;
}
