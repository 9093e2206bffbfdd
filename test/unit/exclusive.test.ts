import { expect, test } from "vitest";
import { Exclusive } from "../../model/exclusive.ts";

test("tasks never overlap, keep their order, and a failure is its caller's alone", async () => {
  const exclusive = new Exclusive();
  const seen: string[] = [];
  let inside = 0;
  const task = (name: string, ms: number) => async (): Promise<string> => {
    expect(inside++).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, ms));
    inside--;
    seen.push(name);
    if (name === "b") throw new Error("b fails");
    return name;
  };
  const a = exclusive.run(task("a", 20));
  const b = exclusive.run(task("b", 1));
  const c = exclusive.run(task("c", 1));
  expect(await a).toBe("a");
  await expect(b).rejects.toThrow("b fails");
  expect(await c).toBe("c");
  expect(seen).toEqual(["a", "b", "c"]);
});
