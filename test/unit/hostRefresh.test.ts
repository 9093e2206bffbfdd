/** What the disk says of files reaches a loaded memory, except where the editor has spoken. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { isTold, refreshMemory } from "../../model/hostRefresh.ts";
import { SuffixMemory } from "../../model/memory/suffixMemory.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function setUp(disk: Record<string, string>, remembered: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), "refresh-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const files = Object.entries(disk).map(([path, text], i) => {
    const absolute = join(dir, `${i}`);
    writeFileSync(absolute, text);
    return { path, absolute, heldout: false };
  });
  const list = join(dir, "files.json");
  writeFileSync(list, JSON.stringify({ files }));
  const memory = new SuffixMemory();
  for (const [path, text] of Object.entries(remembered)) memory.setFile(path, bytes(text));
  const said: string[] = [];
  const model = {
    memory,
    setFile: (path: string, content: Uint8Array) => {
      said.push(`${path} set`);
      memory.setFile(path, content);
    },
    removeFile: (path: string) => {
      said.push(`${path} gone`);
      memory.removeFile(path);
    },
  };
  return { list, model, said, files };
}

const textOf = (memory: SuffixMemory, path: string): string =>
  new TextDecoder().decode(memory.bytesOf(path));

describe("a refresh", () => {
  test("sets what changed or came and removes what went, and nothing else", async () => {
    const { list, model, said } = setUp(
      { "same.ts": "same", "changed.ts": "new", "came.ts": "came" },
      { "same.ts": "same", "changed.ts": "old", "went.ts": "went" },
    );
    const result = await refreshMemory({ list, model, isTold: () => false, isInUse: () => true });
    expect(result).toEqual({ changed: 2, removed: 1 });
    expect(said).toEqual(["went.ts gone", "changed.ts set", "came.ts set"]);
    expect(textOf(model.memory, "changed.ts")).toBe("new");
  });

  test("leaves what the editor told, and stops when another model answers", async () => {
    const { list, model, said } = setUp(
      { "open.ts": "saved", "folder/a.ts": "a", "b.ts": "b" },
      { "open.ts": "typed" },
    );
    const told = new Map([
      ["open.ts", 1],
      ["folder", 1],
    ]);
    let looks = 0;
    const result = await refreshMemory({
      list,
      model,
      isTold: (path) => isTold(told, path),
      isInUse: () => ++looks < 2,
    });
    expect(result).toEqual({ changed: 0, removed: 0 });
    expect(said).toEqual([]);
    expect(textOf(model.memory, "open.ts")).toBe("typed");
    await refreshMemory({ list, model, isTold: (path) => isTold(told, path), isInUse: () => true });
    expect(said).toEqual(["b.ts set"]);
  });

  test("goes on past a file that cannot be read", async () => {
    const { list, model, said, files } = setUp({ "a.ts": "a", "b.ts": "b" }, {});
    rmSync(files[0]!.absolute);
    await refreshMemory({ list, model, isTold: () => false, isInUse: () => true });
    expect(said).toEqual(["b.ts set"]);
  });
});

test("a path is told by itself or by a folder above it, not by a name it begins with", () => {
  const told = new Map([["src/a", 1]]);
  expect(isTold(told, "src/a")).toBe(true);
  expect(isTold(told, "src/a/deep/b.ts")).toBe(true);
  expect(isTold(told, "src/ab.ts")).toBe(false);
  expect(isTold(told, "src")).toBe(false);
});
