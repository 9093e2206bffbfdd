/**
 * One optimizer pass over all parameters: Muon for the matrices inside blocks, Adam for the rest, an exponential
 * moving average of everything. Only the small hyper tensors change between steps.
 * Source: Muon (K. Jordan), Adam (arXiv 1412.6980) with decoupled decay (1711.05101).
 */
import type { Device } from "./device.ts";
import type { Graph, Tensor } from "./graph.ts";
import { adamStep } from "./kernels/adam.ts";
import { emaStep } from "./kernels/ema.ts";
import { muonStep } from "./kernels/muon.ts";
import type { ModelConfig } from "./config.ts";
import type { ParamSpec } from "./params.ts";

const BETA1 = 0.9;
const BETA2 = 0.95;
const EPS = 1e-8;
const MOMENTUM = 0.95;

export class Optimizer {
  /** Moments and averages by name, for checkpoints. */
  readonly state = new Map<string, Tensor>();
  readonly ema = new Map<string, Tensor>();
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #specs: readonly ParamSpec[];
  readonly #adamHyper: Tensor;
  readonly #muonHyper: Tensor;
  readonly #emaHyper: Tensor;

  constructor(device: Device, config: ModelConfig, specs: readonly ParamSpec[]) {
    this.#device = device;
    this.#config = config;
    this.#specs = specs;
    this.#adamHyper = device.tensor("adam hyper", [8]);
    this.#muonHyper = device.tensor("muon hyper", [8]);
    this.#emaHyper = device.tensor("ema hyper", [8]);
    for (const s of specs) {
      if (s.optimizer === "adam") {
        this.state.set(`${s.name}.m`, device.tensor(`${s.name}.m`, s.shape));
        this.state.set(`${s.name}.v`, device.tensor(`${s.name}.v`, s.shape));
      } else if (s.optimizer === "muon")
        this.state.set(`${s.name}.momentum`, device.tensor(`${s.name}.momentum`, s.shape));
      this.ema.set(s.name, device.tensor(`${s.name}.ema`, s.shape));
    }
  }

  /** The tensors that change between steps. */
  get hypers(): readonly Tensor[] {
    return [this.#adamHyper, this.#muonHyper, this.#emaHyper];
  }

  record(
    g: Graph,
    params: ReadonlyMap<string, Tensor>,
    gradients: ReadonlyMap<string, Tensor>,
  ): void {
    for (const s of this.#specs) {
      const param = params.get(s.name)!;
      if (s.optimizer === "adam")
        adamStep(g, {
          param,
          grad: gradients.get(s.name)!,
          m: this.state.get(`${s.name}.m`)!,
          v: this.state.get(`${s.name}.v`)!,
          hyper: this.#adamHyper,
        });
      else if (s.optimizer === "muon")
        muonStep(g, {
          param,
          grad: gradients.get(s.name)!,
          momentum: this.state.get(`${s.name}.momentum`)!,
          hyper: this.#muonHyper,
          rows: s.shape[0]!,
          cols: s.shape[1]!,
        });
      emaStep(g, { param, ema: this.ema.get(s.name)!, hyper: this.#emaHyper });
    }
  }

  /** Writes what step number `step` (from 0) needs. */
  setStep(step: number, factor: number): void {
    const c = this.#config;
    const n = step + 1;
    this.#device.write(this.#adamHyper, [
      c.adamRate * factor,
      BETA1,
      BETA2,
      EPS,
      0,
      1 - BETA1 ** n,
      1 - BETA2 ** n,
      0,
    ]);
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
}
