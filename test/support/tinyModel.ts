/** A model small enough for float64 loops: every part of the architecture is in it. */
import type { CorpusFile } from "../../model/bytes.ts";
import { presetConfig, type ModelConfig } from "../../model/config.ts";
import {
  factWidth,
  identityOf,
  N_FACT_CHANNELS,
  TOKEN_TYPES,
  type ColourKind,
} from "../../model/facts/channels.ts";
import { createFactEncoder } from "../../model/facts/encoder.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import { Sampler } from "../../model/sampler.ts";
import { corpusSpectrum } from "../../model/spectrum.ts";

export function tinyConfig(overrides: Partial<ModelConfig> = {}): ModelConfig {
  return presetConfig("nano", {
    context: 64,
    batch: 2,
    localChannels: 16,
    localHeads: 2,
    encoderLayers: 1,
    decoderLayers: 1,
    localWindow: 24,
    trunkChannels: 24,
    trunkHeads: 2,
    trunkLayers: 2,
    bands: 2,
    energyChannels: 8,
    emaDecay: 0.9,
    // The loss that a trainer reports is the next byte's; heads for those behind it are tested by themselves.
    aheadWeight: 0,
    ...overrides,
  });
}

const text = new TextEncoder();

export const tinyFiles: readonly CorpusFile[] = [
  {
    path: "src/counter.ts",
    bytes: text.encode(
      "export class Counter {\n  private count = 0;\n  increment(by: number): number {\n    this.count += by;\n    return this.count;\n  }\n}\n",
    ),
  },
  {
    path: "src/main.ts",
    bytes: text.encode(
      'import { Counter } from "./counter.ts";\n\nconst counter = new Counter();\nfor (let i = 0; i < 10; i++) counter.increment(i);\nconsole.log(counter.increment(0));\n',
    ),
  },
  {
    path: "tool.py",
    bytes: text.encode(
      "def increment(count, by=1):\n    return count + by\n\n\nclass Tool:\n    def run(self):\n        return increment(3)\n",
    ),
  },
];

/** Knows nothing; for colours of several channels, of enough names that they have a graph. */
export function tinyLexicon(colour: ColourKind = "hash"): FactLexicon {
  const lexicon = new FactLexicon();
  if (factWidth(colour) === N_FACT_CHANNELS) return lexicon;
  const names = ["Counter", "increment", "count", "counter", "run", "console", "log"];
  for (let i = 0; i < 30; i++) names.push(`other${i}`);
  for (let file = 0; file < 12; file++)
    lexicon.setFile(
      `lib/${file}.ts`,
      names
        .filter((_, i) => (i * 7 + file * 5) % 12 < 5)
        .map((name) => ({
          name,
          tokenType: TOKEN_TYPES.method,
          modifiers: 0,
          identity: identityOf("src/counter.ts", name),
          count: 1,
        })),
    );
  lexicon.useColours(colour);
  return lexicon;
}
export const tinySpectrum = () => corpusSpectrum(tinyFiles[0]!.bytes);

export function tinySampler(config: ModelConfig, seed = 7): Sampler {
  const { colour } = config;
  const encoder = createFactEncoder({ lexicon: tinyLexicon(colour), colour });
  return new Sampler(tinyFiles, config, encoder, seed);
}
