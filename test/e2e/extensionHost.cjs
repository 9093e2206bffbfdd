/**
 * Tests inside a real extension host, desktop or server: what @vscode/test-electron calls. Plain assertions and no
 * framework, because the host loads this file as it is.
 */
const assert = require("node:assert/strict");
const vscode = require("vscode");

const commands = [
  "narrowgauge.train",
  "narrowgauge.pauseTraining",
  "narrowgauge.resumeTraining",
  "narrowgauge.restoreModel",
  "narrowgauge.query",
  "narrowgauge.showTraining",
  "narrowgauge.showLog",
  "narrowgauge.openWalkthrough",
];

const tests = {
  "the extension is there and activates": async () => {
    const extension = vscode.extensions.getExtension("narrowgauge.narrowgauge");
    assert.ok(extension, "narrowgauge.narrowgauge is not installed");
    await extension.activate();
    assert.ok(extension.isActive);
  },
  "every command of the manifest is registered": async () => {
    const manifest = vscode.extensions.getExtension("narrowgauge.narrowgauge").packageJSON;
    const declared = manifest.contributes.commands.map((c) => c.command);
    for (const command of commands)
      assert.ok(declared.includes(command), `${command} is not declared`);
    const registered = await vscode.commands.getCommands(true);
    for (const command of declared)
      assert.ok(registered.includes(command), `${command} is not registered`);
  },
  "settings have the defaults of the manifest": () => {
    const settings = vscode.workspace.getConfiguration("narrowgauge");
    assert.equal(settings.get("model.preset"), "auto");
    assert.equal(settings.get("enable"), true);
  },
};

exports.run = async () => {
  const failures = [];
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  }
  if (failures.length > 0) throw new Error(failures.join("\n"));
};
