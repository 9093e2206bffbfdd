/**
 * A repository of a benchmark: a folder with `workspace`, which is trained on, `heldout`, which is measured, and, where
 * facts were gathered before, `facts.json.gz`, a lexicon of the files in `workspace`. What several trainings need of it
 * is made once.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { trainBpe } from "../../model/bpe.ts";
import type { CorpusFile } from "../../model/bytes.ts";
import type { ModelConfig } from "../../model/config.ts";
import { concatenate } from "../../model/corpus.ts";
import { EngramIndex } from "../../model/engramIndex.ts";
import { createFactEncoder, type FactEncoder } from "../../model/facts/encoder.ts";
import { FactLexicon } from "../../model/facts/lexicon.ts";
import { walkCorpus } from "../../server/corpus/walk.ts";
import { collectFacts } from "../../server/facts/collect.ts";

const FACTS_MS = 60_000;

type Colour = ModelConfig["colour"];

export class BenchRepository {
  readonly root: string;
  readonly name: string;
  readonly files: readonly CorpusFile[];
  readonly heldout: readonly CorpusFile[];
  readonly bytes: number;
  readonly #serialized: ReturnType<FactLexicon["serialize"]>;
  readonly #encoders = new Map<string, FactEncoder>();
  readonly #made = new Map<string, unknown>();

  private constructor(
    root: string,
    files: readonly CorpusFile[],
    heldout: readonly CorpusFile[],
    lexicon: ReturnType<FactLexicon["serialize"]>,
  ) {
    this.root = root;
    this.name = basename(root);
    this.files = files;
    this.heldout = heldout;
    this.bytes = files.reduce((sum, f) => sum + f.bytes.length, 0);
    this.#serialized = lexicon;
  }

  static async open(folder: string): Promise<BenchRepository> {
    const root = resolve(folder);
    const workspace = join(root, "workspace");
    const { files } = await walkCorpus({ root: workspace });
    const { files: heldout } = await walkCorpus({ root: join(root, "heldout") });
    const kept = join(root, "facts.json.gz");
    const lexicon = existsSync(kept)
      ? (JSON.parse(gunzipSync(readFileSync(kept)).toString()) as never)
      : // Tree-sitter on every machine: figures may not depend on what is installed.
        (
          await collectFacts({
            files,
            root: workspace,
            budgetMs: FACTS_MS,
            sources: "auto",
            createServer: () => undefined,
          })
        ).lexicon.serialize();
    return new BenchRepository(root, files, heldout, lexicon);
  }

  #once<T>(key: string, make: () => T): T {
    if (!this.#made.has(key)) this.#made.set(key, make());
    return this.#made.get(key) as T;
  }

  get text(): Uint8Array {
    return this.#once("text", () => concatenate(this.files));
  }

  lexicon(of: "facts" | "none", colour: Colour): FactLexicon {
    return this.#once(`lexicon ${of} ${colour}`, () => {
      const lexicon = of === "none" ? new FactLexicon() : FactLexicon.deserialize(this.#serialized);
      lexicon.useColours(colour);
      return lexicon;
    });
  }

  /** Encodes each file once; the answers are never written to. */
  encoder(of: "facts" | "none", colour: Colour): FactEncoder {
    const key = `${of} ${colour}`;
    let encoder = this.#encoders.get(key);
    if (encoder === undefined) {
      const inner = createFactEncoder({ lexicon: this.lexicon(of, colour), colour });
      const known = new Map<Uint8Array, Uint16Array>();
      encoder = {
        width: inner.width,
        stream: (path) => inner.stream(path),
        channels: (path, bytes) => {
          let channels = known.get(bytes);
          if (channels === undefined) known.set(bytes, (channels = inner.channels(path, bytes)));
          return channels;
        },
      };
      this.#encoders.set(key, encoder);
    }
    return encoder;
  }

  engram(c: ModelConfig): EngramIndex | undefined {
    if (c.engram !== "on") return undefined;
    const { engramRows, engramLongest, engramFiles } = c;
    return this.#once(`engram ${engramRows} ${engramLongest} ${engramFiles}`, () =>
      EngramIndex.build(this.files, c),
    );
  }

  /** The configuration with its vocabulary, where patches end with tokens. */
  withTokens(c: ModelConfig): ModelConfig {
    if (c.patching !== "bpe") return c;
    const bpeTokens = this.#once(`tokens ${c.bpeSize}`, () => trainBpe(this.files, c.bpeSize));
    return { ...c, bpeTokens };
  }
}
