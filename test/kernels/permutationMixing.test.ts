import { describeMixing } from "../support/mixings.ts";

describeMixing({
  kind: "permutation",
  shapes: [
    [1, 1, 3],
    [2, 1, 70],
    [3, 2, 9],
    [4, 2, 33],
    [5, 1, 7],
  ],
  std: 2,
  largest: 30,
  rows: 1e-6,
  columns: 1e-6,
  atol: 2e-6,
});
