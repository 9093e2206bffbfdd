/** Which files of a workspace become the corpus, and the reason given for each one that does not. */
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listCorpusFolder, readCorpusFile, walkCorpus } from "../../server/corpus/walk.ts";
import type { CorpusWalk } from "../../server/corpus/walk.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "corpus-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

const paths = (walk: CorpusWalk): string[] => walk.files.map((file) => file.path);
const reasons = (walk: CorpusWalk): Record<string, string> =>
  Object.fromEntries(walk.excluded.map((one) => [one.path, one.reason]));

describe("ignore rules", () => {
  test("nest as in git, the deeper file winning", async () => {
    await put({
      ".gitignore": "*.log\n/build/\nkeep/*\n!keep/this.ts\n",
      "a.log": "x",
      "build/out.ts": "x",
      "src/build/in.ts": "let a = 1;\n",
      "keep/this.ts": "let b = 2;\n",
      "keep/that.ts": "let c = 3;\n",
      "src/.gitignore": "!important.log\nlocal.ts\n",
      "src/important.log": "line\n",
      "src/local.ts": "let d = 4;\n",
      "local.ts": "let e = 5;\n",
    });
    const walk = await walkCorpus({ root });
    expect(paths(walk)).toEqual([
      ".gitignore",
      "keep/this.ts",
      "local.ts",
      "src/.gitignore",
      "src/build/in.ts",
      "src/important.log",
    ]);
    expect(walk.excluded.find((one) => one.path === "a.log")).toMatchObject({
      reason: "ignored",
      detail: "*.log in .gitignore",
    });
    expect(reasons(walk)["build/"]).toBe("ignored");
  });

  test("of .narrowgaugeignore overrule .gitignore in both directions", async () => {
    await put({
      ".gitignore": "generated/\n",
      ".narrowgaugeignore": "!generated/\n!dist/\nprivate/\n",
      "generated/api.ts": "export const api = 1;\n",
      "dist/main.js": "console.log(1);\n",
      "private/plan.md": "plan\n",
      "src/a.ts": "export const a = 1;\n",
    });
    const walk = await walkCorpus({ root });
    expect(paths(walk)).toEqual([
      ".gitignore",
      ".narrowgaugeignore",
      "dist/main.js",
      "generated/api.ts",
      "src/a.ts",
    ]);
    expect(reasons(walk)).toEqual({ "private/": "ignored" });
  });

  test("of the folders above the root count, unless the root itself is ignored", async () => {
    await put({
      ".git/HEAD": "ref: refs/heads/main\n",
      ".gitignore": "*.tmp\n/out/\n",
      "packages/app/a.ts": "let a = 1;\n",
      "packages/app/b.tmp": "b\n",
      "out/c.ts": "let c = 1;\n",
      "out/d.tmp": "d\n",
    });
    expect(paths(await walkCorpus({ root: join(root, "packages/app") }))).toEqual(["a.ts"]);
    expect(paths(await walkCorpus({ root: join(root, "out") }))).toEqual(["c.ts", "d.tmp"]);
  });

  test("of the settings leave out further paths", async () => {
    await put({ "a.ts": "a\n", "docs/b.md": "b\n" });
    const walk = await walkCorpus({ root, exclude: ["docs/"] });
    expect(paths(walk)).toEqual(["a.ts"]);
    expect(walk.excluded[0]?.detail).toContain("narrowgauge.corpus.exclude");
  });
});

describe("the walk", () => {
  test("leaves out dependencies, build output and repositories without being told", async () => {
    await put({
      ".git/config": "[core]\n",
      "node_modules/x/index.js": "x\n",
      "packages/a/node_modules/y.js": "y\n",
      "dist/a.js": "a\n",
      "go.mod": "module m\n",
      "vendor/lib.go": "package lib\n",
      "services/vendor/model.ts": "export class Vendor {}\n",
      "package-lock.json": "{}\n",
      "jquery.min.js": "x\n",
    });
    const walk = await walkCorpus({ root });
    expect(paths(walk)).toEqual(["go.mod", "services/vendor/model.ts"]);
    expect(reasons(walk)).toEqual({
      ".git/": "builtInFolder",
      "dist/": "builtInFolder",
      "jquery.min.js": "minified",
      "node_modules/": "builtInFolder",
      "package-lock.json": "lockFile",
      "packages/a/node_modules/": "builtInFolder",
      "vendor/": "vendored",
    });
  });

  test("leaves out a Python environment of any name, and so does a change in it", async () => {
    await put({
      "app.py": "a = 1\n",
      "env39/pyvenv.cfg": "home = /usr/bin\n",
      "env39/lib/site.py": "b = 2\n",
    });
    const walk = await walkCorpus({ root });
    expect(paths(walk)).toEqual(["app.py"]);
    expect(reasons(walk)).toEqual({ "env39/": "builtInFolder" });
    for (const path of ["env39/lib/site.py", "env39/pyvenv.cfg"])
      expect((await readCorpusFile({ root, path }))?.excluded?.path).toBe("env39/");
    // Somebody who names such a folder means it.
    expect(paths(await walkCorpus({ root: join(root, "env39") }))).toContain("lib/site.py");
  });

  test.runIf(process.platform === "linux")(
    "says of a name that is no text that it is none",
    async () => {
      await put({ "a.ts": "a\n" });
      await writeFile(
        Buffer.concat([Buffer.from(`${root}/b`), Buffer.from([0xff]), Buffer.from(".ts")]),
        "b\n",
      );
      const walk = await walkCorpus({ root });
      expect(paths(walk)).toEqual(["a.ts"]);
      expect(walk.problems.map((one) => one.message)).toEqual(["its name is not valid UTF-8"]);
    },
  );

  test("lists what a folder that came would add", async () => {
    await put({
      ".gitignore": "*.log\nout/\n",
      "src/a.ts": "a\n",
      "src/deep/b.ts": "b\n",
      "src/deep/c.log": "c\n",
      "out/d.ts": "d\n",
      "node_modules/e/index.js": "e\n",
    });
    expect(await listCorpusFolder({ root, path: "src" })).toEqual(["src/a.ts", "src/deep/b.ts"]);
    expect(await listCorpusFolder({ root, path: "src/deep" })).toEqual(["src/deep/b.ts"]);
    for (const path of ["out", "node_modules", "node_modules/e", "src/a.ts", "missing"])
      expect(await listCorpusFolder({ root, path })).toEqual([]);
  });

  test("keeps bytes as they are: invalid UTF-8, CRLF, a byte order mark", async () => {
    const files = {
      "bom.cs": new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0x0d, 0x0a]),
      "latin.txt": new Uint8Array([0x63, 0x61, 0x66, 0xe9, 0x0a, 0xff, 0xc0, 0x0a]),
    };
    await put(files);
    const walk = await walkCorpus({ root });
    expect(walk.problems).toEqual([]);
    expect(walk.files.map((file) => [...file.bytes])).toEqual(
      Object.values(files).map((bytes) => [...bytes]),
    );
  });

  test("names binary, empty, duplicate and generated files", async () => {
    await put({
      "a.ts": "export const one = 1;\n",
      "b.ts": "export const one = 1;\n",
      "empty.ts": "",
      "image.png": new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0, 1, 2]),
      "noise.bin": Uint8Array.from({ length: 999 }, (_, i) => 1 + ((i * 7919) % 255)),
      "wide.txt": new Uint8Array([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]),
      "api.pb.go": "// Code generated by protoc-gen-go. DO NOT EDIT.\npackage api\n",
      "generator.ts": "// Writes the banner that marks a file as generated.\nexport const x = 2;\n",
      "bundle.js": `var a=${"x+".repeat(3000)}1`,
      "long.json": `{"note": "${"word ".repeat(600)}",\n${'"k": 1,\n'.repeat(100)}"z": 2}\n`,
    });
    const walk = await walkCorpus({ root });
    expect(paths(walk)).toEqual(["a.ts", "generator.ts", "long.json"]);
    expect(reasons(walk)).toEqual({
      "api.pb.go": "generated",
      "b.ts": "duplicate",
      "bundle.js": "minified",
      "empty.ts": "empty",
      "image.png": "binary",
      "noise.bin": "binary",
      "wide.txt": "binary",
    });
    expect(walk.totals.excluded.duplicate).toEqual({ files: 1, bytes: 22 });
    expect(walk.totals.files).toBe(3);
  });

  test("reports a 50 MB file without reading it", async () => {
    await put({ "big.csv": "1,2\n".repeat(20_000), "small.ts": "let a;\n" });
    await truncate(join(root, "big.csv"), 50 * 2 ** 20);
    const started = performance.now();
    const walk = await walkCorpus({ root });
    expect(performance.now() - started).toBeLessThan(500);
    expect(walk.excluded).toEqual([
      {
        path: "big.csv",
        reason: "tooLarge",
        detail: "51,200 KiB, the limit is 1,024 KiB",
        bytes: 50 * 2 ** 20,
      },
    ]);
  });

  test("calls a large picture a picture, not a text that is too large", async () => {
    await put({ "shot.png": Uint8Array.from({ length: 2 ** 20 + 1 }, (_, i) => i % 256) });
    const walk = await walkCorpus({ root });
    expect(walk.excluded).toEqual([
      {
        path: "shot.png",
        reason: "binary",
        detail: "contains NUL bytes",
        bytes: 2 ** 20 + 1,
      },
    ]);
  });

  test("lets data go before code where the whole is too large", async () => {
    await put({
      "engine.c": "int run(void);\n".repeat(40_000),
      "list.c": "int next(void);\n".repeat(20_000),
      "strings.xml": "<data name='a'/>\n".repeat(12_000),
      "notes.md": "word\n".repeat(100),
    });
    const walk = await walkCorpus({ root, maxTotalMiB: 1 });
    expect(paths(walk)).toEqual(["engine.c", "list.c", "notes.md"]);
    expect(reasons(walk)).toEqual({ "strings.xml": "overTotal" });
    // A short note costs nothing beside the code.
    await put({ "more.c": "int more(void);\n".repeat(30_000) });
    expect(paths(await walkCorpus({ root, maxTotalMiB: 1 }))).toEqual([
      "list.c",
      "more.c",
      "notes.md",
    ]);
  });

  test("stops at the total limit and says so", async () => {
    await put({ "a.txt": "a\n".repeat(350_000), "b.txt": "b\n".repeat(350_000), "c.txt": "c\n" });
    const walk = await walkCorpus({ root, maxFileKiB: 1024, maxTotalMiB: 1 });
    expect(paths(walk)).toEqual(["a.txt", "c.txt"]);
    expect(reasons(walk)).toEqual({ "b.txt": "overTotal" });
  });

  test("follows no link, neither out of the root nor in a circle", async () => {
    const outside = await mkdtemp(join(tmpdir(), "outside-"));
    await writeFile(join(outside, "far.ts"), "far\n");
    await put({ "src/a.ts": "a\n" });
    await symlink(outside, join(root, "away"));
    await symlink(join(outside, "far.ts"), join(root, "far.ts"));
    await symlink(root, join(root, "src/loop"));
    const walk = await walkCorpus({ root });
    await rm(outside, { recursive: true });
    expect(paths(walk)).toEqual(["src/a.ts"]);
    expect(reasons(walk)).toEqual({ away: "link", "far.ts": "link", "src/loop": "link" });
  });

  test("turns a file that vanishes into a problem", async () => {
    await put({ "a.ts": "a\n" });
    const walk = await walkCorpus({ root });
    expect(walk.problems).toEqual([]);
    await rm(join(root, "a.ts"));
    expect(await readCorpusFile({ root, path: "a.ts" })).toBeUndefined();
  });

  test("refuses a root that does not exist or is a file", async () => {
    await put({ "a.ts": "a\n" });
    await expect(walkCorpus({ root: join(root, "nowhere") })).rejects.toThrow(
      /there is no folder .*nowhere/,
    );
    await expect(walkCorpus({ root: join(root, "a.ts") })).rejects.toThrow(
      /is a file, not a folder/,
    );
  });

  test("scores everything readable when asked to, in path order", async () => {
    await put({
      "B.ts": "b\n",
      "a.ts": "b\n",
      "a/b.ts": "// @generated\n",
      "a-b.ts": "c\n",
      ".gitignore": "a\n",
      "yarn.lock": "x\n",
      "x.bin": new Uint8Array([0]),
    });
    const walk = await walkCorpus({ root, select: "everything" });
    expect(paths(walk)).toEqual([".gitignore", "B.ts", "a-b.ts", "a.ts", "a/b.ts", "yarn.lock"]);
    expect(reasons(walk)).toEqual({ "x.bin": "binary" });
  });
});

describe("one changed file", () => {
  test("is judged by the same rules as in the walk", async () => {
    await put({
      ".gitignore": "*.log\n",
      "src/a.ts": "a\n",
      "src/b.log": "b\n",
      "node_modules/c.js": "c\n",
      ".env": "KEY=1\n",
    });
    const walk = await walkCorpus({ root });
    expect((await readCorpusFile({ root, path: "src/a.ts" }))?.file?.path).toBe("src/a.ts");
    for (const path of ["src/b.log", "node_modules/c.js", ".env"]) {
      const excluded = (await readCorpusFile({ root, path }))?.excluded;
      expect(walk.excluded).toContainEqual(excluded);
    }
  });
});

describe("dependencies", () => {
  test("are read from package folders and build output, and judged as any file", async () => {
    await put({
      ".gitignore": "node_modules/\n",
      "node_modules/a/dist/index.js": "exports.a = 1;\n",
      "node_modules/a/node_modules/b/index.d.ts": "export const b: number;\n",
      "node_modules/a/.gitignore": "*\n",
      "node_modules/a/.git/config": "[core]\n",
      "node_modules/a/dist/index.min.js": "exports.a=1\n",
      "node_modules/a/.env": "TOKEN=1\n",
      "node_modules/a/tool.bin": new Uint8Array([0, 1, 2]),
    });
    const walk = await walkCorpus({ root: join(root, "node_modules"), select: "dependencies" });
    expect(paths(walk)).toEqual(["a/.gitignore", "a/dist/index.js", "a/node_modules/b/index.d.ts"]);
    expect(reasons(walk)).toMatchObject({
      "a/dist/index.min.js": "minified",
      "a/.env": "secret",
      "a/tool.bin": "binary",
    });
  });
});
