/**
 * The language server over in-memory streams, with a real child process in place of the model host: registration of
 * the completion capability, completions and their silences, training from consent to a model, query, settings.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { URI } from "vscode-uri";
import type { ServerParts } from "../../server/languageServer.ts";
import {
  CorpusListingRequest,
  CorpusPreviewRequest,
  PauseTrainingRequest,
  QueryRequest,
  RestoreVersionRequest,
  ResumeTrainingRequest,
  StartTrainingRequest,
  TrainingHistoryRequest,
} from "../../server/protocol.ts";
import { startServer, type LspClient } from "../support/lspClient.ts";

const INLINE_COMPLETION = "textDocument/inlineCompletion";
const fakeHost = join(
  dirname(fileURLToPath(import.meta.url)),
  "..",
  "support",
  "fakeModelHost.mjs",
);

let folder: string;
let root: string;
let storagePath: string;
const clients: LspClient[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "narrowgauge-lsp-"));
  root = join(folder, "workspace");
  storagePath = join(folder, "storage");
  await mkdir(join(root, "src"), { recursive: true });
  for (let n = 0; n < 6; n++)
    await writeFile(join(root, "src", `part${n}.ts`), `export const part${n} = ${n};\n`);
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await rm(folder, { recursive: true, force: true });
});

function partsWith(host: Record<string, unknown>, extra: Partial<ServerParts> = {}): ServerParts {
  return {
    host: {
      modulePath: fakeHost,
      execPath: process.execPath,
      args: [JSON.stringify(host)],
      protocolVersion: 1,
      backOff: {
        firstMs: 30,
        maxMs: 60,
        windowMs: 60_000,
        safeModeAfter: 3,
        giveUpAfter: 5,
      },
    },
    createQuery: ({ files }) =>
      Promise.resolve({
        setFile: () => undefined,
        removeFile: () => undefined,
        query: ({ text }) =>
          Promise.resolve(
            files
              .filter((file) => Buffer.from(file.bytes).includes(text))
              .map((file) => ({
                uri: URI.file(join(root, file.path)).toString(),
                path: file.path,
                startLine: 0,
                startCharacter: 0,
                endLine: 0,
                endCharacter: 0,
                preview: text,
                why: "definition",
                kind: "definition" as const,
                score: 1,
              })),
          ),
      }),
    collectFacts: () => Promise.resolve({}),
    typingRestMs: 150,
    idleLookMs: 20,
    power: () => Promise.resolve("mains"),
    ...extra,
  };
}

async function start(o: {
  host?: Record<string, unknown>;
  settings?: Record<string, unknown>;
  trained?: boolean;
  consented?: boolean;
  parts?: Partial<ServerParts>;
}): Promise<LspClient> {
  if (o.trained === true) {
    await mkdir(join(storagePath, "model"), { recursive: true });
    await writeFile(join(storagePath, "model", "manifest.json"), JSON.stringify({ heldoutBpb: 3 }));
  }
  const client = await startServer({
    parts: partsWith(o.host ?? {}, o.parts),
    root,
    storagePath,
    consented: o.consented ?? true,
    settings: { completion: { debounceMs: 0 }, ...o.settings },
  });
  clients.push(client);
  return client;
}

const documentUri = (name: string) => URI.file(join(root, name)).toString();
const reasons = (client: LspClient) =>
  client.logs
    .filter((line) => line.message === "no suggestion")
    .map((line) => line.fields?.["reason"]);

describe("before any training", () => {
  test("says so and offers no completion", async () => {
    const client = await start({});
    await client.untilState("notTrained");
    expect(client.offers(INLINE_COMPLETION)).toBe(false);
    const cursor = await client.write(documentUri("src/new.ts"), "const a = |");
    expect(await client.complete(cursor)).toBeNull();
    await client.until("a reason", () => reasons(client).length > 0);
    expect(reasons(client)).toEqual(["noModel"]);
  });

  test("counts what training would read and what is left out, with reasons", async () => {
    await writeFile(join(root, ".gitignore"), "*.log\n");
    await writeFile(join(root, "debug.log"), "noise\n");
    await writeFile(join(root, "image.bin"), Buffer.from([0, 1, 2, 0, 255]));
    const client = await start({});
    const preview = await client.request(CorpusPreviewRequest, {});
    expect(preview.files).toBeGreaterThanOrEqual(6);
    const left = Object.fromEntries(preview.leftOut.map((one) => [one.reason, one.files]));
    expect(left["not text"]).toBe(1);
    expect(left["ignored by .gitignore, .narrowgaugeignore or your settings"]).toBe(1);
    const { text } = await client.request(CorpusListingRequest, {});
    expect(text).toContain("src/part0.ts");
    expect(text).toMatch(/debug\.log .*ignored/);
  });

  test("answers queries", async () => {
    const client = await start({});
    const hits = await client.request(QueryRequest, { text: "part3", limit: 10 });
    expect(hits.map((hit) => hit.path)).toEqual(["src/part3.ts"]);
    expect(await client.request(QueryRequest, { text: "   ", limit: 10 })).toEqual([]);
  });

  test("without a folder, asks for one", async () => {
    const client = await startServer({
      parts: partsWith({}),
      root: undefined,
      storagePath,
      consented: false,
    });
    clients.push(client);
    await client.untilState("notTrained");
    expect(await client.request(StartTrainingRequest, {})).toMatchObject({ outcome: "refused" });
  });
});

describe("completion", () => {
  test("is offered once the model is loaded, and inserts at the cursor", async () => {
    const client = await start({ trained: true, host: { text: "part0 + part1;" } });
    await client.untilState("ready");
    await client.until("registration", () => client.offers(INLINE_COMPLETION));
    const cursor = await client.write(documentUri("src/new.ts"), "const sum = |\n");
    const items = await client.complete(cursor);
    expect(items).toHaveLength(1);
    expect(items![0]).toMatchObject({
      insertText: "part0 + part1;",
      range: { start: cursor.position, end: cursor.position },
    });
  });

  test("knows the files as they are now, though nobody watched them change", async () => {
    const client = await start({ trained: true, parts: { refreshAfterMs: 10 } });
    await client.untilState("ready");
    const upToDate = () =>
      client.logs.find((line) => line.message === "the memory is up to date with the files");
    await client.until("a refresh", () => upToDate() !== undefined);
    expect(upToDate()?.fields).toEqual({ changed: 6, removed: 0 });
  });

  test("is answered without the model while typing along", async () => {
    const client = await start({ trained: true, host: { text: "part0 + part1;" } });
    await client.untilState("ready");
    const uri = documentUri("src/new.ts");
    await client.complete(await client.write(uri, "const sum = |\n"));
    const items = await client.complete(await client.write(uri, "const sum = part0 |\n"));
    expect(items![0]!.insertText).toBe("+ part1;");
  });

  test("extends the selected entry of the suggestion list", async () => {
    const client = await start({ trained: true, host: { text: "(1)" } });
    await client.untilState("ready");
    const cursor = await client.write(documentUri("src/new.ts"), "call.me|\n");
    const range = {
      start: { line: 0, character: 5 },
      end: { line: 0, character: 7 },
    };
    const items = await client.complete(cursor, {
      triggerKind: 2,
      selectedCompletionInfo: { range, text: "method" },
    });
    expect(items![0]).toMatchObject({ insertText: "method(1)", range });
  });

  test.each<[string, string, Record<string, unknown>, Record<string, unknown>]>([
    ["switchedOff", "a = |", {}, { enable: false }],
    ["insideIdentifier", "na|me", { text: "x" }, {}],
    ["modelSilent", "a = |", { text: "" }, {}],
    ["lowConfidence", "a = |", { text: "x()", confidence: 0.01 }, {}],
    ["nothingLeft", "f(|)", { text: ")" }, {}],
    [
      "deadline",
      "a = |",
      { text: "x()", completeMs: 400 },
      { completion: { debounceMs: 0, deadlineMs: 60 } },
    ],
  ])("is silent with the reason %s", async (reason, marked, host, settings) => {
    const client = await start({ trained: true, host, settings });
    await client.untilState("ready");
    const cursor = await client.write(documentUri("src/new.ts"), marked);
    expect(await client.complete(cursor)).toBeNull();
    await client.until("a reason", () => reasons(client).length > 0);
    expect(reasons(client)).toEqual([reason]);
  });

  test("that came too late is there for the next keystroke", async () => {
    const client = await start({
      trained: true,
      host: { text: "value();", completeMs: 300 },
      settings: { completion: { debounceMs: 0, deadlineMs: 60 } },
    });
    await client.untilState("ready");
    const uri = documentUri("src/new.ts");
    expect(await client.complete(await client.write(uri, "a = |"))).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const items = await client.complete(await client.write(uri, "a = va|"));
    expect(items![0]!.insertText).toBe("lue();");
  });

  test("of an older request gives way to the newest", async () => {
    const client = await start({ trained: true, host: { text: "value();", completeMs: 1000 } });
    await client.untilState("ready");
    const uri = documentUri("src/new.ts");
    const cursor = await client.write(uri, "a = |");
    const first = client.complete(cursor);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const second = client.complete(cursor);
    expect(await first).toBeNull();
    expect((await second)![0]!.insertText).toBe("value();");
    expect(reasons(client)).toEqual(["superseded"]);
  });

  test("asked for by hand is shown whatever the confidence", async () => {
    const client = await start({ trained: true, host: { text: "x()", confidence: 0.01 } });
    await client.untilState("ready");
    const cursor = await client.write(documentUri("src/new.ts"), "a = |");
    expect(await client.complete(cursor, { triggerKind: 1 })).toHaveLength(1);
  });

  test("survives the death of the host", async () => {
    const client = await start({ trained: true, host: { text: "x()" } });
    await client.untilState("ready");
    const dying = await client.write(documentUri("die"), "a = |");
    expect(await client.complete(dying)).toBeNull();
    await client.until("recovery", () =>
      client.states.some((state) => state.kind === "recovering"),
    );
    await client.untilState("ready");
    const cursor = await client.write(documentUri("src/new.ts"), "a = |");
    expect(await client.complete(cursor)).toHaveLength(1);
  });

  test("ends with a plain error when the host keeps dying", async () => {
    const client = await start({ trained: true, host: { version: 99 } });
    await client.untilState("error");
    expect(client.state).toMatchObject({ code: "NG_HOST_VERSION" });
  });
});

describe("a rest of the editor", () => {
  const RESTS = { training: { idleMinutes: 0.002 } };

  test("is used to learn changed files; the person can go back", async () => {
    const client = await start({ trained: true, host: { steps: 5 }, settings: RESTS });
    await client.untilState("consolidating");
    expect(client.state).toMatchObject({ device: { kind: "cpu" } });
    await client.until("the better model", () => client.consolidations.length === 1);
    await client.untilState("ready");
    expect(client.state).toMatchObject({ model: { heldoutBpb: 2.4 } });
    const history = await client.request(TrainingHistoryRequest, {});
    expect(history.consolidations).toEqual(client.consolidations);
    expect(history.consolidations[0]).toMatchObject({ outcome: "accepted", heldoutAfter: 2.4 });
    expect(history.points).toEqual([]);
    const manifest = JSON.parse(await readFile(join(storagePath, "files.json"), "utf8")) as {
      files: unknown[];
    };
    expect(client.consolidations[0]!.files).toBe(manifest.files.length);

    expect(await client.request(RestoreVersionRequest, {})).toEqual({ outcome: "restored" });
    await client.until(
      "the model before",
      () => client.state?.kind === "ready" && client.state.model.heldoutBpb === 3,
    );
    expect(await client.request(RestoreVersionRequest, {})).toEqual({ outcome: "none" });
  });

  test("ends with the first key, and the model in use answers at once", async () => {
    const client = await start({
      trained: true,
      host: { steps: 1000, text: "x()" },
      settings: { ...RESTS, completion: { debounceMs: 0 } },
    });
    await client.untilState("consolidating");
    client.settings = { completion: { debounceMs: 0 } };
    await client.connection.sendNotification("workspace/didChangeConfiguration", { settings: {} });
    const uri = documentUri("src/new.ts");
    await client.write(uri, "a = ");
    const cursor = await client.write(uri, "a = |");
    expect(await client.complete(cursor)).toHaveLength(1);
    await client.untilState("ready");
    expect(client.state).toMatchObject({ model: { heldoutBpb: 3 } });
    expect(client.consolidations).toEqual([]);
    expect(client.logs.filter((line) => line.level === "warn")).toEqual([]);
  });

  test("ends with a training, which then runs", async () => {
    const client = await start({ trained: true, host: { steps: 40 }, settings: RESTS });
    await client.untilState("consolidating");
    expect(await client.request(StartTrainingRequest, {})).toEqual({ outcome: "started" });
    await client.untilState("training");
    await client.until("its end", () => client.points.at(-1)?.step === 40);
    expect(client.consolidations).toEqual([]);
  });

  test("can be paused and resumed", async () => {
    const client = await start({
      trained: true,
      host: { steps: 20, consolidation: "refused" },
      settings: RESTS,
    });
    await client.untilState("consolidating");
    expect(await client.request(PauseTrainingRequest, {})).toEqual({ paused: true });
    await client.untilState("paused");
    expect(client.state).toMatchObject({ work: "consolidation", why: "you asked" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(client.consolidations).toEqual([]);
    expect(await client.request(ResumeTrainingRequest, {})).toEqual({ outcome: "started" });
    await client.until("the end", () => client.consolidations.length === 1);
    await client.untilState("ready");
    expect(client.state).toMatchObject({ model: { heldoutBpb: 3 } });
    expect(client.consolidations[0]).toMatchObject({ outcome: "refused" });
  });

  test.each<[string, Parameters<typeof start>[0]]>([
    ["without consent", { trained: true, consented: false, settings: RESTS }],
    ["without a model", { settings: RESTS }],
    ["where it is switched off", { trained: true, settings: { training: { idleMinutes: 0 } } }],
    [
      "on battery",
      { trained: true, settings: RESTS, parts: { power: () => Promise.resolve("battery") } },
    ],
  ])("is left alone %s", async (_, o) => {
    const client = await start(o);
    await client.until("rest", () => ["ready", "notTrained"].includes(client.state?.kind ?? ""));
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(client.states.map((state) => state.kind)).not.toContain("consolidating");
    expect(client.consolidations).toEqual([]);
  });
});

describe("training", () => {
  test("goes from start to a model that answers", async () => {
    const client = await start({ host: { text: "x()", steps: 5 } });
    await client.untilState("notTrained");
    expect(await client.request(StartTrainingRequest, {})).toEqual({ outcome: "started" });
    await client.untilState("ready");
    expect(client.states.map((state) => state.kind)).toContain("training");
    expect(client.points.map((point) => point.step)).toEqual([1, 2, 3, 4, 5]);
    expect(client.state).toMatchObject({ model: { heldoutBpb: 2.5 } });
    await client.until("registration", () => client.offers(INLINE_COMPLETION));
    const { points } = await client.request(TrainingHistoryRequest, {});
    expect(points).toHaveLength(5);
  });

  test("writes the list of files with a held-out part", async () => {
    const client = await start({ host: { steps: 1 } });
    await client.request(StartTrainingRequest, {});
    await client.untilState("ready");
    const manifest = JSON.parse(await readFile(join(storagePath, "files.json"), "utf8")) as {
      files: { path: string; absolute: string; heldout: boolean }[];
    };
    expect(manifest.files.length).toBeGreaterThanOrEqual(6);
    expect(manifest.files.some((file) => file.heldout)).toBe(true);
    expect(manifest.files[0]!.absolute).toBe(join(root, manifest.files[0]!.path));
  });

  test("is started once", async () => {
    const client = await start({ host: { steps: 30 } });
    await client.untilState("notTrained");
    const outcomes = await Promise.all([
      client.request(StartTrainingRequest, {}),
      client.request(StartTrainingRequest, {}),
    ]);
    expect(outcomes.map((one) => one.outcome).sort()).toEqual(["alreadyRunning", "started"]);
  });

  test("is refused where it is switched off", async () => {
    const client = await start({ settings: { training: { enable: false } } });
    await client.untilState("notTrained");
    expect(await client.request(StartTrainingRequest, {})).toMatchObject({ outcome: "refused" });
  });

  test("pauses and resumes where it was", async () => {
    const client = await start({ host: { steps: 40, stepMs: 10 } });
    await client.untilState("notTrained");
    await client.request(StartTrainingRequest, {});
    await client.untilState("training");
    expect(await client.request(PauseTrainingRequest, {})).toEqual({ paused: true });
    await client.untilState("paused");
    expect(client.state).toMatchObject({ why: "you asked" });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const steps = client.points.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(client.points.length).toBe(steps);
    await client.request(ResumeTrainingRequest, {});
    await client.untilState("ready");
    expect(client.points.map((point) => point.step)).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
  });

  test("on the CPU steps aside while keys are pressed, and says so", async () => {
    const client = await start({ host: { steps: 60, stepMs: 10 } });
    const uri = documentUri("src/part0.ts");
    await client.write(uri, "a|");
    await client.request(StartTrainingRequest, {});
    await client.untilState("training");
    await client.write(uri, "ab|");
    await client.untilState("paused");
    expect(client.state).toMatchObject({ why: "you are typing" });
    await client.untilState("training");
    await client.untilState("ready");
  });

  test("keeps the earlier model when the new one is not better", async () => {
    const client = await start({ trained: true, host: { steps: 2, promoted: false } });
    await client.untilState("ready");
    await client.request(StartTrainingRequest, {});
    await client.until("the end of training", () =>
      client.logs.some((line) => line.message.includes("the earlier model")),
    );
    await client.untilState("ready");
    expect(client.state).toMatchObject({ model: { heldoutBpb: 3 } });
  });

  test("goes on from the checkpoint after the host was killed", async () => {
    const client = await start({ trained: true, host: { steps: 40, stepMs: 15 } });
    await client.untilState("ready");
    await client.request(StartTrainingRequest, {});
    await client.until("ten steps", () => client.points.length >= 10);
    await client.complete(await client.write(documentUri("die"), "a = |"));
    await client.until("recovery", () =>
      client.states.some((state) => state.kind === "recovering"),
    );
    expect(client.states.find((state) => state.kind === "recovering")).toMatchObject({
      resumesTraining: true,
    });
    await client.untilState("ready");
    const manifest = JSON.parse(
      await readFile(join(storagePath, "model", "manifest.json"), "utf8"),
    ) as { from: number };
    expect(manifest.from).toBeGreaterThanOrEqual(10);
    const steps = client.points.map((point) => point.step);
    expect(steps.at(-1)).toBe(40);
  });

  test("says plainly that there is nothing to learn from", async () => {
    await rm(join(root, "src"), { recursive: true });
    const client = await start({});
    await client.untilState("notTrained");
    await client.request(StartTrainingRequest, {});
    await client.untilState("error");
    expect(client.state).toMatchObject({
      code: "NG_CORPUS_EMPTY",
      message: "the workspace has no files",
    });
  });

  test("left unfinished goes on in the next session, if this person consented", async () => {
    await mkdir(storagePath, { recursive: true });
    await writeFile(join(storagePath, "training.json"), JSON.stringify({ status: "running" }));
    const stranger = await start({ consented: false, host: { steps: 2 } });
    await stranger.untilState("notTrained");
    const client = await start({ host: { steps: 2 } });
    await client.untilState("ready");
    expect(client.points.length).toBe(2);
  });
});
