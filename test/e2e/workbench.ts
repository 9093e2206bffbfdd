/**
 * What a person does in the editor's window, by the words and roles that the person sees where there
 * are any. Selectors are those of VS Code 1.139's workbench.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  chromium,
  type Browser,
  type FrameLocator,
  type Locator,
  type Page,
} from "playwright-core";
import { until } from "./editor.ts";

export class Workbench {
  readonly page: Page;
  readonly problems: string[] = [];
  readonly #browser: Browser;
  readonly #screenshots: string;

  private constructor(browser: Browser, page: Page, screenshots: string) {
    this.#browser = browser;
    this.page = page;
    this.#screenshots = screenshots;
    page.on("pageerror", (error) => this.problems.push(`page error: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") this.problems.push(`console: ${message.text()}`);
    });
  }

  static async open(o: { url: string; folder: string; screenshots: string }): Promise<Workbench> {
    mkdirSync(o.screenshots, { recursive: true });
    const browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
      ],
    });
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const workbench = new Workbench(browser, page, o.screenshots);
    await page.goto(`${o.url}?folder=${o.folder}`, { waitUntil: "domcontentloaded" });
    await page.locator(".monaco-workbench").waitFor({ timeout: 60_000 });
    return workbench;
  }

  /** Says yes to the trust dialog, and loads the window anew as a person's next start would. */
  async trust(): Promise<void> {
    const yes = this.page.getByRole("button", { name: /Yes, I trust the authors/ });
    await yes.waitFor({ timeout: 60_000 });
    await this.screenshot("trust");
    await yes.click();
    await this.page
      .locator(".statusbar-item", { hasText: "Restricted Mode" })
      .waitFor({ state: "detached", timeout: 30_000 });
    // code-server registers built-in extensions a second time when trust comes in a running window,
    // in a host that cannot run them. The reload mends it; the trust is kept.
    await this.page.waitForTimeout(1000);
    await this.page.reload({ waitUntil: "domcontentloaded" });
    await this.page.locator(".monaco-workbench").waitFor({ timeout: 60_000 });
  }

  get quickInput(): Locator {
    return this.page.locator(".quick-input-widget input");
  }

  get quickRows(): Locator {
    return this.page.locator(".quick-input-list .monaco-list-row");
  }

  /** Runs a command by its title, through the palette. */
  async command(title: string): Promise<void> {
    await this.page.keyboard.press("F1");
    await this.quickInput.waitFor();
    await this.quickInput.fill(`>${title}`);
    await this.quickRows.filter({ hasText: title }).first().waitFor();
    await this.page.keyboard.press("Enter");
  }

  async openFile(name: string): Promise<void> {
    await this.page.keyboard.press("Control+P");
    await this.quickInput.waitFor();
    await this.quickInput.fill(name);
    await this.quickRows
      .filter({ hasText: name.split("/").at(-1)! })
      .first()
      .waitFor();
    await this.page.keyboard.press("Enter");
    await this.tab(name.split("/").at(-1)!).waitFor();
  }

  tab(name: string): Locator {
    return this.page.locator(".tab", { hasText: name });
  }

  /** The tab in front, in any group, if it is that file's. */
  shownTab(name: string): Locator {
    return this.page.locator('.tab[aria-selected="true"]', { hasText: name }).first();
  }

  statusItem(text: string | RegExp): Locator {
    return this.page.locator(".statusbar-item", { hasText: text });
  }

  get editor(): Locator {
    return this.page.locator(".editor-group-container.active .monaco-editor").first();
  }

  /** Puts the cursor at the end of the active document. */
  async toEnd(): Promise<void> {
    await this.editor.locator(".view-lines").click();
    await this.page.keyboard.press("Control+End");
  }

  /** Lines on the screen, as text. */
  async lines(): Promise<string[]> {
    const texts = await this.editor.locator(".view-line").allTextContents();
    return texts.map((text) => text.replaceAll("\u00a0", " "));
  }

  /** The grey text behind the cursor; it is rendered as one span per token. */
  async ghostText(): Promise<string> {
    const parts = await this.page.locator('[class*="ghost-text-decoration"]').allTextContents();
    return parts.join("").replaceAll("\u00a0", " ");
  }

  async waitForGhostText(timeoutMs: number): Promise<string> {
    await until("ghost text is shown", timeoutMs, async () => (await this.ghostText()) !== "");
    return this.ghostText();
  }

  /** The document inside a webview: two frames deep. */
  get webview(): FrameLocator {
    return this.page.frameLocator("iframe.webview.ready").frameLocator("iframe#active-frame");
  }

  /** Into the ignored folder, unless a whole path is given. */
  async screenshot(name: string): Promise<void> {
    const path = name.endsWith(".png") ? name : join(this.#screenshots, `${name}.png`);
    await this.page.screenshot({ path });
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
