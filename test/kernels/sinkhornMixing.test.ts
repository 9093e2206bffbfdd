import { describeMixing } from "../support/mixings.ts";

describeMixing({
  kind: "sinkhorn",
  shapes: [
    [1, 1, 3],
    [2, 1, 70],
    [3, 2, 9],
    [4, 2, 33],
    [8, 1, 7],
  ],
  std: 2,
  // Beyond the clamp.
  largest: 45,
  // Columns come before the last rows and are off; how far: test/unit/mixing.test.ts.
  rows: 1e-6,
  atol: 2e-6,
});
