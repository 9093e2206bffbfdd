/**
 * A language server asked for completions over stdio, with documents that hold the text before the cursor, closed where
 * it left brackets open, and nothing else. What it answers has the form in which the editor passes on its own list, so that both go one way from there.
 */
import { isAbsolute, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Position } from "vscode-languageserver";
import { closersOf } from "./closers.ts";
import type { OfferedItem, OfferedNamesResult } from "./editorProtocol.ts";
import { languageIdOf } from "./languageIds.ts";
import { LANGUAGE_SERVERS } from "./languageServers.ts";
import type { LanguageServer } from "./languageServers.ts";
import { LspClient } from "./lspClient.ts";
import { SourceGone } from "./source.ts";

const LIMITS = { initializeMs: 60_000, loadMs: 180_000, firstMs: 60_000, hangMs: 90_000 } as const;

/** What a server is asked with; LspClient is one. */
export interface CompletionClient {
  request<Result>(method: string, params: unknown, timeoutMs: number): Promise<Result>;
  notify(method: string, params: unknown): void;
  settled(limitMs: number): Promise<void>;
  dispose(): Promise<void>;
}

interface RawItem {
  readonly label: string;
  readonly kind?: number;
  readonly filterText?: string;
  readonly insertText?: string;
  readonly insertTextFormat?: number;
  readonly textEdit?: { readonly newText: string };
  readonly sortText?: string;
}

type RawList = { readonly isIncomplete: boolean; readonly items: readonly RawItem[] };

/** What is known of a server by the name in its command, for what it must be told. */
export function knownServer(command: readonly string[]): LanguageServer | undefined {
  return LANGUAGE_SERVERS.find((server) =>
    command.some((word) =>
      word
        .split(/[\\/]/)
        .some(
          (part) =>
            part === server.nodeScript?.package ||
            server.binaries.some((binary) => part === binary || part === `${binary}.exe`),
        ),
    ),
  );
}

const SNIPPET = 2;
const decoder = new TextDecoder();

const itemOf = (raw: RawItem): OfferedItem => {
  const insertText = raw.textEdit?.newText ?? raw.insertText;
  return {
    label: raw.label,
    ...(raw.filterText === undefined ? {} : { filterText: raw.filterText }),
    ...(insertText === undefined ? {} : { insertText }),
    ...(raw.insertTextFormat === SNIPPET ? { isSnippet: 1 as const } : {}),
    kind: raw.kind ?? 0,
    ...(raw.sortText === undefined ? {} : { sortText: raw.sortText }),
  };
};

/** The last position of a text. */
export function endOf(text: string): Position {
  const lines = text.split(/\r\n|\r|\n/);
  return { line: lines.length - 1, character: lines.at(-1)!.length };
}

interface OpenDocument {
  readonly uri: string;
  version: number;
  text: string;
  /** Where the text before the cursor ends. */
  cursor: Position;
}

export class CompletionServer {
  readonly name: string;
  readonly #client: CompletionClient;
  readonly #root: string;
  readonly #languages: readonly string[] | undefined;
  readonly #isIncremental: boolean;
  #open: OpenDocument | undefined;

  private constructor(o: {
    name: string;
    client: CompletionClient;
    root: string;
    languages: readonly string[] | undefined;
    isIncremental: boolean;
  }) {
    this.name = o.name;
    this.#client = o.client;
    this.#root = o.root;
    this.#languages = o.languages;
    this.#isIncremental = o.isIncremental;
  }

  /** Starts the server on a folder. Rejects with SourceGone where it cannot be started or offers no completions. */
  static async start(o: {
    readonly command: readonly string[];
    readonly root: string;
    /** Instead of a process. */
    readonly client?: CompletionClient;
  }): Promise<CompletionServer> {
    const known = knownServer(o.command);
    const name = known?.name ?? o.command[0]!;
    const client =
      o.client ??
      new LspClient({
        name,
        command: { command: o.command[0]!, args: o.command.slice(1) },
        cwd: o.root,
        settings: known?.settings ?? {},
        hangMs: LIMITS.hangMs,
      });
    const rootUri = pathToFileURL(o.root).href;
    try {
      const { capabilities } = await client.request<{
        capabilities: {
          completionProvider?: unknown;
          textDocumentSync?: number | { change?: number };
        };
      }>(
        "initialize",
        {
          processId: process.pid,
          rootUri,
          workspaceFolders: [{ uri: rootUri, name }],
          initializationOptions: known?.initializationOptions,
          capabilities: CAPABILITIES,
        },
        LIMITS.initializeMs,
      );
      if (capabilities.completionProvider === undefined)
        throw new SourceGone(`${name} offers no completions`);
      client.notify("initialized", {});
      if (known?.loadsFirst) await client.settled(LIMITS.loadMs);
      const sync = capabilities.textDocumentSync;
      const change = typeof sync === "number" ? sync : (sync?.change ?? 0);
      const languages = known?.languages;
      return new CompletionServer({ name, client, root: o.root, languages, isIncremental: change === 2 }); // prettier-ignore
    } catch (error) {
      await client.dispose();
      throw error instanceof SourceGone
        ? error
        : new SourceGone(`${name} did not start: ${error instanceof Error ? error.message : String(error)}`); // prettier-ignore
    }
  }

  /** Whether the server answers for a file of this name. */
  knows(path: string): boolean {
    return this.#languages === undefined || this.#languages.includes(languageIdOf(path));
  }

  uriOf(path: string): string {
    return pathToFileURL(isAbsolute(path) ? path : join(this.#root, path)).href;
  }

  /** Makes a document what stands before the cursor. One is open at a time; a new one's project is waited for. */
  async show(path: string, bytes: Uint8Array): Promise<void> {
    const uri = this.uriOf(path);
    const before = decoder.decode(bytes);
    const text = before + closersOf(path, bytes);
    const cursor = endOf(before);
    if (this.#open?.uri === uri) {
      this.#change(this.#open, text);
      this.#open.cursor = cursor;
      return;
    }
    this.close();
    this.#open = { uri, version: 1, text, cursor };
    this.#client.notify("textDocument/didOpen", {
      textDocument: { uri, languageId: languageIdOf(path), version: 1, text },
    });
    // First answers wait for the project, and clangd says of completions what it knows without it. An editor has had
    // the file open before anyone types.
    const quietly = (error: unknown): void => {
      if (error instanceof SourceGone) throw error;
    };
    const textDocument = { uri };
    await this.#client
      .request("textDocument/documentSymbol", { textDocument }, LIMITS.firstMs)
      .catch(quietly);
    await this.#complete(uri, cursor, LIMITS.firstMs).catch(quietly);
  }

  /** What is offered at the end of the shown document. Rejects when the time is over, or the server lost. */
  async offer(timeoutMs: number): Promise<OfferedNamesResult | null> {
    if (this.#open === undefined) return null;
    const raw = await this.#complete(this.#open.uri, this.#open.cursor, timeoutMs);
    if (raw === null) return null;
    const { items, isIncomplete } = "items" in raw ? raw : { items: raw, isIncomplete: false };
    return { items: items.map(itemOf), isIncomplete };
  }

  close(): void {
    if (this.#open === undefined) return;
    this.#client.notify("textDocument/didClose", { textDocument: { uri: this.#open.uri } });
    this.#open = undefined;
  }

  async dispose(): Promise<void> {
    this.close();
    await this.#client.dispose();
  }

  #complete(
    uri: string,
    position: Position,
    timeoutMs: number,
  ): Promise<RawList | readonly RawItem[] | null> {
    const params = { textDocument: { uri }, position, context: { triggerKind: 1 } };
    return this.#client.request("textDocument/completion", params, timeoutMs);
  }

  #change(open: OpenDocument, text: string): void {
    if (open.text === text) return;
    let same = 0;
    while (same < open.text.length && open.text[same] === text[same]) same++;
    // Never within a character, nor between CR and LF.
    while (same > 0 && /[\uD800-\uDBFF\r]/.test(open.text[same - 1]!)) same--;
    const range = { start: endOf(text.slice(0, same)), end: endOf(open.text) };
    const change = this.#isIncremental ? { range, text: text.slice(same) } : { text };
    open.text = text;
    this.#client.notify("textDocument/didChange", {
      textDocument: { uri: open.uri, version: ++open.version },
      contentChanges: [change],
    });
  }
}

/** No snippets: what is inserted is what is written. Nothing of diagnostics, which cost most of a server's time. */
const CAPABILITIES = {
  workspace: { configuration: true, workspaceFolders: true },
  window: { workDoneProgress: true },
  textDocument: {
    synchronization: {},
    diagnostic: {},
    completion: {
      contextSupport: true,
      completionItem: { snippetSupport: false },
      completionItemKind: { valueSet: Array.from({ length: 25 }, (_, i) => i + 1) },
    },
  },
};
