/**
 * Facts from a language server that we spawn. Per file: open, symbols, semantic tokens (or hovers, where a
 * server has no tokens), definitions for as many names as the budget allows, most wanted first. Files stay
 * open for a while, because servers forget a project with its last open file.
 */

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { tokenModifierFlag, TOKEN_TYPES, tokenTypeId } from "../../model/index.ts";
import type { Logger } from "../../model/index.ts";
import {
  buildEvidence,
  decodeTokens,
  flattenSymbols,
  groupNames,
  nameAt,
  placePath,
} from "./evidence.ts";
import type { Legend, NameGroup, Position, RawSymbol, Resolution } from "./evidence.ts";
import type { LanguageServer, ServerCommand } from "./languageServers.ts";
import { LspClient, RequestTimeout } from "./lspClient.ts";
import { SourceGone } from "./source.ts";
import type {
  DefinitionPlace,
  EvidenceBudget,
  FactSource,
  FileEvidence,
  SourceFile,
  SymbolEntry,
} from "./source.ts";
import { TextPositions } from "./textPositions.ts";

export interface LspSourceLimits {
  readonly initializeMs: number;
  /** Longest wait for a server that loads a project before it can answer. */
  readonly loadMs: number;
  readonly requestMs: number;
  /** No answer to anything for so long, and the server is given up. */
  readonly hangMs: number;
  /** Requests that are under way at once. */
  readonly concurrency: number;
}

export const LSP_LIMITS: LspSourceLimits = {
  initializeMs: 30_000,
  loadMs: 60_000,
  requestMs: 20_000,
  hangMs: 30_000,
  concurrency: 8,
};

/** A definition should come fast once the file's symbols have come. */
const DEFINITION_MS = 5000;

interface Capabilities {
  readonly semanticTokensProvider?: { readonly legend: Legend; readonly full?: unknown };
  readonly definitionProvider?: unknown;
  readonly documentSymbolProvider?: unknown;
  readonly hoverProvider?: unknown;
}

interface RawRange {
  readonly start: Position;
  readonly end: Position;
}

type RawLocation =
  | { readonly uri: string; readonly range: RawRange }
  | {
      readonly targetUri: string;
      readonly targetRange: RawRange;
      readonly targetSelectionRange: RawRange;
    };

/** Starts the server. Rejects with SourceGone when it cannot be started or does not answer. */
export async function createLspSource(o: {
  readonly server: LanguageServer;
  readonly command: ServerCommand;
  readonly root: string;
  readonly logger: Logger;
  readonly limits?: Partial<LspSourceLimits>;
}): Promise<FactSource> {
  const limits = { ...LSP_LIMITS, ...o.limits };
  const client = new LspClient({
    name: o.server.name,
    command: o.command,
    cwd: o.root,
    settings: o.server.settings ?? {},
    hangMs: limits.hangMs,
  });
  const rootUri = pathToFileURL(o.root).href;
  try {
    const { capabilities } = await client.request<{ capabilities: Capabilities }>(
      "initialize",
      {
        processId: process.pid,
        rootUri,
        workspaceFolders: [{ uri: rootUri, name: basename(o.root) }],
        initializationOptions: o.server.initializationOptions,
        capabilities: CLIENT_CAPABILITIES,
      },
      limits.initializeMs,
    );
    client.notify("initialized", {});
    if (o.server.loadsFirst) await client.settled(limits.loadMs);
    if (client.gone) throw client.gone;
    return new LspSource(o.server, client, capabilities, o.root, limits, o.logger);
  } catch (error) {
    const gone = client.gone ?? new SourceGone(`${o.server.name} did not start: ${text(error)}`);
    await client.dispose();
    throw gone;
  }
}

/** Diagnostics cost most of a server's time. None are pushed to a client that says nothing of them or that
 *  would pull them, and we never do. */
const CLIENT_CAPABILITIES = {
  workspace: { configuration: true, workspaceFolders: true },
  window: { workDoneProgress: true },
  textDocument: {
    synchronization: {},
    diagnostic: {},
    definition: { linkSupport: true },
    hover: { contentFormat: ["markdown", "plaintext"] },
    documentSymbol: { hierarchicalDocumentSymbolSupport: true },
    semanticTokens: {
      requests: { full: true },
      tokenTypes: Object.keys(TOKEN_TYPES),
      tokenModifiers: ["declaration", "definition", "readonly", "static", "abstract", "async", "defaultLibrary"], // prettier-ignore
      formats: ["relative"],
    },
  },
};

class LspSource implements FactSource {
  readonly name: string;
  readonly batch: number;
  readonly #server: LanguageServer;
  readonly #client: LspClient;
  readonly #can: Capabilities;
  readonly #root: string;
  readonly #limits: LspSourceLimits;
  readonly #logger: Logger;
  /** URIs in the order in which they were opened. */
  readonly #open = new Set<string>();
  readonly #texts = new Map<string, TextPositions | undefined>();

  constructor(
    server: LanguageServer,
    client: LspClient,
    can: Capabilities,
    root: string,
    limits: LspSourceLimits,
    logger: Logger,
  ) {
    this.name = server.name;
    this.batch = server.openFiles;
    this.#server = server;
    this.#client = client;
    this.#can = can;
    this.#root = root;
    this.#limits = limits;
    this.#logger = logger;
  }

  /** Opens files together: a server that sees one more file builds its project anew. */
  prepare(files: readonly SourceFile[]): void {
    if (this.#client.gone) return;
    for (const file of files) this.#openFile(pathToFileURL(file.absolutePath).href, file);
  }

  async evidence(
    file: SourceFile,
    budget: EvidenceBudget,
    signal: AbortSignal,
  ): Promise<FileEvidence | undefined> {
    if (this.#client.gone) throw this.#client.gone;
    const uri = pathToFileURL(file.absolutePath).href;
    this.#openFile(uri, file);
    const textDocument = { uri };
    const whole = { deadline: Math.max(budget.deadline, budget.patience) };

    const rawSymbols = this.#can.documentSymbolProvider
      ? await this.#ask<RawSymbol[]>("textDocument/documentSymbol", { textDocument }, whole)
      : undefined;
    const legend = this.#can.semanticTokensProvider?.legend;
    const raw =
      legend && !signal.aborted
        ? await this.#ask<{ data: number[] }>(
            "textDocument/semanticTokens/full",
            { textDocument },
            whole,
          )
        : undefined;
    // Without its tokens, the shape of the code says more than such a server.
    if (legend ? !raw : !rawSymbols) return undefined;
    const symbols = flattenSymbols(file.path, rawSymbols ?? []);
    const tokens = legend && raw ? decodeTokens(legend, raw.data) : undefined;
    const groups = groupNames(file, tokens, symbols, budget);
    const resolutions = await this.#resolveAll(uri, groups, symbols, budget, signal, !tokens);
    return buildEvidence({ file, groups, symbols, resolutions });
  }

  async dispose(): Promise<void> {
    await this.#client.dispose();
    this.#texts.clear();
  }

  #openFile(uri: string, file: SourceFile): void {
    this.#texts.set(uri, new TextPositions(file.bytes));
    if (this.#open.has(uri)) return;
    if (this.#open.size >= this.#server.openFiles) {
      const [oldest] = this.#open;
      this.#open.delete(oldest!);
      this.#client.notify("textDocument/didClose", { textDocument: { uri: oldest } });
    }
    this.#open.add(uri);
    this.#client.notify("textDocument/didOpen", {
      textDocument: {
        uri,
        languageId: file.languageId,
        version: 1,
        text: new TextDecoder().decode(file.bytes),
      },
    });
  }

  /** Undefined for an error or no answer in time; only the loss of the server is thrown. */
  async #ask<Result>(
    method: string,
    params: unknown,
    budget: Pick<EvidenceBudget, "deadline">,
    limitMs = this.#limits.requestMs,
  ): Promise<Result | undefined> {
    const left = budget.deadline - performance.now();
    if (left <= 0) return undefined;
    try {
      const result = await this.#client.request<Result | null>(
        method,
        params,
        Math.min(left, limitMs),
      );
      return result ?? undefined;
    } catch (error) {
      if (error instanceof SourceGone) throw error;
      // The end of our own budget is no fault of the server.
      if (!(error instanceof RequestTimeout)) this.#logger.trace(`${this.name}: ${text(error)}`);
      return undefined;
    }
  }

  async #resolveAll(
    uri: string,
    groups: readonly NameGroup[],
    symbols: readonly SymbolEntry[],
    budget: EvidenceBudget,
    signal: AbortSignal,
    wantsHover: boolean,
  ): Promise<Map<NameGroup, Resolution>> {
    const resolutions = new Map<NameGroup, Resolution>();
    if (!this.#can.definitionProvider) return resolutions;
    const wanted = groups
      .filter((group) => !group.isDeclaration && budget.priority(group.name) > 0)
      .slice(0, budget.definitions);
    const hovers = wantsHover && Boolean(this.#can.hoverProvider);
    const kinds = new Set(symbols.map((symbol) => symbol.name));
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < wanted.length && !signal.aborted && performance.now() < budget.deadline) {
        const group = wanted[next++]!;
        budget.asked(group.name);
        const params = { textDocument: { uri }, position: group.askAt };
        const [definition, hover] = await Promise.all([
          this.#definition(params, group.name, budget),
          hovers && (group.tokenType === 0 || !kinds.has(group.name))
            ? this.#ask<unknown>("textDocument/hover", params, budget, DEFINITION_MS)
            : undefined,
        ]);
        resolutions.set(group, { definition, ...hoverFacts(hover) });
      }
    };
    await Promise.all(Array.from({ length: this.#limits.concurrency }, worker));
    return resolutions;
  }

  async #definition(
    params: unknown,
    asked: string,
    budget: EvidenceBudget,
  ): Promise<DefinitionPlace | undefined> {
    const answer = await this.#ask<RawLocation | RawLocation[]>(
      "textDocument/definition",
      params,
      budget,
      DEFINITION_MS,
    );
    const first = Array.isArray(answer) ? answer[0] : answer;
    if (!first) return undefined;
    const [uri, range] =
      "targetUri" in first
        ? [first.targetUri, first.targetSelectionRange]
        : [first.uri, first.range];
    const path = placePath(uri, this.#root);
    if (path === undefined) return undefined;
    return { path, name: nameAt(await this.#textOf(uri), range.start, range.end, asked) };
  }

  /** The text that a definition lies in, for its name there: it may be imported under another one. */
  async #textOf(uri: string): Promise<TextPositions | undefined> {
    if (!this.#texts.has(uri)) {
      let found: TextPositions | undefined;
      try {
        found = new TextPositions(await readFile(fileURLToPath(uri)));
      } catch {
        // Not a file, or gone: the name that was asked for has to do.
      }
      this.#texts.set(uri, found);
    }
    return this.#texts.get(uri);
  }
}

const HOVER_TYPES: Readonly<Record<string, string>> = {
  "type alias": "type",
  "type parameter": "typeParameter",
  constant: "variable",
  field: "property",
  module: "namespace",
  import: "namespace",
};

/** Kind from hovers of the form "(method) def get(url)", which several servers use. */
export function hoverFacts(hover: unknown): { tokenType?: number; modifiers?: number } {
  const contents = (hover as { contents?: unknown } | undefined)?.contents;
  const said =
    typeof contents === "string" ? contents : (contents as { value?: unknown } | undefined)?.value;
  if (typeof said !== "string") return {};
  const found = /^(?:```\w*\s*)?\(([a-z ]+)\)\s*(async\b)?/.exec(said);
  if (!found) return {};
  const kind = found[1]!;
  const tokenType = tokenTypeId(HOVER_TYPES[kind] ?? kind);
  if (tokenType === 0) return {};
  const modifiers =
    (kind === "constant" ? tokenModifierFlag("readonly") : 0) |
    (found[2] ? tokenModifierFlag("async") : 0);
  return { tokenType, modifiers };
}

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));
