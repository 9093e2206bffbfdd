/**
 * Fits the weights that every mixture of memory and network begins with, and writes model/memory/mixturePrior.ts:
 * node test/bench/run.mjs mixturePrior --bytes N [--device gpu|cpu] MODEL=DIR...
 * Each MODEL was trained on a repository of which DIR holds files that it has not seen. Nothing of these repositories
 * but the weights goes into the product, and none of them may be one that the product is measured on.
 */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { fitMixer, type Recorded } from "../../model/fitMixer.ts";
import { sampleOf } from "../../model/heldout.ts";
import { Model } from "../../model/index.ts";
import { MixtureWeights } from "../../model/memory/mixtureWeights.ts";
import { recordMemory } from "../../model/memory/record.ts";
import { walkCorpus } from "../../server/corpus/walk.ts";

const FIRST_RATE = 0.02;
const OUT = "model/memory/mixturePrior.ts";
const HEADER = `/** Written by test/bench/mixturePrior.ts: what mixtures begin with (mixtureWeights.ts). */
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bytes: { type: "string", default: "60000" },
    device: { type: "string", default: "auto" },
  },
});

async function recordsOf(pair: string): Promise<Recorded[]> {
  const [dir, folder] = pair.split("=");
  if (dir === undefined || folder === undefined) throw new Error(`${pair} is not MODEL=DIR`);
  const model = await Model.load(resolve(dir), { device: values.device as "auto" | "gpu" | "cpu" });
  try {
    const { files } = await walkCorpus({ root: resolve(folder) });
    const records: Recorded[] = [];
    for (const file of sampleOf(files, Number(values.bytes))) {
      const score = await model.score({ ...file, memory: "off", network: "on", record: 1 });
      const ofMemory = recordMemory(model.memory, file);
      records.push({ ...ofMemory, bytes: file.bytes, network: score.distributions! });
    }
    return records;
  } finally {
    await model.dispose();
  }
}

const lists: Recorded[][] = [];
for (const pair of positionals) lists.push(await recordsOf(pair));
// Files of all repositories in turn: none has the last word.
const longest = Math.max(0, ...lists.map((list) => list.length));
const records = Array.from({ length: longest }, (_, i) =>
  lists.flatMap((list) => list.slice(i, i + 1)),
).flat();
const { weights } = fitMixer(records, {
  weights: MixtureWeights.unfitted(),
  firstRate: FIRST_RATE,
});
writeFileSync(OUT, `${HEADER}export const MIXTURE_PRIOR =\n  "${weights.serializePrior()}";\n`);
