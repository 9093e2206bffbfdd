/**
 * The few parts of vitest that kernel and network tests use, in one small runner: with it test/tools/standalone.mjs
 * bundles them into one file that runs on any machine with a GPU, without packages.
 */
import { isDeepStrictEqual } from "node:util";

interface Case {
  readonly name: string;
  readonly run: () => unknown;
}
const cases: Case[] = [];
const before: (() => unknown)[] = [];
const after: (() => unknown)[] = [];
let path: string[] = [];

export function describe(name: string, body: () => void): void {
  path = [...path, name];
  body();
  path = path.slice(0, -1);
}
describe.each =
  (rows: readonly unknown[]) =>
  (name: string, body: (...row: unknown[]) => void): void => {
    for (const row of rows) {
      const values: unknown[] = Array.isArray(row) ? (row as unknown[]) : [row];
      describe(`${name} ${String(values[0])}`, () => body(...values));
    }
  };

/** Options, vitest's timeouts among them, are not looked at. */
export function test(name: string, ...rest: unknown[]): void {
  const run = rest.find((x) => typeof x === "function") as () => unknown;
  cases.push({ name: [...path, name].join(" > "), run });
}
test.each =
  (rows: readonly unknown[]) =>
  (name: string, ...rest: unknown[]): void => {
    const run = rest.find((x) => typeof x === "function") as (...row: unknown[]) => unknown;
    for (const row of rows) {
      const values: unknown[] = Array.isArray(row) ? (row as unknown[]) : [row];
      test(`${name} ${JSON.stringify(values[0])}`, () => run(...values));
    }
  };

export const beforeAll = (run: () => unknown): void => void before.push(run);
export const afterAll = (run: () => unknown): void => void after.push(run);

const say = (text: string): void => void process.stdout.write(`${text}\n`);
class Failure extends Error {}
/** Deep equality in which closeTo stands for all numbers near it. */
function equal(got: unknown, x: unknown): boolean {
  if (x instanceof Near)
    return typeof got === "number" && Math.abs(got - x.value) < 10 ** -x.digits / 2;
  if (Array.isArray(x) && Array.isArray(got))
    return x.length === got.length && x.every((one, i) => equal(got[i], one));
  return isDeepStrictEqual(got, x);
}
/** Every field that is named in x, at any depth, is equal; others may be there, in objects but not in lists. */
function holds(got: unknown, x: unknown): boolean {
  if (typeof x !== "object" || x === null || x instanceof Near) return equal(got, x);
  if (typeof got !== "object" || got === null || Array.isArray(got) !== Array.isArray(x))
    return false;
  if (Array.isArray(x) && x.length !== (got as unknown[]).length) return false;
  return Object.entries(x).every(([key, value]) =>
    holds((got as Record<string, unknown>)[key], value),
  );
}
const show = (x: unknown): string => JSON.stringify(x) ?? "undefined";

function matchers(got: unknown, wanted: boolean): Record<string, unknown> {
  const demand = (ok: boolean, what: string): void => {
    if (ok !== wanted)
      throw new Failure(`${show(got).slice(0, 300)} is ${wanted ? "not " : ""}${what}`);
  };
  const number = got as number;
  return {
    toBe: (x: unknown) => demand(Object.is(got, x), show(x)),
    toEqual: (x: unknown) => demand(equal(got, x), `equal to ${show(x).slice(0, 300)}`),
    toBeCloseTo: (x: number, digits = 2) =>
      demand(Math.abs(number - x) < 10 ** -digits / 2, `close to ${x}`),
    toBeGreaterThan: (x: number) => demand(number > x, `above ${x}`),
    toBeGreaterThanOrEqual: (x: number) => demand(number >= x, `at least ${x}`),
    toBeLessThan: (x: number) => demand(number < x, `below ${x}`),
    toBeLessThanOrEqual: (x: number) => demand(number <= x, `at most ${x}`),
    toMatchObject: (x: object) => demand(holds(got, x), `matching ${show(x).slice(0, 300)}`),
    toBeDefined: () => demand(got !== undefined, "defined"),
    toBeUndefined: () => demand(got === undefined, "undefined"),
    toMatch: (x: RegExp | string) =>
      demand(
        typeof x === "string" ? (got as string).includes(x) : x.test(got as string),
        `matching ${String(x)}`,
      ),
    toHaveLength: (n: number) => demand((got as { length: number }).length === n, `of length ${n}`),
    toContain: (x: unknown) => demand((got as unknown[]).includes(x), `holding ${show(x)}`),
    toThrow: (x?: RegExp | string) => {
      let message: string | undefined;
      try {
        (got as () => unknown)();
      } catch (error) {
        message = String(error);
      }
      const fits =
        message !== undefined &&
        (x === undefined || (typeof x === "string" ? message.includes(x) : x.test(message)));
      demand(fits, `thrown as ${String(x)}`);
    },
  };
}

export function expect(got: unknown): Record<string, unknown> {
  return { ...matchers(got, true), not: matchers(got, false) };
}
class Near {
  readonly value: number;
  readonly digits: number;
  constructor(value: number, digits: number) {
    this.value = value;
    this.digits = digits;
  }
}
expect.closeTo = (value: number, digits = 2): unknown => new Near(value, digits);
expect.fail = (message: string): never => {
  throw new Failure(message);
};

/** Runs everything that was declared; the process's exit code says whether all passed. */
export async function runAll(): Promise<void> {
  const only = process.argv[2];
  let passed = 0;
  let failed = 0;
  for (const run of before) await run();
  for (const c of cases) {
    if (only !== undefined && !new RegExp(only).test(c.name)) continue;
    const started = performance.now();
    try {
      await c.run();
      passed++;
    } catch (error) {
      failed++;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      say(`FAILED ${c.name}\n${text.split("\n").slice(0, 14).join("\n")}`);
    }
    const ms = performance.now() - started;
    if (ms > 5000) say(`${(ms / 1000).toFixed(1)} s: ${c.name}`);
  }
  for (const run of after) await run();
  say(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}
