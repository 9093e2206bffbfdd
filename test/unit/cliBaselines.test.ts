/** Copying and compressors: what they must find in hand-made workspaces, and what they must not look at. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";
import { Baselines, readBytegpt } from "../../server/cli/baselines.ts";
import { primed } from "../../server/cli/compressors.ts";
import { cutLines } from "../../server/cli/scoring.ts";
import { suffixCopy } from "../../server/cli/suffixCopy.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (u8: Uint8Array): string => new TextDecoder().decode(u8);
const copy = (before: string, ...workspace: string[]): [string, number] => {
  const copied = suffixCopy({
    workspace: workspace.map(bytes),
    before: bytes(before),
    maxBytes: 40,
  });
  return [text(copied.bytes), copied.matchBytes];
};

describe("copying", () => {
  test("goes on as the longest match did, up to the end of its line", () => {
    expect(copy("x = call(", "a(1)\n", "y = call(2)\nz", "all(3)")).toEqual(["2)", 8]);
  });

  test("takes what most places of that length have", () => {
    expect(copy("\nf(", "\nf(1)\n", "\nf(2)\n\nf(2)\n")).toEqual(["2)", 3]);
  });

  test("prefers this file, the latest place in it", () => {
    expect(copy("ag(1)\nbg(2)\ncg(", "dg(3)\n")).toEqual(["2)", 2]);
  });

  test("writes nothing where nothing matches, and an empty line where the match ended one", () => {
    expect(copy("Q", "abc")).toEqual(["", 0]);
    expect(copy("abc", "abc\nd")).toEqual(["", 3]);
  });

  test("finds the longest match that a plain search finds, with its most frequent continuation", () => {
    const small = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 24 });
    fc.assert(
      fc.property(fc.array(small, { maxLength: 4 }), small, (workspace, before) => {
        const [line, length] = copy(before, ...workspace);
        let longest = 0;
        for (let n = 1; n <= before.length; n++) {
          const needle = before.slice(before.length - n);
          if ([before.slice(0, -1), ...workspace].some((t) => t.includes(needle))) longest = n;
        }
        expect(length).toBe(longest);
        if (longest === 0) return;
        const needle = before.slice(before.length - longest);
        const counts = new Map<string, number>();
        for (const [i, t] of [before, ...workspace].entries())
          for (let at = t.indexOf(needle); at >= 0; at = t.indexOf(needle, at + 1)) {
            if (i === 0 && at + longest === before.length) continue;
            const rest = t.slice(at + longest).split("\n")[0]!;
            counts.set(rest, (counts.get(rest) ?? 0) + 1);
          }
        expect(counts.get(line)).toBe(Math.max(...counts.values()));
      }),
    );
  });
});

describe("line baselines", () => {
  const lines = (memory: SuffixMemory, path: string, source: string) => {
    const baselines = new Baselines({ memory });
    const file = { path, bytes: bytes(source) };
    baselines.lines(file, cutLines(file.bytes, 0), () => 60);
    return baselines;
  };
  const result = async (b: Baselines) =>
    b.result({
      workspace: [],
      heldout: [],
      bytegpt: undefined,
      signal: new AbortController().signal,
    });

  test("complete what the workspace holds, and never from the file's own saved version", async () => {
    const source = "const total = readEverything(source);\n";
    const memory = new SuffixMemory();
    memory.setFile("other.ts", bytes(source.repeat(3)));
    const known = await result(lines(memory, "new.ts", source));
    expect(known.suffix_copy).toMatchObject({ lines: 1, exact: 1, edit_similarity: 1 });
    expect(known.count_model).toMatchObject({ lines: 1, exact: 1 });

    const own = new SuffixMemory();
    own.setFile("new.ts", bytes(source.repeat(3)));
    own.setFile("b.ts", bytes("let unrelated = 0;\n"));
    const unknown = await result(lines(own, "new.ts", source));
    expect(unknown.suffix_copy.exact).toBe(0);
    expect(unknown.count_model.exact).toBe(0);
  });
});

test("each compressor is announced, as it may take minutes", async () => {
  const announced: string[] = [];
  await new Baselines({ memory: new SuffixMemory() }).result({
    workspace: [],
    heldout: [],
    bytegpt: undefined,
    signal: new AbortController().signal,
    onCompressor: (name) => announced.push(name),
  });
  expect(announced).toEqual(["xz", "zpaq"]);
});

describe("compressors", () => {
  let dir: string;
  const { signal } = new AbortController();
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "compress-"));
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(dir, { recursive: true, force: true });
  });
  const install = async (name: string, script: string): Promise<void> => {
    await writeFile(join(dir, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(dir, name), 0o755);
    vi.stubEnv("PATH", `${dir}:${process.env["PATH"] ?? ""}`);
  };
  const files = { workspace: [bytes("a".repeat(1000))], heldout: [bytes("b".repeat(60)), bytes("c".repeat(40))] }; // prettier-ignore

  test("give the bits that the held-out bytes add, by standard output or by an archive", async () => {
    // Halves its input, so that 100 bytes more are 50 bytes more.
    await install("xz", 'for last; do :; done; head -c $(($(wc -c < "$last") / 2)) "$last"');
    expect(await primed("xz", files, signal)).toEqual({ bpb: 4 });
    await install("zpaq", 'head -c $(($(wc -c < "$3") / 4)) "$3" > "$2"');
    expect(await primed("zpaq", files, signal)).toEqual({ bpb: 2 });
  });

  test("that are missing are named, that fail are failures", async () => {
    vi.stubEnv("PATH", dir);
    expect(await primed("zpaq", files, signal)).toEqual({ missing: "zpaq is not installed" });
    vi.unstubAllEnvs();
    await install("xz", "echo no memory >&2; exit 3");
    await expect(primed("xz", files, signal)).rejects.toThrow(/xz ended with status 3: no memory/);
  });

  test("are not asked about nothing", async () => {
    const none = { workspace: files.workspace, heldout: [] };
    expect(await primed("xz", none, signal)).toEqual({ missing: "no held-out bytes" });
  });

  test("stand beside the figures that another program printed", async () => {
    const path = join(dir, "bytegpt.out");
    await writeFile(path, 'compiling\n{"params": 10, "heldout_bpb": 0.702}\n{"cut off\n');
    expect(await readBytegpt(path)).toEqual({ params: 10, heldout_bpb: 0.702 });
    await writeFile(path, "nothing\n");
    await expect(readBytegpt(path)).rejects.toThrow(/holds no line of JSON/);
    await expect(readBytegpt(join(dir, "none"))).rejects.toThrow(/cannot be read/);
  });
});
