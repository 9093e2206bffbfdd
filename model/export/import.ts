/** Weights that came back from PyTorch, as a model again: checked against the model they belong to, then swapped in. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readManifest, readModelFile, saveModel, type ManifestFields } from "../checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { decodeRaw, encodeSafetensors, type StoredTensor } from "../safetensors.ts";
import { checkTensors } from "./pytorch.ts";

export interface ImportResult {
  readonly out: string;
  readonly params: number;
  /** Plain words about what is different now. */
  readonly notes: readonly string[];
}

const AGAIN = "write the weights again with train.py, or export the model again";

/** Replaces the weights of the model in `model`, or, with `out`, makes a copy of it that has them. A folder changes
 *  by one rename or not at all. Throws CheckpointError where the weights are not those of this model. */
export function importWeights(o: {
  readonly model: string;
  readonly weights: string;
  readonly out?: string;
}): ImportResult {
  const manifest = readManifest(o.model);
  const out = o.out ?? o.model;
  if (out !== o.model && existsSync(join(out, "manifest.json")))
    throw new CheckpointError(
      "NG_CHECKPOINT_PLACE",
      `${out} holds a model already`,
      "name an empty or new folder with --out",
    );
  const { tensors, metadata } = decodeRaw(readWeightsFile(o.weights), o.weights, AGAIN);
  const values = new Map<string, StoredTensor>();
  for (const [name, t] of tensors) {
    if (t.dtype !== "F32")
      throw new CheckpointError(
        "NG_TENSORS",
        `${o.weights}: ${name} has type ${t.dtype}, F32 was expected`,
        AGAIN,
      );
    values.set(name, { shape: t.shape, data: new Float32Array(t.bytes.buffer) });
  }
  checkTensors(manifest.config, values, o.weights);

  const notes = ["its quality is not measured yet: narrowgauge eval does that"];
  let { config } = manifest;
  if (metadata["facts"] === "off" && config.facts === "on") {
    config = { ...config, facts: "off" };
    notes.push("it was trained without facts, so it works without them from here on");
  }
  const seen = Number(metadata["bytes"]);
  const { format: _format, version: _version, createdAt: _createdAt, files, ...kept } = manifest;
  const fields: ManifestFields = {
    ...kept,
    config,
    bytesSeen: manifest.bytesSeen + (seen > 0 ? seen : 0),
    finished: true,
    heldout: { bpb: null, network: null, memory: null },
  };
  const carried: Record<string, Uint8Array> = {};
  if (out !== o.model)
    for (const name of Object.keys(files))
      if (!LEFT.includes(name)) carried[name] = readModelFile(o.model, manifest, name)!;
  saveModel(
    out,
    fields,
    { ...carried, "weights.safetensors": encodeSafetensors(values) },
    // Moments of other weights: nothing can go on from them.
    LEFT,
  );
  return { out, params: manifest.params, notes };
}

const LEFT = ["optimizer.safetensors"];

function readWeightsFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new CheckpointError(
      "NG_IMPORT_FILE",
      `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      "name the safetensors file that train.py wrote",
      { cause },
    );
  }
}
