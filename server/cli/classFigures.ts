/** Bits per byte by what a byte belongs to. */
import { BYTE_KINDS, byteKinds } from "../../model/index.ts";
import type { ByteKind, Score } from "../../model/index.ts";

export interface ClassResult {
  readonly bytes: number;
  readonly bpb: number;
  readonly bpb_network: number | null;
  readonly bpb_memory: number | null;
}

export class ClassFigures {
  readonly #network: "on" | "off";
  readonly #memory: "on" | "off";
  readonly #bytes = BYTE_KINDS.map(() => 0);
  readonly #bits = BYTE_KINDS.map(() => [0, 0, 0] as [number, number, number]);

  constructor(o: { network: "on" | "off"; memory: "on" | "off" }) {
    this.#network = o.network;
    this.#memory = o.memory;
  }

  add(
    file: { readonly path: string; readonly bytes: Uint8Array },
    score: Pick<Score, "bits" | "bitsNetwork" | "bitsMemory">,
  ): void {
    byteKinds(file.path, file.bytes).forEach((kind, at) => {
      const bits = this.#bits[kind]!;
      this.#bytes[kind]!++;
      bits[0] += score.bits[at]!;
      bits[1] += score.bitsNetwork[at]!;
      bits[2] += score.bitsMemory[at]!;
    });
  }

  /** Kinds that occurred, in their own order. */
  result(): Partial<Record<ByteKind, ClassResult>> {
    const found: Partial<Record<ByteKind, ClassResult>> = {};
    BYTE_KINDS.forEach((kind, i) => {
      const bytes = this.#bytes[i]!;
      if (bytes === 0) return;
      const [bits, network, memory] = this.#bits[i]!;
      found[kind] = {
        bytes,
        bpb: bits / bytes,
        bpb_network: this.#network === "on" ? network / bytes : null,
        bpb_memory: this.#memory === "on" ? memory / bytes : null,
      };
    });
    return found;
  }
}
