/** What the memory counted, as inputs of the mixture: never of later bytes, the same when written down, and never to the
 *  cost of a distribution. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EvidenceInputs, EVIDENCE_INPUTS } from "../../model/memory/evidenceInputs.ts";
import {
  EvidenceReader,
  EvidenceWriter,
  type PlaceEvidence,
} from "../../model/memory/placeEvidence.ts";
import { RankedMixer } from "../../model/memory/rankedMixer.ts";
import { recordMemory } from "../../model/memory/record.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { Random } from "../../model/random.ts";

const RATE = 0.02;
const LINES = [
  "const left = readAll(first);\n",
  "const right = readAll(second);\n",
  "for (const item of left) right.push(item.name);\n",
  "if (left.length === 0) return undefined;\n",
];
const text = new TextEncoder();

function code(random: Random, lines: number): Uint8Array {
  return text.encode(
    Array.from({ length: lines }, () => LINES[random.below(LINES.length)]).join(""),
  );
}

function workspace(seed: number): SuffixMemory {
  const memory = new SuffixMemory();
  for (let i = 0; i < 4; i++) memory.setFile(`f${i}.ts`, code(new Random(seed + i), 12));
  return memory;
}

function networkAt(random: Random): Float32Array {
  const values = Float32Array.from({ length: 256 }, () => random.uniform() ** 12 + 1e-7);
  const sum = values.reduce((a, b) => a + b, 0);
  return values.map((value) => value / sum);
}

/** Every distribution over the bytes of a file, network and mixture learning along. */
function read(memory: SuffixMemory, bytes: Uint8Array, seed: number): Float64Array[] {
  const random = new Random(seed);
  const mixer = new RankedMixer();
  const cursor = memory.cursor({ exclude: "new.ts" });
  const ofMemory = new Float64Array(256);
  return Array.from(bytes, (byte, at) => {
    const out = new Float64Array(256);
    const match = cursor.predict(ofMemory);
    const last = at === 0 ? 10 : bytes[at - 1]!;
    mixer.mix({ network: networkAt(random), memory: ofMemory, last, ...match }, out);
    cursor.push(byte);
    mixer.learn({ byte, rate: RATE });
    return out;
  });
}

const plain = (e: PlaceEvidence): unknown => ({
  candidates: e.candidates,
  candidate: [...e.candidate.subarray(0, e.candidates)],
  counts: [...e.counts],
  total: [...e.total],
  escape: Array.from({ length: e.candidates }, (_, i) => Math.fround(e.escape[e.candidate[i]!]!)),
  situation: [...e.situation],
  workspace: { ...e.workspace },
  own: { ...e.own },
});

describe("the mixture that weighs the memory's counts", () => {
  test("gives distributions that sum to 1 and knows nothing of later bytes", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.integer({ min: 1, max: 120 }), (seed, cut) => {
        const memory = workspace(seed);
        const bytes = code(new Random(seed + 77), 5);
        const whole = read(memory, bytes, seed);
        for (const p of whole) {
          expect(Math.abs(p.reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-9);
          expect(p.every((x) => x >= 0)).toBe(true);
        }
        const at = Math.min(cut, bytes.length - 1);
        const other = bytes.map((byte, i) => (i < at ? byte : 255 - byte));
        expect(read(memory, other, seed).slice(0, at + 1)).toEqual(whole.slice(0, at + 1));
      }),
      { numRuns: 12 },
    );
  });

  test("hears more than the two distributions", () => {
    const memory = workspace(3);
    const bytes = code(new Random(80), 2);
    const mixer = new RankedMixer();
    const cursor = memory.cursor();
    const ofMemory = new Float64Array(256);
    const [told, untold] = [new Float64Array(256), new Float64Array(256)];
    let differ = 0;
    for (const [at, byte] of bytes.entries()) {
      const { evidence, ...match } = cursor.predict(ofMemory);
      const last = at === 0 ? 10 : bytes[at - 1]!;
      const sides = { network: networkAt(new Random(at)), memory: ofMemory, last, ...match };
      mixer.mix({ ...sides, evidence }, told);
      mixer.mix(sides, untold);
      if (told.some((p, i) => Math.abs(p - untold[i]!) > 1e-4)) differ++;
      cursor.push(byte);
    }
    expect(differ).toBeGreaterThan(bytes.length / 2);
  });
});

describe("evidence", () => {
  test("comes back as it was written down", () => {
    const memory = workspace(5);
    const bytes = code(new Random(90), 4);
    const writer = new EvidenceWriter(bytes.length);
    const cursor = memory.cursor({ exclude: "new.ts" });
    const seen: unknown[] = [];
    for (const byte of bytes) {
      const { evidence } = cursor.predict(new Float64Array(256));
      writer.write(evidence);
      seen.push(plain(evidence));
      cursor.push(byte);
    }
    const reader = new EvidenceReader(writer.finish());
    const back = seen.map((_, at) => plain(reader.read(at)));
    expect(back).toEqual(seen);
    // In any order.
    expect(plain(reader.read(3))).toEqual(seen[3]);
    const recorded = new EvidenceReader(recordMemory(memory, { path: "new.ts", bytes }).evidence);
    expect(seen.map((_, at) => plain(recorded.read(at)))).toEqual(seen);
    expect([...recorded.belief]).toEqual([
      ...memory.cursor().predict(new Float64Array(256)).evidence.belief,
    ]);
  });

  test("says of each byte what is left of the counts, and no input twice", () => {
    const cursor = workspace(7).cursor();
    for (const byte of code(new Random(91), 3)) {
      const { evidence } = cursor.predict(new Float64Array(256));
      const inputs = new EvidenceInputs();
      inputs.begin(evidence);
      const list = {
        input: new Float64Array(EVIDENCE_INPUTS),
        index: new Uint8Array(EVIDENCE_INPUTS),
        first: 0,
      };
      for (let rank = 0; rank < Math.min(6, evidence.candidates); rank++) {
        const n = inputs.ask(evidence.candidate[rank]!, list, 0);
        const asked = [...list.index.subarray(0, n)];
        expect(new Set(asked).size).toBe(n);
        expect(list.input.subarray(0, n).every(Number.isFinite)).toBe(true);
        expect(asked.every((i) => i < EVIDENCE_INPUTS)).toBe(true);
      }
      cursor.push(byte);
    }
  });
});
