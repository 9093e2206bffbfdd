/** A loaded model hears of files that come and go. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Model } from "../../model/index.ts";
import { lively, saveTiny } from "../support/savedModel.ts";
import { tinyConfig } from "../support/tinyModel.ts";

test("a folder that goes takes its files with it, and no others", async () => {
  const dir = mkdtempSync(join(tmpdir(), "model-files-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const config = tinyConfig();
  saveTiny(dir, config, lively(config));
  const model = await Model.load(dir, { device: "cpu" });
  onTestFinished(() => model.dispose());
  for (const path of model.memory.files()) model.removeFile(path);
  for (const path of ["src/a.ts", "src/deep/b.ts", "src2/c.ts", "src.ts"])
    model.setFile(path, new TextEncoder().encode(`export const name = "${path}";\n`));
  model.removeFile("src/a.ts");
  expect(model.memory.files()).toEqual(["src.ts", "src/deep/b.ts", "src2/c.ts"]);
  model.removeFile("src");
  expect(model.memory.files()).toEqual(["src.ts", "src2/c.ts"]);
  model.removeFile("nowhere");
  expect(model.memory.files()).toEqual(["src.ts", "src2/c.ts"]);
});
