/** Flags of `eval` that say where completion lists come from, and what they open. */
import { resolve } from "node:path";
import { CompletionServer } from "../facts/completionServer.ts";
import { UsageError, type Flags, type ParsedFlags } from "./arguments.ts";
import { checkUnknown, commandWords, ServerLists, type OfferedLists } from "./offeredLists.ts";
import { RecordedLists, RecordingLists } from "./recordedLists.ts";

/** A server may take as long as anyone would wait for a measurement; what comes while an editor waits is counted. */
const DEFAULT_LIST_MS = 2000;

export const LIST_FLAGS = {
  "language-server": {
    value: "COMMAND",
    help: "also guess with what this server offers, spoken to over stdio; needs --workspace",
  },
  workspace: { value: "DIR", help: "folder that the server opens, without the scored files" },
  "list-ms": {
    value: "N",
    fallback: String(DEFAULT_LIST_MS),
    help: "how long the server's answer is waited for",
  },
  "names-to": { value: "FILE", help: "write what the server offers" },
  "names-from": { value: "FILE", help: "take what was written so instead of a server" },
} as const satisfies Flags;

export type ListSource =
  | { readonly kind: "none" }
  | { readonly kind: "record"; readonly path: string }
  | {
      readonly kind: "server";
      readonly command: readonly string[];
      readonly root: string;
      readonly waitMs: number;
      readonly recordTo: string | undefined;
    };

/** Throws UsageError where the flags contradict each other. */
export function listsOf(flags: ParsedFlags): ListSource {
  const command = flags.text("language-server");
  const workspace = flags.text("workspace");
  const recordTo = flags.text("names-to");
  const path = flags.text("names-from");
  if (command !== undefined && path !== undefined)
    throw new UsageError("lists come from a server or from a file", "leave one of them out");
  if ((command === undefined) !== (workspace === undefined))
    throw new UsageError(
      "a language server and the workspace that it opens belong together",
      "give --language-server COMMAND and --workspace DIR",
    );
  if (recordTo !== undefined && command === undefined)
    throw new UsageError(
      "there is nothing to write down",
      "give --language-server with --names-to",
    );
  if (path !== undefined) return { kind: "record", path };
  if (command === undefined || workspace === undefined) return { kind: "none" };
  const words = commandWords(command);
  if (words.length === 0)
    throw new UsageError("--language-server names no command", 'give one, such as "gopls"');
  const waitMs = flags.number("list-ms", { min: 1, max: 1e6, integer: true })!;
  return { kind: "server", command: words, root: resolve(workspace), waitMs, recordTo };
}

/** `paths` are those of the files to be scored, of which the server may know nothing. */
export async function openLists(
  source: ListSource,
  o: { readonly paths: readonly string[]; readonly say: (message: string) => void },
): Promise<OfferedLists | undefined> {
  if (source.kind === "none") return undefined;
  if (source.kind === "record") return RecordedLists.read(source.path);
  const { command, root, waitMs, recordTo } = source;
  await checkUnknown(root, o.paths);
  const server = await CompletionServer.start({ command, root });
  const lists = new ServerLists({ server, waitMs, say: o.say });
  return recordTo === undefined ? lists : RecordingLists.create(lists, recordTo);
}
