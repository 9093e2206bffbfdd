/**
 * WGSL text of one matmul tile variant: constants, bindings and the unrolled register block around matmul.wgsl.
 * Text, because a register block must be named variables: an indexed array may land in slow local memory.
 */
import { invariant } from "../errors.ts";
import type { Stored } from "../graph.ts";
import common from "./matmul.wgsl";
import { enableHalves, operandSource, outputSource, type MatmulOutput } from "./matmulOutput.ts";

export interface Tile {
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  /** Entries per thread; multiples of 4. */
  readonly perM: number;
  readonly perN: number;
}

export interface TileForm extends MatmulOutput {
  /** How the operands are held. */
  readonly a: Stored;
  readonly b: Stored;
  readonly vectors: Vectors;
}

export interface Vectors {
  /** 1: the operand's contiguous dimension is a multiple of 4, so it is bound as vec4. */
  readonly a: 0 | 1;
  readonly b: 0 | 1;
  readonly out: 0 | 1;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** readX(at, limit, column): the quad at element `at`, whose columns at or beyond limit read as zero. */
function reader(name: "A" | "B", binding: number, stored: Stored, vector: 0 | 1): string {
  const buffer = name.toLowerCase();
  if (vector === 1)
    return `${operandSource(buffer, binding, stored, 4)}
fn read${name}(at: u32, limit: u32, column: u32) -> vec4f {
  if (column >= limit) { return vec4f(); }
  return ${buffer}At(at / 4u);
}`;
  return `${operandSource(buffer, binding, stored, 1)}
fn read${name}(at: u32, limit: u32, column: u32) -> vec4f {
  var quad = vec4f();
  if (column < limit) { quad.x = ${buffer}At(at); }
  if (column + 1u < limit) { quad.y = ${buffer}At(at + 1u); }
  if (column + 2u < limit) { quad.z = ${buffer}At(at + 2u); }
  if (column + 3u < limit) { quad.w = ${buffer}At(at + 3u); }
  return quad;
}`;
}

function writer(f: TileForm): string {
  if (f.vectors.out === 1)
    return `${outputSource(f, 4)}
fn put(at: u32, column: u32, value: vec4f) {
  if (column < n) { finish(at, value); }
}`;
  return `${outputSource(f, 1)}
fn put(at: u32, column: u32, value: vec4f) {
  if (column < n) { finish(at, value.x); }
  if (column + 1u < n) { finish(at + 1u, value.y); }
  if (column + 2u < n) { finish(at + 2u, value.z); }
  if (column + 3u < n) { finish(at + 3u, value.w); }
}`;
}

export const tileThreads = (t: Tile): number => (t.tileM / t.perM) * (t.tileN / t.perN);

/** The whole module; entry point `main`. */
export function tileSource(tile: Tile, form: TileForm): string {
  const { tileM, tileN, tileK, perM, perN } = tile;
  const threads = tileThreads(tile);
  const quadsM = tileM / 4;
  const quadsN = tileN / 4;
  const threadsN = tileN / perN;
  const threadsM = tileM / perM;
  const jobsA = (quadsM * tileK) / 4;
  const jobs = jobsA + (quadsN * tileK) / 4;
  invariant(
    jobs <= threads,
    `a ${tileM} × ${tileN} tile of depth ${tileK} has ${jobs} blocks to load and ${threads} threads`,
  );
  const blocksM = range(perM / 4);
  const blocksN = range(perN / 4);
  const rows = range(4);

  const fetch = [
    ...blocksM.map((i) => `      let a${i} = tileA[kk * ${quadsM}u + ${i * threadsM}u + ty];`),
    ...blocksN.map((j) => `      let b${j} = tileB[kk * ${quadsN}u + ${j * threadsN}u + tx];`),
  ].join("\n");
  const multiply = blocksM
    .flatMap((i) =>
      rows.flatMap((r) =>
        blocksN.map(
          (j) => `      c${i}_${r}_${j} = fma(vec4f(a${i}.${"xyzw"[r]}), b${j}, c${i}_${r}_${j});`,
        ),
      ),
    )
    .join("\n");
  const accumulators = blocksM
    .flatMap((i) => rows.flatMap((r) => blocksN.map((j) => `  var c${i}_${r}_${j} = vec4f();`)))
    .join("\n");
  const put = blocksM
    .flatMap((i) =>
      rows.map((r) => {
        const row = `mFirst + ${i * threadsM * 4}u + ty * 4u + ${r}u`;
        const columns = blocksN
          .map((j) => {
            const column = `nFirst + ${j * threadsN * 4}u + tx * 4u`;
            return `put(outBase + (${row}) * n + ${column}, ${column}, c${i}_${r}_${j});`;
          })
          .join(" ");
        return `  if (${row} < m) { ${columns} }`;
      }),
    )
    .join("\n");

  return `${enableHalves([form.a, form.b, form.out, form.hidden])}const tileM = ${tileM}u;
const tileN = ${tileN}u;
const tileK = ${tileK}u;
${common}
${reader("A", 0, form.a, form.vectors.a)}
${reader("B", 1, form.b, form.vectors.b)}
${writer(form)}

fn load(job: u32, aBase: u32, bBase: u32, mFirst: u32, nFirst: u32, kAt: u32, kEnd: u32) -> Block {
  if (job < ${jobsA}u) {
    let at = jobAt(job, ${quadsM}u, 1u - transposeA);
    return loadA(aBase, mFirst + at.x * 4u, kAt + at.y * 4u, kEnd);
  }
  let at = jobAt(job - ${jobsA}u, ${quadsN}u, transposeB);
  return loadB(bBase, nFirst + at.x * 4u, kAt + at.y * 4u, kEnd);
}

fn store(job: u32, x: Block) {
  if (job < ${jobsA}u) {
    let at = jobAt(job, ${quadsM}u, 1u - transposeA);
    let to = at.y * 4u * ${quadsM}u + at.x;
    tileA[to] = x.r0;
    tileA[to + ${quadsM}u] = x.r1;
    tileA[to + ${2 * quadsM}u] = x.r2;
    tileA[to + ${3 * quadsM}u] = x.r3;
    return;
  }
  let at = jobAt(job - ${jobsA}u, ${quadsN}u, transposeB);
  let to = at.y * 4u * ${quadsN}u + at.x;
  tileB[to] = x.r0;
  tileB[to + ${quadsN}u] = x.r1;
  tileB[to + ${2 * quadsN}u] = x.r2;
  tileB[to + ${3 * quadsN}u] = x.r3;
}

@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tilesM = (m + tileM - 1u) / tileM;
  let tilesN = (n + tileN - 1u) / tileN;
  let index = group.y * groups.x + group.x;
  if (index >= tilesM * tilesN * batch * splits) { return; }
  let nFirst = (index % tilesN) * tileN;
  let mFirst = ((index / tilesN) % tilesM) * tileM;
  let z = index / (tilesN * tilesM);
  let aBase = (z % batch) * m * k;
  let bBase = (z % batch) * k * n;
  let outBase = z * m * n;
  let kFirst = (z / batch) * chunk;
  let kEnd = min(k, kFirst + chunk);
  let tx = lane % ${threadsN}u;
  let ty = lane / ${threadsN}u;
${accumulators}
  // Round r loads tile r into registers while tile r − 1 is multiplied out of workgroup memory. One loading site:
  // software GPUs take long to compile two.
  let rounds = (kEnd - kFirst + tileK - 1u) / tileK;
  for (var round = 0u; round <= rounds; round++) {
    var held: Block;
    if (lane < ${jobs}u) { held = load(lane, aBase, bBase, mFirst, nFirst, kFirst + round * tileK, kEnd); }
    if (round > 0u) {
      for (var kk = 0u; kk < tileK; kk++) {
${fetch}
${multiply}
      }
    }
    workgroupBarrier();
    if (lane < ${jobs}u) { store(lane, held); }
    workgroupBarrier();
  }
${put}
}
`;
}
