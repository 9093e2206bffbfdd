/**
 * The trainings behind the comparison of parts (partsArms.ts) and behind two plots: attention kinds at several sizes, and
 * memory against network at a fixed total size. Each is one task with a name; together they are one list, most wanted
 * first.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { presetConfig, type ModelConfig } from "../../model/config.ts";
import { countParams, tensorTable } from "../../model/params.ts";
import type { BenchRepository } from "./benchRepository.ts";
import { coverage, indexBytes } from "./exactMemory.ts";
import { ALL_SEEDS, ARMS, DEFAULT_ARM, type Arm } from "./partsArms.ts";
import { trainingBytes, type Task } from "./trainArm.ts";

export type Study = "parts" | "sizes" | "rows" | "index";

export interface StudyTask extends Task {
  /** Unique; also the name of the file that claims it. */
  readonly id: string;
  readonly study: Study;
  readonly arm: string;
  /** Channels, where they are not the preset's. */
  readonly size?: string;
  /** index: share of the total size that the exact memory may take, and of the files that it then holds. */
  readonly share?: number;
  readonly covered?: number;
  /** index: what the index of these files takes; tables that reading makes in it come on top. */
  readonly memoryBytes?: number;
}

/** Channels and heads, local and in the trunk: about in proportion, head dimensions multiples of 16 for matrix units. */
type Size = readonly [
  localChannels: number,
  localHeads: number,
  trunkChannels: number,
  trunkHeads: number,
];
const SIZES: readonly Size[] = [
  [64, 4, 96, 6],
  [96, 3, 144, 3],
  [128, 4, 192, 6],
  [160, 5, 240, 5],
  [192, 4, 288, 6],
  [224, 7, 336, 7],
  [256, 4, 384, 6],
];
/** With a trunk that is one step narrower, so that a number of parameters is met more closely. */
const BETWEEN: readonly Size[] = [
  [96, 3, 96, 3],
  [128, 4, 144, 3],
  [160, 5, 192, 6],
  [192, 4, 240, 5],
  [224, 7, 288, 6],
  [256, 4, 336, 7],
];
const sizeName = ([localChannels, , trunkChannels]: Size): string =>
  `${localChannels}x${trunkChannels}`;
function scaled(size: Size): Partial<ModelConfig> {
  const [localChannels, localHeads, trunkChannels, trunkHeads] = size;
  return { localChannels, localHeads, trunkChannels, trunkHeads };
}

/** Of the attention kinds: those with the preset's heads; the preset itself is among the parts. */
const KIND_SIZES = [SIZES[2]!, SIZES[4]!];
/** The arms that the plot of attention kinds shows. */
export const ATTENTION_ARMS = [
  DEFAULT_ARM,
  "four bands",
  "grid",
  "dot product",
  "dot product, equal key cache",
];
/** Networks that n-gram rows bring back to the preset's parameters. */
const ROWS_SIZES = SIZES.slice(1, 6);
const INDEX_SHARES = [0, 0.125, 0.25, 0.5, 0.75, 1];
/** Bytes per parameter of the network as it is stored beside the index. */
export const PARAM_BYTES = 2;

export const paramsOf = (preset: string, set: Partial<ModelConfig>): number =>
  countParams(tensorTable(presetConfig(preset, set)));

/** Without the rows of the n-gram memory and what reads them. */
export const networkParams = (preset: string, set: Partial<ModelConfig>): number =>
  paramsOf(preset, { ...set, engram: "off" });

/** What stands on the two sides of a fixed total size; the total is the whole index or the preset's network, whichever is
 *  smaller. */
interface IndexPoint {
  readonly share: number;
  readonly covered: number;
  readonly memoryBytes: number;
  readonly totalBytes: number;
}

export function indexPoints(r: BenchRepository, preset: string): readonly IndexPoint[] {
  const kept = join(r.root, `index-${preset}.json`);
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8")) as IndexPoint[];
  const totalBytes = Math.min(indexBytes(r, 1), PARAM_BYTES * paramsOf(preset, {}));
  return INDEX_SHARES.map((share) => {
    const { covered, bytes } =
      share === 0 ? { covered: 0, bytes: 0 } : coverage(r, share * totalBytes);
    return { share, covered, memoryBytes: bytes, totalBytes };
  });
}

/** The size at which the network has about so many parameters. */
function sizeFor(params: number, preset: string): Size {
  const off = (size: Size): number => Math.abs(paramsOf(preset, scaled(size)) - params);
  return [...SIZES, ...BETWEEN].reduce((best, size) => (off(size) < off(best) ? size : best));
}

/** Rows of the n-gram memory that bring a smaller network to the preset's number of parameters. */
function rowsFor(size: Size, preset: string): number {
  const set = scaled(size);
  const at = (engramRows: number): number => paramsOf(preset, { ...set, engram: "on", engramRows });
  const [few, more] = [2, 1002];
  const perRow = (at(more) - at(few)) / (more - few);
  return Math.max(few, Math.round((paramsOf(preset, {}) - at(few)) / perRow) + few);
}

interface Lists {
  readonly preset: string;
  readonly mostBytes: number;
  readonly repositories: readonly BenchRepository[];
  /** Those of them that the plots are made of. */
  readonly plotted: readonly BenchRepository[];
}

export function allTasks(o: Lists): StudyTask[] {
  const { preset } = o;
  const task = (
    study: Study,
    r: BenchRepository,
    seed: number,
    arm: Pick<Arm, "name" | "set" | "pin" | "rampFrom" | "lexicon">,
    more: Partial<StudyTask> = {},
  ): StudyTask => {
    const { name, ...what } = arm;
    const names = [study, r.name, name, more.size, more.share, seed];
    return {
      ...what,
      ...more,
      id: names
        .filter((n) => n !== undefined)
        .join("-")
        .replaceAll(/[^\w.-]+/g, "_"),
      study,
      arm: name,
      repository: r.name,
      seed,
      bytes: trainingBytes(r, o.mostBytes),
    };
  };
  const parts = (
    repositories: readonly BenchRepository[],
    seed: number,
    arms: readonly Arm[] = ARMS,
  ): StudyTask[] =>
    arms
      .filter((arm) => seed <= arm.seeds)
      .flatMap((arm) => repositories.map((r) => task("parts", r, seed, arm)));
  const sizes = o.plotted.flatMap((r) =>
    KIND_SIZES.flatMap((size) =>
      ATTENTION_ARMS.map((name) => {
        const arm = ARMS.find((a) => a.name === name)!;
        const set = { ...arm.set, ...scaled(size) };
        return task("sizes", r, 1, { ...arm, set }, { size: sizeName(size) });
      }),
    ),
  );
  const rows = o.plotted.flatMap((r) =>
    ROWS_SIZES.map((size) => {
      const set: Partial<ModelConfig> = {
        ...scaled(size),
        engram: "on",
        engramRows: rowsFor(size, preset),
      };
      return task("rows", r, 1, { name: "n-gram memory", set }, { size: sizeName(size) });
    }),
  );
  const index = o.plotted.flatMap((r) =>
    indexPoints(r, preset).map(({ share, covered, memoryBytes, totalBytes }) => {
      const size = sizeFor((totalBytes - memoryBytes) / PARAM_BYTES, preset);
      const arm = { name: "exact memory", set: share === 1 ? {} : scaled(size) };
      return task("index", r, 1, arm, { size: sizeName(size), share, covered, memoryBytes });
    }),
  );
  // The first four repositories decide; what is left of the time goes into further ones.
  const decisive = o.repositories.slice(0, 4);
  const further = o.repositories.slice(4);
  const wanted = ARMS.filter((arm) => arm.seeds === ALL_SEEDS);
  return [
    ...parts(decisive, 1),
    ...index,
    ...rows,
    ...sizes,
    ...parts(decisive, 2, wanted),
    ...parts(decisive, 3, wanted),
    ...parts(
      decisive,
      2,
      ARMS.filter((arm) => !wanted.includes(arm)),
    ),
    ...parts(further, 1),
    ...parts(further, 2),
  ];
}
