/** Runs that are done, one JSON line each, written when it is done: what was interrupted goes on behind the last line. */
import { appendFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { AblationRun } from "./ablateReport.ts";

const JOURNAL = "runs.jsonl";

export class AblationJournal {
  readonly #dir: string;
  readonly #runs = new Map<string, AblationRun>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async open(dir: string): Promise<AblationJournal> {
    await mkdir(dir, { recursive: true });
    const journal = new AblationJournal(dir);
    const text = await readFile(join(dir, JOURNAL), "utf8").catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
      throw error;
    });
    // A line that was cut off by a crash is a run that is not done.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole.length < text.length) await writeFile(join(dir, JOURNAL), whole);
    for (const line of whole.split("\n").filter((one) => one !== "")) {
      const run = JSON.parse(line) as AblationRun;
      journal.#runs.set(run.key, run);
    }
    return journal;
  }

  find(key: string): AblationRun | undefined {
    return this.#runs.get(key);
  }

  async add(run: AblationRun): Promise<void> {
    this.#runs.set(run.key, run);
    await appendFile(join(this.#dir, JOURNAL), `${JSON.stringify(run)}\n`);
  }

  /** Replaces a report whole. */
  async write(name: string, text: string): Promise<void> {
    const path = join(this.#dir, name);
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  }
}
