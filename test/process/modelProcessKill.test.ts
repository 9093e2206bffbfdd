/**
 * The real model host killed from outside, while it trains and while it completes: the language server lives on,
 * says what happened, and training goes on from its last checkpoint with little lost.
 */
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { URI } from "vscode-uri";
import { StartTrainingRequest } from "../../server/protocol.ts";
import { bundlesExist, startShippedServer, type ShippedServer } from "../support/shippedServer.ts";

/** The most training that a death may cost. */
const MOST_LOST_SECONDS = 30;
/** Later than the host's first checkpoint. */
const KILL_AFTER_SECONDS = 24;

let shipped: ShippedServer | undefined;
afterEach(async () => {
  await shipped?.stop();
  shipped = undefined;
});

function hostPids({ client }: ShippedServer): number[] {
  return client.logs
    .filter((line) => line.message === "model host started")
    .map((line) => Number(line.fields?.["pid"]));
}

describe.skipIf(!bundlesExist && !process.env["CI"])("the shipped model host, killed", () => {
  test("while training and while completing, is started again and goes on", async () => {
    shipped = await startShippedServer({
      // `auto` would be done with so little text before it is killed.
      model: { preset: "nano" },
      training: { budgetMinutes: 0.6 },
      completion: { debounceMs: 0, deadlineMs: 5000, minConfidence: 0 },
      device: { backend: "cpu" },
    });
    const { client, workspace } = shipped;
    await client.untilState("notTrained", 30_000);
    await client.request(StartTrainingRequest, {});
    const seconds = () => client.points.at(-1)?.seconds ?? 0;
    await client.until("some training", () => seconds() > KILL_AFTER_SECONDS, 120_000);

    const before = client.points.at(-1)!;
    const pointsBefore = client.points.length;
    process.kill(hostPids(shipped).at(-1)!, "SIGKILL");
    await client.untilState("recovering");
    expect(client.state).toMatchObject({ resumesTraining: true });
    await client.until("more training", () => client.points.length > pointsBefore + 1, 60_000);
    const after = client.points[pointsBefore]!;
    expect(before.seconds - after.seconds).toBeLessThan(MOST_LOST_SECONDS);
    expect(after.step).toBeGreaterThan(1);
    await client.untilState("ready", 120_000);

    const cursor = await client.write(
      URI.file(join(workspace, "shape9.ts")).toString(),
      "export function areaOfShape9(width: number, hei|",
    );
    const answer = client.complete(cursor, { triggerKind: 1 });
    process.kill(hostPids(shipped).at(-1)!, "SIGKILL");
    // Silence or an answer that came just in time, never a failed request.
    await answer;
    await client.untilState("recovering");
    await client.untilState("ready", 60_000);
    expect(await client.complete(cursor, { triggerKind: 1 })).toHaveLength(1);
    expect(new Set(hostPids(shipped)).size).toBe(3);
  });
});
