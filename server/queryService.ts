/**
 * Query over the workspace as it is now: the engine is built on the first question, kept in step with the files,
 * and built anew when the language servers were asked again. A newer question cancels the one before it.
 */
import {
  LSPErrorCodes,
  ResponseError,
  type CancellationToken,
  type Disposable,
} from "vscode-languageserver";
import { NarrowError, type CorpusFile } from "../model/index.ts";
import type { FileSink } from "./fileChanges.ts";
import type { QueryHit } from "./protocol.ts";

/** The query engine of one workspace. */
export interface QueryPort extends FileSink {
  query(o: {
    readonly text: string;
    readonly limit: number;
    readonly signal: AbortSignal;
  }): Promise<readonly QueryHit[]>;
}

export type CreateQuery = (o: {
  readonly root: string;
  /** Private folder of the workspace; facts are kept there. */
  readonly folder: string;
  readonly files: readonly CorpusFile[];
  /** Rejects while no model is loaded. */
  readonly embed: (texts: readonly Uint8Array[]) => Promise<readonly Float32Array[]>;
}) => Promise<QueryPort>;

const MAX_LIMIT = 200;

export class QueryService {
  private readonly build: () => Promise<QueryPort>;
  private engine: Promise<QueryPort> | undefined;
  private engineNow: QueryPort | undefined;

  constructor(build: () => Promise<QueryPort>) {
    this.build = build;
  }

  /** The engine if it was built already; it has to hear of changed files. */
  get sink(): FileSink | undefined {
    return this.engineNow;
  }

  /** The next question builds a new engine. */
  forget(): void {
    this.engine = undefined;
    this.engineNow = undefined;
  }

  async answer(
    params: { readonly text: string; readonly limit: number },
    token: CancellationToken,
  ): Promise<readonly QueryHit[]> {
    const text = params.text.trim();
    if (text === "") return [];
    const abort = new AbortController();
    const cancelled: Disposable = token.onCancellationRequested(() => abort.abort());
    try {
      const engine = await this.ready();
      if (token.isCancellationRequested) return replaced();
      return await engine.query({
        text,
        limit: Math.min(Math.max(1, params.limit), MAX_LIMIT),
        signal: abort.signal,
      });
    } catch (error) {
      if (abort.signal.aborted) return replaced();
      throw asResponseError(error);
    } finally {
      cancelled.dispose();
    }
  }

  private ready(): Promise<QueryPort> {
    if (this.engine === undefined) {
      const engine = this.build();
      this.engine = engine;
      engine.then(
        (built) => {
          if (this.engine === engine) this.engineNow = built;
        },
        () => {
          if (this.engine === engine) this.engine = undefined;
        },
      );
    }
    return this.engine;
  }
}

function replaced(): never {
  throw new ResponseError(LSPErrorCodes.RequestCancelled, "a newer query replaced this one");
}

function asResponseError(error: unknown): ResponseError<unknown> {
  if (error instanceof ResponseError) return error as ResponseError<unknown>;
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof NarrowError && error.hint !== undefined ? `; ${error.hint}` : "";
  return new ResponseError(LSPErrorCodes.RequestFailed, `${message}${hint}`);
}
