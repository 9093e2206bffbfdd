/**
 * What attention costs by the length of the context: microseconds of one attention sublayer (8 heads of 64) over a whole
 * window, and for one byte more behind a cache of it, on the GPU by timestamps. `of` is the lookup alone, without the
 * maps, which do not depend on the length.
 *
 * node test/bench/run.mjs attentionCost --out FILE [--lengths 1024,…,32768] [--device gpu]
 *
 * Appends one JSON line per kind, length and mode to FILE; attentionKinds draws them.
 */
import { appendFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { tauAttentionPart } from "../../model/attention.ts";
import { createBuilder } from "../../model/builder.ts";
import { presetConfig, type ModelConfig } from "../../model/config.ts";
import { controlAttentionPart } from "../../model/controlAttention.ts";
import { activationType, type Device, type DeviceChoice } from "../../model/device.ts";
import type { Tensor } from "../../model/graph.ts";
import { gridLookup } from "../../model/gridAttentionPart.ts";
import { openDevice } from "../../model/openDevice.ts";
import { attentionSizes, paramTable } from "../../model/params.ts";
import { corpusSpectrum } from "../../model/spectrum.ts";
import { initialParams } from "../../model/trainer.ts";

const HEADS = 8;
const CHANNELS = 512;
const KINDS: readonly { readonly name: string; readonly set: Partial<ModelConfig> }[] = [
  { name: "eight bands", set: { attention: "tau", bands: 8 } },
  { name: "four bands", set: { attention: "tau", bands: 4 } },
  { name: "grid", set: { attention: "grid" } },
  { name: "dot product", set: { attention: "dot" } },
];
const PREFIX = "trunk.0.attention";

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    lengths: { type: "string", default: "1024,2048,4096,8192,16384,32768" },
    device: { type: "string", default: "gpu" },
  },
});
if (values.out === undefined) {
  process.stderr.write("usage: attentionCost --out FILE\n");
  process.exit(2);
}

const isLookup = (op: string): boolean => /^(tauAttention|dotAttention|grid(?!Scalars))/.test(op);

/** Records one sublayer, forward only: a window of `length`, or one row behind a cache of it. */
async function sublayer(
  device: Device,
  set: Partial<ModelConfig>,
  o: { readonly mode: "window" | "extend"; readonly length: number },
): Promise<{ us: number; lookup: number }> {
  const c = presetConfig("small", { ...set, trunkChannels: CHANNELS, trunkHeads: HEADS });
  const spectrum = corpusSpectrum(new TextEncoder().encode("any text will do\n".repeat(64)));
  const specs = paramTable(c, spectrum).filter((s) => s.name.startsWith(PREFIX));
  const held: Tensor[] = [];
  const tensor = (
    name: string,
    shape: readonly number[],
    dtype?: "f16" | "f32" | "u32",
  ): Tensor => {
    const t = device.tensor(name, shape, dtype);
    held.push(t);
    return t;
  };
  const params = new Map<string, Tensor>();
  for (const [name, value] of initialParams(specs, 1)) {
    const t = tensor(name, value.shape);
    device.write(t, value.data);
    params.set(name, t);
  }
  const half = o.mode === "window" ? activationType(device, c) : "f32";
  const b = createBuilder({
    config: c,
    half,
    mode: o.mode,
    params,
    persistent: (name, shape) => tensor(name, shape),
    write: (t, data) => device.write(t, data),
  });
  const rows = o.mode === "window" ? o.length : 1;
  const span = tensor("span", [1], "u32");
  device.write(span, [o.length - rows]);
  const x = tensor("x", [rows, CHANNELS], half);
  device.write(
    x,
    Float32Array.from({ length: rows * CHANNELS }, (_, i) => Math.sin(i)),
  );
  const part = {
    prefix: PREFIX,
    sizes: attentionSizes(c, "trunk"),
    positions: { batch: 1, rows, capacity: o.length, span },
    window: 0,
  };
  if (c.attention === "dot") controlAttentionPart(b, part, x);
  else tauAttentionPart(b, part, x, c.attention === "grid" ? gridLookup : undefined);
  const program = await device.compile(b.graph, "attention");
  const kernels = await program.kernels!();
  let [us, lookup] = [0, 0];
  for (const k of kernels) {
    us += k.us * k.count;
    if (isLookup(k.op)) lookup += k.us * k.count;
  }
  program.dispose();
  for (const t of held) device.free(t);
  return { us, lookup };
}

const { device } = await openDevice(values.device as DeviceChoice);
for (const { name, set } of KINDS)
  for (const mode of ["window", "extend"] as const)
    for (const length of values.lengths.split(",").map(Number)) {
      const line = { kind: name, mode, length, ...(await sublayer(device, set, { mode, length })) };
      appendFileSync(values.out, `${JSON.stringify({ ...line, device: device.name })}\n`);
      process.stdout.write(`${JSON.stringify(line)}\n`);
    }
process.exit(0);
