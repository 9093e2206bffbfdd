/** Changed files reach the model's memory and the query index once they rest, as the editor has them now. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../model/logger.ts";
import { FileChanges } from "../../server/fileChanges.ts";

const REST_MS = 40;
const bytes = (text: string) => new TextEncoder().encode(text);

let changes: FileChanges | undefined;
afterEach(() => changes?.dispose());

function watch(disk: Record<string, string | undefined>, open: Record<string, string> = {}) {
  const heard: string[] = [];
  changes = new FileChanges({
    logger: silentLogger,
    restMs: REST_MS,
    sinks: () => [
      {
        setFile: (path, content) => heard.push(`${path}=${new TextDecoder().decode(content)}`),
        removeFile: (path) => heard.push(`${path} gone`),
      },
    ],
    read: (path) => {
      const text = disk[path];
      if (text === "broken") return Promise.reject(new Error("unreadable"));
      return Promise.resolve(text === undefined ? undefined : { bytes: bytes(text) });
    },
    inside: (path) =>
      Promise.resolve(Object.keys(disk).filter((one) => one.startsWith(`${path}/`))),
    open: (path) => (open[path] === undefined ? undefined : bytes(open[path])),
  });
  return { changes, heard };
}

describe("FileChanges", () => {
  test("passes a file on once, after it rested", async () => {
    const { changes, heard } = watch({ "a.ts": "one" });
    for (let key = 0; key < 5; key++) {
      changes.touched("a.ts");
      await sleep(REST_MS / 4);
    }
    expect(heard).toEqual([]);
    await sleep(REST_MS * 4);
    expect(heard).toEqual(["a.ts=one"]);
  });

  test("prefers what the editor holds to what is on disk", async () => {
    const { changes, heard } = watch({ "a.ts": "saved" }, { "a.ts": "typed" });
    changes.touched("a.ts");
    await sleep(REST_MS * 4);
    expect(heard).toEqual(["a.ts=typed"]);
  });

  test("reports a file that is gone or left out now, even if it is open", async () => {
    const { changes, heard } = watch({}, { ".env": "KEY=1" });
    changes.touched(".env");
    await sleep(REST_MS * 4);
    expect(heard).toEqual([".env gone"]);
  });

  test("reads what lies in a folder that came, and says that a folder went", async () => {
    const { changes, heard } = watch({ "new/a.ts": "one", "new/b.ts": "two" });
    changes.touched("old");
    changes.touched("new");
    await sleep(REST_MS * 6);
    expect(heard).toEqual(["old gone", "new gone", "new/a.ts=one", "new/b.ts=two"]);
  });

  test("goes on after a file that cannot be read", async () => {
    const { changes, heard } = watch({ "a.ts": "broken", "b.ts": "fine" });
    changes.touched("a.ts");
    changes.touched("b.ts");
    await sleep(REST_MS * 4);
    expect(heard).toEqual(["b.ts=fine"]);
  });

  test("ignores the repository's own folder and everything after disposal", async () => {
    const { changes, heard } = watch({ ".git/index": "x", "a.ts": "x" });
    changes.touched(".git/index");
    changes.touched("a.ts");
    changes.dispose();
    await sleep(REST_MS * 4);
    expect(heard).toEqual([]);
  });
});
