/** `narrowgauge query`: where something is, asked of the files that the model carries in its memory. */
import { Model } from "../../model/index.ts";
import type { CorpusFile } from "../../model/index.ts";
import { canRank, createQueryEngine } from "../query/queryEngine.ts";
import type { SymbolEntry } from "../query/queryEngine.ts";
import { DEVICE_FLAG, JSON_FLAG, MODEL_FLAG, UsageError } from "./arguments.ts";
import type { CommandSpec, ParsedFlags } from "./arguments.ts";
import { terminalLogger } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** A command line may wait longer for the model than a list that changes while one types. */
const EMBED_BUDGET_MS = 3_000;

export const QUERY: CommandSpec = {
  name: "query",
  summary: "find code by identifier or by meaning",
  positional: {
    name: "words or identifier",
    help: "a name as in the code, or a question in words",
  },
  flags: {
    model: MODEL_FLAG,
    limit: { value: "N", fallback: "10", help: "how many answers" },
    device: DEVICE_FLAG,
    json: JSON_FLAG,
  },
};

export async function runQuery(flags: ParsedFlags, terminal: Terminal): Promise<void> {
  const limit = flags.number("limit", { min: 1, max: 1000, integer: true })!;
  const question = flags.positional!.trim();
  if (question === "") throw new UsageError("the question is empty", "write a name or a few words");
  const model = await Model.load(flags.need("model"), {
    device: flags.need("device") as "auto" | "gpu" | "cpu",
    logger: terminalLogger(terminal),
  });
  try {
    const files: CorpusFile[] = model.memory
      .files()
      .map((path) => ({ path, bytes: model.memory.bytesOf(path) }))
      .filter((file): file is CorpusFile => file.bytes !== undefined);
    const engine = createQueryEngine({
      files,
      symbols: Array.isArray(model.symbols) ? (model.symbols as SymbolEntry[]) : [],
      ...(canRank(model.manifest.heldout.network)
        ? { embed: (texts: readonly Uint8Array[]) => model.embed(texts) }
        : {}),
      embedBudgetMs: EMBED_BUDGET_MS,
    });
    const answers = await engine.query(question, { limit, signal: terminal.signal });
    if (flags.has("json")) {
      terminal.out(
        JSON.stringify(
          answers.map(({ path, startLine, endLine, score, why }) => ({
            path,
            startLine,
            endLine,
            score,
            why,
          })),
        ),
      );
      return;
    }
    if (answers.length === 0) terminal.err("nothing found\n");
    for (const answer of answers) {
      const lines =
        answer.endLine > answer.startLine
          ? `${answer.startLine}-${answer.endLine}`
          : `${answer.startLine}`;
      terminal.out(`${answer.path}:${lines}  ${answer.why}\n    ${answer.preview}`);
    }
  } finally {
    await model.dispose();
  }
}
