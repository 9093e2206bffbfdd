/**
 * Names that the editor's language servers offer at a cursor, asked while typing rests, for the model to prefer. Asked
 * only where a name is being written; an editor that does not know the question is not asked again.
 */
import {
  CompletionItemKind,
  ErrorCodes,
  ResponseError,
  type Position,
} from "vscode-languageserver";
import type { NameList } from "../model/index.ts";
import { OfferedNamesRequest, type OfferedNamesResult } from "./facts/editorProtocol.ts";

/** As long as typing rests by default: what takes longer is done without. */
const BUDGET_MS = 60;
/** The editor's own clock ends first. */
const GRACE_MS = 20;

const NAME = /^[\p{L}_$][\p{L}\p{N}\p{M}_$]*/u;
const WRITING = /[\p{L}\p{N}\p{M}_$]$|\.\s*$/u;
const MEMBER = /\.\s*[\p{L}\p{N}\p{M}_$]*$/u;

/** Kinds that are no names of the language: they say nothing about what else may stand here. */
const NO_NAMES: ReadonlySet<number> = new Set([
  0,
  CompletionItemKind.Text,
  CompletionItemKind.Snippet,
  CompletionItemKind.File,
  CompletionItemKind.Folder,
  CompletionItemKind.Color,
]);

/** The names of a list. Complete is a list of members alone: elsewhere a name may be new. */
export function nameList(offered: OfferedNamesResult, linePrefix: string): NameList | undefined {
  const names = new Set<string>();
  let others = 0;
  for (const item of offered.items) {
    const name = NAME.exec((item.filterText ?? item.label).replace(/^[?.]+/, ""))?.[0];
    if (name === undefined || NO_NAMES.has(item.kind)) others++;
    else names.add(name);
  }
  if (names.size === 0) return undefined;
  const isComplete = !offered.isIncomplete && others === 0 && MEMBER.test(linePrefix);
  return { names: [...names], complete: isComplete ? 1 : 0 };
}

export interface OfferedNamesConnection {
  sendRequest(method: string, params: object): Promise<OfferedNamesResult | null>;
}

export class OfferedNames {
  private readonly connection: OfferedNamesConnection;
  private isKnown = true;

  constructor(connection: OfferedNamesConnection) {
    this.connection = connection;
  }

  /** Undefined where nothing is offered in time. Never fails. */
  async at(uri: string, position: Position, linePrefix: string): Promise<NameList | undefined> {
    if (!this.isKnown || !WRITING.test(linePrefix)) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, BUDGET_MS + GRACE_MS, null);
    });
    try {
      const params = { uri, position, budgetMs: BUDGET_MS };
      const asked = this.connection.sendRequest(OfferedNamesRequest.method, params);
      const offered = await Promise.race([asked, late]);
      return offered === null ? undefined : nameList(offered, linePrefix);
    } catch (error) {
      if (error instanceof ResponseError && error.code === ErrorCodes.MethodNotFound)
        this.isKnown = false;
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}
