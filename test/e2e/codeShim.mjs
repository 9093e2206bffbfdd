#!/usr/bin/env node
/**
 * Stands in for the desktop `code` binary where there is none: takes the flags that @vscode/test-electron passes and
 * runs the tests in code-server's extension host, driven by a headless browser.
 */
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Editor } from "./editor.ts";

const TIMEOUT_MS = 120_000;
const flag = (name) => {
  const found = process.argv.find((a) => a.startsWith(`--${name}=`));
  return found?.slice(name.length + 3).replace(/^file:\/\//, "");
};
const folder = process.argv.slice(2).find((a) => !a.startsWith("-"));

const editor = await Editor.start({
  entry: process.env["NARROWGAUGE_TEST_EDITOR"],
  folder: join(process.env["NARROWGAUGE_TEST_SCRATCH"], "extension-host"),
  settings: {},
  // The client ignores the payload below unless the smoke-test driver is on.
  args: ["--disable-workspace-trust", "--vscode-option", "enable-smoke-test-driver"],
});
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
let code = 1;
try {
  const page = await browser.newPage();
  const exit = new Promise((resolve, reject) => {
    void page.exposeFunction("codeAutomationExit", (c) => resolve(c));
    setTimeout(() => reject(new Error("the tests did not end")), TIMEOUT_MS).unref();
  });
  await page.exposeFunction("codeAutomationLog", (type, args) =>
    process.stdout.write(`[${type}] ${args.join(" ")}\n`),
  );
  const remote = (path) => `vscode-remote://${new URL(editor.url).host}${path}`;
  const payload = [
    ["extensionDevelopmentPath", remote(flag("extensionDevelopmentPath"))],
    ["extensionTestsPath", remote(flag("extensionTestsPath"))],
  ];
  await page.goto(
    `${editor.url}?folder=${folder}&payload=${encodeURIComponent(JSON.stringify(payload))}`,
    { waitUntil: "domcontentloaded" },
  );
  code = await exit;
} catch (error) {
  process.stderr.write(`${error}\n`);
} finally {
  await browser.close();
  await editor.stop();
}
process.exit(code);
