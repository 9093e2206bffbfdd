/** What a training run takes, tells while it runs, and gives. */
import type { AutoChoice } from "./autoPreset.ts";
import type { CorpusFile } from "./bytes.ts";
import type { ModelConfig, Preset } from "./config.ts";
import type { Device, DeviceChoice } from "./device.ts";
import type { FactLexicon } from "./facts/lexicon.ts";
import type { Logger } from "./logger.ts";

export interface TrainProgress {
  readonly phase: "facts" | "indexing" | "training" | "evaluating" | "saving";
  readonly step: number;
  readonly steps: number;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly seconds: number;
  readonly secondsLeft: number;
  /** Bits per byte of the last read batch. */
  readonly loss: number;
  readonly heldoutBpb?: number;
  readonly bytesPerSecond: number;
  readonly device: string;
}

export interface TrainOptions {
  readonly files: readonly CorpusFile[];
  readonly heldout: readonly CorpusFile[];
  /** Other people's files to learn from first (the config's dependencyShare); neither memory nor score has them. */
  readonly dependencies?: readonly CorpusFile[];
  readonly out: string;
  /** auto: size, batch and bytes by what the workspace holds and this device was measured to do. */
  readonly preset: Preset | "auto";
  readonly bytes?: number;
  /** Of training; with preset auto, of the whole call, and three where nothing is said. */
  readonly minutes?: number;
  /** What preset auto chose, before training begins. */
  readonly onChoice?: (choice: AutoChoice) => void;
  /** Where speeds that were measured are kept; default `out`. */
  readonly speedsIn?: string;
  readonly seed: number;
  readonly device: DeviceChoice;
  /** What language servers know. Both may still be gathered: a GPU compiles and the memory is built meanwhile. */
  readonly lexicon?: FactLexicon | Promise<FactLexicon>;
  readonly symbols?: unknown;
  readonly resume?: boolean;
  readonly overrides?: Partial<ModelConfig>;
  readonly onProgress?: (p: TrainProgress) => void;
  /** Read between steps. */
  readonly control?: { paused: boolean };
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** An open device to use instead of opening one. */
  readonly on?: { device: Device; reason: string };
}

export interface TrainResult {
  readonly params: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly bytes_per_s: number;
  readonly device: string;
  readonly deviceReason: string;
  readonly heldout_bpb: number | null;
  readonly heldout_bpb_network: number | null;
  readonly heldout_bpb_memory: number | null;
  readonly stopped: "done" | "aborted";
  /** Plain words where something is worth knowing, e.g. that the memory does the work. */
  readonly notes: readonly string[];
}
