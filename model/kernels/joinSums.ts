/**
 * Sums that end a parameter's gradient, made several at a time: they wait for nothing but the optimizer, and each is too
 * small to fill a GPU. One dispatch adds up the parts of up to five products, or the last rows of up to five columns'
 * sums. Each is what it was by itself, to the bit.
 */
import { gridFor, type Graph, type Node, type OpSpec, type Params } from "../graph.ts";
import { COMBINED, columnSumCombineOp } from "./columnSum.ts";
import { sumPartsOp } from "./matmul.ts";

/** Two tensors each: as many as every GPU binds. */
const COUNTS = [2, 3, 4, 5] as const;
const MOST = 5;
/** What waits takes memory, and leaves a GPU's cache. */
const MOST_BYTES = 64 * 2 ** 20;
const GROUP = 256;
/** Entries of a part per thread. */
const WIDE = 4;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** One kind of sum, of a tensor into another. */
interface Form {
  readonly op: OpSpec;
  /** The op's parameters that a joined one keeps of each. */
  readonly keeps: readonly string[];
  fits(p: Params): boolean;
  /** The kernel's: two numbers that it reads, and how many workgroups. */
  sizes(p: Params): { readonly read: readonly [number, number]; readonly blocks: number };
  /** What the tensors hold. */
  readonly real: "vec4f" | "f32";
  /** Before the functions, and fn sum{i}(block, lane, x, y) on from{i} and into{i}, block counting this sum's. */
  readonly declarations: string;
  source(i: number): string;
  readonly about: string;
}

const parts: Form = {
  op: sumPartsOp,
  keeps: ["size", "splits", "accumulate"],
  fits: (p) => p["size"]! % WIDE === 0,
  sizes: (p) => ({
    read: [p["size"]! / WIDE, p["splits"]!],
    blocks: Math.ceil(p["size"]! / WIDE / GROUP),
  }),
  real: "vec4f",
  declarations: "",
  source: (i) => `fn sum${i}(block: u32, lane: u32, size: u32, splits: u32) {
  let i = block * ${GROUP}u + lane;
  if (i >= size) { return; }
  var sum = vec4f();
  var p = 0u;
  for (; p + 4u <= splits; p += 4u) {
    let at = p * size + i;
    let x0 = from${i}[at];
    let x1 = from${i}[at + size];
    let x2 = from${i}[at + 2u * size];
    let x3 = from${i}[at + 3u * size];
    sum = (((sum + x0) + x1) + x2) + x3;
  }
  for (; p < splits; p++) { sum += from${i}[p * size + i]; }
  into${i}[i] = sum;
}`,
  about: `// into[i] = Σ from[p, i], p ascending: from [splits, size], into [size], in quads. One thread per quad, four parts asked
// for before the first is added. No workgroup memory, no barriers. Sizes: size in quads, splits.`,
};

const columns: Form = {
  op: columnSumCombineOp,
  keeps: ["C", "chunks"],
  fits: () => true,
  sizes: (p) => ({
    read: [p["C"]!, p["chunks"]!],
    blocks: Math.ceil(p["C"]! / COMBINED),
  }),
  real: "f32",
  declarations: `var<workgroup> sums: array<f32, ${GROUP}>;\n`,
  source: (i) => `fn sum${i}(block: u32, lane: u32, C: u32, chunks: u32) {
  let c = block * ${COMBINED}u + lane % ${COMBINED}u;
  var sum = 0.0;
  if (c < C) {
    for (var k = lane / ${COMBINED}u; k < chunks; k += ${GROUP / COMBINED}u) { sum += from${i}[k * C + c]; }
  }
  sums[lane] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var k = 0u; k < ${GROUP / COMBINED}u; k++) { total += sums[k * ${COMBINED}u + lane % ${COMBINED}u]; }
  if (lane < ${COMBINED}u && c < C) { into${i}[c] = total; }
}`,
  about: `// into[c] = Σ from[k, c] in fixed order: from [chunks, C], into [C]; ${COMBINED} columns × ${GROUP / COMBINED} parts of the chunks per workgroup.
// One barrier. 1 KiB of workgroup memory. Sizes: C, chunks.`,
};

function source(form: Form, count: number): string {
  const bindings = range(count).map(
    (i) => `@group(0) @binding(${2 * i}) var<storage, read> from${i}: array<${form.real}>;
@group(0) @binding(${2 * i + 1}) var<storage, read_write> into${i}: array<${form.real}>;`,
  );
  const cases = range(count).map((i) => {
    const first = i === 0 ? "0u" : `shapes[${i - 1}].z`;
    return `  ${i === 0 ? "" : "else "}if (block < shapes[${i}].z) { sum${i}(block - ${first}, lane, shapes[${i}].x, shapes[${i}].y); }`;
  });
  return `// ${count} sums, a workgroup of one of them:
${form.about}
// Uniforms: per sum its sizes, and the first workgroup of the next.
${bindings.join("\n")}
@group(0) @binding(${2 * count}) var<uniform> shapes: array<vec4u, ${count}>;
${form.declarations}
${range(count)
  .map((i) => form.source(i))
  .join("\n")}

@compute @workgroup_size(${GROUP})
fn joined(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let block = group.y * groups.x + group.x;
${cases.join("\n")}
}
`;
}

function joinedOp(form: Form, count: number): OpSpec {
  const { op } = form;
  const own = (p: Params, i: number): Params =>
    Object.fromEntries(form.keeps.map((name) => [name, p[`${name}${i}`]!]));
  return {
    name: `${op.name}${count}`,
    access: range(count).flatMap(() => op.access),
    units: (p) => range(count).reduce((sum, i) => sum + op.units(own(p, i)), 0),
    cpu: (b, p, start, end) => {
      let first = 0;
      for (const i of range(count)) {
        const params = own(p, i);
        const units = op.units(params);
        const [from, to] = [Math.max(0, start - first), Math.min(units, end - first)];
        if (from < to) op.cpu(b.slice(2 * i, 2 * i + 2), params, from, to);
        first += units;
      }
    },
    gpu: (p) => {
      let next = 0;
      const uniforms = range(count).flatMap((i) => {
        const { read, blocks } = form.sizes(own(p, i));
        next += blocks;
        return [...read, next, 0];
      });
      return {
        code: source(form, count),
        entryPoint: "joined",
        constants: {},
        uniforms,
        workgroups: gridFor(next, 1),
      };
    },
  };
}

const joinedOps = new Map(
  [parts, columns].map((form) => [form, COUNTS.map((count) => joinedOp(form, count))]),
);
export const [sumParts2Op, sumParts3Op, sumParts4Op, sumParts5Op] = joinedOps.get(parts)!;
export const [columnSums2Op, columnSums3Op, columnSums4Op, columnSums5Op] = joinedOps.get(columns)!;

/** Sums of one kind that are held back, to be made together. */
class Waiting {
  readonly #form: Form;
  #nodes: Node[] = [];
  #bytes = 0;

  constructor(form: Form) {
    this.#form = form;
  }

  /** Whether the node is of this kind and waits now; what has to go before it goes to `out`. */
  takes(node: Node, out: Node[]): boolean {
    if (node.op !== this.#form.op || !this.#form.fits(node.params)) return false;
    const bytes = 4 * node.tensors[0]!.size;
    if (this.#nodes.length === MOST || this.#bytes + bytes > MOST_BYTES) this.flush(out);
    this.#nodes.push(node);
    this.#bytes += bytes;
    return true;
  }

  /** Whether the node reads or writes a sum that waits, or overwrites what it is of. */
  concerns(node: Node): boolean {
    return this.#nodes.some(({ tensors: [from, into] }) =>
      node.tensors.some((t, i) => t === into || (t === from && node.op.access[i] !== "read")),
    );
  }

  flush(out: Node[]): void {
    const nodes = this.#nodes;
    this.#nodes = [];
    this.#bytes = 0;
    const op = joinedOps.get(this.#form)![nodes.length - COUNTS[0]];
    if (op === undefined) {
      out.push(...nodes);
      return;
    }
    const params = nodes.flatMap(({ params: p }, i) =>
      this.#form.keeps.map((name) => [`${name}${i}`, p[name]!] as const),
    );
    out.push({ op, tensors: nodes.flatMap((n) => n.tensors), params: Object.fromEntries(params) });
  }
}

/** Joins the sums that were recorded so far. Call it before anything is recorded that reads what they write through a
 *  tensor other than theirs (a pack of which theirs are views). */
export function joinSums(g: Graph): void {
  const nodes: Node[] = [];
  const kinds = [...joinedOps.keys()].map((form) => new Waiting(form));
  for (const node of g.nodes) {
    for (const kind of kinds) if (kind.concerns(node)) kind.flush(nodes);
    if (!kinds.some((kind) => kind.takes(node, nodes))) nodes.push(node);
  }
  for (const kind of kinds) kind.flush(nodes);
  g.nodes.splice(0, g.nodes.length, ...nodes);
}
