/**
 * The main job in the real editor, with the packaged extension: say yes, watch a model of this
 * workspace being trained, take its completions, ask it where things are. One workbench, steps in
 * order; the first step that fails fails the rest.
 * The workspace is a copy of this repository's own sources, or the folder in NARROWGAUGE_TEST_WORKSPACE.
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Editor, foreignSockets, installedFolder, until } from "./editor.ts";
import { frequentLine, identifierOf, type Question } from "./questions.ts";
import { Workbench } from "./workbench.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const scratch = join(root, ".cache", "e2e");
const workspace = join(scratch, "workspace");
const networkLog = join(scratch, "network.jsonl");
const screenshots = join(root, "test", "e2e", "screenshots");
const entry = process.env["NARROWGAUGE_TEST_EDITOR"];
const vsix = readdirSync(root).find((name) => /^narrowgauge-linux-x64-.*\.vsix$/.test(name));

const trainingMinutes = Number(process.env["NARROWGAUGE_TEST_MINUTES"] ?? "0.75");
const trainingTimeoutMs = trainingMinutes * 60_000 + 180_000;

/** Programs of ours, as their command lines show them. */
const ours = /narrowgauge[^ ]*\/dist\/(server|model|cpuWorker|memoryWorker|mixerWorker)\.mjs/;

function makeWorkspace(): void {
  rmSync(workspace, { recursive: true, force: true });
  mkdirSync(workspace, { recursive: true });
  const given = process.env["NARROWGAUGE_TEST_WORKSPACE"];
  if (given) {
    cpSync(given, workspace, { recursive: true });
    return;
  }
  for (const folder of ["extension", "server", "model"])
    cpSync(join(root, folder), join(workspace, folder), {
      recursive: true,
      filter: (path) => statSync(path).isDirectory() || path.endsWith(".ts"),
    });
}

interface NetworkLine {
  readonly pid: number;
  readonly program: string;
  readonly event: "start" | "connect" | "listen" | "send" | "lookup";
  readonly host?: string;
  readonly stack?: string;
}

function networkLines(): NetworkLine[] {
  return readFileSync(networkLog, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as NetworkLine);
}

describe.skipIf(!entry)("Narrowgauge in the editor", () => {
  let editor: Editor;
  let workbench: Workbench;
  let question: Question;
  const sockets = new Set<string>();
  let watch: NodeJS.Timeout;

  beforeAll(async () => {
    if (!vsix) throw new Error("there is no linux-x64 VSIX: run npm run package first");
    makeWorkspace();
    question = frequentLine(workspace);
    editor = await Editor.start({
      entry: entry!,
      vsix: join(root, vsix),
      folder: join(scratch, "editor"),
      settings: {
        "narrowgauge.training.budgetMinutes": trainingMinutes,
        "narrowgauge.completion.deadlineMs": 5000,
        "narrowgauge.completion.minConfidence": 0,
        "narrowgauge.model.preset": "nano",
      },
      networkLog,
    });
    watch = setInterval(() => {
      for (const { pid, command } of editor.processes())
        if (ours.test(command))
          for (const socket of foreignSockets(pid)) sockets.add(`${command}: ${socket}`);
    }, 1000);
    workbench = await Workbench.open({ url: editor.url, folder: workspace, screenshots });
    await workbench.trust();
  });

  afterAll(async () => {
    clearInterval(watch);
    await workbench?.screenshot("last");
    await workbench?.close();
    await editor?.stop();
  });

  test("brings a Node that can be executed", () => {
    const folder = join(editor.extensions, installedFolder(editor.extensions));
    const run = spawnSync(join(folder, "dist", "node", "node.shipped"), ["--version"], {
      encoding: "utf8",
    });
    expect(run.stdout).toMatch(/^v24\./);
  });

  test("shows its state in the status bar", async () => {
    await workbench.statusItem(/Narrowgauge/).waitFor({ timeout: 60_000 });
    await workbench.screenshot("status");
  });

  test("asks before it reads the workspace, and says what it would read", async () => {
    // A file is open, so that the training view goes beside it; the file list makes room.
    await workbench.openFile(question.file);
    await workbench.page.keyboard.press("Control+B");
    await workbench.command("Narrowgauge: Train on This Workspace");
    const dialog = workbench.page.locator(".monaco-dialog-box");
    await dialog.waitFor({ timeout: 60_000 });
    await workbench.screenshot("consent");
    expect(await dialog.innerText()).toMatch(/\d+ files/);
    await dialog.getByRole("button", { name: /^Train/ }).click();
  });

  test("draws the loss while it trains", async () => {
    const view = workbench.webview;
    await view.locator("#chart canvas").waitFor({ timeout: 180_000 });
    const curve = () => view.locator("#chart").getAttribute("aria-label");
    const before = await curve();
    await until("the curve moves", trainingTimeoutMs, async () => (await curve()) !== before);
    expect(Number(await view.locator("#loss").innerText())).toBeGreaterThan(0);
    await workbench.screenshot("training");
  });

  test("comes to an end and is ready", async () => {
    await workbench.statusItem(/ready/i).waitFor({ timeout: trainingTimeoutMs });
    await workbench.screenshot("trained");
  });

  test("suggests the rest of a line that this workspace often has, and Tab takes it", async () => {
    await workbench.toEnd();
    await workbench.page.keyboard.press("Enter");
    await workbench.page.keyboard.type(question.typed, { delay: 25 });
    const ghost = await workbench.waitForGhostText(30_000);
    await workbench.screenshot("ghost");
    if (process.env["NARROWGAUGE_TEST_SCREENSHOT"])
      await workbench.screenshot(join(root, "media", "screenshot.png"));
    await workbench.page.keyboard.press("Tab");
    // The grey text is part of the lines on the screen, so what counts is what gets saved.
    await workbench.page.keyboard.press("Control+S");
    const saved = () => readFileSync(join(workspace, question.file), "utf8");
    await until("the suggestion is in the saved file", 10_000, () =>
      saved().includes(question.typed + ghost),
    );
    expect(question.known).toContain(question.typed + ghost.trimEnd());
    await workbench.screenshot("accepted");
  });

  /** Asks, waits for a first answer of the wanted kind, opens it with Enter. */
  async function askAndOpen(words: string, o: { wanted: RegExp; screenshot: string }) {
    await workbench.command("Narrowgauge: Query Codebase");
    await workbench.quickInput.fill(words);
    const first = workbench.quickRows.first();
    const text = () => first.innerText().catch(() => "");
    await until(`the first answer matches ${String(o.wanted)}`, 60_000, async () =>
      o.wanted.test(await text()),
    );
    await workbench.screenshot(o.screenshot);
    const [, path, line] = /([\w./-]+):(\d+)/.exec(await text())!;
    await workbench.page.keyboard.press("Enter");
    await workbench.shownTab(path!.split("/").at(-1)!).waitFor({ timeout: 20_000 });
    await workbench.statusItem(new RegExp(`^Ln ${line}, Col`)).waitFor({ timeout: 10_000 });
  }

  test("answers an identifier with its definition first, and Enter opens it", async () => {
    const identifier = process.env["NARROWGAUGE_TEST_IDENTIFIER"] ?? identifierOf(workspace);
    await askAndOpen(identifier, { wanted: /definition/i, screenshot: "query-identifier" });
    expect((await workbench.lines()).some((line) => line.includes(identifier))).toBe(true);
  });

  test("answers a sentence with places, and Enter opens one", async () => {
    const sentence =
      process.env["NARROWGAUGE_TEST_SENTENCE"] ?? "leave out files that hold secrets";
    await askAndOpen(sentence, { wanted: /[\w./-]+:\d+/, screenshot: "query-sentence" });
    await workbench.screenshot("query-opened");
  });

  test("wrote no error to its log", () => {
    const log = editor.extensionLog();
    expect(log).not.toBe("");
    expect(log.split("\n").filter((line) => /\[error\]/i.test(line))).toEqual([]);
  });

  test("reached nothing but loopback", () => {
    const lines = networkLines();
    const started = lines.filter((l) => l.event === "start" && ours.test(l.program));
    expect(started.map((l) => l.program).join(" ")).toMatch(/server\.mjs/);
    expect(started.map((l) => l.program).join(" ")).toMatch(/model\.mjs/);
    const foreign = lines.filter((l) => l.event !== "start");
    expect(foreign).toEqual([]);
    expect([...sockets]).toEqual([]);
  });

  test("leaves no process behind", async () => {
    const before = editor.processes().filter(({ command }) => ours.test(command));
    expect(before.length).toBeGreaterThan(0);
    await editor.stop();
    await until("its processes are gone", 15_000, () =>
      before.every(({ pid }) => !existsSync(`/proc/${pid}/fd/0`)),
    );
  });
});
