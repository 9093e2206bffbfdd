/** `narrowgauge bench`: how fast each operation, a training step and a completion are on this machine's device. */
import { bench, PRESETS } from "../../model/index.ts";
import type { Preset } from "../../model/index.ts";
import { DEVICE_FLAG, JSON_FLAG } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const PRESET_NAMES = Object.keys(PRESETS);

export const BENCH: CommandSpec = {
  name: "bench",
  summary: "measure the operations on this machine",
  flags: {
    device: DEVICE_FLAG,
    preset: {
      value: PRESET_NAMES.join("|"),
      choices: PRESET_NAMES,
      help: "size of the model whose steps are measured",
    },
    json: JSON_FLAG,
  },
};

export async function runBench(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const preset = flags.text("preset") as Preset | undefined;
  const result = await bench({
    device: flags.need("device") as "auto" | "gpu" | "cpu",
    logger: terminalLogger(terminal),
    signal: terminal.signal,
    ...(preset === undefined ? {} : { preset }),
  });
  if (flags.has("json")) {
    terminal.out(JSON.stringify(result));
    return;
  }
  terminal.out(`${result.device}: ${result.reason}`);
  for (const { op, ...figures } of result.ops) {
    const shown = Object.entries(figures).map(
      ([name, value]) =>
        `${name} ${typeof value === "number" ? Number(value.toPrecision(4)) : value}`,
    );
    terminal.out(`${op.padEnd(24)} ${shown.join("  ")}`);
  }
}
