/** Exponential moving average of parameters, ema = decay·ema + (1 − decay)·param. */
import {
  expectSize,
  gridFor,
  type Floats,
  type Graph,
  type OpSpec,
  type Tensor,
} from "../graph.ts";
import { emaStep as emaTwin } from "../cpu/ema.ts";
import code from "./ema.wgsl";
import { TAKE, VERDICT_SIZE } from "./verdict.ts";

export const emaStepOp: OpSpec = {
  name: "emaStep",
  access: ["read", "readWrite", "read", "read"],
  units: (p) => p["size"]!,
  cpu: (b, _p, start, end) => {
    const [param, ema, hyper, verdict] = b as readonly Floats[];
    if (verdict![TAKE] !== 0) emaTwin(param!, ema!, hyper![0]!, start, end);
  },
  gpu: (p) => {
    const size = p["size"]!;
    const lanes = size % 4 === 0 ? 4 : 1;
    return {
      code: `alias Real = ${lanes === 4 ? "vec4f" : "f32"};\n${code}`,
      entryPoint: "emaStep",
      constants: { size: size / lanes },
      workgroups: gridFor(size / lanes, 256),
    };
  },
};

/** param and ema of any equal size; hyper's first entry is the decay; a step that is not taken averages nothing. */
export function emaStep(
  g: Graph,
  a: { param: Tensor; ema: Tensor; hyper: Tensor; verdict: Tensor },
): void {
  expectSize("emaStep", "ema", a.ema, a.param.size);
  expectSize("emaStep", "verdict", a.verdict, VERDICT_SIZE);
  g.add(emaStepOp, [a.param, a.ema, a.hyper, a.verdict], { size: a.param.size });
}
