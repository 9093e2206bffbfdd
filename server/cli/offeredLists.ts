/**
 * Completion lists for `eval`, from a language server that knows the workspace, and of the file at hand the text before
 * the cursor alone. They go the way of the editor's own lists.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { NameList } from "../../model/index.ts";
import { endOf, type CompletionServer } from "../facts/completionServer.ts";
import { RequestTimeout } from "../facts/lspClient.ts";
import { OfferedNames } from "../offeredNames.ts";
import { UsageError } from "./arguments.ts";

/** What was offered at one cursor. */
export interface Offered {
  readonly list?: NameList | undefined;
  /** Of the server's answer; absent where it was not asked. */
  readonly ms?: number | undefined;
  /** Why there is no answer. */
  readonly said?: string | undefined;
}

export interface OfferedLists {
  readonly name: string;
  at(path: string, before: Uint8Array): Promise<Offered>;
  dispose(): Promise<void>;
}

/** Splits a command as a shell would at blanks outside of quotes. */
export function commandWords(command: string): string[] {
  const words = command.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"));
}

const decoder = new TextDecoder();

export class ServerLists implements OfferedLists {
  readonly name: string;
  readonly #server: CompletionServer;
  readonly #offered: OfferedNames;
  readonly #say: (message: string) => void;
  #last: { ms?: number; said?: string } = {};
  #lost: Error | undefined;
  #isLateSaid = false;

  /** `waitMs`: how long an answer is waited for. */
  constructor(o: { server: CompletionServer; waitMs: number; say: (message: string) => void }) {
    this.name = o.server.name;
    this.#server = o.server;
    this.#say = o.say;
    this.#offered = new OfferedNames(
      {
        sendRequest: async () => {
          const started = performance.now();
          try {
            return await o.server.offer(o.waitMs);
          } catch (error) {
            const reason = error instanceof Error ? error : new Error(String(error));
            this.#last.said = reason.message;
            if (!(error instanceof RequestTimeout)) this.#lost = reason;
            return null;
          } finally {
            this.#last.ms = performance.now() - started;
          }
        },
      },
      // The server's own limit ends first.
      { waitMs: 2 * o.waitMs },
    );
  }

  async at(path: string, before: Uint8Array): Promise<Offered> {
    if (!this.#server.knows(path)) return {};
    const text = decoder.decode(before);
    const linePrefix = text.slice(Math.max(text.lastIndexOf("\n"), text.lastIndexOf("\r")) + 1);
    this.#last = {};
    await this.#server.show(path, before);
    const list = await this.#offered.at(this.#server.uriOf(path), endOf(text), linePrefix);
    const { ms, said } = this.#last;
    if (this.#lost !== undefined) throw this.#lost;
    if (said !== undefined && !this.#isLateSaid) {
      this.#isLateSaid = true;
      this.#say(`${this.name}: ${said}; what is not offered in time is done without\n`);
    }
    return { list, ms, said };
  }

  dispose(): Promise<void> {
    return this.#server.dispose();
  }
}

/** Throws where the workspace holds text of a file that is to be scored: the server would know what follows. */
export async function checkUnknown(workspace: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const found = await stat(join(workspace, path)).catch(() => undefined);
    if (found !== undefined && found.size > 0)
      throw new UsageError(
        `${workspace} holds ${path}, which is to be scored`,
        "give --workspace a copy without the files that are scored; empty ones may stand for them",
      );
  }
}
