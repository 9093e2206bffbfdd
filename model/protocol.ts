/**
 * What the model host and its parent say to each other over the fork's IPC channel. The host greets first; every
 * request carries an id and gets one response; events come unasked. Byte strings travel as base64.
 */
export const PROTOCOL_VERSION = 1;

export type HostMethod =
  | "hello"
  | "load"
  | "train"
  | "pause"
  | "resume"
  | "stopTraining"
  | "consolidate"
  | "restoreVersion"
  | "complete"
  | "setFile"
  | "removeFile"
  | "refresh"
  | "embed"
  | "info"
  | "shutdown";

/** Parent to host. `cancel` names the id of a request whose answer is no longer wanted. */
export type HostRequest =
  | {
      readonly id: number;
      readonly method: HostMethod;
      readonly params: Readonly<Record<string, unknown>>;
    }
  | { readonly id: number; readonly method: "cancel" };

/** Host to parent, once per request. */
export type HostResponse =
  | { readonly id: number; readonly result: unknown }
  | {
      readonly id: number;
      readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
    };

/** Host to parent, unasked: training figures, log lines, a checkpoint was written, how far a consolidation is. */
export type HostEvent =
  | { readonly event: "progress"; readonly progress: unknown }
  | {
      readonly event: "log";
      readonly level: "trace" | "debug" | "info" | "warn" | "error";
      readonly message: string;
    }
  | { readonly event: "checkpoint"; readonly step: number }
  | { readonly event: "consolidating"; readonly progress: ConsolidatingProgress };

/** How far a consolidation is. */
export interface ConsolidatingProgress {
  readonly phase: "choosing" | "measuring" | "comparing" | "learning" | "checking";
  /** Of the phase. */
  readonly share: number;
  readonly device: string;
}

/** What came of a consolidation: the host's answer, and one line of the file that it keeps beside the model. */
export interface ConsolidationReport {
  /** "restored" where a person took the version before back. */
  readonly outcome: "accepted" | "refused" | "nothing" | "aborted" | "restored";
  /** When it ended, ISO 8601. */
  readonly at: string;
  readonly files: number;
  readonly steps: number;
  readonly seconds: number;
  /** Bits per byte of the network on held-out files, and on what was held back of the changed ones. */
  readonly heldoutBefore: number | null;
  readonly heldoutAfter: number | null;
  readonly changedBefore: number | null;
  readonly changedAfter: number | null;
  /** And after as many steps on older files alone. */
  readonly changedControl: number | null;
}

/** That file, one report a line, oldest first; it outlives the models. */
export const CONSOLIDATIONS = "consolidations.jsonl";

/** The corpus list that `train`, `consolidate` and `refresh` name: a JSON file, because the bytes themselves stay on disk. */
export interface FilesManifest {
  readonly files: readonly {
    readonly absolute: string;
    readonly path: string;
    readonly heldout: boolean;
  }[];
}
