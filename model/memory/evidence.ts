/** Evidence states: "`count` of `total`" in a few classes, so that how often such a byte comes next can be counted. */

/** Small totals have one state per (count, total); larger ones a size class and a ratio class. */
const EXACT_TOTAL = 7;
const EXACT_STATES = ((EXACT_TOTAL + 1) * (EXACT_TOTAL + 2)) / 2;
const RATIOS = 16;
const SIZES = 6;
export const EVIDENCE_STATES = EXACT_STATES + SIZES * RATIOS;

const LOGIT_LIMIT = 9;
const RATIO_STEPS = 1024;

export function logit(probability: number): number {
  const value = Math.log(probability / (1 - probability));
  return value > LOGIT_LIMIT ? LOGIT_LIMIT : value < -LOGIT_LIMIT ? -LOGIT_LIMIT : value;
}

export function logistic(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

/** Ratio class of count/total for 0 < count < total, by count·RATIO_STEPS/total. */
const ratioClass = new Uint8Array(RATIO_STEPS);
for (let step = 0; step < RATIO_STEPS; step++) {
  const ratio = (step + 0.5) / RATIO_STEPS;
  ratioClass[step] = Math.min(
    RATIOS - 2,
    Math.max(1, Math.round(Math.log(ratio / (1 - ratio)) * 1.1) + RATIOS / 2),
  );
}

/** Evidence state of "`count` of `total`", total > 0. */
export function evidenceState(count: number, total: number): number {
  if (total <= EXACT_TOTAL) return ((total * (total + 1)) >> 1) + count;
  const size =
    total < 64 ? (total < 16 ? 0 : 1) : total < 1024 ? (total < 256 ? 2 : 3) : total < 8192 ? 4 : 5;
  const ratio =
    count === 0
      ? 0
      : count === total
        ? RATIOS - 1
        : ratioClass[Math.floor((count * RATIO_STEPS) / total)]!;
  return EXACT_STATES + size * RATIOS + ratio;
}

/** How often a byte in such a state comes next, before anything was learned. */
export function priorProbability(state: number): number {
  if (state < EXACT_STATES) {
    let total = 0;
    while (((total + 1) * (total + 2)) / 2 <= state) total++;
    return (state - (total * (total + 1)) / 2 + 0.3) / (total + 0.9);
  }
  const size = Math.floor((state - EXACT_STATES) / RATIOS);
  const ratio = (state - EXACT_STATES) % RATIOS;
  const rare = 0.3 / (12 * 4 ** size);
  if (ratio === 0) return rare;
  if (ratio === RATIOS - 1) return 1 - rare;
  return logistic((ratio - RATIOS / 2) / 1.1);
}
