/** The small runner must know what the tests that it carries ask for: on the machine that runs them it is too late. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { expect as standalone } from "../support/standalone.ts";

interface Judged {
  readonly not: Judged;
  toMatch(x: RegExp | string): void;
  toBeUndefined(): void;
  toEqual(x: unknown): void;
  toBeCloseTo(x: number, digits: number): void;
}

const folders = ["test/kernels", "test/network", "test/support"];
const sources = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((f) => f.endsWith(".ts"))
    .map((f) => readFileSync(join(folder, f), "utf8")),
);

describe("the runner without packages", () => {
  test("has every matcher that kernel and network tests use", () => {
    const named = new Set(
      sources.flatMap((s) => [...s.matchAll(/\.(to[A-Z]\w*)\(/g)].map(([, name]) => name!)),
    );
    const vitests = expect(0) as unknown as Record<string, unknown>;
    const used = [...named].filter((name) => name !== "toString" && name in vitests);
    expect(used.length).toBeGreaterThan(10);
    expect(used.filter((name) => !(name in standalone(0)))).toEqual([]);
  });

  test("judges as vitest does", () => {
    const judge = (check: () => void): string => {
      try {
        check();
        return "holds";
      } catch {
        return "fails";
      }
    };
    for (const e of [expect, standalone] as unknown as ((got: unknown) => Judged)[]) {
      expect(judge(() => e("a b").toMatch(/b$/))).toBe("holds");
      expect(judge(() => e("a b").not.toMatch(/^b/))).toBe("holds");
      expect(judge(() => e("a b").toMatch("c"))).toBe("fails");
      expect(judge(() => e(undefined).toBeUndefined())).toBe("holds");
      expect(judge(() => e(0).toBeUndefined())).toBe("fails");
      expect(judge(() => e([1, 2]).toEqual([1, 2]))).toBe("holds");
      expect(judge(() => e(0.1).toBeCloseTo(0.2, 3))).toBe("fails");
    }
  });
});
