/** How the server talks about the model host: one place that binds each method to its parameters and result. */
import type { NameList } from "../model/index.ts";
import type { ConsolidationReport, HostMethod } from "../model/protocol.ts";

export interface LoadedModel {
  readonly params: number;
  readonly preset: string;
  readonly heldoutBpb: number | null;
  readonly device: { readonly kind: "gpu" | "cpu"; readonly name: string; readonly reason: string };
}

export interface TrainParams {
  readonly filesManifest: string;
  readonly out: string;
  readonly preset: "auto" | "nano" | "small" | "base";
  readonly minutes?: number;
  readonly seed: number;
  readonly device: "auto" | "gpu" | "cpu";
  readonly lexiconPath?: string;
  readonly symbolsPath?: string;
  readonly resume: boolean;
}

export interface TrainOutcome {
  readonly promoted: boolean;
  readonly stopped: "done" | "aborted";
  readonly heldoutBpb: number | null;
}

type Empty = Record<string, never>;

/** Every method of the host, and no other: a missing one fails to compile. */
export interface HostCalls extends Record<HostMethod, { params: unknown; result: unknown }> {
  hello: { params: Empty; result: { protocolVersion: number; pid: number } };
  load: {
    params: { dir: string; device: "auto" | "gpu" | "cpu" };
    result: { loaded: LoadedModel | null };
  };
  train: { params: TrainParams; result: TrainOutcome };
  pause: { params: Empty; result: unknown };
  resume: { params: Empty; result: unknown };
  stopTraining: { params: Empty; result: unknown };
  consolidate: {
    params: { dir: string; filesManifest: string; device: "auto" | "gpu" | "cpu"; seed: number };
    result: ConsolidationReport;
  };
  restoreVersion: { params: { dir: string }; result: { restored: boolean } };
  complete: {
    params: {
      path: string;
      before: string;
      after: string;
      maxBytes: number;
      singleLine: 0 | 1;
      list?: NameList;
    };
    result: { text: string; confidence: number; ms: number; perByte?: number[] };
  };
  setFile: { params: { path: string; bytes: string }; result: unknown };
  removeFile: { params: { path: string }; result: unknown };
  refresh: { params: { filesManifest: string }; result: { changed?: number; removed?: number } };
  embed: { params: { texts: string[] }; result: { vectors: number[][] } };
  info: { params: Empty; result: unknown };
  shutdown: { params: Empty; result: unknown };
}

const NO_GPU_CODES: ReadonlySet<string> = new Set([
  "NG_NO_ADAPTER",
  "NG_SOFTWARE_ADAPTER",
  "NG_DAWN_MISSING",
  "NG_DAWN_LOAD",
]);

/** True for a failure that means: a GPU was demanded and there is none. The class is lost on the wire, the code is not. */
export function meansNoGpu(error: { readonly code: string }): boolean {
  return NO_GPU_CODES.has(error.code);
}
