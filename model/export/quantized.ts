/** A copy of a model with its matrices in fewer bits: everything that reads models reads it, training cannot go on. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readManifest, readModelFile, saveModel } from "../checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { tensorTable } from "../params.ts";
import { quantize, type Quantization } from "../quantize.ts";
import { encodeRaw } from "../safetensors.ts";
import { readWeights } from "../weights.ts";

/** Bytes of the weights before and after. */
export interface QuantizedSizes {
  readonly before: number;
  readonly after: number;
}

export function exportQuantized(o: {
  readonly model: string;
  readonly out: string;
  readonly kind: Quantization;
}): QuantizedSizes {
  const manifest = readManifest(o.model);
  if (existsSync(join(o.out, "manifest.json")))
    throw new CheckpointError(
      "NG_CHECKPOINT_PLACE",
      `${o.out} holds a model already`,
      "name an empty or new folder with --out",
    );
  const { format: _format, version: _version, createdAt: _createdAt, files, ...fields } = manifest;
  const weights = readWeights(o.model, manifest);
  const after = encodeRaw(quantize(tensorTable(manifest.config), weights, o.kind), {
    format: "narrowgauge",
    quantized: o.kind,
  });
  const carried: Record<string, Uint8Array> = {};
  for (const name of Object.keys(files))
    if (name !== "optimizer.safetensors" && name !== "weights.safetensors")
      carried[name] = readModelFile(o.model, manifest, name)!;
  saveModel(
    o.out,
    // The scores are those of the weights with all their bits.
    { ...fields, finished: true, heldout: { bpb: null, network: null, memory: null } },
    { ...carried, "weights.safetensors": after },
  );
  return { before: files["weights.safetensors"]!.bytes, after: after.length };
}
