/**
 * Sums of parts, made several at a time: a weight's gradient waits for nothing but the optimizer, so that of up to five
 * products one dispatch adds up the parts. Each sum is what it was by itself, to the bit.
 */
import { gridFor, type Floats, type Graph, type Node, type OpSpec, type Params } from "../graph.ts";
import { sumParts as twin } from "../cpu/matmul.ts";
import { sumPartsOp } from "./matmul.ts";

/** Two tensors each: as many as every GPU binds. */
const MOST = 5;
/** Parts that wait take memory, and leave a GPU's cache. */
const MOST_BYTES = 64 * 2 ** 20;
/** Four entries per thread. */
const WIDE = 4;
const GROUP = 256;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const sizeOf = (p: Params, i: number): number => p[`size${i}`]!;
const blocksOf = (p: Params, i: number): number => Math.ceil(sizeOf(p, i) / WIDE / GROUP);

function source(count: number): string {
  const bindings = range(count).map(
    (i) => `@group(0) @binding(${2 * i}) var<storage, read> parts${i}: array<vec4f>;
@group(0) @binding(${2 * i + 1}) var<storage, read_write> out${i}: array<vec4f>;`,
  );
  const sums = range(count).map(
    (i) => `fn sum${i}(i: u32, size: u32, splits: u32) {
  if (i >= size) { return; }
  var sum = vec4f();
  var p = 0u;
  for (; p + 4u <= splits; p += 4u) {
    let at = p * size + i;
    let x0 = parts${i}[at];
    let x1 = parts${i}[at + size];
    let x2 = parts${i}[at + 2u * size];
    let x3 = parts${i}[at + 3u * size];
    sum = (((sum + x0) + x1) + x2) + x3;
  }
  for (; p < splits; p++) { sum += parts${i}[p * size + i]; }
  out${i}[i] = sum;
}`,
  );
  const cases = range(count).map(
    (i) => `  ${i === 0 ? "" : "else "}if (block < shapes[${i}].z) {
    let first = ${i === 0 ? "0u" : `shapes[${i - 1}].z`};
    sum${i}((block - first) * ${GROUP}u + lane, shapes[${i}].x, shapes[${i}].y);
  }`,
  );
  return `// out[i] = Σ parts[p, i], p ascending, for ${count} products: parts [splits, size], out [size], in quads. One thread per
// quad, four parts asked for before the first is added; a workgroup belongs to one product. No workgroup memory, no
// barriers. Uniforms, per product: size in quads, splits, and the first workgroup of the next one.
${bindings.join("\n")}
@group(0) @binding(${2 * count}) var<uniform> shapes: array<vec4u, ${count}>;

${sums.join("\n")}

@compute @workgroup_size(${GROUP})
fn sumParts(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let block = group.y * groups.x + group.x;
${cases.join("\n")}
}
`;
}

function joinedOp(count: number): OpSpec {
  return {
    name: `sumParts${count}`,
    access: range(count).flatMap(() => ["read", "write"] as const),
    units: (p) => range(count).reduce((sum, i) => sum + sizeOf(p, i), 0),
    cpu: (b, p, start, end) => {
      let first = 0;
      for (const i of range(count)) {
        const size = sizeOf(p, i);
        const from = Math.max(0, start - first);
        const to = Math.min(size, end - first);
        // The CPU's product left everything in the first part.
        const shape = { size, splits: 1, accumulate: 0 };
        if (from < to) twin(b[2 * i] as Floats, b[2 * i + 1] as Floats, shape, from, to);
        first += size;
      }
    },
    gpu: (p) => {
      let blocks = 0;
      const uniforms = range(count).flatMap((i) => {
        blocks += blocksOf(p, i);
        return [sizeOf(p, i) / WIDE, p[`splits${i}`]!, blocks, 0];
      });
      return {
        code: source(count),
        entryPoint: "sumParts",
        constants: {},
        uniforms,
        workgroups: gridFor(blocks, 1),
      };
    },
  };
}
export const sumParts2Op = joinedOp(2);
export const sumParts3Op = joinedOp(3);
export const sumParts4Op = joinedOp(4);
export const sumParts5Op = joinedOp(5);
const OPS = [undefined, undefined, sumParts2Op, sumParts3Op, sumParts4Op, sumParts5Op];

function joined(sums: readonly Node[]): Node[] {
  const op = OPS[sums.length];
  if (op === undefined) return [...sums];
  const params = sums.flatMap(({ params: p }, i) => [
    [`size${i}`, p["size"]!] as const,
    [`splits${i}`, p["splits"]!] as const,
  ]);
  return [{ op, tensors: sums.flatMap((s) => s.tensors), params: Object.fromEntries(params) }];
}

/** Joins the sums of parts that were recorded so far. Call it before anything is recorded that reads what they write
 *  through a tensor other than theirs (a pack of which theirs are views). */
export function joinSums(g: Graph): void {
  const nodes: Node[] = [];
  let waiting: Node[] = [];
  let bytes = 0;
  const flush = (): void => {
    nodes.push(...joined(waiting));
    waiting = [];
    bytes = 0;
  };
  for (const node of g.nodes) {
    const out = new Set(waiting.map((w) => w.tensors[1]!.id));
    if (node.tensors.some((t) => out.has(t.id))) flush();
    if (node.op !== sumPartsOp || node.params["size"]! % WIDE !== 0) {
      nodes.push(node);
      continue;
    }
    const own = 4 * node.tensors[0]!.size;
    if (waiting.length === MOST || bytes + own > MOST_BYTES) flush();
    waiting.push(node);
    bytes += own;
  }
  flush();
  g.nodes.splice(0, g.nodes.length, ...nodes);
}
