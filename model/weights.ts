/** The weights of a model folder as f32, whatever they are stored as. */
import { readModelFile, type Manifest } from "./checkpoint.ts";
import { CheckpointError } from "./errors.ts";
import { tensorTable } from "./params.ts";
import { dequantize } from "./quantize.ts";
import { decodeRaw, type StoredTensor } from "./safetensors.ts";

/** Throws CheckpointError where the folder has none, or damaged ones. */
export function readWeights(dir: string, manifest: Manifest): Map<string, StoredTensor> {
  const bytes = readModelFile(dir, manifest, "weights.safetensors");
  if (bytes === undefined)
    throw new CheckpointError(
      "NG_MANIFEST",
      `the manifest in ${dir} names no weights`,
      "train again, or restore the model folder from a copy",
    );
  const path = `${dir}: weights`;
  return dequantize(tensorTable(manifest.config), decodeRaw(bytes, path), path);
}
