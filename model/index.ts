/** The runtime's public face: the only file of model/ that others import, besides protocol.ts. */
export { AUTO_SECONDS, type AutoChoice } from "./autoPreset.ts";
export { BOS, EOF, EOM, PATH_END, PRE, SUF, VOCAB, type CorpusFile } from "./bytes.ts";
export { readManifest, type Manifest } from "./checkpoint.ts";
export type { NameList } from "./candidates/offer.ts";
export type { RankedName } from "./candidates/nameSearch.ts";
export {
  compareReplays,
  consolidate,
  type Consolidation,
  type ConsolidationControl,
} from "./consolidate.ts";
export { restoreVersion } from "./promote.ts";
export type { CompleteOptions, Completion, NamesOptions, NamesResult } from "./completer.ts";
export { presetConfig, PRESETS, type ModelConfig, type Preset } from "./config.ts";
export type { DeviceChoice } from "./device.ts";
export { importWeights, type ImportResult } from "./export/import.ts";
export { exportPytorch } from "./export/pytorch.ts";
export { exportQuantized } from "./export/quantized.ts";
export {
  CheckpointError,
  ConfigError,
  CorpusError,
  DeviceLostError,
  DeviceUnavailableError,
  HostExitError,
  KernelCompileError,
  NarrowError,
  OutOfGpuMemoryError,
  ProtocolError,
  ShapeError,
} from "./errors.ts";
export { silentLogger, type Logger, type LogFields } from "./logger.ts";
export { Model, type Score, type ScoreOptions } from "./model.ts";
export { openDevice } from "./openDevice.ts";
export { train, type TrainOptions, type TrainProgress, type TrainResult } from "./train.ts";
export { bench, type BenchOp, type BenchOptions, type BenchResult } from "./bench.ts";
export {
  colourOf,
  FACT_CHANNELS,
  identityOf,
  N_FACT_CHANNELS,
  TOKEN_MODIFIERS,
  TOKEN_TYPES,
  tokenModifierFlag,
  tokenTypeId,
  tokenTypeOfSymbolKind,
} from "./facts/channels.ts";
export { BYTE_KINDS, byteKinds, isCode, KIND, type ByteKind } from "./facts/byteKinds.ts";
export { isDataFile } from "./facts/languages.ts";
export { FactLexicon, type NameEvidence } from "./facts/lexicon.ts";
export { wordsOf } from "./facts/words.ts";
