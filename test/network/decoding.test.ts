/** Decoding, scoring and causality of the whole network. */
import { beforeAll, describe, expect, test } from "vitest";
import fc from "fast-check";
import { trainBpe } from "../../model/bpe.ts";
import { headerSymbols } from "../../model/bytes.ts";
import { createCpuDevice } from "../../model/cpu/device.ts";
import type { ModelConfig } from "../../model/config.ts";
import { Decoder } from "../../model/decoder.ts";
import type { Device } from "../../model/device.ts";
import { createFactEncoder, type FactEncoder } from "../../model/facts/encoder.ts";
import { N_FACT_CHANNELS } from "../../model/facts/channels.ts";
import { Scorer } from "../../model/scorer.ts";
import { Trainer } from "../../model/trainer.ts";
import { testGpu } from "../support/gpu.ts";
import {
  tinyConfig,
  tinyFiles,
  tinyLexicon,
  tinySampler,
  tinySpectrum,
} from "../support/tinyModel.ts";

/** Decoding adds the same numbers in the same order; only the tiling of products may differ. */
const TOLERANCE = 2e-5;
/** The same where activations may be halves. */
const HALF_TOLERANCE = 2e-3;
/** Enough that distributions are far from uniform: between equal ones, a wrong row would go unseen. */
const STEPS = 150;
/** What neighbouring rows must differ by somewhere, or the comparison says nothing. */
const CONTRAST = 0.2;

let gpu: Device | undefined;
beforeAll(async () => {
  gpu = await testGpu();
});

async function trained(device: Device, config: ModelConfig): Promise<Trainer> {
  const trainer = await Trainer.create({ device, config, spectrum: tinySpectrum(), seed: 5 });
  const sampler = tinySampler(config);
  for (let step = 0; step < STEPS; step++)
    await trainer.step({ step, factor: 1, windows: sampler.step(step) });
  return trainer;
}

const encoderFor = ({ colour }: ModelConfig): FactEncoder =>
  createFactEncoder({ lexicon: tinyLexicon(colour), colour });

async function distributions(
  scorer: Scorer,
  path: string,
  bytes: Uint8Array,
  encoder: FactEncoder,
): Promise<Float32Array> {
  const out = new Float32Array(bytes.length * 256);
  await scorer.score({ path, bytes, encoder }, (at, p, offset) =>
    out.set(p.subarray(offset, offset + 256), at * 256),
  );
  return out;
}

/** The controls run on the CPU only: their kernels have tests of their own, and compiling a network takes a
 *  software GPU a minute. */
const devices = async (which: "all" | "cpu" = "all"): Promise<Device[]> => [
  await createCpuDevice({ threads: 0 }),
  ...(gpu === undefined || which === "cpu" ? [] : [gpu]),
];

/** Bytes as patches, so that windows hold more than one chunk of the grid's. */
const GRID: Partial<ModelConfig> = { attention: "grid", trunkChannels: 32, patching: "flat" };
const variants: readonly [string, Partial<ModelConfig>][] = [
  ["topological attention, go-mHC, rule patches", {}],
  [
    "dot-product attention, plain residual, fixed stride",
    { attention: "dot", residual: "plain", patching: "stride" },
  ],
  [
    "published taumode, flat bytes",
    { attention: "published", bands: 1, energyChannels: 8, patching: "flat" },
  ],
  ["more bands in the trunk than locally", { bands: 4, localBands: 2 }],
  ["grid attention, flat bytes", GRID],
  ["colours of two channels", { colour: "both" }],
  ["colours with their neighbours", { colour: "resolvent" }],
  [
    "patches by tokens",
    { patching: "bpe", bpeTokens: trainBpe(tinyFiles, 280), minBytesPerPatch: 2 },
  ],
];

describe("decoding", () => {
  for (const [name, overrides] of variants)
    test(`gives the forward pass's distributions, in whatever pieces: ${name}`, async () => {
      const which = Object.keys(overrides).length === 0 ? "all" : "cpu";
      for (const device of await devices(which)) {
        // Decoding holds activations in f32 on every device; a GPU would score in halves by itself.
        const config = tinyConfig({ context: 128, precision: "f32", ...overrides });
        const trainer = await trained(device, config);
        const file = tinyFiles[0]!;
        const header = headerSymbols(file.path);
        const bytes = file.bytes.subarray(0, 128 - header.length - 1);
        const scorer = await Scorer.create(device, config, trainer.params);
        const encoder = encoderFor(config);
        const whole = await distributions(scorer, file.path, bytes, encoder);
        let contrast = 0;
        for (let i = 256; i < whole.length; i++)
          contrast = Math.max(contrast, Math.abs(whole[i]! - whole[i - 256]!));
        expect(contrast, `${device.name}: rows differ`).toBeGreaterThan(CONTRAST);
        const decoder = await Decoder.create(device, config, trainer.params);
        const symbols = [...header, ...bytes];
        const facts = new Uint16Array(symbols.length * encoder.width);
        const known = encoder.channels(file.path, bytes);
        for (let k = 0; k < encoder.width; k++)
          expect(known.some((id, at) => at % encoder.width === k && id !== 0)).toBe(true);
        facts.set(known, header.length * encoder.width);
        // Prefill, single bytes, drafts, a rewind after a rejected draft, a jump back.
        for (const [length, wanted] of [
          [header.length + 3, 1],
          [header.length + 4, 1],
          [header.length + 20, 16],
          [header.length + 12, 3],
          [symbols.length, decoder.draftRows],
          [header.length + 30, 1],
        ] as const) {
          const d = await decoder.extend(symbols.slice(0, length), facts, wanted);
          for (let t = length - wanted; t < length; t++) {
            const at = t + 1 - header.length;
            if (at < 0 || at >= bytes.length) continue;
            for (let byte = 0; byte < 256; byte++)
              expect(
                Math.abs(d.p[(t - d.from) * 256 + byte]! - whole[at * 256 + byte]!),
                `${device.name}: length ${length}, byte ${byte} after ${t}`,
              ).toBeLessThan(TOLERANCE);
          }
        }
        trainer.dispose();
      }
    });

  test("a rejected draft leaves no trace", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const config = tinyConfig({ context: 128 });
    const trainer = await trained(device, config);
    const clean = await Decoder.create(device, config, trainer.params);
    const used = await Decoder.create(device, config, trainer.params);
    const header = headerSymbols("a.ts");
    const facts = new Uint16Array(128 * N_FACT_CHANNELS);
    const prefix = [...header, ...Buffer.from("const a = 1;\nconst ")];
    await used.extend(prefix, facts);
    await used.extend([...prefix, ...Buffer.from("wrong(draft);\n")], facts, 12);
    const next = [...prefix, ...Buffer.from("b = a")];
    const last = (d: { p: Float32Array }): Float32Array => d.p.slice(-256);
    expect(last(await used.extend(next, facts))).toEqual(last(await clean.extend(next, facts)));
  });
});

describe("scoring", () => {
  for (const [name, overrides] of [
    ["topological attention", {}],
    ["grid attention", { ...GRID, context: 128 }],
    ["colours of two channels", { colour: "both" }],
    ["colours with their neighbours", { colour: "resolvent" }],
  ] as const)
    test(`never depends on later bytes: any cut leaves the values before it bitwise equal: ${name}`, async () => {
      for (const device of await devices(Object.keys(overrides).length === 0 ? "all" : "cpu")) {
        const config = tinyConfig(overrides);
        const trainer = await trained(device, config);
        const scorer = await Scorer.create(device, config, trainer.params);
        const bytes = new Uint8Array([...tinyFiles[0]!.bytes, ...tinyFiles[1]!.bytes]);
        const encoder = encoderFor(config);
        const whole = await distributions(scorer, "x.ts", bytes, encoder);
        await fc.assert(
          fc.asyncProperty(
            fc.integer({ min: 1, max: bytes.length - 1 }),
            fc.uint8Array({ minLength: 1, maxLength: 40 }),
            async (cut, tail) => {
              const other = await distributions(
                scorer,
                "x.ts",
                new Uint8Array([...bytes.subarray(0, cut), ...tail]),
                encoder,
              );
              // The distribution of the byte at the cut is the last that may not differ.
              expect(other.subarray(0, (cut + 1) * 256)).toEqual(
                whole.subarray(0, (cut + 1) * 256),
              );
            },
          ),
          { numRuns: 12 },
        );
        trainer.dispose();
      }
    });

  test("visits every byte once, in order, also behind a path that fills more than a window", async () => {
    for (const device of await devices("cpu")) {
      const config = tinyConfig();
      const trainer = await trained(device, config);
      const scorer = await Scorer.create(device, config, trainer.params);
      const { bytes } = tinyFiles[0]!;
      for (const path of ["x.ts", `${"folder/".repeat(20)}x.ts`]) {
        const visited: number[] = [];
        await scorer.score({ path, bytes }, (at, p, offset) => {
          visited.push(at);
          const sum = p.subarray(offset, offset + 256).reduce((a, b) => a + b, 0);
          expect(sum).toBeCloseTo(1, 2);
        });
        expect(visited).toEqual(Array.from(bytes, (_, at) => at));
      }
      trainer.dispose();
    }
  });

  test("gives the state that the logits of each byte are linear in", async () => {
    for (const device of await devices()) {
      const config = tinyConfig();
      const trainer = await trained(device, config);
      const scorer = await Scorer.create(device, config, trainer.params);
      const unembed = await device.read(trainer.params.get("unembed")!);
      const columns = unembed.length / config.localChannels;
      const { path, bytes } = tinyFiles[0]!;
      const text = bytes.subarray(0, 100);
      let worst = 0;
      await scorer.score({ path, bytes: text, states: 1 }, (at, p, offset, state) => {
        const odds = Float64Array.from({ length: 256 }, (_, byte) => {
          let logit = 0;
          state!.forEach((x, c) => (logit += x * unembed[c * columns + byte]!));
          return Math.exp(config.logitCap * Math.tanh(logit / config.logitCap));
        });
        const sum = odds.reduce((a, b) => a + b, 0);
        odds.forEach((x, byte) => {
          worst = Math.max(worst, Math.abs(x / sum - p[offset + byte]!));
        });
      });
      expect(worst).toBeLessThan(device.kind === "gpu" ? HALF_TOLERANCE : TOLERANCE);
      let given = 0;
      await scorer.score({ path, bytes: text }, (_at, _p, _offset, state) => {
        if (state !== undefined) given++;
      });
      expect(given).toBe(0);
      scorer.dispose();
      trainer.dispose();
    }
  });

  test("gives every byte of a file one normalized distribution", async () => {
    const device = await createCpuDevice({ threads: 0 });
    const config = tinyConfig();
    const trainer = await trained(device, config);
    const scorer = await Scorer.create(device, config, trainer.params);
    for (const length of [1, 2, 31, 32, 33, 63, 64, 65, 200]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 37) % 256);
      const seen: number[] = [];
      await scorer.score({ path: "b.bin", bytes }, (at, p, offset) => {
        seen.push(at);
        const sum = p.subarray(offset, offset + 256).reduce((a, b) => a + b, 0);
        expect(sum).toBeCloseTo(1, 4);
      });
      expect(seen).toEqual(Array.from({ length }, (_, i) => i));
    }
  });
});
