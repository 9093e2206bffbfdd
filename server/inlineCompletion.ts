/**
 * Answers textDocument/inlineCompletion. One model request runs at a time and the newest one wins; every way out
 * without a suggestion logs exactly one reason from a closed list. Nothing here shows a popup: a completion that
 * cannot be given is silence.
 */
import {
  InlineCompletionTriggerKind,
  type CancellationToken,
  type InlineCompletionItem,
  type InlineCompletionParams,
  type Position,
  type Range,
} from "vscode-languageserver";
import type { TextDocument } from "vscode-languageserver-textdocument";
import type { Logger, NameList } from "../model/index.ts";
import { CompletionCache, type CachePlace } from "./completionCache.ts";
import { CONTEXT_BUDGET, contextAround, withEarlier } from "./context.ts";
import { DocumentText, byteOffset, utf16Offset, type DocumentBytes } from "./documents.ts";
import { IDENTIFIER_CHARACTER, type Surroundings } from "./postprocess/candidate.ts";
import { suggestionFrom } from "./postprocess/suggestion.ts";
import type { Settings } from "./settings.ts";

export type SilenceReason =
  | "switchedOff"
  | "noModel"
  | "unknownDocument"
  | "tooLarge"
  | "insideIdentifier"
  | "cancelled"
  | "superseded"
  | "deadline"
  | "modelFailed"
  | "modelSilent"
  | "lowConfidence"
  | "nothingLeft"
  | "cachedSilence"
  | "disagreesWithList";

export interface EngineRequest {
  readonly path: string;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly maxBytes: number;
  readonly singleLine: 0 | 1;
  readonly list?: NameList;
}

export interface CompletionEngine {
  complete(request: EngineRequest, signal: AbortSignal): Promise<EngineAnswer>;
}

export interface EngineAnswer {
  readonly text: string;
  /** Probability of the whole text. */
  readonly confidence: number;
  readonly ms: number;
  /** Probability of each byte of the text, given those before it. */
  readonly perByte?: readonly number[];
}

export interface InlineCompletionParts {
  readonly logger: Logger;
  readonly bytes: DocumentBytes;
  document(uri: string): TextDocument | undefined;
  settings(uri: string): Promise<Settings>;
  /** Workspace-relative path the model knows the document by. */
  pathOf(uri: string): string;
  /** What the model is to read before the document's own text. */
  earlier(uri: string): string;
  /** What the editor's language servers offer at a cursor, if they say so soon. */
  offered(uri: string, position: Position, linePrefix: string): Promise<NameList | undefined>;
  /** Undefined while no model can answer. */
  engine(): CompletionEngine | undefined;
  /** The command the editor runs when a suggestion was accepted whole. */
  readonly acceptedCommand: string;
}

/** Documents beyond this are not completed: each keystroke would re-encode them. */
const MAX_DOCUMENT_UNITS = 2_000_000;
/** How much of the text below the cursor the clean-up compares with. */
const FOLLOWING_UNITS = 2000;

type Outcome = { readonly text: string } | { readonly silence: SilenceReason };

export class InlineCompletions {
  private readonly parts: InlineCompletionParts;
  private readonly cache = new CompletionCache();
  private newest = 0;
  private inFlight:
    { readonly abort: AbortController; readonly done: Promise<unknown> } | undefined;

  constructor(parts: InlineCompletionParts) {
    this.parts = parts;
  }

  /** Earlier answers no longer hold: another model answers now. */
  forget(): void {
    this.cache.clear();
  }

  async provide(
    params: InlineCompletionParams,
    token: CancellationToken,
  ): Promise<InlineCompletionItem[] | null> {
    const mine = ++this.newest;
    const began = performance.now();
    const { uri } = params.textDocument;
    const outcome = await this.answer(params, token, mine).catch((error: unknown): Outcome => {
      // The editor would show a failed request; a completion that cannot be given is silence.
      this.parts.logger.warn("completion failed", { error: String(error) });
      return { silence: "modelFailed" };
    });
    const ms = Math.round(performance.now() - began);
    if ("silence" in outcome) {
      this.parts.logger.debug("no suggestion", { reason: outcome.silence, ms });
      return null;
    }
    this.parts.logger.debug("suggestion", { ms, length: outcome.text.length });
    const selected = params.context.selectedCompletionInfo;
    const range: Range = selected?.range ?? { start: params.position, end: params.position };
    const insertText = selected === undefined ? outcome.text : selected.text + outcome.text;
    return [
      {
        insertText,
        range,
        command: {
          title: "Suggestion accepted",
          command: this.parts.acceptedCommand,
          arguments: [uri, insertText.length],
        },
      },
    ];
  }

  private async answer(
    params: InlineCompletionParams,
    token: CancellationToken,
    mine: number,
  ): Promise<Outcome> {
    const { uri } = params.textDocument;
    const settings = await this.parts.settings(uri);
    if (!settings.enable) return { silence: "switchedOff" };
    const engine = this.parts.engine();
    if (engine === undefined) return { silence: "noModel" };
    const document = this.parts.document(uri);
    if (document === undefined) return { silence: "unknownDocument" };
    const whole = document.getText();
    if (whole.length > MAX_DOCUMENT_UNITS) return { silence: "tooLarge" };
    const scene = this.sceneOf(document, params);
    if (scene === undefined) return { silence: "disagreesWithList" };
    const { place, around: surroundings } = scene;
    const ahead = Array.from(surroundings.lineSuffix.slice(0, 2))[0];
    if (ahead !== undefined && IDENTIFIER_CHARACTER.test(ahead))
      return { silence: "insideIdentifier" };
    const multiLine = settings["completion.multiLine"] && surroundings.lineSuffix.trim() === "";
    const around: Surroundings = { ...surroundings, multiLine };

    const invoked = params.context.triggerKind === InlineCompletionTriggerKind.Invoked;
    // Someone who asks by hand gets the best guess there is, not the silence of before.
    const minConfidence = invoked ? 0 : settings["completion.minConfidence"];
    const known = this.cache.find(place);
    if (known !== undefined && !(invoked && known.text === ""))
      return this.judge(known, minConfidence, known.text === "" ? "cachedSilence" : "nothingLeft");

    // Asked while typing rests. An entry that the editor has selected is a choice made already.
    const offered =
      params.context.selectedCompletionInfo === undefined
        ? this.parts.offered(uri, params.position, around.linePrefix)
        : undefined;
    if (!invoked) await rest(settings["completion.debounceMs"], token);
    const list = await offered;
    if (token.isCancellationRequested) return { silence: "cancelled" };
    if (mine !== this.newest) return { silence: "superseded" };
    while (this.inFlight !== undefined) {
      this.inFlight.abort.abort();
      await this.inFlight.done;
      if (token.isCancellationRequested) return { silence: "cancelled" };
      if (mine !== this.newest) return { silence: "superseded" };
    }

    const abort = new AbortController();
    const cancelled = token.onCancellationRequested(() => abort.abort());
    const { before, after } = contextAround(place.document, place.offset, CONTEXT_BUDGET);
    const maxBytes = settings["completion.maxBytes"];
    const work = engine.complete(
      {
        path: this.parts.pathOf(uri),
        before: withEarlier(
          new TextEncoder().encode(this.parts.earlier(uri)),
          before,
          CONTEXT_BUDGET.beforeBytes,
        ),
        after,
        maxBytes,
        singleLine: multiLine ? 0 : 1,
        ...(list === undefined ? {} : { list }),
      },
      abort.signal,
    );
    const done = work.then(
      (answer) => {
        const suggestion = suggestionFrom(answer, around, { minConfidence, maxBytes });
        // Stored even when it comes too late to be shown: the next keystroke may ask for it again.
        this.cache.store(place, suggestion);
        return { suggestion, silence: silenceOf(answer.text, suggestion.spoken) };
      },
      (error: unknown) => {
        if (!abort.signal.aborted)
          this.parts.logger.warn("completion failed", { error: String(error) });
        return undefined;
      },
    );
    const flight = { abort, done };
    this.inFlight = flight;
    done
      .finally(() => {
        cancelled.dispose();
        if (this.inFlight === flight) this.inFlight = undefined;
      })
      .catch(() => undefined);

    const late = Symbol("late");
    const result = await withDeadline(done, settings["completion.deadlineMs"], late);
    if (token.isCancellationRequested) return { silence: "cancelled" };
    if (result === late) return { silence: "deadline" };
    if (mine !== this.newest) return { silence: "superseded" };
    if (result === undefined) return { silence: "modelFailed" };
    return this.judge(result.suggestion, minConfidence, result.silence);
  }

  private judge(
    suggestion: { readonly text: string; readonly confidence: number },
    minConfidence: number,
    whenEmpty: SilenceReason,
  ): Outcome {
    if (suggestion.text === "") return { silence: whenEmpty };
    if (suggestion.confidence < minConfidence) return { silence: "lowConfidence" };
    return { text: suggestion.text };
  }

  /** The document as it would be once the selected entry of the suggestion list is taken, if there is one. */
  private sceneOf(
    document: TextDocument,
    params: InlineCompletionParams,
  ): { readonly place: CachePlace; readonly around: Omit<Surroundings, "multiLine"> } | undefined {
    const selected = params.context.selectedCompletionInfo;
    let text = document.getText();
    let cursor = document.offsetAt(params.position);
    let bytes: DocumentText;
    if (selected === undefined) {
      bytes = this.parts.bytes.of(document);
    } else {
      const start = document.offsetAt(selected.range.start);
      const end = document.offsetAt(selected.range.end);
      if (start > cursor || end < cursor) return undefined;
      text = text.slice(0, start) + selected.text + text.slice(end);
      cursor = start + selected.text.length;
      bytes = new DocumentText(text);
    }
    const lineStart = text.lastIndexOf("\n", cursor - 1) + 1;
    const newline = text.indexOf("\n", cursor);
    const lineEnd = newline < 0 ? text.length : newline;
    return {
      place: {
        uri: document.uri,
        document: bytes,
        offset: byteOffset(bytes.toByte(utf16Offset(cursor))),
      },
      around: {
        linePrefix: text.slice(lineStart, cursor),
        lineSuffix: text.slice(cursor, lineEnd).replace(/\r$/, ""),
        following: text.slice(lineEnd + 1, lineEnd + 1 + FOLLOWING_UNITS),
      },
    };
  }
}

/** Why nothing is shown, should the clean-up leave nothing. */
function silenceOf(spoken: string, confident: string): SilenceReason {
  if (spoken === "") return "modelSilent";
  return confident === "" ? "lowConfidence" : "nothingLeft";
}

/** Waits for typing to rest; a cancelled request stops waiting at once. */
function rest(ms: number, token: CancellationToken): Promise<void> {
  if (ms === 0 || token.isCancellationRequested) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      cancelled.dispose();
      resolve();
    };
    const timer = setTimeout(finish, ms);
    const cancelled = token.onCancellationRequested(finish);
  });
}

async function withDeadline<T, L>(work: Promise<T>, ms: number, late: L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<L>((resolve) => {
    timer = setTimeout(() => resolve(late), ms);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
