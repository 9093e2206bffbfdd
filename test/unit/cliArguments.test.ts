/** Flags of the command line: what is accepted, and the sentence for what is not. */
import { describe, expect, test } from "vitest";
import { helpText, nearest, parseFlags, UsageError } from "../../server/cli/arguments.ts";
import type { CommandSpec } from "../../server/cli/arguments.ts";

const SPEC: CommandSpec = {
  name: "work",
  summary: "do some work",
  flags: {
    model: { value: "MODEL", required: true, help: "folder" },
    bytes: { value: "N", help: "how many" },
    level: { value: "low|high", choices: ["low", "high"], fallback: "low", help: "how much" },
    json: { help: "one line of JSON" },
  },
};

function failure(argv: string[], spec = SPEC): string {
  try {
    parseFlags(spec, argv);
  } catch (error) {
    if (error instanceof UsageError) return `${error.message} | ${error.hint}`;
    throw error;
  }
  return "accepted";
}

describe("flags", () => {
  test("are read in both spellings, with fallbacks", () => {
    const flags = parseFlags(SPEC, ["--model=m", "--bytes", "39e6", "--json"]);
    expect(flags.need("model")).toBe("m");
    expect(flags.number("bytes", { min: 1 })).toBe(39_000_000);
    expect(flags.need("level")).toBe("low");
    expect(flags.has("json")).toBe(true);
    expect(parseFlags(SPEC, ["--model", "m"]).number("bytes", { min: 1 })).toBeUndefined();
  });

  test.each([
    [[], 'work needs --model MODEL | run "narrowgauge work --help" for all flags'],
    [["--modle", "x"], "work has no flag --modle | did you mean --model?"],
    [["-x"], 'work has no flag -x | run "narrowgauge work --help" for all flags'],
    [["--model"], "--model needs a value | write --model MODEL"],
    [["--model", "--json"], "--model needs a value | write --model MODEL"],
    [["--model", "a", "--model", "b"], "--model is given twice | give it once"],
    [["--model", "a", "--level", "huge"], '--level cannot be "huge" | choose one of low, high'],
    [["--model", "a", "--json=yes"], "--json takes no value | write just --json"],
    [
      ["--model", "a", "extra"],
      'work does not take "extra" | run "narrowgauge work --help" for all flags',
    ],
    [
      ["--model", "a", "--constructor"],
      'work has no flag --constructor | run "narrowgauge work --help" for all flags',
    ],
  ])("%j gives one sentence and a hint", (argv, expected) => {
    expect(failure(argv)).toBe(expected);
  });

  test.each([
    ["many", '--bytes cannot be "many" | give a number, such as 39e6 or 20'],
    ["-5", "--bytes cannot be -5 | give a number from 1 up"],
    ["NaN", '--bytes cannot be "NaN" | give a number, such as 39e6 or 20'],
    ["Infinity", '--bytes cannot be "Infinity" | give a number, such as 39e6 or 20'],
  ])("--bytes %s is refused", (value, expected) => {
    const flags = parseFlags(SPEC, ["--model", "m", "--bytes", value]);
    try {
      flags.number("bytes", { min: 1 });
      expect.unreachable();
    } catch (error) {
      const { message, hint } = error as UsageError;
      expect(`${message} | ${hint}`).toBe(expected);
    }
  });

  test("leave room for one argument where there is one", () => {
    const spec = { ...SPEC, positional: { name: "question", help: "what to find" } };
    expect(parseFlags(spec, ["where is it", "--model", "m"]).positional).toBe("where is it");
    expect(failure(["--model", "m"], spec)).toContain("work needs a question");
    expect(failure(["where", "is", "--model", "m"], spec)).toContain("put the question in quotes");
  });

  test("are all named in the help", () => {
    const help = helpText(SPEC);
    for (const name of Object.keys(SPEC.flags)) expect(help).toContain(`--${name}`);
    expect(help).toContain("(required)");
  });

  test("near misses are recognised, far ones are not", () => {
    expect(nearest("trian", ["train", "eval"])).toBe("train");
    expect(nearest("xyzzy", ["train", "eval"])).toBeUndefined();
  });
});
