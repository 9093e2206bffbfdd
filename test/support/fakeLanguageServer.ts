/** A language server that keeps what it is sent, document by document, and offers what a test says. */
import type { CompletionClient } from "../../server/facts/completionServer.ts";
import { RequestTimeout } from "../../server/facts/lspClient.ts";

interface Position {
  readonly line: number;
  readonly character: number;
}

export interface Asked {
  readonly uri: string;
  /** The document as the server has it. */
  readonly text: string;
  /** Where in it the cursor is. */
  readonly offset: number;
}

export class FakeLanguageServer implements CompletionClient {
  readonly asked: Asked[] = [];
  /** Every text the server ever held, and every message it was sent. */
  readonly texts: string[] = [];
  readonly messages: string[] = [];
  readonly #documents = new Map<string, string>();
  readonly #offer: (asked: Asked) => unknown;
  readonly #capabilities: unknown;

  constructor(
    offer: (asked: Asked) => unknown,
    capabilities: unknown = { completionProvider: {}, textDocumentSync: 2 },
  ) {
    this.#offer = offer;
    this.#capabilities = capabilities;
  }

  async request<Result>(method: string, params: unknown, timeoutMs: number): Promise<Result> {
    this.messages.push(JSON.stringify([method, params]));
    if (method === "initialize") return { capabilities: this.#capabilities } as Result;
    if (method !== "textDocument/completion") return null as Result;
    const { textDocument, position } = params as {
      textDocument: { uri: string };
      position: Position;
    };
    const { uri } = textDocument;
    const text = this.#documents.get(uri)!;
    const asked = { uri, text, offset: offsetIn(text, position) };
    this.asked.push(asked);
    const offered = this.#offer(asked);
    if (offered === "late")
      throw new RequestTimeout(`${method} took over ${Math.round(timeoutMs)} ms`);
    return offered as Result;
  }

  notify(method: string, params: unknown): void {
    this.messages.push(JSON.stringify([method, params]));
    if (method === "textDocument/didOpen") {
      const { textDocument } = params as { textDocument: { uri: string; text: string } };
      this.#set(textDocument.uri, textDocument.text);
    } else if (method === "textDocument/didChange") {
      const { textDocument, contentChanges } = params as {
        textDocument: { uri: string };
        contentChanges: { range?: { start: Position; end: Position }; text: string }[];
      };
      for (const { range, text } of contentChanges) {
        const before = this.#documents.get(textDocument.uri)!;
        const [start, end] =
          range === undefined
            ? [0, before.length]
            : [offsetIn(before, range.start), offsetIn(before, range.end)];
        this.#set(textDocument.uri, before.slice(0, start) + text + before.slice(end));
      }
    } else if (method === "textDocument/didClose") {
      const { textDocument } = params as { textDocument: { uri: string } };
      this.#documents.delete(textDocument.uri);
    }
  }

  async settled(): Promise<void> {
    // It loads nothing.
  }

  async dispose(): Promise<void> {
    // It holds nothing.
  }

  #set(uri: string, text: string): void {
    this.#documents.set(uri, text);
    this.texts.push(text);
  }
}

function offsetIn(text: string, { line, character }: Position): number {
  let start = 0;
  for (let i = 0; i < line; i++) {
    const found = /\r\n|\r|\n/.exec(text.slice(start));
    if (found === null) throw new Error("a position is behind the document's end");
    start += found.index + found[0].length;
  }
  const offset = start + character;
  if (offset > text.length) throw new Error("a position is behind the document's end");
  return offset;
}
