/**
 * What a model is made of and how it is trained. Presets are complete; overrides replace single fields.
 * `checkConfig` says which field is wrong and what would be right.
 */
import { MIXINGS } from "./cpu/mixing.ts";
import { ConfigError } from "./errors.ts";
import { COLOUR_KINDS, type ColourKind } from "./facts/channels.ts";

export type Preset = "nano" | "small" | "base";
/** tau: ours; grid: the trunk's layers, which see all positions, look keys up by one scalar per head through a grid, in
 *  linear time, a kernel of its own that a model is trained with, while local layers, which a window may bound, stay
 *  exact tau; published: the Tauformer's form (m = 1, fixed Laplacian, RoPE); dot: the plain control. */
export type AttentionKind = "tau" | "grid" | "published" | "dot";
const ATTENTION_KINDS: readonly AttentionKind[] = ["tau", "grid", "published", "dot"];
/** Streams mixed by one of the parameterizations of kernels/mixing.ts, ours first; plain: one stream, added to. */
const RESIDUALS = [...MIXINGS, "plain"] as const;
export type ResidualKind = (typeof RESIDUALS)[number];
/** rules: after words and at line ends; stride: every `stride` bytes; flat: every byte; bpe: where tokens of the
 *  workspace's own byte pair encoding end. */
export type PatchingKind = "rules" | "stride" | "flat" | "bpe";

export interface ModelConfig {
  readonly preset: Preset;
  /** N: bytes a window holds. */
  readonly context: number;
  /** B: windows per training step. */
  readonly batch: number;
  readonly localChannels: number;
  readonly localHeads: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  /** Positions a local layer's query sees. */
  readonly localWindow: number;
  readonly trunkChannels: number;
  readonly trunkHeads: number;
  readonly trunkLayers: number;
  readonly patching: PatchingKind;
  readonly stride: number;
  /** The long-run mean of bytes per patch never falls below this: shapes are static. */
  readonly minBytesPerPatch: number;
  readonly attention: AttentionKind;
  /** m: scalars per head and key; 1 in the trunk where attention is the grid. */
  readonly bands: number;
  /** m of the local layers; 0: as many as `bands`. */
  readonly localBands: number;
  /** Heads whose query and key maps are tied, as a share of all. */
  readonly tiedHeads: number;
  /** Dimensions of a tied head's spectral coordinates. */
  readonly energyChannels: number;
  /** Edge weights of the head-space Laplacian: its spectrum stays fixed or is learned. */
  readonly spectrum: "fixed" | "learned";
  readonly residual: ResidualKind;
  /** S, and O of go-mHC. */
  readonly streams: number;
  readonly mixingBlock: number;
  /** Byte logits are bounded to ± this. */
  readonly logitCap: number;
  /** How training holds activations: auto is f16 on GPUs that have it and f32 elsewhere. Parameters, their gradients
   *  and the optimizer's state are f32 always. */
  readonly precision: "auto" | "f16" | "f32";
  readonly facts: "on" | "off";
  /** Share of training windows that see no facts at all. */
  readonly factDropout: number;
  /** Share of training windows that are arranged as fill-in-the-middle. */
  readonly fimRate: number;
  /** How the definition that a name stands for becomes a colour: by its hash, by the symbol graph, by both,
   *  by its hash and its neighbours' (ColourKind), not at all. */
  readonly colour: ColourKind;
  /** Share of the loss that asks for the class of the next token besides the next byte (auxHead.ts); 0: no such head. */
  readonly auxWeight: number;
  /** Share of the loss that asks for the bytes behind the next one, up to so many ahead (aheadHead.ts); 0: no such heads. */
  readonly aheadWeight: number;
  readonly aheadBytes: number;
  /** The n-gram memory (engramIndex.ts): learned rows for contexts that occur in several files. */
  readonly engram: "off" | "on";
  /** Rows per kind of context, and their width. */
  readonly engramRows: number;
  readonly engramChannels: number;
  /** The longest byte context; the shortest has three bytes. */
  readonly engramLongest: number;
  /** Where the network reads it: any of input, trunk and decoder, joined by "+". */
  readonly engramDepths: string;
  /** Files that a context of five bytes or more must occur in to have a row of its own. */
  readonly engramFiles: number;
  /** Share of rows that training hides: of a window's contexts, and of what is left of its rows. */
  readonly engramDropout: number;
  /** Its rows learn at this many times the rate of Adam. */
  readonly engramRate: number;
  readonly muonRate: number;
  readonly adamRate: number;
  readonly weightDecay: number;
  /** Share of each sublayer's output that is dropped in training. */
  readonly dropout: number;
  readonly emaDecay: number;
  /** Training bytes when neither bytes nor minutes are given, as epochs of the corpus. */
  readonly epochs: number;
  /** Steps in which the learning rate rises. */
  readonly warmupSteps: number;
  /** Share of the run after which the learning rate falls, and how. */
  readonly cooldownFrom: number;
  readonly cooldown: CooldownKind;
  /** Windows of the first steps; their number doubles up to `batch` until `batchRampUntil` of the run. 0: `batch` always. */
  readonly batchStart: number;
  readonly batchRampUntil: number;
  /** Share of training windows whose rarer identifiers get other names, each the same one throughout the window. */
  readonly renameRate: number;
  /** Share of the run that is spent on the files of dependencies, where they are given, before the workspace's own. */
  readonly dependencyShare: number;
  /** Size of the vocabulary of patching: "bpe", the 256 bytes among it. */
  readonly bpeSize: number;
  /** That vocabulary, as latin1; a file of its own in the model's folder. */
  readonly bpeTokens?: readonly string[];
}

/** linear: to a floor; cosine: the half wave; sqrt: steep first, 1 − √ (arXiv 2405.18392 §3). */
export type CooldownKind = "linear" | "cosine" | "sqrt";

/** Fields that older models do not name, with the values that they were trained with. */
export const LATER_FIELDS = {
  localBands: 0,
  warmupSteps: 40,
  cooldownFrom: 0.45,
  cooldown: "linear",
  batchStart: 0,
  batchRampUntil: 0.5,
  renameRate: 0,
  dependencyShare: 0.3,
  bpeSize: 2048,
  aheadWeight: 0,
  aheadBytes: 4,
} as const;

const common = {
  patching: "rules",
  stride: 6,
  minBytesPerPatch: 4,
  attention: "tau",
  bands: 4,
  tiedHeads: 0.5,
  energyChannels: 32,
  spectrum: "learned",
  residual: "goMhc",
  streams: 4,
  mixingBlock: 2,
  logitCap: 15,
  precision: "auto",
  facts: "on",
  factDropout: 0.4,
  fimRate: 0.2,
  colour: "hash",
  auxWeight: 0,
  engram: "off",
  engramRows: 16384,
  engramChannels: 32,
  engramLongest: 8,
  engramDepths: "trunk+decoder",
  engramFiles: 3,
  engramDropout: 0.2,
  engramRate: 3,
  muonRate: 0.02,
  adamRate: 3e-3,
  weightDecay: 0.1,
  dropout: 0,
  emaDecay: 0.998,
  epochs: 6,
  ...LATER_FIELDS,
  aheadWeight: 0.3,
} as const;

export const PRESETS: Readonly<Record<Preset, ModelConfig>> = {
  nano: {
    ...common,
    preset: "nano",
    context: 512,
    batch: 8,
    localChannels: 128,
    localHeads: 4,
    encoderLayers: 1,
    decoderLayers: 2,
    localWindow: 512,
    trunkChannels: 192,
    trunkHeads: 6,
    trunkLayers: 3,
    energyChannels: 16,
  },
  small: {
    ...common,
    preset: "small",
    context: 1024,
    batch: 16,
    localChannels: 256,
    localHeads: 4,
    encoderLayers: 3,
    decoderLayers: 3,
    localWindow: 1024,
    trunkChannels: 384,
    trunkHeads: 6,
    trunkLayers: 3,
    localBands: 8,
  },
  base: {
    ...common,
    preset: "base",
    context: 1024,
    batch: 32,
    localChannels: 384,
    localHeads: 6,
    encoderLayers: 3,
    decoderLayers: 3,
    localWindow: 1024,
    trunkChannels: 512,
    trunkHeads: 8,
    trunkLayers: 7,
    localBands: 8,
  },
};

export function presetConfig(preset: string, overrides: Partial<ModelConfig> = {}): ModelConfig {
  if (!(preset in PRESETS))
    throw new ConfigError(
      "NG_PRESET",
      `there is no preset "${preset}"`,
      `choose one of ${Object.keys(PRESETS).join(", ")}`,
    );
  const config = { ...PRESETS[preset as Preset], ...overrides };
  checkConfig(config);
  return config;
}

function demand(ok: boolean, message: string, hint: string): void {
  if (!ok) throw new ConfigError("NG_CONFIG", message, hint);
}

export function checkConfig(c: ModelConfig): void {
  demand(
    ATTENTION_KINDS.includes(c.attention),
    `there is no attention "${c.attention}"`,
    `choose one of ${ATTENTION_KINDS.join(", ")}`,
  );
  demand(
    c.attention !== "grid" || (c.trunkChannels / c.trunkHeads) % 16 === 0,
    `trunk head dimension ${c.trunkChannels / c.trunkHeads} is not a multiple of 16`,
    "attention=grid needs that: use more channels or fewer heads",
  );
  for (const [channels, heads, where] of [
    [c.localChannels, c.localHeads, "local"],
    [c.trunkChannels, c.trunkHeads, "trunk"],
  ] as const) {
    demand(
      channels % (4 * heads) === 0,
      `${where}Channels ${channels} over ${heads} heads gives a head dimension of ${channels / heads}`,
      "the head dimension must be a multiple of 4",
    );
    demand(
      channels / heads <= 64,
      `${where} head dimension ${channels / heads} is above 64`,
      "use more heads",
    );
  }
  for (const name of ["bands", "localBands"] as const) {
    const least = name === "bands" ? 1 : 0;
    demand(
      c[name] >= least && c[name] <= 8,
      `${name} is ${c[name]}`,
      `use ${least} to 8${least === 0 ? ", 0 for as many as bands" : ""}`,
    );
    demand(
      c[name] === 0 || c.energyChannels % c[name] === 0,
      `energyChannels ${c.energyChannels} does not split into ${c[name]} bands`,
      `make energyChannels a multiple of ${name}`,
    );
  }
  demand(
    c.dropout >= 0 && c.dropout < 1,
    `dropout is ${c.dropout}`,
    "choose a share from 0 to below 1",
  );
  demand(c.localWindow >= 1, `localWindow is ${c.localWindow}`, "use 1 or more");
  demand(c.context % 64 === 0, `context ${c.context} is not a multiple of 64`, "round it");
  checkResidual(c);
  checkRecipe(c);
  demand(
    c.auxWeight === undefined || (c.auxWeight >= 0 && c.auxWeight <= 10),
    `auxWeight is ${c.auxWeight}`,
    "use 0 to 10",
  );
  demand(
    c.aheadWeight >= 0 && c.aheadWeight <= 10,
    `aheadWeight is ${c.aheadWeight}`,
    "use 0 to 10",
  );
  demand(
    Number.isInteger(c.aheadBytes) && c.aheadBytes >= 2 && c.aheadBytes <= 8,
    `aheadBytes is ${c.aheadBytes}`,
    "use 2 to 8",
  );
  demand(
    c.colour === undefined || COLOUR_KINDS.includes(c.colour),
    `colour is "${String(c.colour)}"`,
    `choose one of ${COLOUR_KINDS.join(", ")}`,
  );
  // Models from before there was one say nothing of it.
  demand(
    c.engram === undefined || c.engram === "off" || c.engram === "on",
    `engram is "${String(c.engram)}"`,
    "choose off or on",
  );
  if (c.engram === "on") checkEngram(c);
}

function checkResidual({ residual, streams, mixingBlock }: ModelConfig): void {
  demand(
    RESIDUALS.includes(residual),
    `there is no residual "${residual}"`,
    `choose one of ${RESIDUALS.join(", ")}`,
  );
  const wrong = `residual ${residual} does not take ${streams} streams`;
  switch (residual) {
    case "plain":
      return;
    case "goMhc":
      return demand(
        streams * mixingBlock <= 12,
        `streams ${streams} × mixingBlock ${mixingBlock} is above 12`,
        "use fewer streams or a smaller block",
      );
    case "sinkhorn":
      return demand(streams >= 1 && streams <= 8, wrong, "use 1 to 8");
    case "kronecker":
      return demand([2, 4, 8].includes(streams), wrong, "use 2, 4 or 8");
    case "permutation":
      return demand(streams >= 1 && streams <= 5, wrong, "use 1 to 5");
    default:
      return residual satisfies never;
  }
}

function checkRecipe(c: ModelConfig): void {
  const share = (
    name: "cooldownFrom" | "batchRampUntil" | "renameRate" | "dependencyShare",
  ): void => demand(c[name] >= 0 && c[name] <= 1, `${name} is ${c[name]}`, "it is a share, 0 to 1");
  share("cooldownFrom");
  share("batchRampUntil");
  share("renameRate");
  share("dependencyShare");
  demand(c.bpeSize >= 257 && c.bpeSize <= 4096, `bpeSize is ${c.bpeSize}`, "use 1,024 to 4,096");
  demand(
    ["rules", "stride", "flat", "bpe"].includes(c.patching),
    `patching is "${c.patching}"`,
    "choose rules, stride, flat or bpe",
  );
  demand(
    ["linear", "cosine", "sqrt"].includes(c.cooldown),
    `cooldown is "${c.cooldown}"`,
    "choose linear, cosine or sqrt",
  );
  demand(
    Number.isInteger(c.batchStart) &&
      c.batchStart >= 0 &&
      (c.batchStart === 0 || Number.isInteger(Math.log2(c.batch / c.batchStart))),
    `batchStart ${c.batchStart} does not double to a batch of ${c.batch}`,
    "use 0, or the batch divided by a power of two",
  );
}

function checkEngram(c: ModelConfig): void {
  const wanted = c.engramDepths.split("+");
  demand(
    wanted.every((d) => d === "input" || d === "trunk" || d === "decoder"),
    `engramDepths is "${c.engramDepths}"`,
    'join some of input, trunk and decoder by "+"',
  );
  demand(
    c.engramLongest >= 3 && c.engramLongest <= 16,
    `engramLongest is ${c.engramLongest}`,
    "use 3 to 16",
  );
  demand(
    c.engramChannels % 8 === 0 && c.engramRows >= 2,
    `the n-gram memory has ${c.engramRows} rows of ${c.engramChannels} channels`,
    "make engramChannels a multiple of 8 and engramRows at least 2",
  );
  demand(
    c.engramDropout >= 0 && c.engramDropout < 1,
    `engramDropout is ${c.engramDropout}`,
    "use a share from 0 to below 1",
  );
}

/** Trunk positions a window of n bytes can need: the patch rule's leaky bucket bounds it (patches.ts). */
export function maxPatches(c: ModelConfig, n: number): number {
  if (c.patching === "flat") return n;
  if (c.patching === "stride") return Math.ceil(n / c.stride) + 1;
  return Math.min(n, Math.ceil(n / c.minBytesPerPatch) + PATCH_BURST);
}

/** Patches that may follow each other without the long-run bound. */
export const PATCH_BURST = 16;
