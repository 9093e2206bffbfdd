/**
 * One optimizer pass over all parameters: Muon for the matrices inside blocks, Adam for the rest, an exponential
 * moving average of everything. It owns what it moves: parameters, gradients, moments and averages lie in six packed
 * tensors, so that a pass is about a hundred dispatches; the maps by name are views. Only the small hyper tensors
 * change between steps.
 * Source: Muon (K. Jordan), Adam (arXiv 1412.6980) with decoupled decay (1711.05101).
 */
import type { Device } from "./device.ts";
import type { Graph, Tensor } from "./graph.ts";
import { adamStep } from "./kernels/adam.ts";
import { convert } from "./kernels/convert.ts";
import { engramStep } from "./kernels/engramStep.ts";
import { emaStep } from "./kernels/ema.ts";
import { muonStep } from "./kernels/muon.ts";
import {
  firstVerdict,
  judgeGradients,
  NEXT_SCALE,
  OVERFLOWS,
  scaleWeight,
  VERDICT_SIZE,
} from "./kernels/verdict.ts";
import type { ModelConfig } from "./config.ts";
import { muonTable, planMuon, type MuonPlan } from "./muonPlan.ts";
import { Pack, packLayout, type PackLayout, type Region } from "./pack.ts";
import type { ParamSpec } from "./params.ts";

const BETA1 = 0.9;
const BETA2 = 0.95;
const EPS = 1e-8;
const MOMENTUM = 0.95;

export interface OptimizerOptions {
  /** What the loss is multiplied by before the backward pass, at most: a power of two; default 1. */
  readonly lossScale?: number;
  /** 1 runs Muon's iteration in halves. */
  readonly half?: 0 | 1;
}

/** The gradient of a sparse table's touched rows, see EngramStep. */
export interface SparseGradient {
  readonly name: string;
  readonly grad: Tensor;
  readonly touched: Tensor;
}

export class Optimizer {
  /** All by parameter name. Fixed and sparse tables have no gradient and lie in no pack; a sparse table is not averaged
   *  either, since most of its rows move too seldom for an average to follow. */
  readonly params = new Map<string, Tensor>();
  readonly gradients = new Map<string, Tensor>();
  /** With `half`, copies of the trained parameters in halves, for matrix products; see recordHalves. */
  readonly weights = new Map<string, Tensor>();
  readonly ema = new Map<string, Tensor>();
  /** Moments by name, for checkpoints. */
  readonly state = new Map<string, Tensor>();
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #half: 0 | 1;
  /** 1: gradients arrive unscaled, and the loss needs no scaling node. */
  readonly #lossScale: number;
  readonly #layout: PackLayout;
  readonly #packs: Record<"params" | "gradients" | "ema" | "m" | "v" | "momentum", Pack>;
  readonly #halves: Pack | undefined;
  readonly #plan: MuonPlan;
  readonly #table: Tensor;
  readonly #verdict: Tensor;
  readonly #scaledWeight: Tensor;
  readonly #adamHyper: Tensor;
  readonly #muonHyper: Tensor;
  readonly #emaHyper: Tensor;
  readonly #sparseHyper: Tensor;

  constructor(
    device: Device,
    config: ModelConfig,
    specs: readonly ParamSpec[],
    o: OptimizerOptions = {},
  ) {
    this.#device = device;
    this.#config = config;
    this.#half = o.half ?? 0;
    this.#lossScale = o.lossScale ?? 1;
    const layout = packLayout(specs);
    this.#layout = layout;
    const pack = (name: string, region: Region, nameOf: (param: string) => string): Pack =>
      new Pack(device, name, layout, region, specs, nameOf);
    const packs = {
      params: pack("params", layout.whole, (n) => n),
      gradients: pack("gradients", layout.whole, (n) => `d ${n}`),
      ema: pack("ema", layout.whole, (n) => `${n}.ema`),
      m: pack("m", layout.adam, (n) => `${n}.m`),
      v: pack("v", layout.adam, (n) => `${n}.v`),
      momentum: pack("momentum", layout.muon, (n) => `${n}.momentum`),
    };
    this.#packs = packs;
    if (this.#half === 1) {
      const { whole } = layout;
      this.#halves = new Pack(device, "halves", layout, whole, specs, (n) => `${n}, half`, "f16");
      for (const [name, t] of this.#halves.views) this.weights.set(name, t);
    }
    for (const { name, shape, optimizer } of specs) {
      if (optimizer === "sparse") {
        const table = device.tensor(name, shape);
        this.params.set(name, table);
        this.ema.set(name, table);
        for (const moment of ["m", "v"] as const)
          this.state.set(`${name}.${moment}`, device.tensor(`${name}.${moment}`, shape));
        continue;
      }
      const fixed = optimizer === "fixed";
      this.params.set(name, fixed ? device.tensor(name, shape) : packs.params.views.get(name)!);
      this.ema.set(name, fixed ? device.tensor(`${name}.ema`, shape) : packs.ema.views.get(name)!);
      if (!fixed) this.gradients.set(name, packs.gradients.views.get(name)!);
      for (const moment of ["m", "v", "momentum"] as const) {
        const t = packs[moment].views.get(name);
        if (t !== undefined) this.state.set(`${name}.${moment}`, t);
      }
    }
    this.#plan = planMuon(
      specs
        .filter((s) => s.optimizer === "muon")
        .map((s) => ({
          offset: layout.offsets.get(s.name)! - layout.muon.start,
          rows: s.shape[0]!,
          cols: s.shape[1]!,
        })),
    );
    const table = muonTable(this.#plan);
    this.#table = device.tensor("muon table", [Math.max(1, table.length)], "u32");
    device.write(this.#table, table);
    this.#verdict = device.tensor("verdict", [VERDICT_SIZE]);
    device.write(this.#verdict, firstVerdict(this.#lossScale));
    this.#scaledWeight = device.tensor("scaled weight", [1]);
    this.#adamHyper = device.tensor("adam hyper", [8]);
    this.#muonHyper = device.tensor("muon hyper", [8]);
    this.#emaHyper = device.tensor("ema hyper", [8]);
    this.#sparseHyper = device.tensor("sparse hyper", [8]);
  }

  /** The weight of the loss in the backward pass, which scales every gradient. */
  scaledWeight(g: Graph, weight: Tensor): Tensor {
    if (this.#lossScale === 1) return weight;
    scaleWeight(g, { weight, verdict: this.#verdict, out: this.#scaledWeight });
    return this.#scaledWeight;
  }

  /** Makes `weights` agree with the parameters: the first node of a step. */
  recordHalves(g: Graph): void {
    if (this.#halves !== undefined)
      convert(g, { x: this.#packs.params.tensor, y: this.#halves.tensor });
  }

  record(g: Graph, sparse: readonly SparseGradient[] = []): void {
    const { params, gradients, ema, m, v, momentum } = this.#packs;
    const { adam, muon } = this.#layout;
    const verdict = this.#verdict;
    judgeGradients(g, { grad: gradients.tensor, verdict });
    if (adam.size > 0)
      adamStep(g, {
        param: params.part(adam),
        grad: gradients.part(adam),
        m: m.tensor,
        v: v.tensor,
        hyper: this.#adamHyper,
        verdict,
      });
    if (muon.size > 0)
      muonStep(g, {
        param: params.part(muon),
        grad: gradients.part(muon),
        momentum: momentum.tensor,
        plan: this.#plan,
        table: this.#table,
        hyper: this.#muonHyper,
        verdict,
        half: this.#half,
        grouped: this.#device.grouped ?? 0,
      });
    for (const { name, grad, touched } of sparse)
      engramStep(g, {
        table: this.params.get(name)!,
        m: this.state.get(`${name}.m`)!,
        v: this.state.get(`${name}.v`)!,
        grad,
        touched,
        hyper: this.#sparseHyper,
        verdict,
      });
    emaStep(g, { param: params.tensor, ema: ema.tensor, hyper: this.#emaHyper, verdict });
  }

  /** Writes what step number `step` (from 0) needs. A step that is not taken counts all the same: Adam's bias
   *  corrections then run ahead by one, which shrinks its first updates. */
  setStep(step: number, factor: number): void {
    const c = this.#config;
    const n = step + 1;
    const adam = (rate: number): number[] => [
      rate * factor,
      BETA1,
      BETA2,
      EPS,
      0,
      1 - BETA1 ** n,
      1 - BETA2 ** n,
      0,
    ];
    this.#device.write(this.#adamHyper, adam(c.adamRate));
    this.#device.write(this.#sparseHyper, adam(c.adamRate * c.engramRate));
    this.#device.write(this.#muonHyper, [
      c.muonRate * factor,
      MOMENTUM,
      c.weightDecay,
      1,
      0,
      0,
      0,
      0,
    ]);
    // The first averages would be dominated by the start values.
    this.#device.write(this.#emaHyper, [
      Math.min(c.emaDecay, (1 + step) / (10 + step)),
      0,
      0,
      0,
      0,
      0,
      0,
      0,
    ]);
  }

  /** Steps that were skipped so far, and the scale of the next one. Waits for the device. */
  async lossScaling(): Promise<{ readonly overflows: number; readonly scale: number }> {
    const verdict = await this.#device.read(this.#verdict);
    return { overflows: verdict[OVERFLOWS]!, scale: verdict[NEXT_SCALE]! };
  }

  /** Frees everything it owns. */
  dispose(): void {
    for (const p of Object.values(this.#packs)) p.free();
    this.#halves?.free();
    const small = [
      this.#table,
      this.#verdict,
      this.#scaledWeight,
      this.#adamHyper,
      this.#muonHyper,
      this.#emaHyper,
      this.#sparseHyper,
    ];
    // Views are free already; what is left here are the fixed and sparse tables.
    for (const tensors of [small, this.params.values(), this.ema.values(), this.state.values()])
      for (const t of tensors) this.#device.free(t);
  }
}
