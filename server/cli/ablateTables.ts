/**
 * Named tables of variants: what is set apart from the preset for training, and which parts answer when it is measured.
 * The first row is what the others are compared with.
 */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { UsageError } from "./arguments.ts";

const onOff = z.enum(["on", "off"]);

const rowSchema = z.strictObject({
  name: z.string().min(1),
  /** Overrides of the preset, as `train --set` takes them. */
  set: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
  /** Parts that answer. Rows that are trained alike share one training. */
  memory: onOff.default("on"),
  network: onOff.default("on"),
  candidates: onOff.default("on"),
  /** Memory absorbs each file after it is measured. */
  session: onOff.default("off"),
});

const tableSchema = z.strictObject({
  name: z.string().min(1),
  rows: z
    .array(rowSchema)
    .min(1)
    .refine((rows) => new Set(rows.map((row) => row.name)).size === rows.length, {
      message: "two rows have the same name",
    })
    .refine((rows) => rows.every((row) => row.memory === "on" || row.network === "on"), {
      message: "a row has memory and network off",
    }),
});

export type AblationRow = z.output<typeof rowSchema>;
export type AblationTable = z.output<typeof tableSchema>;

const BUILT_IN = [
  {
    name: "attention",
    rows: [
      { name: "tau: four scalars a key" },
      { name: "tau, no tied heads", set: { tiedHeads: 0 } },
      { name: "tau, fixed spectrum", set: { spectrum: "fixed" } },
      { name: "grid: one scalar a key, linear time", set: { attention: "grid", bands: 1 } },
      { name: "published taumode", set: { attention: "published" } },
      { name: "dot product", set: { attention: "dot" } },
    ],
  },
  {
    name: "residual",
    rows: [
      { name: "go-mHC, 4 streams" },
      { name: "plain", set: { residual: "plain" } },
      { name: "go-mHC, 2 streams", set: { streams: 2 } },
      { name: "Sinkhorn, 4 streams", set: { residual: "sinkhorn" } },
      { name: "Kronecker, 4 streams", set: { residual: "kronecker" } },
      { name: "permutations, 4 streams", set: { residual: "permutation" } },
    ],
  },
  {
    name: "patching",
    rows: [
      { name: "rules: words and line ends" },
      { name: "every 4 bytes", set: { patching: "stride", stride: 4 } },
      { name: "every 6 bytes", set: { patching: "stride", stride: 6 } },
      { name: "flat bytes", set: { patching: "flat" } },
    ],
  },
  {
    name: "facts",
    rows: [
      { name: "facts on" },
      { name: "facts off", set: { facts: "off" } },
      { name: "facts on, never dropped", set: { factDropout: 0 } },
    ],
  },
  {
    name: "memory",
    rows: [
      { name: "network and memory" },
      { name: "without names in scope", candidates: "off" },
      { name: "network alone", memory: "off" },
      { name: "memory alone", network: "off" },
      { name: "with each measured file absorbed", session: "on" },
    ],
  },
] as const satisfies readonly z.input<typeof tableSchema>[];

export const TABLE_NAMES: readonly string[] = BUILT_IN.map(({ name }) => name);

/** A built-in table by its name, or one from a JSON file of the same shape. */
export async function readTable(nameOrFile: string): Promise<AblationTable> {
  const known = BUILT_IN.find(({ name }) => name === nameOrFile);
  if (known !== undefined) return tableSchema.parse(known);
  const choices = `name one of ${TABLE_NAMES.join(", ")}, or a JSON file with "name" and "rows"`;
  const text = await readFile(nameOrFile, "utf8").catch(() => {
    throw new UsageError(`there is no table ${nameOrFile}`, choices);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`${nameOrFile} is not JSON`, choices);
  }
  const parsed = tableSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const where = issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
  throw new UsageError(`${nameOrFile} is wrong${where}: ${issue.message}`, choices);
}
