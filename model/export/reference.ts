/**
 * What another implementation of the network is compared with: two windows that use every input there is, and the
 * logits that the network gives for them, all in f32.
 */
import { createBuilder } from "../builder.ts";
import { headerSymbols, PRE, SUF, VOCAB } from "../bytes.ts";
import { maxPatches, type ModelConfig } from "../config.ts";
import type { Device } from "../device.ts";
import { factChannels } from "../facts/channels.ts";
import type { Tensor } from "../graph.ts";
import { addForward } from "../kernels/add.ts";
import { NO_ROW } from "../kernels/embedBytes.ts";
import { recordNetwork } from "../network.ts";
import { Random } from "../random.ts";
import { rawTensor, type RawTensor, type StoredTensor } from "../safetensors.ts";
import { idChannels, WindowBatch, type Window } from "../windows.ts";

/** No row, no patch, in files for others. */
const NONE = -1;
const SEED = 1;

/** A window of text as it is scored, with random facts, and one arranged as fill-in-the-middle with bytes of all
 *  kinds, without facts. */
export function checkWindows(config: ModelConfig, text: string): readonly Window[] {
  const N = config.context;
  const channels = factChannels(config.colour);
  const random = new Random(SEED);
  const bytes = Buffer.from(text);
  const plain = [...headerSymbols("model.py"), ...bytes].slice(0, N);
  const facts = new Uint16Array(plain.length * channels.length);
  for (let i = 0; i < facts.length; i++)
    facts[i] = random.below(channels[i % channels.length]!.size);
  const noise = Array.from({ length: N }, () => random.below(256));
  const middle = [...headerSymbols("a/é.ts"), SUF, ...bytes.subarray(0, N >> 2), PRE, ...noise];
  return [{ symbols: plain, facts }, { symbols: middle.slice(0, N) }];
}

/** Signed numbers within one window, from absolute ones over the batch. */
const local = (values: Uint32Array, perWindow: number, perTarget: number): Int32Array =>
  Int32Array.from(values, (v, i) =>
    v === NO_ROW ? NONE : v - Math.floor(i / perWindow) * perTarget,
  );

/** ids I32 [B, N, channels], ends I32 [B, T], newest I32 [B, N] and logits F32 [B, N, V], capped. Windows are whole. */
export async function referenceLogits(
  device: Device,
  config: ModelConfig,
  weights: ReadonlyMap<string, StoredTensor>,
  windows: readonly Window[],
): Promise<Map<string, RawTensor>> {
  const B = windows.length;
  const N = config.context;
  const T = maxPatches(config, N);
  const batch = new WindowBatch(config, B, N);
  batch.set(windows);
  const held: Tensor[] = [];
  const make = (name: string, shape: readonly number[], dtype: "f32" | "u32" = "f32"): Tensor => {
    const t = device.tensor(name, shape, dtype);
    held.push(t);
    return t;
  };
  const input = (name: string, values: Uint32Array): Tensor => {
    const t = make(name, [values.length], "u32");
    device.write(t, values);
    return t;
  };
  const params = new Map<string, Tensor>();
  for (const [name, { shape, data }] of weights) {
    const t = make(name, shape);
    device.write(t, data);
    params.set(name, t);
  }
  const b = createBuilder({
    config,
    half: "f32",
    mode: "window",
    params,
    persistent: (name, shape) => make(name, shape),
    write: (t, data) => device.write(t, data),
  });
  const span = make("span", [1], "u32");
  const network = recordNetwork(b, {
    ids: input("ids", batch.ids),
    ends: input("ends", batch.ends),
    newest: input("newest", batch.newest),
    bytes: { batch: B, rows: N, capacity: N, span },
    patches: { batch: B, rows: T, capacity: T, span },
  });
  const { logits } = network;
  const out = make("logits", logits.shape);
  addForward(b.graph, { x: logits, z: logits, y: out, scale: 0 });
  const program = await device.compile(b.graph, "reference");
  const [raw] = await program.runAndRead([out]);
  program.dispose();
  for (const t of held) device.free(t);
  const cap = config.logitCap;
  const capped = Float32Array.from(raw as Float32Array, (x) => cap * Math.tanh(x / cap));
  const ids = Int32Array.from(batch.ids, (v) => (v === NO_ROW ? NONE : v));
  return new Map([
    ["ids", rawTensor("I32", [B, N, idChannels(config)], ids)],
    ["ends", rawTensor("I32", [B, T], local(batch.ends, T, N))],
    ["newest", rawTensor("I32", [B, N], local(batch.newest, N, T))],
    ["logits", rawTensor("F32", [B, N, VOCAB], capped)],
  ]);
}
