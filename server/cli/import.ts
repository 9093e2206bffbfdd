/** `narrowgauge import`: weights that were trained in PyTorch, brought back into a model folder. */
import { resolve } from "node:path";
import { importWeights } from "../../model/index.ts";
import { JSON_FLAG } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import type { Terminal } from "./terminal.ts";

export const IMPORT: CommandSpec = {
  name: "import",
  summary: "bring weights that were trained in PyTorch back into a model",
  flags: {
    model: { value: "MODEL", required: true, help: "folder of the model that was exported" },
    weights: { value: "FILE", required: true, help: "safetensors file that train.py wrote" },
    out: { value: "MODEL", help: "new folder for the result; default: the weights are replaced" },
    json: JSON_FLAG,
  },
};

export async function runImport(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const out = flags.text("out");
  const result = importWeights({
    model: resolve(flags.need("model")),
    weights: resolve(flags.need("weights")),
    ...(out === undefined ? {} : { out: resolve(out) }),
  });
  if (flags.has("json")) terminal.out(JSON.stringify(result));
  else
    terminal.out(
      [`${(result.params / 1e6).toFixed(2)} M parameters in ${result.out}`, ...result.notes].join(
        "\n",
      ),
    );
}
