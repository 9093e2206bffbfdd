import { describeMixing } from "../support/mixings.ts";

describeMixing({
  kind: "kronecker",
  shapes: [
    [2, 1, 70],
    [4, 2, 33],
    [8, 1, 9],
  ],
  std: 2,
  largest: 30,
  rows: 1e-6,
  columns: 1e-6,
  atol: 2e-6,
});
