/**
 * Writes down what a language server offers at the places where `eval` would ask it, without a model:
 * node test/bench/run.mjs recordNames --files DIR --workspace DIR --language-server COMMAND --names-to FILE
 *   [--identifiers N] [--keywords] [--lines N] [--list-ms N] [--seed S]
 * `eval --names-from FILE` with the same numbers takes it from there, on a machine that has no such server.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { identifierSpots, TYPED } from "../../server/cli/identifierFigures.ts";
import { checkUnknown, commandWords, ServerLists } from "../../server/cli/offeredLists.ts";
import { RecordingLists } from "../../server/cli/recordedLists.ts";
import { byFile, cutLines, sample } from "../../server/cli/scoring.ts";
import { walkCorpus } from "../../server/corpus/walk.ts";
import { CompletionServer } from "../../server/facts/completionServer.ts";

const MAX_FILE_KIB = 4096;

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    files: text,
    workspace: text,
    "language-server": text,
    "names-to": text,
    identifiers: { ...text, default: "200" },
    lines: { ...text, default: "0" },
    "list-ms": { ...text, default: "2000" },
    seed: { ...text, default: "1" },
    keywords: { type: "boolean" },
  },
});
const need = (name: Exclude<keyof typeof values, "keywords">): string => {
  const value = values[name];
  if (value === undefined) throw new Error(`--${name} is missing`);
  return value;
};

const { files } = await walkCorpus({
  root: resolve(need("files")),
  select: "everything",
  maxFileKiB: MAX_FILE_KIB,
});
const root = resolve(need("workspace"));
await checkUnknown(
  root,
  files.map(({ path }) => path),
);
const seed = Number(values.seed);
const keywords = values.keywords === true ? 1 : 0;
// As eval draws them.
const spotsOf = byFile(
  sample(
    files.flatMap((file, i) => identifierSpots(file, i, keywords)),
    Number(values.identifiers),
    seed,
  ),
);
const cuts = files.flatMap((file, i) => cutLines(file.bytes, i));
const linesOf = byFile(sample(cuts, Number(values.lines), seed));
const server = await CompletionServer.start({
  command: commandWords(need("language-server")),
  root,
});
const say = (message: string): void => void process.stderr.write(message);
const lists = await RecordingLists.create(
  new ServerLists({ server, waitMs: Number(values["list-ms"]), say }),
  need("names-to"),
);
let asked = 0;
let offered = 0;
try {
  for (const [i, { path, bytes }] of files.entries()) {
    const cursors = [
      ...(linesOf.get(i) ?? []).map(({ offset }) => offset),
      ...(spotsOf.get(i) ?? []).flatMap(({ start }) => TYPED.map((typed) => start + typed)),
    ];
    // A cursor may be both; a record has it once, and the server is asked once.
    for (const at of new Set(cursors)) {
      const { list } = await lists.at(path, bytes.subarray(0, at));
      asked++;
      if (list !== undefined) offered++;
    }
  }
} finally {
  await lists.dispose();
}
say(`${offered} lists at ${asked} places of ${files.length} files\n`);
