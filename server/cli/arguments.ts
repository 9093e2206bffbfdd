/**
 * Command-line flags, checked: unknown names, missing values, numbers out of range and wrong choices each give
 * one sentence and a hint. A UsageError is the caller's mistake and ends the process with status 2; every
 * other failure ends it with status 1.
 */
import { parseArgs } from "node:util";

export class UsageError extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.name = "UsageError";
    this.hint = hint;
  }
}

export interface Flag {
  /** What stands after the flag in the help, e.g. "DIR"; absent for a switch. */
  readonly value?: string;
  readonly choices?: readonly string[];
  readonly fallback?: string;
  readonly required?: true;
  readonly help: string;
}

export type Flags = Readonly<Record<string, Flag>>;

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  readonly flags: Flags;
  /** Name of the one positional argument, if the command takes one. */
  readonly positional?: { readonly name: string; readonly help: string };
}

export interface ParsedFlags {
  text(name: string): string | undefined;
  /** For required flags and flags with a fallback. */
  need(name: string): string;
  has(name: string): boolean;
  number(name: string, o: NumberBounds): number | undefined;
  readonly positional: string | undefined;
}

export interface NumberBounds {
  readonly min: number;
  readonly max?: number;
  readonly integer?: true;
}

export const JSON_FLAG: Flag = { help: "print one line of JSON on standard output" };
export const DEVICE_FLAG: Flag = {
  value: "auto|gpu|cpu",
  choices: ["auto", "gpu", "cpu"],
  fallback: "auto",
  help: "where to compute; auto takes the GPU if there is a real one",
};
export const MODEL_FLAG: Flag = { value: "MODEL", required: true, help: "folder of the model" };

export function parseFlags(spec: CommandSpec, argv: readonly string[]): ParsedFlags {
  const seeHelp = `run "narrowgauge ${spec.name} --help" for all flags`;
  const { tokens, positionals } = parseArgs({
    args: normalize(argv, spec.flags),
    options: Object.fromEntries(
      Object.entries(spec.flags).map(
        ([name, flag]) =>
          [name, { type: flag.value === undefined ? "boolean" : "string" }] as const,
      ),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string | true>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const flag = Object.hasOwn(spec.flags, token.name) ? spec.flags[token.name] : undefined;
    if (flag === undefined) {
      const near = nearest(token.name, Object.keys(spec.flags));
      throw new UsageError(
        `${spec.name} has no flag ${token.rawName}`,
        near === undefined ? seeHelp : `did you mean --${near}?`,
      );
    }
    if (values.has(token.name))
      throw new UsageError(`--${token.name} is given twice`, "give it once");
    if (flag.value === undefined) {
      if (token.value !== undefined)
        throw new UsageError(`--${token.name} takes no value`, `write just --${token.name}`);
      values.set(token.name, true);
      continue;
    }
    const swallowed = token.inlineValue === false && token.value.startsWith("--");
    if (token.value === undefined || token.value === "" || swallowed)
      throw new UsageError(`--${token.name} needs a value`, `write --${token.name} ${flag.value}`);
    if (flag.choices !== undefined && !flag.choices.includes(token.value))
      throw new UsageError(
        `--${token.name} cannot be "${token.value}"`,
        `choose one of ${flag.choices.join(", ")}`,
      );
    values.set(token.name, token.value);
  }
  for (const [name, flag] of Object.entries(spec.flags))
    if (flag.required === true && !values.has(name))
      throw new UsageError(`${spec.name} needs --${name} ${flag.value ?? ""}`.trim(), seeHelp);
  const most = spec.positional === undefined ? 0 : 1;
  if (positionals.length > most)
    throw new UsageError(
      `${spec.name} does not take "${positionals[most]!}"`,
      most === 0 ? seeHelp : `put the ${spec.positional!.name} in quotes`,
    );
  if (positionals.length < most)
    throw new UsageError(`${spec.name} needs a ${spec.positional!.name}`, seeHelp);

  const text = (name: string): string | undefined => {
    const value = values.get(name) ?? spec.flags[name]?.fallback;
    return value === true ? undefined : value;
  };
  return {
    text,
    need: (name) => text(name)!,
    has: (name) => values.has(name),
    number: (name, o) => {
      const value = text(name);
      return value === undefined ? undefined : toNumber(name, value, o);
    },
    positional: positionals[0],
  };
}

/** Joins `--flag value` where the value starts with a dash and is a number, which parseArgs takes for a flag. */
function normalize(argv: readonly string[], flags: Flags): string[] {
  const joined: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i]!;
    const next = argv[i + 1];
    const takesValue = arg.startsWith("--") && flags[arg.slice(2)]?.value !== undefined;
    if (takesValue && next !== undefined && !next.startsWith("--")) {
      joined.push(`${arg}=${next}`);
      i++;
    } else joined.push(arg);
  }
  return joined;
}

function toNumber(name: string, value: string, o: NumberBounds): number {
  const number = Number(value.replaceAll("_", ""));
  const what = o.integer === true ? "a whole number" : "a number";
  if (!Number.isFinite(number) || (o.integer === true && !Number.isInteger(number)))
    throw new UsageError(`--${name} cannot be "${value}"`, `give ${what}, such as 39e6 or 20`);
  if (number < o.min || (o.max !== undefined && number > o.max))
    throw new UsageError(
      `--${name} cannot be ${value}`,
      o.max === undefined
        ? `give ${what} from ${o.min} up`
        : `give ${what} from ${o.min} to ${o.max}`,
    );
  return number;
}

/** The known word within two edits, for a hint. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: { word: string; edits: number } | undefined;
  for (const one of known) {
    const edits = distance(word, one);
    if (
      edits <= Math.max(2, Math.floor(one.length / 3)) &&
      (best === undefined || edits < best.edits)
    )
      best = { word: one, edits };
  }
  return best?.word;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)),
      );
    row = next;
  }
  return row[b.length]!;
}

/** The help text of one command. */
export function helpText(spec: CommandSpec): string {
  const rows = Object.entries(spec.flags).map(([name, flag]) => {
    const left = `--${name}${flag.value === undefined ? "" : ` ${flag.value}`}`;
    const extra =
      flag.required === true
        ? " (required)"
        : flag.fallback === undefined
          ? ""
          : ` (${flag.fallback})`;
    return [left, flag.help + extra] as const;
  });
  if (spec.positional !== undefined) rows.unshift([spec.positional.name, spec.positional.help]);
  const width = Math.max(...rows.map(([left]) => left.length));
  const usage = `narrowgauge ${spec.name}${spec.positional === undefined ? "" : ` "${spec.positional.name}"`} [flags]`;
  return [
    spec.summary,
    "",
    `usage: ${usage}`,
    "",
    ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
    "",
  ].join("\n");
}
