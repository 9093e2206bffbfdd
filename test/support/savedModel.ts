/** A model folder without training: start values, made different from zero everywhere, and an empty memory. */
import { saveModel } from "../../model/checkpoint.ts";
import type { ModelConfig } from "../../model/config.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { countParams, paramTable } from "../../model/params.ts";
import { Random } from "../../model/random.ts";
import { encodeSafetensors, type StoredTensor } from "../../model/safetensors.ts";
import { initialParams } from "../../model/trainer.ts";
import { tinySpectrum } from "./tinyModel.ts";

/** Matrices that start at zero hide what stands behind them. */
export function lively(config: ModelConfig, seed = 3): Map<string, StoredTensor> {
  const values = initialParams(paramTable(config, tinySpectrum()), seed);
  const random = new Random(seed, 99);
  for (const { shape, data } of values.values()) {
    const scale = 1 / Math.sqrt(shape.length === 2 ? shape[0]! : 1);
    if (data.every((x) => x === 0))
      for (let i = 0; i < data.length; i++) data[i] = scale * random.normal();
  }
  return values;
}

export function saveTiny(
  dir: string,
  config: ModelConfig,
  weights: ReadonlyMap<string, StoredTensor>,
): void {
  saveModel(
    dir,
    {
      config,
      params: countParams(paramTable(config, tinySpectrum())),
      seed: 1,
      step: 4,
      steps: 4,
      bytesSeen: 512,
      seconds: 1,
      finished: true,
      device: "test",
      saw: { files: 1, bytes: 100, heldout: [], corpusHash: "" },
      heldout: { bpb: 1, network: 2, memory: 3 },
      mixer: null,
    },
    {
      "weights.safetensors": encodeSafetensors(weights),
      "optimizer.safetensors": encodeSafetensors(new Map()),
      "memory.bin": new SuffixMemory().serialize(),
    },
  );
}
