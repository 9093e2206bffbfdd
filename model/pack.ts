/**
 * Where each trained parameter lies in the packed tensors: everything Adam moves, then everything Muon moves, so
 * that an optimizer pass is a few dispatches over ranges. Every start is a multiple of VIEW_ALIGN; the gaps
 * between hold zero, and every optimizer kernel leaves a zero with a zero gradient zero.
 */
import type { Device } from "./device.ts";
import { VIEW_ALIGN, type DType, type Tensor } from "./graph.ts";
import type { ParamSpec } from "./params.ts";

export interface Region {
  readonly start: number;
  readonly size: number;
}

export interface PackLayout {
  /** Element at which each trained parameter starts. */
  readonly offsets: ReadonlyMap<string, number>;
  readonly adam: Region;
  readonly muon: Region;
  readonly whole: Region;
}

export const sizeOf = (s: ParamSpec): number => s.shape.reduce((a, b) => a * b, 1);

export function packLayout(specs: readonly ParamSpec[]): PackLayout {
  const offsets = new Map<string, number>();
  let at = 0;
  const region = (optimizer: "adam" | "muon"): Region => {
    const start = at;
    for (const s of specs) {
      if (s.optimizer !== optimizer) continue;
      offsets.set(s.name, at);
      at += Math.ceil(sizeOf(s) / VIEW_ALIGN) * VIEW_ALIGN;
    }
    return { start, size: at - start };
  };
  const adam = region("adam");
  const muon = region("muon");
  return { offsets, adam, muon, whole: { start: 0, size: at } };
}

/** A packed tensor over one region of a layout, with a view per parameter in it. */
export class Pack {
  readonly tensor: Tensor;
  readonly views = new Map<string, Tensor>();
  readonly #device: Device;
  readonly #region: Region;
  readonly #parts: Tensor[] = [];

  constructor(
    device: Device,
    name: string,
    layout: PackLayout,
    region: Region,
    specs: readonly ParamSpec[],
    nameOf: (param: string) => string,
    dtype: DType = "f32",
  ) {
    this.#device = device;
    this.#region = region;
    this.tensor = device.tensor(name, [Math.max(VIEW_ALIGN, region.size)], dtype);
    for (const s of specs) {
      const at = layout.offsets.get(s.name);
      if (at === undefined || at < region.start || at >= region.start + region.size) continue;
      this.views.set(s.name, device.view(this.tensor, nameOf(s.name), s.shape, at - region.start));
    }
  }

  /** The part of this pack that is `region` of the layout. */
  part(region: Region): Tensor {
    const name = `${this.tensor.name}, part`;
    const t = this.#device.view(
      this.tensor,
      name,
      [region.size],
      region.start - this.#region.start,
    );
    this.#parts.push(t);
    return t;
  }

  free(): void {
    for (const t of [...this.views.values(), ...this.#parts, this.tensor]) this.#device.free(t);
  }
}
