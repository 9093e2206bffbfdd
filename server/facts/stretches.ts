/** Long work in the language server, cut so that completions are answered in between. */

/** Longest stretch of work without letting others in: this runs in the language server, too. */
const STRETCH_MS = 15;

/** Calls `work` on each item and lets the event loop turn in between; false: `isOver` said stop. */
export async function inStretches<Item>(
  items: Iterable<Item>,
  work: (item: Item) => void,
  isOver: () => boolean = () => false,
): Promise<boolean> {
  let since = performance.now();
  for (const item of items) {
    work(item);
    if (performance.now() - since < STRETCH_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    if (isOver()) return false;
    since = performance.now();
  }
  return true;
}
