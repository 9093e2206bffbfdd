/**
 * What a language server's list is worth, fitted on places of some repositories and measured on those of others:
 * node test/bench/run.mjs offeredNames --fit MODEL,FILES,RECORD … --on MODEL,FILES,RECORD … [--identifiers N] [--seed S]
 * RECORD is what recordNames wrote of the same places, with --keywords for those to fit: what is typed may be one. Steps
 * down the gradient of each byte's code length, from names with 0, 1 and 2 bytes typed to their end. Prints the weights
 * and the share of first guesses, without and with the lists.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  CandidateWeights,
  PLACES,
  TYPED as TYPED_CLASSES,
} from "../../model/candidates/candidateWeights.ts";
import { Candidates } from "../../model/candidates/candidates.ts";
import type { NameReader } from "../../model/candidates/nameReader.ts";
import { searchNames } from "../../model/candidates/nameSearch.ts";
import type { NameList } from "../../model/candidates/offer.ts";
import { nameBytes } from "../../model/facts/byteKinds.ts";
import { Model } from "../../model/model.ts";
import { identifierSpots, TYPED } from "../../server/cli/identifierFigures.ts";
import { RecordedLists } from "../../server/cli/recordedLists.ts";
import { sample } from "../../server/cli/scoring.ts";
import { walkCorpus } from "../../server/corpus/walk.ts";

const MAX_FILE_KIB = 4096;
const EPOCHS = 8;
/** Adagrad's step. */
const RATE = 0.3;

const many = { type: "string", multiple: true, default: [] as string[] } as const;
const text = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    fit: many,
    on: many,
    identifiers: { ...text, default: "200" },
    seed: { ...text, default: "1" },
    start: text,
  },
});

interface Place {
  readonly path: string;
  readonly before: Uint8Array;
  /** The name and the byte behind it. */
  readonly text: Uint8Array;
  readonly length: number;
  readonly lists: readonly (NameList | undefined)[];
  readonly known: Map<string, Float64Array>;
  readonly reader: NameReader;
}

interface Repository {
  readonly name: string;
  readonly model: Model;
  readonly weights: CandidateWeights;
  readonly base: Float64Array;
  readonly places: readonly Place[];
}

const out = (line: string): void => void process.stdout.write(`${line}\n`);

async function open(triple: string, keywords: 0 | 1): Promise<Repository> {
  const [dir, files, record] = triple.split(",") as [string, string, string];
  const model = await Model.load(resolve(dir), { device: "cpu" });
  const walk = await walkCorpus({ root: resolve(files), select: "everything", maxFileKiB: MAX_FILE_KIB }); // prettier-ignore
  const lists = await RecordedLists.read(record);
  const weights = CandidateWeights.fromJSON(model.manifest.candidates);
  const candidates = new Candidates({ lexicon: model.lexicon, weights });
  const spots = sample(walk.files.flatMap((file, i) => identifierSpots(file, i, keywords)), Number(values.identifiers), Number(values.seed)); // prettier-ignore
  const places: Place[] = [];
  for (const { fileIdx, start, end } of spots) {
    const { path, bytes } = walk.files[fileIdx]!;
    const before = bytes.subarray(0, start);
    const offered: (NameList | undefined)[] = [];
    for (const typed of TYPED)
      offered.push((await lists.at(path, bytes.subarray(0, start + typed))).list);
    const place: Place = {
      path,
      before,
      text: bytes.subarray(start, end + 1),
      length: end - start,
      lists: offered,
      known: new Map(),
      reader: candidates.after(path, before),
    };
    const next = await model.mixture(place);
    for (let i = 0; i <= place.length; i++) {
      const typed = [...place.text.subarray(0, i)];
      place.known.set(String(typed), Float64Array.from(await next(typed)));
    }
    places.push(place);
  }
  return {
    name: files.split("/").at(-2) ?? files,
    model,
    weights,
    base: weights.weight.slice(),
    places,
  };
}

/** The weights of what is offered and, as the last one, of its order. */
const fittedOf = (weights: CandidateWeights): Float64Array =>
  Float64Array.of(...weights.offered, weights.order[0]!);

function setFitted(weights: CandidateWeights, fitted: Float64Array): void {
  weights.offered.set(fitted.subarray(0, -1));
  weights.order[0] = fitted.at(-1)!;
}

/** With the weights as they are: first guesses with no list and with it, by bytes typed. */
async function measure(r: Repository, fitted: Float64Array, useLists: boolean): Promise<number[]> {
  setFitted(r.weights, fitted);
  const right = TYPED.map(() => 0);
  for (const place of r.places) {
    let live: ((bytes: readonly number[]) => Promise<Float64Array>) | undefined;
    for (const typed of TYPED) {
      const prefix = [...place.text.subarray(0, typed)];
      place.reader.offer(useLists ? place.lists[typed] : undefined);
      const adjusted = new Float64Array(256);
      const [first] = await searchNames(
        async (bytes) => {
          const key = String(bytes);
          let p = place.known.get(key);
          if (p === undefined) {
            live ??= await r.model.mixture(place);
            p = Float64Array.from(await live(bytes));
            place.known.set(key, p);
          }
          adjusted.set(p);
          place.reader.adjust(adjusted, bytes);
          return adjusted;
        },
        { typed: Uint8Array.from(prefix), nameBytes: nameBytes(place.path), most: 1 },
      );
      const name = place.text.subarray(0, place.length);
      if (first !== undefined && Buffer.compare(first.bytes, name) === 0) right[typed]!++;
    }
  }
  return right.map((n) => n / r.places.length);
}

/** One weight for places with nothing typed and one for all others, by class of place, and one of the order. */
function fit(repositories: readonly Repository[]): Float64Array {
  const weights = new CandidateWeights();
  const offered = fittedOf(weights).fill(0);
  const groupOf = (place: number, typed: number): number[] =>
    typed === 0
      ? [weights.offeredAt(place, 0)]
      : Array.from({ length: TYPED_CLASSES - 1 }, (_, i) => weights.offeredAt(place, i + 1));
  const groups = Array.from({ length: PLACES }, (_, place) => [groupOf(place, 0), groupOf(place, 1)]).flat(); // prettier-ignore
  groups.push([offered.length - 1]);
  const squares = groups.map(() => 1);
  const p = new Float64Array(256);
  const most = Math.max(...repositories.map((r) => r.places.length));
  for (let epoch = 0; epoch < EPOCHS; epoch++)
    for (let i = 0; i < most; i++)
      for (const r of repositories) {
        const place = r.places[i];
        if (place === undefined) continue;
        for (const typed of TYPED) {
          const list = place.lists[typed];
          if (list === undefined) continue;
          place.reader.offer({ ...list, complete: 0 });
          for (let at = typed; at <= place.length && at < place.text.length; at++) {
            const typedSoFar = [...place.text.subarray(0, at)];
            setFitted(r.weights, offered);
            p.set(place.known.get(String(typedSoFar))!);
            place.reader.adjust(p, typedSoFar);
            // A step of one is the gradient. Where the list has no say the other weights would learn.
            place.reader.learn({ byte: place.text[at]!, rate: 1 });
            r.weights.weight.set(r.base);
            const learned = fittedOf(r.weights);
            groups.forEach((group, g) => {
              const gradient = group.reduce((sum, w) => sum + learned[w]! - offered[w]!, 0);
              if (gradient === 0) return;
              squares[g]! += gradient * gradient;
              for (const w of group) offered[w]! += (RATE * gradient) / Math.sqrt(squares[g]!);
            });
          }
        }
      }
  return offered;
}

const percent = (shares: readonly number[]): string =>
  shares.map((share) => (100 * share).toFixed(1).padStart(5)).join(" ");

const fitted: Repository[] = [];
for (const one of values.fit) fitted.push(await open(one, 1));
const others: Repository[] = [];
for (const one of values.on) others.push(await open(one, 0));
const weights = fitted.length > 0 ? fit(fitted) : fittedOf(new CandidateWeights());
out(JSON.stringify([...weights].map((w) => Math.round(w * 100) / 100)));
for (const r of [...fitted, ...others]) {
  const without = await measure(r, weights, false);
  const withList = await measure(r, weights, true);
  out(`${r.name.padEnd(12)} ${r.places.length} places: lexicon ${percent(without)} · list ${percent(withList)}`); // prettier-ignore
}
for (const r of [...fitted, ...others]) await r.model.dispose();
