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
  | "complete"
  | "setFile"
  | "removeFile"
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

/** Host to parent, unasked: training figures, log lines, a checkpoint was written. */
export type HostEvent =
  | { readonly event: "progress"; readonly progress: unknown }
  | {
      readonly event: "log";
      readonly level: "trace" | "debug" | "info" | "warn" | "error";
      readonly message: string;
    }
  | { readonly event: "checkpoint"; readonly step: number };

/** The corpus list that `train` names: a JSON file, because the bytes themselves stay on disk. */
export interface FilesManifest {
  readonly files: readonly {
    readonly absolute: string;
    readonly path: string;
    readonly heldout: boolean;
  }[];
}
