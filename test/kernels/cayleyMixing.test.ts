import { describeMixing } from "../support/mixings.ts";

describeMixing({
  kind: "goMhc",
  shapes: [
    [4, 2, 70],
    [1, 2, 3],
    [2, 1, 5],
    [2, 3, 33],
    [3, 2, 9],
    [4, 1, 65],
    [4, 3, 7],
  ],
  std: 0.4,
  largest: 10,
  // After one Newton step.
  rows: 1e-6,
  columns: 1e-6,
  atol: 2e-6,
});
