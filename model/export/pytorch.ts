/**
 * A model as a folder for PyTorch: the weights, the network's shape as JSON, one module that computes the same
 * logits, a script that trains it, and the logits that Narrowgauge gives for two windows, so that the module can
 * be checked where it runs. What the module cannot express is refused by name.
 */
import { SALIENCE_CAP, TAU } from "../attention.ts";
import { VOCAB } from "../bytes.ts";
import { readManifest, type Manifest } from "../checkpoint.ts";
import { PATCH_BURST, type ModelConfig } from "../config.ts";
import type { DeviceChoice } from "../device.ts";
import { GRID_POINTS } from "../cpu/gridPair.ts";
import { SINKHORN_RANGE, SINKHORN_STEPS } from "../cpu/sinkhornMixing.ts";
import { CheckpointError, ConfigError } from "../errors.ts";
import { factChannels } from "../facts/channels.ts";
import { COLDEST } from "../kernels/gridAttentionScalars.ts";
import { ROPE_BASE } from "../kernels/rope.ts";
import { openDevice } from "../openDevice.ts";
import { embeddingLayout, tensorTable, TIED_GAIN_SCALE } from "../params.ts";
import { MAX_PATCH_BYTES } from "../patches.ts";
import { encodeRaw, encodeSafetensors, type StoredTensor } from "../safetensors.ts";
import { readWeights } from "../weights.ts";
import { idChannels } from "../windows.ts";
import { checkWindows, referenceLogits } from "./reference.ts";
import moduleSource from "./pytorch/model.py";
import trainSource from "./pytorch/train.py";

/** "any": the module reads the field, or only training does. A list: the values that the module has code for. */
const EXPRESSED: Readonly<Record<keyof ModelConfig, "any" | readonly unknown[]>> = {
  preset: "any",
  context: "any",
  batch: "any",
  localChannels: "any",
  localHeads: "any",
  encoderLayers: "any",
  decoderLayers: "any",
  localWindow: "any",
  trunkChannels: "any",
  trunkHeads: "any",
  trunkLayers: "any",
  patching: ["rules", "stride", "flat"],
  stride: "any",
  minBytesPerPatch: "any",
  attention: ["tau", "grid", "published", "dot"],
  bands: "any",
  localBands: "any",
  tiedHeads: "any",
  energyChannels: "any",
  spectrum: ["fixed", "learned"],
  residual: ["goMhc", "sinkhorn", "kronecker", "permutation", "plain"],
  streams: "any",
  mixingBlock: "any",
  logitCap: "any",
  precision: "any",
  facts: ["on", "off"],
  factDropout: "any",
  fimRate: "any",
  colour: "any",
  auxWeight: [0],
  aheadWeight: "any",
  aheadBytes: "any",
  engram: ["off"],
  engramRows: "any",
  engramChannels: "any",
  engramLongest: "any",
  engramDepths: "any",
  engramFiles: "any",
  engramDropout: "any",
  engramRate: "any",
  muonRate: "any",
  adamRate: "any",
  weightDecay: "any",
  dropout: "any",
  emaDecay: "any",
  epochs: "any",
  warmupSteps: "any",
  cooldownFrom: "any",
  cooldown: ["linear", "cosine", "sqrt"],
  batchStart: "any",
  batchRampUntil: "any",
  renameRate: "any",
  dependencyShare: "any",
  bpeSize: "any",
  bpeTokens: "any",
};

/** Throws ConfigError, naming the field, where the PyTorch module has no code for a model. */
export function checkExpressible(config: ModelConfig): void {
  for (const [name, value] of Object.entries(config)) {
    const known = (EXPRESSED as Readonly<Record<string, "any" | readonly unknown[]>>)[name];
    if (known === "any" || known?.includes(value) === true) continue;
    throw new ConfigError(
      "NG_EXPORT",
      `the PyTorch module cannot express ${name}=${JSON.stringify(value)}`,
      known === undefined
        ? "this program's exporter is older than the model: use the program that trained it"
        : `it has code for ${known.map((v) => `${name}=${String(v)}`).join(", ")}`,
    );
  }
}

/** What the module reads: every field of the configuration, and the constants behind them. */
export function pytorchConfig(config: ModelConfig): Record<string, unknown> {
  return {
    ...config,
    vocab: VOCAB,
    factChannels: factChannels(config.colour).map(({ name, size }) => [name, size]),
    embeddingRows: embeddingLayout(config).rows,
    idChannels: idChannels(config),
    patchBurst: PATCH_BURST,
    maxPatchBytes: MAX_PATCH_BYTES,
    tiedGainScale: TIED_GAIN_SCALE,
    tau: TAU,
    salienceCap: SALIENCE_CAP,
    ropeBase: ROPE_BASE,
    sinkhornSteps: SINKHORN_STEPS,
    sinkhornRange: SINKHORN_RANGE,
    gridPoints: GRID_POINTS,
    coldest: COLDEST,
    muon: tensorTable(config)
      .filter((s) => s.optimizer === "muon")
      .map((s) => s.name),
  };
}

/** Files by name. Runs the network once, in f32, for the logits to check against. */
export async function exportPytorch(o: {
  readonly model: string;
  readonly device: DeviceChoice;
}): Promise<ReadonlyMap<string, Uint8Array>> {
  const manifest = readManifest(o.model);
  const { config } = manifest;
  checkExpressible(config);
  const weights = readWeights(o.model, manifest);
  checkTensors(config, weights, `${o.model}: weights`);
  // Matrix units multiply halves, whatever tensors are held in.
  const { device } = await openDevice(o.device, { matrices: "off" });
  try {
    const windows = checkWindows(config, moduleSource);
    const check = await referenceLogits(device, config, weights, windows);
    const text = (s: string): Uint8Array => Buffer.from(s);
    return new Map([
      ["model.py", text(moduleSource)],
      ["train.py", text(trainSource)],
      ["config.json", text(`${JSON.stringify(pytorchConfig(config), null, 1)}\n`)],
      ["weights.safetensors", encodeSafetensors(weights, metadataOf(manifest))],
      ["check.safetensors", encodeRaw(check)],
    ]);
  } finally {
    await device.dispose();
  }
}

const metadataOf = (m: Manifest): Record<string, string> => ({
  format: "narrowgauge",
  preset: m.config.preset,
  step: String(m.step),
});

/** Throws CheckpointError where tensors are not exactly those of a configuration, all finite. */
export function checkTensors(
  config: ModelConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
  path: string,
): void {
  const refuse = (what: string): CheckpointError =>
    new CheckpointError(
      "NG_TENSORS",
      `${path}: ${what}`,
      "the weights must be those of this very model: the same preset and settings",
    );
  const table = tensorTable(config);
  const shape = (s: readonly number[]): string => `[${s.join(", ")}]`;
  const missing = table.filter((s) => !tensors.has(s.name));
  if (missing.length > 0)
    throw refuse(
      `${missing.length} of ${table.length} tensors are missing, such as ${missing[0]!.name} ${shape(missing[0]!.shape)}`,
    );
  const known = new Set(table.map((s) => s.name));
  const foreign = [...tensors.keys()].filter((name) => !known.has(name));
  if (foreign.length > 0)
    throw refuse(
      `the model has no tensor ${foreign[0]!}${foreign.length > 1 ? `, nor ${foreign.length - 1} others` : ""}`,
    );
  for (const s of table) {
    const t = tensors.get(s.name)!;
    if (t.shape.length !== s.shape.length || t.shape.some((n, i) => n !== s.shape[i]))
      throw refuse(`${s.name} has shape ${shape(t.shape)}, ${shape(s.shape)} was expected`);
    if (!t.data.every(Number.isFinite))
      throw refuse(`${s.name} holds values that are no finite numbers`);
  }
}
