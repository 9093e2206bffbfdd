/**
 * Names that the editor's language servers offer at a cursor, asked while typing rests, for the model to prefer. Asked
 * only where a name is being written or may begin; an editor that does not know the question is not asked again. An
 * answer that comes too late for its keystroke serves the next ones, as long as the same name is being written.
 */
import {
  CompletionItemKind,
  ErrorCodes,
  ResponseError,
  type Position,
} from "vscode-languageserver";
import type { NameList } from "../model/index.ts";
import {
  OfferedNamesRequest,
  type OfferedItem,
  type OfferedNamesResult,
} from "./facts/editorProtocol.ts";

/** As long as typing rests by default, and a little: what takes longer is done without. */
export const OFFER_WAIT_MS = 80;
/** A later answer is of no use to any keystroke. */
const LATEST_MS = 2000;

const NAME = /^[\p{L}_$][\p{L}\p{N}\p{M}_$]*/u;
const WORD = /[\p{L}\p{N}\p{M}_$]*$/u;
/** Behind these a member follows, or the name of something inside something. */
const MEMBER = /(?:\.|->|::)\s*$/;
/** Behind these a name may begin: nothing else on the line, an operator or an opening bracket, a word and a blank. */
const BEGINS = /(?:^|[([{,;=<>+\-*/%!&|?:^~@.]|[\p{L}\p{N}\p{M}_$]\s)\s*$/u;

/** Kinds that are no names of the language: they say nothing about what else may stand here. */
const NO_NAMES: ReadonlySet<number> = new Set([
  0,
  CompletionItemKind.Text,
  CompletionItemKind.Snippet,
  CompletionItemKind.File,
  CompletionItemKind.Folder,
  CompletionItemKind.Color,
]);

/** A tab stop, a placeholder with a text or a choice, a variable. Innermost first. */
const PLACEHOLDER =
  /\$(?:\d+|\{\d+(?:\|[^{}]*\||:([^{}$]*))?\}|[A-Za-z_]\w*|\{[A-Za-z_]\w*[^{}$]*\})/g;
/** Stand for `$`, `}` and `\` that are escaped, while placeholders are taken out. */
const ESCAPED = ["$", "}", "\\"];
const STAND_IN = 0xe000;

/** What a snippet writes before anything is filled in. */
export function withoutPlaceholders(snippet: string): string {
  let text = snippet.replace(/\\([$}\\])/g, (_, escaped: string) =>
    String.fromCharCode(STAND_IN + ESCAPED.indexOf(escaped)),
  );
  for (let before = ""; before !== text;) {
    before = text;
    text = text.replace(PLACEHOLDER, (_, inner: string | undefined) => inner ?? "");
  }
  return text.replace(/[\uE000-\uE002]/g, (one) => ESCAPED[one.charCodeAt(0) - STAND_IN]!);
}

/** The name an item would write. */
function nameOf(item: OfferedItem): string | undefined {
  const { insertText } = item;
  const written =
    insertText === undefined
      ? (item.filterText ?? item.label)
      : item.isSnippet === 1
        ? withoutPlaceholders(insertText)
        : insertText;
  return NAME.exec(written.replace(/^[?.]+/, ""))?.[0];
}

/** What a list is sorted by before the names themselves: some servers have a few such groups, some one for each name. */
function groupOf(item: OfferedItem, name: string): string {
  const sorted = item.sortText ?? item.label;
  const at = sorted.lastIndexOf(name);
  return at < 0 ? sorted : sorted.slice(0, at);
}

/** How many of the names that begin with what was typed stand in groups before each one's. */
function ranksOf(groups: ReadonlyMap<string, string>, typed: string): number[] {
  const sizes = new Map<string, number>();
  for (const [name, group] of groups)
    sizes.set(group, (sizes.get(group) ?? 0) + (name.startsWith(typed) ? 1 : 0));
  const before = new Map<string, number>();
  let sum = 0;
  for (const group of [...sizes.keys()].sort()) {
    before.set(group, sum);
    sum += sizes.get(group)!;
  }
  return Array.from(groups.values(), (group) => before.get(group)!);
}

/** The names of a list that was asked for behind `linePrefix`. Complete is a list of members alone: elsewhere a name may be
 *  new. */
export function nameList(offered: OfferedNamesResult, linePrefix: string): NameList | undefined {
  const groups = new Map<string, string>();
  let others = 0;
  for (const item of offered.items) {
    const name = nameOf(item);
    if (name === undefined || NO_NAMES.has(item.kind)) {
      others++;
      continue;
    }
    const group = groupOf(item, name);
    const known = groups.get(name);
    if (known === undefined || group < known) groups.set(name, group);
  }
  if (groups.size === 0) return undefined;
  const typed = WORD.exec(linePrefix)![0];
  const isMember = MEMBER.test(linePrefix.slice(0, linePrefix.length - typed.length));
  const isComplete = !offered.isIncomplete && others === 0 && isMember;
  return {
    names: [...groups.keys()],
    ranks: ranksOf(groups, typed),
    complete: isComplete ? 1 : 0,
  };
}

export interface OfferedNamesConnection {
  sendRequest(method: string, params: object): Promise<OfferedNamesResult | null>;
}

/** A question, and its answer once there is one. */
interface Asked {
  readonly uri: string;
  readonly line: number;
  /** The line up to the name, and to the blanks before it: they change nothing in what may stand behind them. */
  readonly before: string;
  /** What was typed of the name when it was asked. */
  readonly typed: string;
  readonly answered: Promise<OfferedNamesResult | null>;
  answer?: OfferedNamesResult | null;
  /** Of the answer, once it was used: further keystrokes use it again. */
  list?: NameList | undefined;
}

export class OfferedNames {
  private readonly connection: OfferedNamesConnection;
  private readonly waitMs: number;
  private isKnown = true;
  /** The last question, and the last one with an answer. */
  private last: Asked | undefined;
  private known: Asked | undefined;

  constructor(connection: OfferedNamesConnection, o: { readonly waitMs?: number } = {}) {
    this.connection = connection;
    this.waitMs = o.waitMs ?? OFFER_WAIT_MS;
  }

  /** Undefined where nothing is offered in time. Never fails. */
  async at(uri: string, position: Position, linePrefix: string): Promise<NameList | undefined> {
    const typed = WORD.exec(linePrefix)![0];
    const upToName = linePrefix.slice(0, linePrefix.length - typed.length);
    const before = upToName.trimEnd();
    const isName = typed === "" ? BEGINS.test(upToName) : NAME.test(typed);
    if (!this.isKnown || !isName) return undefined;
    const serves = (asked: Asked | undefined): asked is Asked =>
      asked?.uri === uri &&
      asked.line === position.line &&
      asked.before === before &&
      typed.startsWith(asked.typed);
    const isWhole = (asked: Asked): boolean =>
      asked.answer === undefined || (asked.answer !== null && !asked.answer.isIncomplete);
    // More typing brings nothing new to a whole list, and one that is on its way may be one.
    let asked = this.last;
    if (!serves(asked) || !isWhole(asked)) asked = this.ask({ uri, position, before, typed });
    const answer = await this.inTime(asked);
    if (answer !== undefined && answer !== null) return this.listOf(asked, answer);
    const { known } = this;
    if (!serves(known) || known.answer === undefined || known.answer === null) return undefined;
    const list = this.listOf(known, known.answer);
    return list === undefined ? undefined : { ...list, complete: 0 };
  }

  private listOf(asked: Asked, answer: OfferedNamesResult): NameList | undefined {
    if (!("list" in asked)) asked.list = nameList(answer, asked.before + asked.typed);
    return asked.list;
  }

  private ask(o: { uri: string; position: Position; before: string; typed: string }): Asked {
    const { uri, position, before, typed } = o;
    const params = { uri, position, budgetMs: LATEST_MS };
    const answered = this.connection
      .sendRequest(OfferedNamesRequest.method, params)
      .catch((error: unknown) => {
        if (error instanceof ResponseError && error.code === ErrorCodes.MethodNotFound)
          this.isKnown = false;
        return null;
      });
    const asked: Asked = { uri, line: position.line, before, typed, answered };
    this.last = asked;
    void answered.then((answer) => {
      asked.answer = answer;
      if (answer !== null) this.known = asked;
    });
    return asked;
  }

  private async inTime(asked: Asked): Promise<OfferedNamesResult | null | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, this.waitMs, undefined);
    });
    try {
      return await Promise.race([asked.answered, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
