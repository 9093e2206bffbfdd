/**
 * Facts from the editor's own providers, asked through the client. The editor gives no sign when its
 * language servers are ready and answers with nothing until then, so the first files are asked again after
 * a pause; a language that stays silent is passed over.
 */

import { pathToFileURL } from "node:url";
import { DocumentFactsRequest } from "./editorProtocol.ts";
import type { DocumentFactsParams, DocumentFactsResult } from "./editorProtocol.ts";
import {
  buildEvidence,
  decodeTokens,
  flattenSymbols,
  groupNames,
  nameAt,
  placePath,
} from "./evidence.ts";
import type { NameGroup, Resolution } from "./evidence.ts";
import type { EvidenceBudget, FactSource, FileEvidence, SourceFile } from "./source.ts";
import { isNotebook } from "../corpus/notebook.ts";
import { SourceGone } from "./source.ts";
import { TextPositions } from "./textPositions.ts";

/** The part of an LSP connection that is needed. */
export interface FactsConnection {
  sendRequest(method: string, params: DocumentFactsParams): Promise<DocumentFactsResult | null>;
}

export interface EditorSourceLimits {
  /** Most time for one document. */
  readonly documentMs: number;
  /** Pauses before a silent editor is asked again, until it has answered once. */
  readonly retryMs: readonly number[];
}

const LIMITS: EditorSourceLimits = { documentMs: 4000, retryMs: [500, 2000] };

/** Time over the budget that the answer may need on its way. */
const GRACE_MS = 500;
/** So many documents of a language in a row without any answer, and it is not asked about again. */
const MAX_SILENT = 5;

/** A definition through the editor takes about so long. */
const DEFINITION_MS = 10;
const MIN_DEFINITIONS = 8;

const affordable = (budget: EvidenceBudget): number =>
  Math.max(MIN_DEFINITIONS, Math.floor((budget.deadline - performance.now()) / DEFINITION_MS));

export function createEditorSource(o: {
  readonly connection: FactsConnection;
  readonly root: string;
  readonly limits?: Partial<EditorSourceLimits>;
  /** Bytes of workspace files by path, to name what a definition points at. */
  bytesOf(path: string): Uint8Array | undefined;
}): FactSource {
  const limits = { ...LIMITS, ...o.limits };
  /** Languages whose providers have answered once; for the others, documents in a row without an answer. */
  const answering = new Set<string>();
  const silent = new Map<string, number>();

  async function ask(params: DocumentFactsParams): Promise<DocumentFactsResult | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, params.budgetMs + GRACE_MS, undefined);
    });
    try {
      const answer = o.connection.sendRequest(DocumentFactsRequest.method, params);
      return (await Promise.race([answer, late])) ?? undefined;
    } catch (error) {
      throw new SourceGone(`the editor cannot be asked: ${String(error)}`);
    } finally {
      clearTimeout(timer);
    }
  }

  async function evidence(
    file: SourceFile,
    budget: EvidenceBudget,
    signal: AbortSignal,
  ): Promise<FileEvidence | undefined> {
    // The editor would answer about the notebook's JSON.
    if (isNotebook(file.path)) return undefined;
    // Without tokens yet, a name's last place is the likeliest to be a use.
    const asked = groupNames(file, undefined, [], budget)
      .filter((group) => budget.priority(group.name) > 0)
      .slice(0, Math.min(budget.definitions, affordable(budget)));
    let result: DocumentFactsResult | undefined;
    for (const pauseMs of [0, ...(answering.has(file.languageId) ? [] : limits.retryMs)]) {
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      const left = Math.max(budget.deadline, budget.patience) - performance.now();
      if (left <= 0 || signal.aborted) break;
      result = await ask({
        uri: pathToFileURL(file.absolutePath).href,
        budgetMs: Math.min(left, limits.documentMs),
        definitionsAt: asked.map((group) => group.askAt),
      });
      if (result?.symbols || result?.semanticTokens) break;
    }
    if (!result?.symbols && !result?.semanticTokens) {
      const inARow = (silent.get(file.languageId) ?? 0) + 1;
      silent.set(file.languageId, inARow);
      if (inARow >= MAX_SILENT)
        throw new SourceGone(`the editor knows nothing of ${file.languageId} (${inARow} files)`);
      return undefined;
    }
    for (const group of asked) budget.asked(group.name);
    answering.add(file.languageId);
    silent.set(file.languageId, 0);
    return toEvidence(file, budget, asked, result);
  }

  function toEvidence(
    file: SourceFile,
    budget: EvidenceBudget,
    asked: readonly NameGroup[],
    result: DocumentFactsResult,
  ): FileEvidence {
    const symbols = flattenSymbols(file.path, result.symbols ?? []);
    const tokens =
      result.legend && result.semanticTokens
        ? decodeTokens(result.legend, result.semanticTokens)
        : undefined;
    const groups = groupNames(file, tokens, symbols, budget);
    const byName = new Map<string, Resolution>();
    asked.forEach((group, at) => {
      const found = result.definitions[at];
      const path = found ? placePath(found.uri, o.root) : undefined;
      if (!found || path === undefined) return;
      const bytes = o.bytesOf(path);
      const target = bytes && new TextPositions(bytes);
      const name = nameAt(target, found.start, found.end, group.name);
      byName.set(group.name, { definition: { path, name } });
    });
    const resolutions = new Map<NameGroup, Resolution>();
    for (const group of groups) {
      const resolution = byName.get(group.name);
      if (resolution && !group.isDeclaration) resolutions.set(group, resolution);
    }
    return buildEvidence({ file, groups, symbols, resolutions });
  }

  return { name: "editor", evidence, dispose: () => Promise.resolve() };
}
