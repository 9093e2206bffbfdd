/** Reference twins of the gradient check. Units: parts (findFaults), one (judge, scaleWeight). */
import type { Floats } from "../graph.ts";

export function findFaults(
  b: { grad: Floats; faults: Floats },
  s: { readonly size: number; readonly chunk: number },
  start: number,
  end: number,
): void {
  for (let part = start; part < end; part++) {
    let fault = 0;
    for (let i = part * s.chunk; i < Math.min(s.size, (part + 1) * s.chunk); i++)
      // Only infinities and NaNs are not zero here.
      if (b.grad[i]! - b.grad[i]! !== 0) fault = 1;
    b.faults[part] = fault;
  }
}

/** Entries of verdict: see verdict.wgsl. */
export function judge(
  b: { faults: Floats; verdict: Floats },
  s: { readonly parts: number; readonly patience: number },
): void {
  const { faults, verdict } = b;
  let fault = 0;
  for (let part = 0; part < s.parts; part++) fault = Math.max(fault, faults[part]!);
  const scale = verdict[2]!;
  const good = verdict[3]! + 1;
  verdict[0] = fault === 0 ? 1 : 0;
  verdict[1] = 1 / scale;
  if (fault !== 0) {
    verdict[2] = Math.max(1, scale / 2);
    verdict[3] = 0;
    verdict[4]! += 1;
  } else if (good >= s.patience) {
    verdict[2] = Math.min(verdict[5]!, scale * 2);
    verdict[3] = 0;
  } else verdict[3] = good;
}
