/**
 * The commands as a table: each has what it does when the server runs and, where that differs, what it does when
 * it does not. A palette entry therefore always exists and always says something sensible.
 */
import * as vscode from "vscode";
import {
  CompletionAcceptedNotification,
  PauseTrainingRequest,
  RestoreVersionRequest,
  ResumeTrainingRequest,
  StartTrainingRequest,
  type StartOutcome,
} from "../server/protocol.ts";
import type { Client } from "./client.ts";
import { askConsent } from "./consent.ts";
import type { Log } from "./log.ts";
import { queryCodebase } from "./queryPick.ts";
import type { TrainingView } from "./trainingView.ts";

export interface CommandContext {
  readonly extension: vscode.ExtensionContext;
  readonly client: Client;
  readonly log: Log;
  readonly trainingView: TrainingView;
}

interface Command {
  readonly enabled: (context: CommandContext, ...args: unknown[]) => unknown;
  readonly disabled?: (context: CommandContext) => unknown;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  "narrowgauge.train": { enabled: train, disabled: notRunning },
  "narrowgauge.pauseTraining": { enabled: pause, disabled: notRunning },
  "narrowgauge.resumeTraining": { enabled: resume, disabled: notRunning },
  "narrowgauge.restoreModel": { enabled: restoreModel, disabled: notRunning },
  "narrowgauge.query": {
    enabled: ({ client, log }) => queryCodebase(client, log),
    disabled: notRunning,
  },
  "narrowgauge.showTraining": { enabled: ({ trainingView }) => trainingView.show() },
  "narrowgauge.showLog": { enabled: ({ log }) => log.channel.show(true) },
  "narrowgauge.openWalkthrough": { enabled: openWalkthrough },
  // Not in the palette: a click on the status bar, and the editor after accepting a suggestion.
  "narrowgauge.openDeviceSetting": {
    enabled: () =>
      vscode.commands.executeCommand("workbench.action.openSettings", "narrowgauge.device.backend"),
  },
  "narrowgauge.suggestionAccepted": {
    enabled: ({ client }, uri, length) =>
      client.notify(CompletionAcceptedNotification, { uri: String(uri), length: Number(length) }),
    disabled: () => undefined,
  },
};

export function registerCommands(context: CommandContext): vscode.Disposable[] {
  return Object.entries(COMMANDS).map(([id, command]) =>
    vscode.commands.registerCommand(id, async (...args: unknown[]) => {
      const act = context.client.running ? command.enabled : (command.disabled ?? command.enabled);
      try {
        await act(context, ...args);
      } catch (error) {
        context.log.error(`${id} failed`, error);
        void vscode.window.showErrorMessage(
          `Narrowgauge: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }),
  );
}

async function train(context: CommandContext): Promise<void> {
  if (!(await askConsent(context.extension, context.client))) return;
  await report(context, await context.client.request(StartTrainingRequest, {}));
}

async function resume(context: CommandContext): Promise<void> {
  if (!(await askConsent(context.extension, context.client))) return;
  await report(context, await context.client.request(ResumeTrainingRequest, {}));
}

async function pause({ client }: CommandContext): Promise<void> {
  const { paused } = await client.request(PauseTrainingRequest, {});
  if (!paused) void vscode.window.showInformationMessage("Narrowgauge: no training is running.");
}

async function restoreModel({ client }: CommandContext): Promise<void> {
  const outcome = await client.request(RestoreVersionRequest, {});
  switch (outcome.outcome) {
    case "restored":
      void vscode.window.showInformationMessage("Narrowgauge: the previous model is in use again.");
      break;
    case "none":
      void vscode.window.showInformationMessage("Narrowgauge: no previous model is kept.");
      break;
    case "refused":
      void vscode.window.showWarningMessage(`Narrowgauge: ${outcome.message}.`);
      break;
    default:
      outcome satisfies never;
  }
}

async function report(context: CommandContext, outcome: StartOutcome): Promise<void> {
  switch (outcome.outcome) {
    case "started":
    case "alreadyRunning":
      await context.trainingView.show();
      break;
    case "refused":
      void vscode.window.showWarningMessage(
        `Narrowgauge: ${outcome.message}${outcome.hint === null ? "" : `; ${outcome.hint}`}.`,
      );
      break;
    default:
      outcome satisfies never;
  }
}

async function notRunning({ log, client }: CommandContext): Promise<void> {
  const restart = "Start again";
  const showLog = "Show log";
  const answer = await vscode.window.showWarningMessage(
    "Narrowgauge: the language server is not running.",
    restart,
    showLog,
  );
  if (answer === restart) await client.restart();
  if (answer === showLog) log.channel.show(true);
}

async function openWalkthrough({ extension }: CommandContext): Promise<void> {
  await vscode.commands.executeCommand(
    "workbench.action.openWalkthrough",
    `${extension.extension.id}#narrowgauge.start`,
    false,
  );
}
