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
    tune: {
      help: "first measure which kernels make this machine's matrix products fastest, and keep the choice for trainings",
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
    tune: flags.has("tune") ? 1 : 0,
  });
  if (flags.has("json")) {
    terminal.out(JSON.stringify(result));
    return;
  }
  terminal.out(`${result.device}: ${result.reason}`);
  const { products } = result;
  if (products !== undefined)
    terminal.out(
      products.measured === 0
        ? "matrix products: kernels by a model of their time; --tune measures them on this machine"
        : `matrix products: ${products.changed} of ${products.measured} measured ones take tuned kernels (${products.file})`,
    );
  for (const { op, ...figures } of result.ops) {
    const shown = Object.entries(figures).map(
      ([name, value]) =>
        `${name} ${typeof value === "number" ? Number(value.toPrecision(4)) : value}`,
    );
    terminal.out(`${op.padEnd(24)} ${shown.join("  ")}`);
  }
}
