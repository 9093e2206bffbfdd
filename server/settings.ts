/**
 * Every setting once: type, bounds, default, scope and the words shown in the settings editor.
 * `package.json` is generated from this table by a test. Reading is total: a value of the wrong type or
 * out of bounds falls back to the documented default, because a typing mistake must not stop the server.
 */
import { z } from "zod";

type Scope = "resource" | "window" | "machine" | "application";

interface Setting<S extends z.ZodType> {
  readonly schema: S;
  readonly default: z.output<S>;
  readonly scope: Scope;
  readonly description: string;
  /** One line for each value of an enumeration, in its order. */
  readonly valueDescriptions?: readonly string[];
}

const setting = <S extends z.ZodType>(value: Setting<S>): Setting<S> => value;

export const SETTINGS = {
  enable: setting({
    schema: z.boolean(),
    default: true,
    scope: "resource",
    description: "Offer inline completions from the model of this workspace.",
  }),
  "completion.debounceMs": setting({
    schema: z.int().min(0).max(1000),
    default: 60,
    scope: "window",
    description: "How long typing must rest before the model is asked, in milliseconds.",
  }),
  "completion.deadlineMs": setting({
    schema: z.int().min(50).max(5000),
    default: 1500,
    scope: "window",
    description: "A suggestion that takes longer than this, in milliseconds, is not shown.",
  }),
  "completion.maxBytes": setting({
    schema: z.int().min(8).max(1024),
    default: 160,
    scope: "window",
    description: "The longest suggestion, in bytes.",
  }),
  "completion.minConfidence": setting({
    schema: z.number().min(0).max(1),
    default: 0.5,
    scope: "window",
    description:
      "How probable a suggestion must be to be shown; a longer one is cut where it falls below. Higher means fewer and shorter suggestions, and more of them right; `0` shows everything.",
  }),
  "completion.multiLine": setting({
    schema: z.boolean(),
    default: false,
    scope: "resource",
    description: "Let a suggestion at the end of a line go on over the next lines.",
  }),
  "training.enable": setting({
    schema: z.boolean(),
    default: true,
    scope: "resource",
    description: "Allow training on this workspace. Training still asks once before its first run.",
  }),
  "training.budgetMinutes": setting({
    schema: z.number().min(0.1).max(1440),
    default: 30,
    scope: "machine",
    description:
      "How long one training run may take, in minutes. With the model preset `auto` it takes three at most.",
  }),
  "training.idleMinutes": setting({
    schema: z.number().min(0).max(1440),
    default: 5,
    scope: "machine",
    description:
      "After how many minutes without typing the model learns the files that changed since it was trained; `0` means never. It takes a minute or so, never on battery where the machine says so (Linux, macOS), ends at once when you type, and is kept only if held-out files are predicted no worse and the changed ones better. `Narrowgauge: Go Back to the Previous Model` undoes it.",
  }),
  "model.preset": setting({
    schema: z.enum(["auto", "nano", "small", "base"]),
    default: "auto",
    scope: "machine",
    description: "How large a model to train.",
    valueDescriptions: [
      "By the size of the workspace and the measured speed of this machine, so that training ends in about three minutes.",
      "About 2 million parameters: minutes, also without a GPU.",
      "About 12 million parameters: for a GPU.",
      "About 32 million parameters: for a large GPU and a large workspace.",
    ],
  }),
  "model.checkpointDirectory": setting({
    schema: z.string(),
    default: "",
    scope: "machine",
    description:
      "An absolute folder for models; each workspace gets its own folder inside. Empty: the editor's private storage of the workspace.",
  }),
  "corpus.exclude": setting({
    schema: z.array(z.string()),
    default: [],
    scope: "resource",
    description:
      "More files to leave out, as `.gitignore` patterns. `.gitignore` and `.narrowgaugeignore` files are always respected.",
  }),
  "corpus.maxFileKiB": setting({
    schema: z.int().min(1).max(16384),
    default: 1024,
    scope: "resource",
    description: "Files larger than this, in KiB, are left out.",
  }),
  "device.backend": setting({
    schema: z.enum(["auto", "gpu", "cpu"]),
    default: "auto",
    scope: "machine",
    description: "Where the model is trained and run.",
    valueDescriptions: [
      "The GPU if there is a real one, otherwise the CPU.",
      "The GPU, and an error if there is none.",
      "The CPU.",
    ],
  }),
  nodePath: setting({
    schema: z.string(),
    default: "",
    scope: "machine",
    description:
      "Absolute path of a Node.js (20 or later) for the background processes. Empty: the one that came with the extension.",
  }),
  "trace.server": setting({
    schema: z.enum(["off", "messages", "verbose"]),
    default: "off",
    scope: "window",
    description: "Log the messages between the editor and the language server.",
  }),
} as const;

export type SettingKey = keyof typeof SETTINGS;
type ValueOf<K extends SettingKey> = z.output<(typeof SETTINGS)[K]["schema"]>;

/** All values for one resource, flat, by key. */
export type Settings = { readonly [K in SettingKey]: ValueOf<K> };

/** Takes anything the client sends for the section `narrowgauge` and always yields complete settings. */
export function settingsFrom(section: unknown): Settings {
  const values: Partial<Record<SettingKey, unknown>> = {};
  for (const key of Object.keys(SETTINGS) as SettingKey[]) {
    const parsed = SETTINGS[key].schema.safeParse(lookUp(section, key));
    values[key] = parsed.success ? parsed.data : SETTINGS[key].default;
  }
  return values as Settings;
}

/** Clients send either nested objects or flat dotted keys; both are read. */
function lookUp(section: unknown, key: string): unknown {
  if (typeof section !== "object" || section === null) return undefined;
  const record = section as Record<string, unknown>;
  if (Object.hasOwn(record, key)) return record[key];
  const dot = key.indexOf(".");
  if (dot < 0) return undefined;
  return lookUp(record[key.slice(0, dot)], key.slice(dot + 1));
}

/** The `contributes.configuration` section of package.json. */
export function configurationSection(): Record<string, unknown> {
  const properties: Record<string, unknown> = {};
  let order = 0;
  for (const key of Object.keys(SETTINGS) as SettingKey[]) {
    const entry: Setting<z.ZodType> = SETTINGS[key];
    const { $schema: _dialect, ...shape } = z.toJSONSchema(entry.schema) as Record<string, unknown>;
    properties[`narrowgauge.${key}`] = {
      ...shape,
      default: entry.default,
      scope: entry.scope,
      order: order++,
      markdownDescription: entry.description,
      ...(entry.valueDescriptions === undefined
        ? {}
        : { markdownEnumDescriptions: entry.valueDescriptions }),
    };
  }
  return { title: "Narrowgauge", properties };
}
