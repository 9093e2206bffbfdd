/** `narrowgauge bench`: how fast each operation is on this machine's device. */
import * as runtime from "../../model/index.ts";
import { ConfigError } from "../../model/index.ts";
import type { Logger } from "../../model/index.ts";
import { DEVICE_FLAG, JSON_FLAG } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

export const BENCH: CommandSpec = {
  name: "bench",
  summary: "measure the operations on this machine",
  flags: { device: DEVICE_FLAG, json: JSON_FLAG },
};

type Bench = (o: {
  device: "auto" | "gpu" | "cpu";
  logger: Logger;
  signal: AbortSignal;
}) => Promise<{ ops: readonly object[] }>;

export async function runBench(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const { bench } = runtime as { bench?: Bench };
  if (bench === undefined)
    throw new ConfigError("NG_BENCH", "this build measures no operations", "use a newer build");
  const result = await bench({
    device: flags.need("device") as "auto" | "gpu" | "cpu",
    logger: terminalLogger(terminal),
    signal: terminal.signal,
  });
  if (flags.has("json")) {
    terminal.out(JSON.stringify(result));
    return;
  }
  for (const op of result.ops) {
    const fields = Object.entries(op)
      .filter(([key]) => key !== "op" && key !== "name")
      .map(
        ([key, value]) =>
          `${key} ${typeof value === "number" ? Number(value.toPrecision(4)) : String(value)}`,
      );
    const { op: id, name } = op as { op?: string; name?: string };
    terminal.out(`${(id ?? name ?? "?").padEnd(24)} ${fields.join("  ")}`);
  }
}
