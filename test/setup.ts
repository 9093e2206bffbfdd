/**
 * Runs before every test file. A stray console call fails the test that made it: the code under
 * test logs through its Logger.
 */
import { afterEach, beforeEach, expect, vi } from "vitest";

const methods = ["log", "info", "warn", "error", "debug"] as const;

beforeEach(() => {
  for (const method of methods)
    vi.spyOn(console, method).mockImplementation((...args: unknown[]) => {
      throw new Error(`console.${method} was called: ${args.map(String).join(" ")}`);
    });
});

afterEach(() => {
  for (const method of methods) {
    const spy = vi.mocked(console[method]);
    const calls = vi.isMockFunction(spy) ? spy.mock.calls.length : 0;
    expect(calls, `console.${method} must stay unused`).toBe(0);
  }
  vi.restoreAllMocks();
});
