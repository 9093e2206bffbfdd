/** One command line from words to exit status, without a process: streams and signal are handed in. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { saveModel } from "../../model/checkpoint.ts";
import { PRESETS } from "../../model/config.ts";
import { factsReport } from "../../server/cli/factsReport.ts";
import type { LanguageReport } from "../../server/facts/collect.ts";
import { runCommandLine } from "../../server/cli/commandLine.ts";
import { explain } from "../../server/cli/explain.ts";
import { bpb, clock, ProgressLine, rate, size } from "../../server/cli/terminal.ts";
import type { Terminal } from "../../server/cli/terminal.ts";
import { lively, saveTiny } from "../support/savedModel.ts";
import { tinyConfig } from "../support/tinyModel.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "cli-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function fakeTerminal(o: { isTty?: true } = {}): Terminal & { stdout: string; stderr: string } {
  const terminal = {
    stdout: "",
    stderr: "",
    out: (line: string) => void (terminal.stdout += `${line}\n`),
    err: (text: string) => void (terminal.stderr += text),
    isTty: o.isTty === true,
    columns: 80,
    signal: new AbortController().signal,
    debug: false,
  };
  return terminal;
}

async function run(...argv: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const terminal = fakeTerminal();
  const status = await runCommandLine(argv, terminal);
  return { status, stdout: terminal.stdout, stderr: terminal.stderr };
}

describe("the command line", () => {
  test("without a command shows what there is, with status 2", async () => {
    const result = await run();
    expect(result.status).toBe(2);
    for (const name of [
      "train",
      "consolidate",
      "eval",
      "ablate",
      "complete",
      "query",
      "info",
      "export",
      "import",
      "bench",
    ])
      expect(result.stderr).toContain(`  ${name}`);
  });

  test("shows help on standard output, with status 0", async () => {
    expect((await run("--help")).stdout).toContain("usage: narrowgauge <command>");
    const help = await run("train", "--help");
    expect(help).toMatchObject({ status: 0, stderr: "" });
    for (const flag of [
      "workspace",
      "out",
      "preset",
      "bytes",
      "minutes",
      "seed",
      "device",
      "facts",
      "resume",
      "json",
    ])
      expect(help.stdout).toContain(`--${flag}`);
  });

  test.each([
    [["trian"], "narrowgauge: there is no command trian\nhint: did you mean train?\n"],
    [
      ["--json"],
      "narrowgauge: the first word must be a command, not --json\nhint: choose one of train, consolidate, eval, ablate, complete, query, info, export, import, bench\n",
    ],
    [
      ["train", "--out", "m"],
      'narrowgauge: train needs --workspace DIR\nhint: run "narrowgauge train --help" for all flags\n',
    ],
    [
      ["train", "--workspace", ".", "--out", "m", "--preset", "huge"],
      'narrowgauge: --preset cannot be "huge"\nhint: choose one of auto, nano, small, base\n',
    ],
    [
      ["train", "--workspace", ".", "--out", "m", "--bytes", "1", "--minutes", "1"],
      "narrowgauge: --bytes and --minutes exclude each other\nhint: give one of them\n",
    ],
    [
      ["eval", "--model", "m", "--files", ".", "--memory", "off", "--network", "off"],
      "narrowgauge: memory and network are both off\nhint: leave at least one of them on\n",
    ],
    [
      ["query", "--model", "m", " "],
      "narrowgauge: the question is empty\nhint: write a name or a few words\n",
    ],
  ])("%j ends with status 2", async (argv, stderr) => {
    expect(await run(...argv)).toEqual({ status: 2, stdout: "", stderr });
  });
});

describe("training refuses", () => {
  test("a folder that does not exist", async () => {
    const result = await run("train", "--workspace", join(dir, "none"), "--out", join(dir, "m"));
    expect(result).toMatchObject({ status: 1, stdout: "" });
    expect(result.stderr).toContain(`there is no folder ${join(dir, "none")}`);
  });

  test("an empty folder, and one of binary files only, saying which", async () => {
    expect((await run("train", "--workspace", dir, "--out", join(dir, "m"))).stderr).toContain(
      "the folder is empty",
    );
    await writeFile(join(dir, "a.bin"), new Uint8Array([0, 1, 2]));
    const result = await run("train", "--workspace", dir, "--out", join(dir, "m"));
    expect(result.status).toBe(1);
    expect(result.stderr).toContain("there is nothing to learn from");
    expect(result.stderr).toContain("1 binary");
  });

  test("to write a model among other files, or to resume nothing", async () => {
    await writeFile(join(dir, "a.ts"), "export const a = 1;\n");
    await mkdir(join(dir, "notes"));
    await writeFile(join(dir, "notes", "todo.txt"), "buy milk\n");
    const mixed = await run("train", "--workspace", dir, "--out", join(dir, "notes"));
    expect(mixed).toMatchObject({ status: 1 });
    expect(mixed.stderr).toContain("holds other files and no model");
    const file = await run("train", "--workspace", dir, "--out", join(dir, "a.ts"));
    expect(file.stderr).toContain("is a file, a model is a folder");
    const resume = await run("train", "--workspace", dir, "--out", join(dir, "m"), "--resume");
    expect(resume.stderr).toContain("there is no model in");
    expect(resume.status).toBe(1);
  });
});

describe("info", () => {
  test("shows the manifest and the sizes", async () => {
    saveModel(
      dir,
      {
        config: PRESETS.nano,
        params: 12,
        seed: 1,
        step: 3,
        steps: 4,
        bytesSeen: 100,
        seconds: 2,
        finished: true,
        device: "cpu",
        saw: { files: 2, bytes: 50, heldout: ["b.ts"], corpusHash: "00" },
        heldout: { bpb: 1.5, network: 2, memory: 3 },
        mixer: null,
      },
      { "weights.safetensors": new Uint8Array(1500) },
    );
    const result = await run("info", "--model", dir, "--json");
    const { manifest, files } = JSON.parse(result.stdout) as {
      manifest: Record<string, unknown>;
      files: { name: string; bytes: number }[];
    };
    expect(manifest).toMatchObject({ format: "narrowgauge", params: 12, heldout: { bpb: 1.5 } });
    expect(files.map((file) => file.bytes)).toContain(1500);
    const shown = (await run("info", "--model", dir)).stdout;
    expect(shown).toContain("1.5 kB");
    expect(shown).toMatch(/^attention +tau$/m);
  });

  test("says that there is no model, or that its manifest is damaged", async () => {
    const missing = await run("info", "--model", dir);
    expect(missing).toMatchObject({ status: 1, stdout: "" });
    expect(missing.stderr).toMatch(/^narrowgauge: there is no model in .*\nhint: .*\n$/);
    await writeFile(join(dir, "manifest.json"), '{"version": 1,');
    expect((await run("info", "--model", dir)).stderr).toMatch(/manifest\.json is damaged/);
  });
});

describe("failures", () => {
  test("of the disk are named wherever they are in the chain of causes", () => {
    const disk = Object.assign(new Error("ENOSPC: no space left"), {
      code: "ENOSPC",
      path: "/m/w",
    });
    const wrapped = new Error("cannot save", { cause: new Error("write", { cause: disk }) });
    expect(explain(wrapped)).toEqual({
      message: "the disk is full: /m/w",
      hint: "free some space, or choose another folder for the result",
      status: 1,
    });
  });

  test("by Ctrl+C are no surprise", () => {
    expect(explain(AbortSignal.abort().reason).message).toBe("stopped before it was done");
  });

  test("that nobody foresaw keep their message", () => {
    expect(explain(new TypeError("x is not a function")).message).toBe(
      "unexpected: x is not a function",
    );
    expect(explain("odd").message).toBe("unexpected: odd");
  });
});

describe("progress", () => {
  const point = {
    phase: "training" as const,
    step: 5,
    steps: 10,
    bytes: 500_000,
    totalBytes: 1_000_000,
    seconds: 62,
    secondsLeft: 62,
    loss: 2.3456,
    heldoutBpb: 2.5,
    bytesPerSecond: 1_234_567,
    device: "cpu",
  };

  test("is one line that is rewritten on a terminal", () => {
    const terminal = fakeTerminal({ isTty: true });
    const line = new ProgressLine(terminal);
    line.update(point);
    line.close();
    expect(terminal.stderr).toBe(
      "\r\x1b[Ktraining   [####....]  50 %  1.23 MB/s  loss 2.346  held out 2.500  1:02 left\n",
    );
  });

  test("is a plain line now and then elsewhere", () => {
    const terminal = fakeTerminal();
    const line = new ProgressLine(terminal);
    for (let i = 0; i < 50; i++) line.update({ ...point, bytes: 500_000 + i });
    line.close();
    expect(terminal.stderr).toBe(
      "training 50 %  1.23 MB/s  loss 2.346  held out 2.500  1:02 left\n",
    );
  });

  test("tells sizes, rates and times as people do", () => {
    expect([size(999), size(1500), size(39e6), size(2.5e9)]).toEqual([
      "999 B",
      "1.5 kB",
      "39.00 MB",
      "2.50 GB",
    ]);
    expect(rate(820_000)).toBe("820.0 kB/s");
    expect([clock(5), clock(65), clock(3_725)]).toEqual(["0:05", "1:05", "1:02:05"]);
    expect([bpb(null), bpb(0.69512)]).toEqual(["not measured", "0.6951 bpb"]);
  });
});

describe("the report on facts", () => {
  test("has a line for each language that somebody knows, and one for those that nobody knows", () => {
    const of = (languageId: string, source: string, files: number, why = ""): LanguageReport => ({
      languageId,
      source,
      files,
      answered: source === "none" ? 0 : files - 1,
      ms: 1234,
      asked: 0,
      resolved: 0,
      why,
    });
    expect(
      factsReport([
        of("python", "tree-sitter", 3, "no language server is installed"),
        of("lua", "none", 1200, "no language server is installed"),
        of("elixir", "none", 2, "neither is known"),
        of("nim", "none", 1, "neither is known"),
      ]),
    ).toBe(
      [
        "facts: python from tree-sitter, 2 of 3 files, 1.2 s (no language server is installed)",
        "facts: none for lua, 1,200 files (no language server is installed)",
        "facts: none for elixir, nim, 3 files (neither is known)",
        "",
      ].join("\n"),
    );
    expect(factsReport([])).toBe("");
  });
});

describe("export and import", () => {
  const model = (): string => {
    const config = tinyConfig();
    saveTiny(join(dir, "model"), config, lively(config));
    return join(dir, "model");
  };

  test("write a folder for PyTorch and bring its weights back", async () => {
    const out = join(dir, "torch");
    const flags = ["--model", model(), "--format", "pytorch", "--out", out, "--device", "cpu"];
    const result = await run("export", ...flags);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect((await readdir(out)).sort()).toEqual([
      "check.safetensors",
      "config.json",
      "model.py",
      "train.py",
      "weights.safetensors",
    ]);
    expect((await readdir(dir)).sort()).toEqual(["model", "torch"]);
    const again = await run("export", ...flags);
    expect(again).toMatchObject({ status: 1, stdout: "" });
    expect(again.stderr).toContain("torch is not empty");
    const weights = join(out, "weights.safetensors");
    const back = await run("import", "--model", model(), "--weights", weights, "--json");
    expect(back, back.stderr).toMatchObject({ status: 0 });
    expect(JSON.parse(back.stdout)).toMatchObject({ out: join(dir, "model") });
  });

  test("refuse in one sentence with a hint", async () => {
    const result = await run("import", "--model", model(), "--weights", join(dir, "none"));
    expect(result).toMatchObject({ status: 1, stdout: "" });
    expect(result.stderr).toMatch(/^narrowgauge: .*none cannot be read.*\nhint: [^\n]+\n$/);
  });
});
