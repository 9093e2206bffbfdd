/**
 * The command line as people run it: the built bundle in its own process. One nano model is trained on the
 * CPU for a few seconds and then evaluated, completed with, queried and broken in every way that is listed.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectRefusal, json, put, runCli, sourceFile, sources, sums } from "../support/cli.ts";
import type { CliResult } from "../support/cli.ts";
import type { EvalResult } from "../../server/cli/evalReport.ts";

let dir: string;
let workspace: string;
let heldout: string;
let model: string;
let trained: CliResult;

const CPU = ["--device", "cpu"];
const FAST = ["--minutes", "0.1", "--seed", "1", "--facts", "off", ...CPU];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "narrowgauge-"));
  workspace = join(dir, "workspace");
  heldout = join(dir, "heldout");
  model = join(dir, "model");
  await put(workspace, {
    ...sources(0, 24),
    ...sums(12),
    "latin.txt": new Uint8Array([0x63, 0x61, 0x66, 0xe9, 0x0a, 0xff, 0xfe, 0x0a]),
    "windows.cs": "\uFEFFclass Crlf {\r\n  int field;\r\n}\r\n",
    "data/huge.csv": "1,2,3\n".repeat(20_000),
    "image.bin": new Uint8Array([0, 1, 2, 3]),
    ".env": "TOKEN=1\n",
  });
  await truncate(join(workspace, "data/huge.csv"), 50 * 2 ** 20);
  await put(heldout, sources(40, 43));
  // So many bytes, not so many seconds: the same model on a busy machine.
  const amount = ["--bytes", "5000", ...FAST.slice(2)];
  trained = await runCli(["train", "--workspace", workspace, "--out", model, ...amount, "--json"]);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("train", () => {
  test("prints one line of JSON with the figures, progress on standard error", () => {
    expect(trained.status, trained.stderr).toBe(0);
    const result = json(trained);
    for (const key of ["params", "bytes", "seconds", "bytes_per_s", "heldout_bpb"])
      expect(result[key], key).toBeTypeOf("number");
    expect(result["device"]).toMatch(/cpu/i);
    expect(result["params"]).toBeGreaterThan(1e5);
    expect(result["heldout_bpb"]).toBeGreaterThan(0);
    expect(result["heldout_bpb"]).toBeLessThan(8);
    expect(trained.stderr).toMatch(/training\s+\d+ %/);
  });

  test("says what it read and what it left out, the 50 MB file among it", () => {
    expect(trained.stderr).toContain("38 files");
    expect(trained.stderr).toContain("data/huge.csv (51,200 KiB, the limit is 1,024 KiB)");
    expect(trained.stderr).toContain(".env (an environment file by its name)");
  });

  test("leaves a complete model and nothing half-written", async () => {
    const names = await readdir(model);
    expect(names).toContain("manifest.json");
    expect(names.filter((name) => /\.(new|partial|tmp)$/.test(name))).toEqual([]);
    expect((await readdir(dir)).sort()).toEqual(["heldout", "model", "workspace"]);
  });

  test("works on one tiny file and says that memory does the work", async () => {
    const tiny = join(dir, "tiny");
    await put(tiny, { "a.ts": "export const answer = 42;\n" });
    const out = join(dir, "tiny-model");
    const result = await runCli(["train", "--workspace", tiny, "--out", out, ...FAST, "--json"]);
    expect(result.status, result.stderr).toBe(0);
    expect(json(result)["heldout_bpb"]).toBeNull();
    expect(result.stderr).toMatch(/one file only.*memory/);
  });

  test("keeps its checkpoint when it is interrupted, and resumes from it", async () => {
    const out = join(dir, "interrupted");
    let sent = 0;
    const stopped = await runCli(
      [
        "train",
        "--workspace",
        workspace,
        "--out",
        out,
        "--minutes",
        "5",
        "--seed",
        "1",
        "--facts",
        "off",
        ...CPU,
        "--json",
      ],
      {
        onStderr: (text, kill) => {
          if (/training\s+\d+ %/.test(text) && sent++ === 0)
            setTimeout(() => kill("SIGINT"), 2_000);
        },
      },
    );
    expect(stopped).toMatchObject({ status: 0, signal: null });
    expect(json(stopped)["stopped"]).toBe("aborted");
    expect(await readdir(out)).toContain("manifest.json");
    const resumed = await runCli([
      "train",
      "--workspace",
      workspace,
      "--out",
      out,
      ...FAST,
      "--resume",
      "--json",
    ]);
    expect(resumed.status, resumed.stderr).toBe(0);
  });

  test.each([
    ["no such folder", "nowhere", /there is no folder .*nowhere/],
    ["an empty folder", "empty", /there is nothing to learn from in .*empty: the folder is empty/],
    ["binary files only", "binary", /there is nothing to learn from in .*binary: 2 binary/],
  ])("refuses %s", async (_, name, message) => {
    await mkdir(join(dir, "empty"), { recursive: true });
    await put(join(dir, "binary"), { "a.bin": new Uint8Array(9), "b/c.bin": new Uint8Array(5) });
    const out = join(dir, `out-${name}`);
    const result = await runCli(["train", "--workspace", join(dir, name), "--out", out, ...FAST]);
    expectRefusal(result, 1, message);
    expect(await readdir(dir)).not.toContain(`out-${name}`);
  });

  test("refuses an unknown preset with status 2", async () => {
    const result = await runCli([
      "train",
      "--workspace",
      workspace,
      "--out",
      join(dir, "x"),
      "--preset",
      "huge",
    ]);
    expectRefusal(result, 2, /--preset cannot be "huge"/);
  });

  test("refuses the GPU where there is none, and leaves no folder", async () => {
    const result = await runCli(
      [
        "train",
        "--workspace",
        workspace,
        "--out",
        join(dir, "gpu"),
        "--device",
        "gpu",
        "--minutes",
        "0.05",
        "--facts",
        "off",
      ],
      { env: { NARROWGAUGE_DAWN_NODE: join(dir, "no", "dawn.node") } },
    );
    expectRefusal(result, 1, /gpu|dawn/i);
    expect(await readdir(dir)).not.toContain("gpu");
  });

  test("on a full disk says so and keeps the older model as it was", async () => {
    const copy = join(dir, "full");
    await cp(model, copy, { recursive: true });
    const before = await readFile(join(copy, "manifest.json"), "utf8");
    // Files may not grow beyond 256 KiB: the weights of another seed do not fit.
    const result = await runCli(
      ["train", "--workspace", workspace, "--out", copy, ...FAST.with(3, "2")],
      {
        before: "ulimit -f 256",
      },
    );
    expectRefusal(result, 1, /could not be saved|larger than this system allows/);
    expect(await readFile(join(copy, "manifest.json"), "utf8")).toBe(before);
    const eval1 = await runCli([
      "eval",
      "--model",
      copy,
      "--files",
      heldout,
      "--lines",
      "0",
      ...CPU,
      "--json",
    ]);
    expect(eval1.status, eval1.stderr).toBe(0);
    expect(
      (await readdir(dir)).filter((name) => name.startsWith("full") && name !== "full"),
    ).toEqual([]);
  });
});

describe("eval", () => {
  /** Without completions, unless they are asked for. */
  const evaluate = (files: string, ...more: string[]): Promise<CliResult> => {
    const counts = ["--lines", "--identifiers", "--typed-lines"];
    const none = counts.filter((flag) => !more.includes(flag)).flatMap((flag) => [flag, "0"]);
    return runCli(["eval", "--model", model, "--files", files, "--json", ...CPU, ...none, ...more]);
  };

  test("gives every figure, and per byte what they are made of", async () => {
    const perByte = join(dir, "bits.f32");
    const result = await evaluate(heldout, "--per-byte", perByte, "--lines", "8");
    expect(result.status, result.stderr).toBe(0);
    const figures = json(result);
    for (const key of [
      "bytes",
      "bpb",
      "bpb_network",
      "bpb_memory",
      "line_exact_match",
      "identifier_top1",
    ])
      expect(figures[key], key).toBeTypeOf("number");
    const index = JSON.parse(await readFile(`${perByte}.json`, "utf8")) as {
      files: { path: string; offset: number; length: number }[];
    };
    expect(index.files.map((file) => file.path)).toEqual(
      [...index.files.map((file) => file.path)].sort(),
    );
    const raw = await readFile(perByte);
    const bits = new Float32Array(
      raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength),
    );
    expect(bits.length).toBe(figures["bytes"]);
    const last = index.files.at(-1)!;
    expect(last.offset + last.length).toBe(bits.length);
    const mean = bits.reduce((sum, value) => sum + value, 0) / bits.length;
    expect(mean).toBeCloseTo(figures["bpb"] as number, 4);
    expect(bits.every((value) => value >= 0 && Number.isFinite(value))).toBe(true);
  });

  test("gives completions, identifiers and typing their own figures, and baselines beside them", async () => {
    const bytegpt = join(dir, "bytegpt.out");
    await writeFile(bytegpt, '{"params": 10, "heldout_bpb": 0.7}\n');
    const small = ["--lines", "4", "--identifiers", "3", "--typed-lines", "1"];
    const more = ["--baselines", "--bytegpt", bytegpt];
    const result = await evaluate(heldout, ...small, ...more);
    expect(result.status, result.stderr).toBe(0);
    const figures = json(result) as unknown as EvalResult;
    const classes = Object.values(figures.bpb_by_class);
    expect(classes.reduce((sum, c) => sum + c.bytes, 0)).toBe(figures.bytes);
    expect(classes.reduce((sum, c) => sum + c.bpb * c.bytes, 0) / figures.bytes).toBeCloseTo(
      figures.bpb!,
      4,
    );
    expect(figures.line_completion).toMatchObject({ lines: 4, exact: figures.line_exact_match });
    expect(figures.line_completion!.ms_p95).toBeGreaterThan(0);
    expect(figures.identifier_completion!.typed.map(({ typed }) => typed)).toEqual([0, 1, 2]);
    for (const one of figures.identifier_completion!.typed) {
      expect(one.top5).toBeGreaterThanOrEqual(one.top1!);
      expect(one.top1_without_candidates).toBeTypeOf("number");
    }
    expect(figures.candidates).toMatchObject({ used: true, lexicon_names: 0 });
    expect(figures.typing).toMatchObject({ lines: 1, min_confidence: 0.5 });
    expect(figures.typing!.keys).toBeLessThanOrEqual(figures.typing!.characters);
    expect(figures.baselines!.suffix_copy.lines).toBe(4);
    expect(figures.baselines!.count_model.lines).toBe(4);
    expect(Object.keys(figures.baselines!.compressors)).toEqual(["xz", "zpaq"]);
    expect(figures.baselines!.bytegpt).toEqual({ params: 10, heldout_bpb: 0.7 });
    expectRefusal(await evaluate(heldout, "--bytegpt", bytegpt), 2, /--bytegpt is a baseline/);
  });

  test("does not let the end of a file change what stands before it", async () => {
    const whole = sourceFile(41);
    const cut = whole.indexOf("decodePayload") + 5;
    const rest: Float32Array[] = [];
    for (const [name, text] of [
      ["whole", whole],
      ["cut", whole.slice(0, cut)],
    ] as const) {
      const folder = join(dir, `leak-${name}`);
      await put(folder, { "src/handler41.ts": text });
      const perByte = join(dir, `leak-${name}.f32`);
      expect((await evaluate(folder, "--per-byte", perByte)).status).toBe(0);
      const raw = await readFile(perByte);
      rest.push(
        new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength)),
      );
    }
    expect([...rest[0]!.subarray(0, cut)]).toEqual([...rest[1]!]);
  });

  test("switches memory and network off, but not both", async () => {
    const noMemory = json(await evaluate(heldout, "--memory", "off"));
    expect(noMemory["bpb"]).toBeCloseTo(noMemory["bpb_network"] as number, 5);
    const noNetwork = json(await evaluate(heldout, "--network", "off"));
    expect(noNetwork["bpb"]).toBeCloseTo(noNetwork["bpb_memory"] as number, 5);
    expectRefusal(await evaluate(heldout, "--memory", "off", "--network", "off"), 2, /both off/);
  });

  test("absorbs each scored file in a session, which helps with the next", async () => {
    const alike = join(dir, "alike");
    const unusual = `const ${"zygotene"} = "${"pachytene diplotene diakinesis "}";\n`.repeat(3);
    await put(alike, { "a.txt": unusual, "b.txt": unusual });
    const alone = json(await evaluate(alike));
    const session = json(await evaluate(alike, "--session"));
    expect(session["bpb"]).toBeLessThan(alone["bpb"] as number);
  });

  test.each([
    ["no such folder", "nowhere", /there is no folder/],
    ["binary files only", "binary", /there is nothing to score in .*2 binary/],
  ])("refuses %s", async (_, name, message) => {
    await put(join(dir, "binary"), { "a.bin": new Uint8Array(9), "b/c.bin": new Uint8Array(5) });
    const result = await runCli(["eval", "--model", model, "--files", join(dir, name), ...CPU]);
    expectRefusal(result, 1, message);
  });
});

describe("ablate", () => {
  test("trains and measures every row, and does nothing twice", async () => {
    const table = join(dir, "table.json");
    const out = join(dir, "ablation");
    const rows = [
      { name: "as it is" },
      { name: "network alone", memory: "off" },
      { name: "plain", set: { residual: "plain", trunkLayers: 1 } },
    ];
    await writeFile(table, JSON.stringify({ name: "small", rows }));
    const ablate = (...more: string[]): Promise<CliResult> =>
      runCli([
        ...["ablate", "--table", table, "--repos", workspace, "--out", out, "--bytes", "8192"],
        ...["--measured", "1000", "--facts", "off", "--json", ...CPU, ...more],
      ]);
    const first = await ablate("--seeds", "1");
    expect(first.status, first.stderr).toBe(0);
    interface Result {
      medians: { row: string; seeds: number; bpb: number; bpb_network: number; params: number }[];
      runs: { seed: number; bpb: number }[];
    }
    const { medians, runs } = json(first) as unknown as Result;
    expect(medians.map(({ row, seeds }) => [row, seeds])).toEqual(rows.map(({ name }) => [name, 1])); // prettier-ignore
    // The first two are one training, measured twice.
    expect(medians[1]!.bpb).toBeCloseTo(medians[0]!.bpb_network, 5);
    expect(medians[2]!.params).toBeLessThan(medians[0]!.params);
    expect((await readdir(out)).sort()).toEqual(["runs.jsonl", "small.json", "small.md"]);
    expect(await readFile(join(out, "small.md"), "utf8")).toContain("| plain | 1 |");

    const again = await ablate("--seeds", "1");
    expect(again.stderr).not.toMatch(/training/);
    expect(json(again)["runs"]).toEqual(runs);
    // One run is lost: it alone is made again.
    const journal = await readFile(join(out, "runs.jsonl"), "utf8");
    const lines = journal.trimEnd().split("\n");
    await writeFile(join(out, "runs.jsonl"), `${lines.slice(0, -1).join("\n")}\n`);
    const resumed = json(await ablate("--seeds", "1")) as unknown as Result;
    expect(resumed.runs.slice(0, 2)).toEqual(runs.slice(0, 2));
    // The memory is calibrated for as long as it may take, so a repetition is near and not the same.
    expect(resumed.runs[2]!.bpb).toBeCloseTo(runs[2]!.bpb, 3);
  });

  test("refuses a table with a wrong name before anything is trained", async () => {
    const table = join(dir, "wrong.json");
    const rows = [{ name: "a" }, { name: "b", set: { attention: "none" } }];
    await writeFile(table, JSON.stringify({ name: "wrong", rows }));
    const out = join(dir, "no-ablation");
    const argv = ["ablate", "--table", table, "--repos", workspace, "--out", out, "--bytes", "1e4"];
    expectRefusal(await runCli([...argv, ...CPU]), 1, /there is no attention "none"/);
    expect(await readdir(dir)).not.toContain("no-ablation");
  });
});

describe("complete", () => {
  test("continues the file at the offset", async () => {
    const file = join(heldout, "src/handler41.ts");
    const text = await readFile(file, "utf8");
    const offset = text.indexOf("decodePayload") + 3;
    const result = await runCli([
      "complete",
      "--model",
      model,
      "--file",
      file,
      "--offset",
      String(offset),
      "--workspace",
      heldout,
      ...CPU,
      "--json",
    ]);
    expect(result.status, result.stderr).toBe(0);
    const answer = json(result);
    expect(Object.keys(answer).sort()).toEqual(["confidence", "ms", "text"]);
    expect(answer["text"]).toBeTypeOf("string");
    expect(answer["text"]).not.toContain("\n");
    expect(answer["confidence"]).toBeGreaterThanOrEqual(0);
    expect(answer["confidence"]).toBeLessThanOrEqual(1);
  });

  test("refuses a missing file, and an offset behind the end", async () => {
    const missing = await runCli([
      "complete",
      "--model",
      model,
      "--file",
      join(dir, "no.ts"),
      "--offset",
      "0",
      ...CPU,
    ]);
    expectRefusal(missing, 1, /there is no file .*no\.ts/);
    const file = join(heldout, "src/handler41.ts");
    const behind = await runCli([
      "complete",
      "--model",
      model,
      "--file",
      file,
      "--offset",
      "999999",
      ...CPU,
    ]);
    expectRefusal(behind, 2, /--offset 999999 is behind the end of the file/);
  });
});

describe("query", () => {
  test("answers an identifier with its definition first", async () => {
    const result = await runCli([
      "query",
      "--model",
      model,
      "Handler7",
      "--limit",
      "3",
      ...CPU,
      "--json",
    ]);
    expect(result.status, result.stderr).toBe(0);
    const answers = json(result) as unknown as Record<string, unknown>[];
    expect(answers.length).toBeLessThanOrEqual(3);
    expect(Object.keys(answers[0]!).sort()).toEqual([
      "endLine",
      "path",
      "score",
      "startLine",
      "why",
    ]);
    expect(answers[0]).toMatchObject({ path: "src/handler7.ts", startLine: 4 });
    expect(answers[0]!["why"]).toContain("definition of class Handler7");
  });

  test("answers a sentence for people too", async () => {
    const result = await runCli([
      "query",
      "--model",
      model,
      "decode the payload of a message",
      ...CPU,
    ]);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toMatch(/src\/handler\d+\.ts:\d+-\d+ {2}“decode”/);
  });
});

describe("a model that cannot be used", () => {
  const every = (folder: string): string[][] => [
    ["eval", "--model", folder, "--files", heldout, ...CPU],
    ["query", "--model", folder, "Handler7", ...CPU],
    [
      "complete",
      "--model",
      folder,
      "--file",
      join(heldout, "src/handler41.ts"),
      "--offset",
      "5",
      ...CPU,
    ],
  ];

  test("because it is not there is named", async () => {
    for (const argv of [...every(join(dir, "none")), ["info", "--model", join(dir, "none")]])
      expectRefusal(await runCli(argv), 1, /there is no model in .*none/);
  });

  test("because a file of it is damaged is named, and stays as it is", async () => {
    const broken = join(dir, "broken");
    await cp(model, broken, { recursive: true });
    const names = await readdir(broken);
    for (const part of ["weights", "memory"]) {
      const name = names.find((one) => one.startsWith(part))!;
      const bytes = await readFile(join(broken, name));
      await writeFile(join(broken, name), bytes.subarray(0, bytes.length - 100));
      for (const argv of part === "weights" ? every(broken) : every(broken).slice(0, 1))
        expectRefusal(await runCli(argv), 1, new RegExp(`${part}.*(damaged|bytes)`));
      const flipped = Buffer.from(bytes);
      flipped[bytes.length >> 1]! ^= 0xff;
      await writeFile(join(broken, name), flipped);
      expectRefusal(await runCli(every(broken)[0]!), 1, new RegExp(`${part}.*damaged`));
      await writeFile(join(broken, name), bytes);
    }
    await writeFile(join(broken, "manifest.json"), "{");
    for (const argv of [...every(broken), ["info", "--model", broken]])
      expectRefusal(await runCli(argv), 1, /manifest\.json/);
  });

  test("because another version wrote it is named", async () => {
    const other = join(dir, "other");
    await cp(model, other, { recursive: true });
    const manifest = JSON.parse(await readFile(join(other, "manifest.json"), "utf8")) as Record<
      string,
      unknown
    >;
    await writeFile(join(other, "manifest.json"), JSON.stringify({ ...manifest, version: 9999 }));
    expectRefusal(await runCli(every(other)[0]!), 1, /version|9999/);
  });
});

describe("info and bench", () => {
  test("info shows what the model is", async () => {
    const result = json(await runCli(["info", "--model", model, "--json"]));
    expect(result["bytes"]).toBeGreaterThan(1e5);
    expect(result["manifest"]).toBeTypeOf("object");
  });

  test("bench says at once where there is nothing to tune or to measure with", async () => {
    expectRefusal(await runCli(["bench", ...CPU, "--tune"]), 1, /cannot time its matrix products/);
    const empty = join(dir, "empty for bench");
    await mkdir(empty);
    const args = ["bench", ...CPU, "--workspace", empty];
    expectRefusal(await runCli(args), 1, /nothing to measure with/);
  });

  test("bench measures operations on the CPU", async () => {
    const result = await runCli(["bench", ...CPU, "--json"]);
    expect(result.status, result.stderr).toBe(0);
    const { ops } = json(result) as unknown as { ops: unknown[] };
    expect(ops.length).toBeGreaterThan(0);
  });
});
