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
  /** Of 32 neighbouring threads so many lie along m, the rest along n, as close as can be: they read fewer places of
   *  workgroup memory at a time. Steps of k are then written out. Without it neighbours lie along n. */
  readonly lanesM?: number;
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

/** Steps of k that are written out for tiles with lanesM. */
const UNROLLED = 8;

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
  const rounds = Math.ceil(jobs / threads);
  invariant(
    rounds === 1 || jobs % threads === 0,
    `a ${tileM} × ${tileN} tile of depth ${tileK} has ${jobs} blocks to load and ${threads} threads`,
  );
  const blocksM = range(perM / 4);
  const blocksN = range(perN / 4);
  const rows = range(4);

  // A thread's quads along m and n: the first, and from one to the next.
  const { lanesM } = tile;
  const lanesN = lanesM === undefined ? 0 : 32 / lanesM;
  const [stepM, stepN] = lanesM === undefined ? [threadsM, threadsN] : [lanesM, lanesN];
  const quads =
    lanesM === undefined
      ? `  let rowQuad = lane / ${threadsN}u;
  let columnQuad = lane % ${threadsN}u;`
      : `  let rowQuad = lane / 32u / ${threadsN / lanesN}u * ${(lanesM * perM) / 4}u + lane % 32u / ${lanesN}u;
  let columnQuad = lane / 32u % ${threadsN / lanesN}u * ${(lanesN * perN) / 4}u + lane % ${lanesN}u;`;
  const fetchRow = (kk: string): string =>
    [
      ...blocksM.map(
        (i) => `      let a${i} = tileA[${kk} * ${quadsM}u + ${i * stepM}u + rowQuad];`,
      ),
      ...blocksN.map(
        (j) => `      let b${j} = tileB[${kk} * ${quadsN}u + ${j * stepN}u + columnQuad];`,
      ),
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
  const walk =
    lanesM === undefined
      ? `      for (var kk = 0u; kk < tileK; kk++) {\n${fetchRow("kk")}\n${multiply}\n      }`
      : `      for (var kk = 0u; kk < tileK; kk += ${UNROLLED}u) {\n${range(UNROLLED)
          .map((i) => `      {\n${fetchRow(`(kk + ${i}u)`)}\n${multiply}\n      }`)
          .join("\n")}\n      }`;
  const held = range(rounds);
  const job = (i: number): string => (i === 0 ? "lane" : `lane + ${i * threads}u`);
  const sideOf = (i: number): "A" | "B" | "" =>
    (i + 1) * threads <= jobsA ? "A" : i * threads >= jobsA ? "B" : "";
  // A thread whose block may be either side's would have to wait for it before it multiplies.
  const loadOf = (i: number): string => {
    const at = "kFirst + round * tileK, kEnd";
    switch (sideOf(i)) {
      case "A":
        return `loadOfA(${job(i)}, aBase, mFirst, ${at})`;
      case "B":
        return `loadOfB(${job(i)}, bBase, nFirst, ${at})`;
      default:
        return `load(${job(i)}, aBase, bBase, mFirst, nFirst, ${at})`;
    }
  };
  const mine = rounds === 1 ? `if (lane < ${jobs}u) ` : "";
  const accumulators = blocksM
    .flatMap((i) => rows.flatMap((r) => blocksN.map((j) => `  var c${i}_${r}_${j} = vec4f();`)))
    .join("\n");
  const put = blocksM
    .flatMap((i) =>
      rows.map((r) => {
        const row = `mFirst + ${i * stepM * 4}u + rowQuad * 4u + ${r}u`;
        const columns = blocksN
          .map((j) => {
            const column = `nFirst + ${j * stepN * 4}u + columnQuad * 4u`;
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

fn loadOfA(job: u32, aBase: u32, mFirst: u32, kAt: u32, kEnd: u32) -> Block {
  let at = jobAt(job, ${quadsM}u, 1u - transposeA);
  return loadA(aBase, mFirst + at.x * 4u, kAt + at.y * 4u, kEnd);
}
fn loadOfB(job: u32, bBase: u32, nFirst: u32, kAt: u32, kEnd: u32) -> Block {
  let at = jobAt(job - ${jobsA}u, ${quadsN}u, transposeB);
  return loadB(bBase, nFirst + at.x * 4u, kAt + at.y * 4u, kEnd);
}
fn load(job: u32, aBase: u32, bBase: u32, mFirst: u32, nFirst: u32, kAt: u32, kEnd: u32) -> Block {
  if (job < ${jobsA}u) { return loadOfA(job, aBase, mFirst, kAt, kEnd); }
  return loadOfB(job, bBase, nFirst, kAt, kEnd);
}

fn storeA(job: u32, x: Block) {
  let at = jobAt(job, ${quadsM}u, 1u - transposeA);
  let to = at.y * 4u * ${quadsM}u + at.x;
  tileA[to] = x.r0;
  tileA[to + ${quadsM}u] = x.r1;
  tileA[to + ${2 * quadsM}u] = x.r2;
  tileA[to + ${3 * quadsM}u] = x.r3;
}
fn storeB(job: u32, x: Block) {
  let at = jobAt(job - ${jobsA}u, ${quadsN}u, transposeB);
  let to = at.y * 4u * ${quadsN}u + at.x;
  tileB[to] = x.r0;
  tileB[to + ${quadsN}u] = x.r1;
  tileB[to + ${2 * quadsN}u] = x.r2;
  tileB[to + ${3 * quadsN}u] = x.r3;
}
fn store(job: u32, x: Block) {
  if (job < ${jobsA}u) { storeA(job, x); } else { storeB(job, x); }
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
${quads}
${accumulators}
  // Round r loads tile r into registers while tile r − 1 is multiplied out of workgroup memory. One loading site:
  // software GPUs take long to compile two.
  let rounds = (kEnd - kFirst + tileK - 1u) / tileK;
  for (var round = 0u; round <= rounds; round++) {
${held.map((i) => `    var held${i}: Block;\n    ${mine}{ held${i} = ${loadOf(i)}; }`).join("\n")}
    if (round > 0u) {
${walk}
    }
    workgroupBarrier();
${held.map((i) => `    ${mine}{ store${sideOf(i)}(${job(i)}, held${i}); }`).join("\n")}
    workgroupBarrier();
  }
${put}
}
`;
}
