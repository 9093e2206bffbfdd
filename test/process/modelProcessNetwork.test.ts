/**
 * The language server and the model host as they are shipped (the built bundles, real processes, the real host):
 * trains on a tiny workspace, completes and answers a query, and opens no socket but loopback meanwhile. A script
 * preloaded into both reports every attempt to reach or serve anything else.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { URI } from "vscode-uri";
import { QueryRequest, StartTrainingRequest } from "../../server/protocol.ts";
import { bundlesExist, startShippedServer, type ShippedServer } from "../support/shippedServer.ts";

let shipped: ShippedServer | undefined;
afterEach(async () => {
  await shipped?.stop();
  shipped = undefined;
});

describe.skipIf(!bundlesExist && !process.env["CI"])("the shipped processes", () => {
  test("train, complete and answer without any socket but loopback", async () => {
    shipped = await startShippedServer({
      training: { budgetMinutes: 0.1 },
      completion: { debounceMs: 0, deadlineMs: 5000, minConfidence: 0 },
      device: { backend: "cpu" },
    });
    const { client, workspace, networkLog } = shipped;
    await client.untilState("notTrained", 30_000);
    const hits = await client.request(QueryRequest, { text: "areaOfShape3", limit: 5 });
    expect(hits[0]!.path).toBe("shape3.ts");

    expect(await client.request(StartTrainingRequest, {})).toEqual({ outcome: "started" });
    await client.until(
      "the end of training",
      () => client.state?.kind === "ready" || client.state?.kind === "error",
      150_000,
    );
    expect(client.state, JSON.stringify([client.state, client.logs.slice(-8)])).toMatchObject({
      kind: "ready",
      device: { kind: "cpu" },
    });
    expect(client.points.length).toBeGreaterThan(0);

    const cursor = await client.write(
      URI.file(join(workspace, "shape9.ts")).toString(),
      "export function areaOfShape9(width: number, hei|",
    );
    const items = await client.complete(cursor, { triggerKind: 1 });
    expect(items?.[0]?.insertText).toMatch(/^ght/);
    await client.close();

    const lines = (await readFile(networkLog, "utf8"))
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { event: string; program: string });
    const programs = lines.filter((line) => line.event === "start").map((line) => line.program);
    expect(programs.join(" ")).toContain("server.mjs");
    expect(programs.join(" ")).toContain("model.mjs");
    expect(lines.filter((line) => line.event !== "start")).toEqual([]);
  });
});
