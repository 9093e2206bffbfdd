/** The plain distribution over the next byte: every level keeps its counts less a discount and passes the mass this
 *  frees, in proportion to how many different bytes it has seen, to the next shorter level; the last passes to all 256
 *  bytes alike, so nothing is impossible. The file's own levels go before the workspace's of the same order.
 *  Source: interpolated absolute discounting (Chen and Goodman 1999), without continuation counts. */

import type { Levels } from "./levels.ts";

const WORKSPACE_DISCOUNT = 0.6;
const OWN_DISCOUNT = 0.5;
/** Kept for all bytes from the start: in a long run of one byte the discounts multiply to 0. */
const FLOOR = 1e-6;

/** Writes 256 probabilities that sum to 1 into `out`. */
export function escapeBlend(workspace: Levels, own: Levels | undefined, out: Float64Array): void {
  out.fill(0);
  let mass = 1 - FLOOR;
  let workspaceLevel = 0;
  let ownLevel = 0;
  const ownLevels = own === undefined ? 0 : own.levels;
  while (workspaceLevel < workspace.levels || ownLevel < ownLevels) {
    const useOwn =
      ownLevel < ownLevels &&
      (workspaceLevel >= workspace.levels ||
        own!.order[ownLevel]! >= workspace.order[workspaceLevel]!);
    const levels = useOwn ? own! : workspace;
    const level = useOwn ? ownLevel++ : workspaceLevel++;
    const discount = useOwn ? OWN_DISCOUNT : WORKSPACE_DISCOUNT;
    const bytes = levels.byteOf[level]!;
    const counts = levels.countOf[level]!;
    const from = levels.start[level]!;
    const end = from + levels.size[level]!;
    const share = mass / levels.total[level]!;
    for (let i = from; i < end; i++) out[bytes[i]!]! += share * (counts[i]! - discount);
    mass = share * discount * (end - from);
  }
  const floor = (mass + FLOOR) / 256;
  for (let byte = 0; byte < 256; byte++) out[byte]! += floor;
}
