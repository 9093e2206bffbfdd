import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { headLaplacian, type Laplacian } from "../../model/laplacian.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function dense(l: Laplacian, n: number): Float64Array {
  const m = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let e = l.rowStart[i]!; e < l.rowStart[i + 1]!; e++)
      m[i * n + l.column[e]!] = l.weight[e]!;
  return m;
}

const graphs = fc
  .record({
    bytes: fc.uint8Array({ maxLength: 2000 }),
    nodes: fc.integer({ min: 2, max: 24 }),
    wanted: fc.integer({ min: 1, max: 8 }),
  })
  .map((g) => ({ bytes: g.bytes, nodes: g.nodes, neighbours: Math.min(g.wanted, g.nodes - 1) }));

describe("headLaplacian", () => {
  test("is symmetric, has rows that sum to zero and non-positive entries off the diagonal", () => {
    fc.assert(
      fc.property(graphs, (o) => {
        const n = o.nodes;
        const m = dense(headLaplacian(o), n);
        for (let i = 0; i < n; i++) {
          let sum = 0;
          for (let j = 0; j < n; j++) {
            sum += m[i * n + j]!;
            expect(m[i * n + j]).toBe(m[j * n + i]);
            if (i !== j) expect(m[i * n + j]).toBeLessThanOrEqual(0);
          }
          expect(Math.abs(sum)).toBeLessThan(1e-12);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("is positive semidefinite on random vectors", () => {
    fc.assert(
      fc.property(
        graphs,
        fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: 24, maxLength: 24 }),
        (o, x) => {
          const n = o.nodes;
          const m = dense(headLaplacian(o), n);
          let energy = 0;
          for (let i = 0; i < n; i++)
            for (let j = 0; j < n; j++) energy += x[i]! * m[i * n + j]! * x[j]!;
          expect(energy).toBeGreaterThanOrEqual(-1e-9);
        },
      ),
      { numRuns: 30 },
    );
  });

  test("is rebuilt by its eigenvectors and eigenvalues, which ascend from zero", () => {
    fc.assert(
      fc.property(graphs, (o) => {
        const n = o.nodes;
        const l = headLaplacian(o);
        const m = dense(l, n);
        expect(l.eigenvalues[0]).toBeLessThan(1e-10);
        for (let i = 0; i < n; i++)
          for (let j = 0; j < n; j++) {
            let rebuilt = 0;
            let gram = 0;
            for (let k = 0; k < n; k++) {
              rebuilt +=
                l.eigenvectors[i * n + k]! * l.eigenvalues[k]! * l.eigenvectors[j * n + k]!;
              gram += l.eigenvectors[k * n + i]! * l.eigenvectors[k * n + j]!;
            }
            expect(Math.abs(rebuilt - m[i * n + j]!)).toBeLessThan(1e-9);
            expect(Math.abs(gram - (i === j ? 1 : 0))).toBeLessThan(1e-10);
          }
        for (let k = 1; k < n; k++)
          expect(l.eigenvalues[k]!).toBeGreaterThanOrEqual(l.eigenvalues[k - 1]!);
      }),
      { numRuns: 20 },
    );
  });

  test("joins every node to at least as many neighbours as it asked for", () => {
    const l = headLaplacian({
      bytes: bytesOf("const a = (b) => b + 1;\n".repeat(50)),
      nodes: 64,
      neighbours: 6,
    });
    for (let i = 0; i < 64; i++)
      expect(l.rowStart[i + 1]! - l.rowStart[i]! - 1).toBeGreaterThanOrEqual(6);
  });

  test("gives the same matrix for the same bytes and another for other bytes", () => {
    const o = { nodes: 32, neighbours: 4 };
    const text =
      "import { describe } from 'vitest';\nexport function f(x: number) { return x * 2; }\n".repeat(
        20,
      );
    const one = headLaplacian({ ...o, bytes: bytesOf(text) });
    expect(headLaplacian({ ...o, bytes: bytesOf(text) })).toEqual(one);
    const other = headLaplacian({
      ...o,
      bytes: bytesOf("SELECT name FROM people WHERE age > 3;\n".repeat(40)),
    });
    expect([...other.eigenvalues]).not.toEqual([...one.eigenvalues]);
  });

  test("decomposes the largest graph", () => {
    const l = headLaplacian({
      bytes: Uint8Array.from({ length: 50_000 }, (_, i) => (i * i + (i >> 3)) & 255),
      nodes: 128,
      neighbours: 6,
    });
    expect(l.eigenvalues.reduce((a, b) => a + b, 0)).toBeCloseTo(
      Array.from({ length: 128 }, (_, i) => dense(l, 128)[i * 129]!).reduce((a, b) => a + b, 0),
      8,
    );
  });

  test("refuses sizes out of range with a code", () => {
    const bytes = new Uint8Array(10);
    expect(() => headLaplacian({ bytes, nodes: 1, neighbours: 1 })).toThrowError(
      expect.objectContaining({ code: "NG_LAPLACIAN_NODES" }),
    );
    expect(() => headLaplacian({ bytes, nodes: 8, neighbours: 8 })).toThrowError(
      expect.objectContaining({ code: "NG_LAPLACIAN_NEIGHBOURS" }),
    );
  });
});
