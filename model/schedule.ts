/**
 * The learning-rate factor as a function of the share of the run that is done, not of steps: a slow device that is
 * cut off by the clock still cools down. Warm-up, flat, linear to a floor. Source: byte-models.md §4.1.
 */
const WARMUP_STEPS = 40;
const COOLDOWN_FROM = 0.45;
const FLOOR = 0.02;

export function learningRateFactor(o: { step: number; done: number }): number {
  const warm = Math.min(1, (o.step + 1) / WARMUP_STEPS);
  const cool = o.done < COOLDOWN_FROM ? 1 : Math.max(FLOOR, (1 - o.done) / (1 - COOLDOWN_FROM));
  return warm * cool;
}
