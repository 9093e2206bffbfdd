/**
 * The parameter table of a model: name, shape, start value, optimizer. Weights are stored [in, out].
 * Matrices inside blocks go to Muon, everything else to Adam; "fixed" tables are written once; of "sparse" tables a step
 * changes only the rows that it read.
 */
import { VOCAB } from "./bytes.ts";
import type { ModelConfig } from "./config.ts";
import { aheadHeads } from "./aheadHead.ts";
import { AUX_CLASSES, hasAuxHead } from "./auxHead.ts";
import { engramDepths, engramWidth } from "./engram.ts";
import { engramContextCount } from "./engramContexts.ts";
import { COLOUR_KINDS, factChannels, type ColourKind } from "./facts/channels.ts";
import { mixingLogits, type MixingKind } from "./kernels/mixing.ts";
import type { HeadSpectrum } from "./spectrum.ts";
import type { Random } from "./random.ts";

export type Optimizer = "muon" | "adam" | "fixed" | "sparse";

export interface ParamSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly optimizer: Optimizer;
  /** Fills the start values. */
  init(values: Float32Array, random: Random): void;
}

/** The embedding table: its rows, and the first row of each channel, which are the byte and the facts. */
export interface EmbeddingLayout {
  readonly rows: number;
  readonly offsets: readonly number[];
}

function layoutOf(kind: ColourKind): EmbeddingLayout {
  const offsets = [0];
  const first = new Map<string, number>();
  let rows = VOCAB;
  for (const { name, size, rowsOf } of factChannels(kind)) {
    first.set(name, rowsOf === undefined ? rows : first.get(rowsOf)!);
    offsets.push(first.get(name)!);
    if (rowsOf === undefined) rows += size;
  }
  return { rows, offsets };
}
const LAYOUTS = new Map(COLOUR_KINDS.map((kind) => [kind, layoutOf(kind)]));

/** Models of before there was a choice say nothing of colours. */
export const embeddingLayout = ({
  colour = "hash",
}: Partial<Pick<ModelConfig, "colour">>): EmbeddingLayout => LAYOUTS.get(colour)!;

const zeros = (): void => undefined;
const constant =
  (...pattern: number[]) =>
  (v: Float32Array): void => {
    const run = v.length / pattern.length;
    for (let i = 0; i < v.length; i++) v[i] = pattern[Math.floor(i / run)]!;
  };
const normal =
  (std: number) =>
  (v: Float32Array, r: Random): void => {
    for (let i = 0; i < v.length; i++) v[i] = std * r.normal();
  };
/** Inverse of softplus, so that tables can name the value they start from. */
const softplusInverse = (y: number): number => Math.log(Math.expm1(y));

/** The scale that multiplies softplus(gain) of tied heads: energies lie in [0, 1), so they need sharper gains. */
export const TIED_GAIN_SCALE = 10;
const TIED_START = 3.05;
const TIED_GAIN = softplusInverse(TIED_START);
const FREE_GAIN = softplusInverse(2.13);
/** Grid: energies have mean 1, so a tied head's scalars, gain·e / (e + 1), start around half their gain. */
const TIED_OFFSET = (TIED_GAIN_SCALE * TIED_START) / 2;
/** Grid: the temperature starts near its least, where scores spread about as those of several bands do. */
const HEAT = softplusInverse(0.04);
/** Slopes of the distance term, spaced like ALiBi's from nearly none to sharp. */
const SLOPE_LOG_MIN = -6;
const SLOPE_LOG_MAX = -1;

export interface AttentionSizes {
  readonly channels: number;
  readonly nHeads: number;
  readonly headDim: number;
  readonly nTied: number;
  readonly nFree: number;
  /** m: scalars per head. */
  readonly bands: number;
}

export function attentionSizes(config: ModelConfig, where: "local" | "trunk"): AttentionSizes {
  const channels = where === "local" ? config.localChannels : config.trunkChannels;
  const nHeads = where === "local" ? config.localHeads : config.trunkHeads;
  const nTied = Math.round(nHeads * config.tiedHeads);
  return {
    channels,
    nHeads,
    headDim: channels / nHeads,
    nTied,
    nFree: nHeads - nTied,
    bands: bandsOf(config, where),
  };
}

function bandsOf(config: ModelConfig, where: "local" | "trunk"): number {
  if (where === "local") return config.localBands || config.bands;
  return config.attention === "grid" ? 1 : config.bands;
}

function attention(
  p: string,
  config: ModelConfig,
  where: "local" | "trunk",
  spectrum: HeadSpectrum,
): ParamSpec[] {
  const sizes = attentionSizes(config, where);
  const { channels: C, nHeads: H, headDim: D, nTied, nFree, bands: m } = sizes;
  const std = 1 / Math.sqrt(C);
  const matrix = (name: string, shape: readonly number[], init = normal(std)): ParamSpec => ({
    name: `${p}.${name}`,
    shape,
    // Muon orthogonalizes; a matrix this thin has nothing to orthogonalize.
    optimizer: Math.min(...shape) >= 16 ? "muon" : "adam",
    init,
  });
  const adam = (name: string, shape: readonly number[], init: ParamSpec["init"]): ParamSpec => ({
    name: `${p}.${name}`,
    shape,
    optimizer: "adam",
    init,
  });
  const slope = adam("slope", [H], (v) => {
    for (let h = 0; h < H; h++) {
      const log =
        H === 1 ? SLOPE_LOG_MIN : SLOPE_LOG_MIN + ((SLOPE_LOG_MAX - SLOPE_LOG_MIN) * h) / (H - 1);
      v[h] = softplusInverse(Math.exp(log));
    }
  });
  const ends = [matrix("value", [C, C]), matrix("out", [C, C], zeros)];
  if (config.attention === "dot" || config.attention === "published") {
    const maps = [matrix("query", [C, C]), matrix("key", [C, C])];
    return config.attention === "dot"
      ? [...maps, ...ends, adam("keyShift", [3, C], constant(0.3, 0.7, 0))]
      : [
          ...maps,
          ...ends,
          {
            name: `${p}.basis`,
            shape: [D, D],
            optimizer: "fixed",
            init: (v) => v.set(spectrum.basis(D)),
          },
          {
            name: `${p}.spectrum`,
            shape: [H, D],
            optimizer: "fixed",
            init: (v) => {
              for (let h = 0; h < H; h++) v.set(spectrum.values(D), h * D);
            },
          },
        ];
  }
  const specs = [...ends, adam("keyShift", [3, C], constant(0.3, 0.7, 0)), slope];
  if (nTied > 0) {
    const E = config.energyChannels;
    specs.push(
      matrix("tied", [C, nTied * E]),
      {
        name: `${p}.spectrum`,
        shape: [nTied, E],
        optimizer: config.spectrum === "learned" ? "adam" : "fixed",
        init: (v) => {
          const mu = spectrum.values(E);
          for (let i = 0; i < v.length; i++) v[i] = softplusInverse(Math.max(1e-3, mu[i % E]!));
        },
      },
      adam("tiedGain", [nTied, m], constant(TIED_GAIN)),
    );
  }
  if (nFree > 0)
    specs.push(
      matrix("query", [C, nFree * m]),
      matrix("key", [C, nFree * m]),
      adam("freeGain", [nFree, m], constant(FREE_GAIN)),
    );
  specs.push(adam("salience", [C, H], zeros));
  if (config.attention === "grid" && where === "trunk")
    specs.push(
      adam("offset", [H], (v) => v.fill(TIED_OFFSET, 0, nTied)),
      adam("heat", [H], constant(HEAT)),
    );
  return specs;
}

function feedForward(p: string, C: number): ParamSpec[] {
  return [
    { name: `${p}.up`, shape: [C, 4 * C], optimizer: "muon", init: normal(1 / Math.sqrt(C)) },
    { name: `${p}.down`, shape: [4 * C, C], optimizer: "muon", init: zeros },
  ];
}

/** Start of goMhc's mixing logits: near the identity, but off the stationary point at 0 (go-mhc.md trap 1). */
const MIXING_STD = 0.05;
/** Start of the other kinds' logits, in their own sources: 0 where they mean the identity, this elsewhere. */
const MIXING_OFF = -8;
/** Reads and writes differ between streams, or replicas never part (trap 2). */
const STREAM_PATTERN = 0.5;
const GATE_SCALE = 0.01;

/** The k-th mixing logit at the start. */
function mixingStart({ kind, S }: MixingKind, k: number, r: Random): number {
  switch (kind) {
    case "goMhc":
      return MIXING_STD * r.normal();
    case "sinkhorn":
      return k % (S + 1) === 0 ? 0 : MIXING_OFF;
    case "kronecker":
      return k % 2 === 0 ? 0 : MIXING_OFF;
    case "permutation":
      return k === 0 ? 0 : MIXING_OFF;
    default:
      return kind satisfies never;
  }
}

function residual(p: string, config: ModelConfig, index: number): ParamSpec[] {
  const { residual: kind, streams: S, mixingBlock: O } = config;
  if (kind === "plain") return [];
  const mixing = { kind, S, O };
  const K = mixingLogits(mixing);
  return [
    {
      name: `${p}.phi`,
      shape: [S * config.trunkChannels, 2 * S + K],
      optimizer: "adam",
      init: zeros,
    },
    { name: `${p}.alpha`, shape: [3], optimizer: "adam", init: constant(GATE_SCALE) },
    {
      name: `${p}.bias`,
      shape: [2 * S + K],
      optimizer: "adam",
      init: (v, r) => {
        for (let s = 0; s < S; s++) {
          const lean = s === index % S ? STREAM_PATTERN : -STREAM_PATTERN;
          v[s] = (S > 1 ? -Math.log(S - 1) : 0) + lean;
          v[S + s] = lean;
        }
        for (let k = 0; k < K; k++) v[2 * S + k] = mixingStart(mixing, k, r);
      },
    },
  ];
}

function engram(config: ModelConfig): ParamSpec[] {
  const depths = engramDepths(config);
  if (depths.length === 0) return [];
  const E = engramWidth(config);
  const rows = engramContextCount(config) * config.engramRows;
  return [
    { name: "engram.rows", shape: [rows, config.engramChannels], optimizer: "sparse", init: zeros },
    ...depths.map((depth): ParamSpec => ({
      name: `engram.${depth}`,
      shape: [E, 2 * (depth === "trunk" ? config.trunkChannels : config.localChannels)],
      optimizer: "muon",
      init: normal(1 / Math.sqrt(E)),
    })),
  ];
}

/** Every parameter of a model, in a fixed order. */
export function paramTable(config: ModelConfig, spectrum: HeadSpectrum): ParamSpec[] {
  const Cl = config.localChannels;
  const Cg = config.trunkChannels;
  const specs: ParamSpec[] = [
    {
      name: "embed",
      shape: [embeddingLayout(config).rows, Cl],
      optimizer: "adam",
      // Facts start at nothing: an unseen colour must not be noise.
      init: (v, r) => {
        for (let i = 0; i < VOCAB * Cl; i++) v[i] = 0.5 * r.normal();
      },
    },
  ];
  const local = (side: string, layers: number): void => {
    for (let i = 0; i < layers; i++)
      specs.push(
        ...attention(`${side}.${i}.attention`, config, "local", spectrum),
        ...feedForward(`${side}.${i}.feedForward`, Cl),
      );
  };
  local("encoder", config.encoderLayers);
  specs.push({ name: "pool", shape: [Cl, Cg], optimizer: "muon", init: normal(1 / Math.sqrt(Cl)) });
  for (let i = 0; i < config.trunkLayers; i++)
    specs.push(
      ...residual(`trunk.${i}.attentionResidual`, config, 2 * i),
      ...attention(`trunk.${i}.attention`, config, "trunk", spectrum),
      ...residual(`trunk.${i}.feedForwardResidual`, config, 2 * i + 1),
      ...feedForward(`trunk.${i}.feedForward`, Cg),
    );
  specs.push({
    name: "unpool",
    shape: [Cg, Cl],
    optimizer: "muon",
    init: normal(1 / Math.sqrt(Cg)),
  });
  local("decoder", config.decoderLayers);
  specs.push({ name: "unembed", shape: [Cl, VOCAB], optimizer: "adam", init: zeros });
  if (hasAuxHead(config))
    specs.push({ name: "aux", shape: [Cl, AUX_CLASSES], optimizer: "adam", init: zeros });
  const ahead = aheadHeads(config);
  if (ahead > 0)
    specs.push({ name: "ahead", shape: [Cl, ahead * VOCAB], optimizer: "adam", init: zeros });
  specs.push(...engram(config));
  return specs;
}

export function countParams(specs: readonly ParamSpec[]): number {
  return specs.reduce((sum, s) => sum + s.shape.reduce((a, b) => a * b, 1), 0);
}

/** Names, shapes and optimizers of a model's parameters; start values do not matter here. */
export function tensorTable(config: ModelConfig): ParamSpec[] {
  return paramTable(config, {
    values: (D) => new Float32Array(D),
    basis: (D) => new Float32Array(D * D),
  });
}
