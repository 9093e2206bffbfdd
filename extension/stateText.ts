/** What each model state says in the status bar and which command a click runs. Pure, so that it is tested. */
import type { DeviceSummary, ModelState } from "../server/protocol.ts";

export interface StateText {
  /** With a codicon. */
  readonly text: string;
  /** Markdown lines. */
  readonly tooltip: readonly string[];
  readonly command: string;
  readonly severity: "normal" | "warning" | "error";
  /** Read aloud instead of the icon. */
  readonly spoken: string;
}

export function renderState(state: ModelState): StateText {
  switch (state.kind) {
    case "starting":
      return {
        text: "$(loading~spin) Narrowgauge",
        tooltip: ["Starting."],
        command: "narrowgauge.showLog",
        severity: "normal",
        spoken: "Narrowgauge is starting",
      };
    case "notTrained":
      return {
        text: "$(circle-outline) Narrowgauge: not trained",
        tooltip: [`${sentence(state.reason)}`, "Click to train on this workspace."],
        command: "narrowgauge.train",
        severity: "normal",
        spoken: "Narrowgauge is not trained on this workspace",
      };
    case "preparing":
      return {
        text: `$(loading~spin) Narrowgauge: ${state.phase}`,
        tooltip: ["Preparing to train.", "Click to show training."],
        command: "narrowgauge.showTraining",
        severity: "normal",
        spoken: `Narrowgauge prepares training: ${state.phase}`,
      };
    case "training":
      return {
        text: `$(sync~spin) Narrowgauge: training ${state.percent} %`,
        tooltip: [
          `About ${duration(state.secondsLeft)} left.`,
          ...deviceLines(state.device),
          ...(state.heldoutBpb === null
            ? []
            : [`Held-out files: ${state.heldoutBpb.toFixed(3)} bits per byte, network alone.`]),
          state.answers
            ? "The earlier model answers meanwhile."
            : "Completions begin when the model is ready.",
          "Click to show training.",
        ],
        command: "narrowgauge.showTraining",
        severity: "normal",
        spoken: `Narrowgauge is training, ${state.percent} percent`,
      };
    case "consolidating":
      return {
        text: `$(sync~spin) Narrowgauge: learning changes ${state.percent} %`,
        tooltip: [
          "You are away, and the model learns files that changed since it was trained. It stops as soon as you type.",
          ...deviceLines(state.device),
          "The model in use answers meanwhile, and stays unless the new one is better.",
          "Click to show training.",
        ],
        command: "narrowgauge.showTraining",
        severity: "normal",
        spoken: `Narrowgauge learns changed files, ${state.percent} percent`,
      };
    case "paused":
      return {
        text: `$(debug-pause) Narrowgauge: paused: ${state.why}`,
        tooltip: [
          `${state.work === "training" ? "Training" : "Learning changed files"} is paused at ${state.percent} %, because ${state.why === "editor was closed" ? "the editor was closed" : state.why}.`,
          ...deviceLines(state.device),
          state.why === "you are typing"
            ? "It goes on by itself when you rest."
            : "Click to resume.",
        ],
        command: "narrowgauge.resumeTraining",
        severity: "normal",
        spoken: `Narrowgauge paused ${state.work === "training" ? "training" : "learning changed files"}: ${state.why}`,
      };
    case "recovering":
      return {
        text: "$(sync~spin) Narrowgauge: restarting",
        tooltip: [
          sentence(state.message),
          state.resumesTraining
            ? "It is being started again, and training goes on from its last checkpoint."
            : "It is being started again.",
          "Click to show the log.",
        ],
        command: "narrowgauge.showLog",
        severity: "warning",
        spoken: "Narrowgauge's engine stopped and is being started again",
      };
    case "ready": {
      const without = state.device.kind === "cpu" ? " (CPU)" : "";
      return {
        text: `$(check) Narrowgauge: ready${without}`,
        tooltip: [
          `A model of ${count(state.model.params)} parameters (${state.model.preset}) answers.`,
          ...bitsLines(state.model.heldoutBpb),
          ...deviceLines(state.device),
          "Click to query the codebase.",
        ],
        command: "narrowgauge.query",
        severity: "normal",
        spoken: "Narrowgauge is ready",
      };
    }
    case "noGpu":
      return {
        text: "$(circuit-board) Narrowgauge: no GPU",
        tooltip: [
          sentence(state.reason),
          "The setting `narrowgauge.device.backend` demands a GPU; `auto` or `cpu` works without one. Click to change it.",
        ],
        command: "narrowgauge.openDeviceSetting",
        severity: "warning",
        spoken: "Narrowgauge found no GPU",
      };
    case "error":
      return {
        text: "$(error) Narrowgauge: error",
        tooltip: [
          sentence(state.message),
          ...(state.hint === null ? [] : [sentence(state.hint)]),
          "Click to show the log.",
        ],
        command: "narrowgauge.showLog",
        severity: "error",
        spoken: `Narrowgauge has a problem: ${state.message}`,
      };
    default:
      return state satisfies never;
  }
}

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "an unknown time";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function deviceLines(device: DeviceSummary): string[] {
  const why = device.reason === "" ? "" : ` (${device.reason})`;
  return [
    `Device: ${device.name}${why}.`,
    ...(device.safeMode ? ["Safe mode: the CPU is used after repeated crashes."] : []),
  ];
}

function bitsLines(heldoutBpb: number | null): string[] {
  return heldoutBpb === null ? [] : [`Held-out files: ${heldoutBpb.toFixed(3)} bits per byte.`];
}

function count(value: number): string {
  return value < 1e6
    ? `${Math.round(value / 1e3)} thousand`
    : `${(value / 1e6).toFixed(1)} million`;
}

function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === "") return "";
  const ended = /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return ended[0]!.toUpperCase() + ended.slice(1);
}
