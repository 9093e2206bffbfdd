/**
 * The wire between the extension and the language server: every message that LSP does not define.
 * Each says who sends it to whom and why. Both ends import this file, so that
 * neither side can drift; what the editor is asked about documents stands in facts/editorProtocol.ts. Parameters are always one plain object, even when empty.
 */

import type { ConsolidationReport } from "../model/protocol.ts";

export type { ConsolidationReport } from "../model/protocol.ts";
export {
  DocumentFactsRequest,
  type DocumentFactsDefinition,
  type DocumentFactsParams,
  type DocumentFactsPosition,
  type DocumentFactsResult,
  type DocumentFactsSymbol,
  OfferedNamesRequest,
  type OfferedItem,
  type OfferedNamesParams,
  type OfferedNamesResult,
} from "./facts/editorProtocol.ts";

export interface RequestMessage<Params, Result> {
  readonly method: `narrowgauge/${string}`;
  /** Only for the type checker; never present. */
  readonly types?: (params: Params) => Result;
}

export interface NotificationMessage<Params> {
  readonly method: `narrowgauge/${string}`;
  /** Only for the type checker; never present. */
  readonly types?: (params: Params) => void;
}

/** Sent by the extension in `initialize`: what only the editor knows. */
export interface InitializationOptions {
  /** Private folder of this workspace, where the model lives unless a setting names another. */
  readonly storagePath: string;
  /** True when this person said yes to training on this workspace before. */
  readonly consented: boolean;
}

/** What the person sees about the model. The status bar and the training view render this and nothing else. */
export type ModelState =
  | { readonly kind: "starting" }
  | { readonly kind: "notTrained"; readonly reason: string }
  | {
      readonly kind: "preparing";
      /** Before the first step: reading files, asking language servers, indexing. */
      readonly phase: string;
    }
  | {
      readonly kind: "training";
      readonly percent: number;
      readonly secondsLeft: number;
      readonly device: DeviceSummary;
      readonly heldoutBpb: number | null;
      /** True when an earlier model answers completions meanwhile. */
      readonly answers: boolean;
    }
  | {
      /** Nobody uses the editor, and changed files are learned. The model in use answers meanwhile. */
      readonly kind: "consolidating";
      readonly percent: number;
      readonly device: DeviceSummary;
    }
  | {
      readonly kind: "paused";
      readonly work: "training" | "consolidation";
      readonly why: PauseReason;
      readonly percent: number;
      readonly device: DeviceSummary;
    }
  | {
      /** The model host died and is being started again; training goes on from its last checkpoint. */
      readonly kind: "recovering";
      readonly message: string;
      readonly resumesTraining: boolean;
    }
  | { readonly kind: "ready"; readonly device: DeviceSummary; readonly model: ModelSummary }
  | { readonly kind: "noGpu"; readonly reason: string }
  | {
      readonly kind: "error";
      readonly code: string;
      readonly message: string;
      readonly hint: string | null;
    };

export type PauseReason = "you asked" | "you are typing" | "editor was closed";

export interface DeviceSummary {
  readonly kind: "gpu" | "cpu";
  readonly name: string;
  /** Why this device: which one was found, or what was missing. */
  readonly reason: string;
  /** Set after repeated crashes, when the engine fell back to the CPU. */
  readonly safeMode: boolean;
}

export interface ModelSummary {
  readonly params: number;
  readonly heldoutBpb: number | null;
  readonly preset: string;
}

/** One moment of training. Also one point of the curves. */
export interface TrainingPoint {
  readonly phase: "facts" | "indexing" | "training" | "evaluating" | "saving";
  readonly step: number;
  readonly steps: number;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly seconds: number;
  readonly secondsLeft: number;
  /** Bits per byte of the last batch. */
  readonly loss: number | null;
  readonly heldoutBpb: number | null;
  readonly bytesPerSecond: number;
  readonly device: string;
}

export interface LeftOutCount {
  readonly reason: string;
  readonly files: number;
  readonly sizeBytes: number;
}

export interface CorpusPreview {
  readonly root: string;
  readonly files: number;
  readonly sizeBytes: number;
  readonly leftOut: readonly LeftOutCount[];
}

export interface QueryHit {
  /** Where it is: a document URI and zero-based lines and UTF-16 columns. */
  readonly uri: string;
  readonly path: string;
  readonly startLine: number;
  readonly startCharacter: number;
  readonly endLine: number;
  readonly endCharacter: number;
  /** The code at that place, one line, for the list. */
  readonly preview: string;
  /** Why it is in the list, in words: "definition", "12 uses", "similar meaning". */
  readonly why: string;
  readonly kind: "definition" | "reference" | "symbol" | "text" | "meaning";
  readonly score: number;
}

export type StartOutcome =
  | { readonly outcome: "started" }
  | { readonly outcome: "alreadyRunning" }
  | { readonly outcome: "refused"; readonly message: string; readonly hint: string | null };

const request = <Params, Result>(
  method: `narrowgauge/${string}`,
): RequestMessage<Params, Result> => ({ method });
const notification = <Params>(method: `narrowgauge/${string}`): NotificationMessage<Params> => ({
  method,
});

type Empty = Record<string, never>;

// Extension → server, requests.

/** Extension → server: before asking for consent, what would be read, what is left out and why. */
export const CorpusPreviewRequest = request<Empty, CorpusPreview>("narrowgauge/corpusPreview");

/** Extension → server: the full list behind the preview, as text to read, when the person asks for it. */
export const CorpusListingRequest = request<Empty, { readonly text: string }>(
  "narrowgauge/corpusListing",
);

/** Extension → server: the person said yes (now or earlier) and wants training to start. */
export const StartTrainingRequest = request<Empty, StartOutcome>("narrowgauge/startTraining");

/** Extension → server: the person paused training; it stays paused until they resume it. */
export const PauseTrainingRequest = request<Empty, { readonly paused: boolean }>(
  "narrowgauge/pauseTraining",
);

/** Extension → server: the person resumed; also restarts a run that the last session left unfinished. */
export const ResumeTrainingRequest = request<Empty, StartOutcome>("narrowgauge/resumeTraining");

/** Extension → server: words or an identifier typed into the quick pick. Cancellable; hits come best first. */
export const QueryRequest = request<
  { readonly text: string; readonly limit: number },
  readonly QueryHit[]
>("narrowgauge/query");

/** Extension → server: the training view was opened and needs what happened before it existed. */
export const TrainingHistoryRequest = request<Empty, TrainingHistory>(
  "narrowgauge/trainingHistory",
);

export interface TrainingHistory {
  readonly points: readonly TrainingPoint[];
  /** What was learned while nobody was there, oldest first. */
  readonly consolidations: readonly ConsolidationReport[];
  readonly state: ModelState;
}

/** Extension → server: the person wants the model before the present one back. */
export const RestoreVersionRequest = request<Empty, RestoreOutcome>("narrowgauge/restoreVersion");

export type RestoreOutcome =
  | { readonly outcome: "restored" }
  /** No version is kept. */
  | { readonly outcome: "none" }
  | { readonly outcome: "refused"; readonly message: string };

// Extension → server, notifications.

/** Extension → server: a suggestion was accepted whole, so that the next one can be prepared. */
export const CompletionAcceptedNotification = notification<{
  readonly uri: string;
  readonly length: number;
}>("narrowgauge/completionAccepted");

// Server → extension, notifications.

/** Server → extension: the state to show changed. */
export const StateNotification = notification<ModelState>("narrowgauge/state");

/** Server → extension: training moved on; for the curves. */
export const TrainingPointNotification = notification<TrainingPoint>("narrowgauge/trainingPoint");

/** Server → extension: a consolidation ended, or was taken back; for the list of them. */
export const ConsolidationNotification = notification<ConsolidationReport>(
  "narrowgauge/consolidation",
);

/** Server → extension: one log line of the server or of the model host, for the one log channel. */
export const LogNotification = notification<{
  readonly level: LogLevel;
  readonly source: "server" | "model";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | null;
}>("narrowgauge/log");

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

// Training view (webview) ⇄ extension, through postMessage.

/** Extension → view. */
export type ToTrainingView =
  | ({ readonly type: "history" } & TrainingHistory)
  | { readonly type: "consolidation"; readonly report: ConsolidationReport }
  | { readonly type: "point"; readonly point: TrainingPoint }
  | { readonly type: "state"; readonly state: ModelState };

/** View → extension. */
export type FromTrainingView =
  | { readonly type: "ready" }
  | { readonly type: "command"; readonly command: "train" | "pause" | "resume" | "showLog" };
