/** Names and lines that the most probable bytes write, from the true text before each of them. */
import { describe, expect, it } from "vitest";
import { greedyFigures } from "../bench/greedyFigures.ts";

const text = "let first = second(first);\nshort\nreturn first + 1; // end\n";
const bytes = Buffer.from(text);

function figuresOf(change: (best: Buffer) => void): ReturnType<typeof greedyFigures> {
  const best = Buffer.from(bytes);
  change(best);
  const bits = new Float32Array(bytes.length).fill(2);
  return greedyFigures([{ path: "a.ts", bytes, bits, best }]);
}

describe("figures of greedy bytes", () => {
  it("counts names in code and lines that are long enough", () => {
    const figures = figuresOf(() => undefined);
    expect(figures.measured).toBe(bytes.length);
    expect(figures.bpb).toBe(2);
    expect(figures.identifierBpb).toBe(2);
    // first, second, first, short, first; neither let nor return nor what a comment says.
    expect(figures.identifiers).toBe(5);
    expect(figures.identifierRight).toBe(1);
    expect(figures.lines).toBe(2);
    expect(figures.lineRight).toBe(1);
  });

  it("gives the first byte of a name for nothing, and no other", () => {
    const at = text.indexOf("second");
    expect(figuresOf((best) => (best[at] = 35)).identifierRight).toBe(1);
    expect(figuresOf((best) => (best[at + 1] = 35)).identifierRight).toBe(4 / 5);
    expect(figuresOf((best) => (best[at + 5] = 35)).identifierRight).toBe(4 / 5);
  });

  it("wants a name to end where it ends, with whatever byte", () => {
    const end = text.indexOf("second") + 6;
    expect(figuresOf((best) => (best[end] = 46)).identifierRight).toBe(1);
    expect(figuresOf((best) => (best[end] = 97)).identifierRight).toBe(4 / 5);
  });

  it("wants the rest of a line from its first third, with its end", () => {
    const start = text.indexOf("return");
    const end = text.indexOf("\n", start);
    const cut = start + Math.floor((end - start) / 3);
    expect(figuresOf((best) => (best[cut - 1] = 35)).lineRight).toBe(1);
    expect(figuresOf((best) => (best[cut] = 35)).lineRight).toBe(1 / 2);
    expect(figuresOf((best) => (best[end] = 32)).lineRight).toBe(1 / 2);
  });
});
