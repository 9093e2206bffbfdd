/**
 * The page of the training view: curves of the batch loss and of held-out bits per byte, figures, and the buttons.
 * It knows only the messages of server/protocol.ts; what it was last sent is kept with setState, so that it draws
 * at once when shown again, before the extension has answered.
 */
import uPlot from "uplot";
import chartStyle from "uplot/dist/uPlot.min.css";
import { describeConsolidation } from "./consolidations.ts";
import type {
  ConsolidationReport,
  FromTrainingView,
  ModelState,
  ToTrainingView,
  TrainingPoint,
} from "../server/protocol.ts";

interface Saved {
  readonly points: readonly TrainingPoint[];
  /** Absent in what an earlier version saved. */
  readonly consolidations?: readonly ConsolidationReport[];
  readonly state: ModelState | undefined;
}

interface Host {
  postMessage(message: FromTrainingView): void;
  getState(): Saved | undefined;
  setState(state: Saved): void;
}

declare function acquireVsCodeApi(): Host;

const MAX_SAVED_POINTS = 1500;
const SHOWN_CONSOLIDATIONS = 20;
const CHART_HEIGHT = 320;
/** The smoothed curve averages over this part of the run. */
const SMOOTHED_PARTS = 25;
/** The first points must not fill the whole width. */
const MIN_SPAN_SECONDS = 10;

const host = acquireVsCodeApi();
const byId = (id: string): HTMLElement => document.getElementById(id)!;
const saved = host.getState();
let points: TrainingPoint[] = [...(saved?.points ?? [])];
let consolidations: ConsolidationReport[] = [...(saved?.consolidations ?? [])];
let state: ModelState | undefined = saved?.state;
let chart: uPlot | undefined;
let drawing = false;

// A constructed sheet needs no exception from the content security policy.
const sheet = new CSSStyleSheet();
sheet.replaceSync(chartStyle);
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

for (const command of ["train", "pause", "resume", "showLog"] as const)
  byId(command).addEventListener("click", () => host.postMessage({ type: "command", command }));

window.addEventListener("message", (event: MessageEvent<ToTrainingView>) => {
  const message = event.data;
  switch (message.type) {
    case "history":
      points = [...message.points];
      consolidations = [...message.consolidations];
      state = message.state;
      break;
    case "point":
      // A run that starts anew starts new curves.
      if ((points.at(-1)?.step ?? 0) > message.point.step && message.point.step <= 1) points = [];
      if (message.point.phase === "training" || message.point.heldoutBpb !== scoreOf(points))
        points.push(message.point);
      break;
    case "consolidation":
      consolidations = [...consolidations, message.report].slice(-SHOWN_CONSOLIDATIONS);
      break;
    case "state":
      state = message.state;
      break;
    default:
      message satisfies never;
  }
  schedule();
});

new ResizeObserver(() => chart?.setSize({ width: chartWidth(), height: CHART_HEIGHT })).observe(
  byId("chart"),
);
// The theme's colours are read when the chart is made.
new MutationObserver(() => {
  chart?.destroy();
  chart = undefined;
  schedule();
}).observe(document.body, { attributes: true, attributeFilter: ["class"] });

host.postMessage({ type: "ready" });
schedule();

/** Messages may come faster than frames. */
function schedule(): void {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render();
  });
}

function render(): void {
  host.setState({ points: points.slice(-MAX_SAVED_POINTS), consolidations, state });
  renderState();
  renderFigures();
  renderChart();
  renderConsolidations();
}

function renderState(): void {
  byId("headline").textContent = headline(state);
  const kind = state?.kind;
  const running =
    kind === "training" ||
    kind === "consolidating" ||
    kind === "preparing" ||
    kind === "recovering";
  byId("pause").hidden = !(
    kind === "training" ||
    kind === "consolidating" ||
    (kind === "paused" && state?.kind === "paused" && state.why === "you are typing")
  );
  byId("resume").hidden = kind !== "paused";
  byId("train").hidden = running || kind === "paused" || kind === "starting";
  byId("train").textContent = kind === "ready" ? "Train again" : "Train";
  const progress = byId("progress") as HTMLProgressElement;
  progress.hidden = !(running || kind === "paused");
  if (state?.kind === "training" || state?.kind === "consolidating" || state?.kind === "paused")
    progress.value = state.percent;
  else progress.removeAttribute("value");
}

function headline(now: ModelState | undefined): string {
  switch (now?.kind) {
    case undefined:
    case "starting":
      return "Starting";
    case "notTrained":
      return "Not trained yet";
    case "preparing":
      return `Preparing: ${now.phase}`;
    case "training":
      return `Training, ${now.percent} %`;
    case "consolidating":
      return `Learning changed files while you are away, ${now.percent} %`;
    case "paused":
      return now.work === "training"
        ? `Paused at ${now.percent} %: ${now.why}`
        : `Learning changed files is paused: ${now.why}`;
    case "recovering":
      return "The engine stopped and is being started again";
    case "ready":
      return "Ready";
    case "noGpu":
      return `No GPU: ${now.reason}`;
    case "error":
      return `Error: ${now.message}`;
    default:
      return now satisfies never;
  }
}

/** The newest first. */
function renderConsolidations(): void {
  byId("learnedIdle").hidden = consolidations.length === 0;
  byId("consolidations").replaceChildren(
    ...consolidations.toReversed().map((report) => {
      const item = document.createElement("li");
      const time = document.createElement("time");
      time.dateTime = report.at;
      time.textContent = new Date(report.at).toLocaleString();
      item.append(time, ` ${describeConsolidation(report)}`);
      return item;
    }),
  );
}

function renderFigures(): void {
  const last = points.at(-1);
  const heldout = scoreOf(points);
  const known = state?.kind === "ready" ? (state.model.heldoutBpb ?? heldout) : heldout;
  byId("heldout").textContent = known === null ? "–" : known.toFixed(3);
  byId("heldoutUnit").textContent =
    known === null
      ? "bits per byte"
      : state?.kind === "ready" && state.model.heldoutBpb !== null
        ? "bits per byte, with memory"
        : "bits per byte, network alone";
  const loss = points.findLast((point) => point.loss !== null)?.loss ?? null;
  byId("loss").textContent = loss === null ? "–" : loss.toFixed(3);
  byId("rate").textContent =
    last === undefined || last.bytesPerSecond <= 0 ? "–" : `${bytes(last.bytesPerSecond)}/s`;
  byId("seen").textContent = last === undefined ? "–" : bytes(last.bytes);
  byId("left").textContent =
    state?.kind === "training"
      ? duration(state.secondsLeft)
      : state?.kind === "paused"
        ? "paused"
        : "–";
  const device = last?.device ?? "";
  byId("device").textContent =
    state?.kind === "training" ||
    state?.kind === "consolidating" ||
    state?.kind === "paused" ||
    state?.kind === "ready"
      ? `${state.device.name}${state.device.safeMode ? " (safe mode)" : ""}`
      : device === ""
        ? "–"
        : device;
}

function renderChart(): void {
  const target = byId("chart");
  byId("empty").hidden = points.length > 0;
  if (points.length === 0) {
    chart?.destroy();
    chart = undefined;
    return;
  }
  const data = curves(points);
  if (chart === undefined) chart = new uPlot(chartOptions(), data, target);
  else chart.setData(data);
  const first = points.find((point) => point.loss !== null)?.loss;
  const last = points.findLast((point) => point.loss !== null)?.loss;
  target.setAttribute(
    "aria-label",
    first === null || first === undefined || last === null || last === undefined
      ? "Curve of held-out bits per byte"
      : `The loss went from ${first.toFixed(2)} to ${last.toFixed(2)} bits per byte in ${points.at(-1)!.step} steps`,
  );
}

/** x is seconds of training; the batch loss is also drawn smoothed, since single batches jump. */
function curves(all: readonly TrainingPoint[]): uPlot.AlignedData {
  const window = Math.max(1, Math.floor(all.length / SMOOTHED_PARTS));
  const x: number[] = [];
  const raw: (number | null)[] = [];
  const smooth: (number | null)[] = [];
  const heldout: (number | null)[] = [];
  const recent: number[] = [];
  let scored: number | null = null;
  for (const point of all) {
    if (point.loss !== null) recent.push(point.loss);
    if (recent.length > window) recent.shift();
    // The axis must not run backwards; a resumed run counts its seconds on.
    x.push(Math.max(point.seconds, x.at(-1) ?? 0));
    raw.push(point.loss);
    smooth.push(recent.length === 0 ? null : recent.reduce((a, b) => a + b) / recent.length);
    // The last score is repeated until there is a new one; a point stands where it was measured.
    heldout.push(point.heldoutBpb === scored ? null : point.heldoutBpb);
    scored = point.heldoutBpb ?? scored;
  }
  return [x, raw, smooth, heldout] as uPlot.AlignedData;
}

function scoreOf(all: readonly TrainingPoint[]): number | null {
  return all.findLast((point) => point.heldoutBpb !== null)?.heldoutBpb ?? null;
}

function chartOptions(): uPlot.Options {
  const style = getComputedStyle(document.body);
  const colour = (name: string, otherwise: string): string =>
    style.getPropertyValue(name).trim() || otherwise;
  const foreground = colour("--vscode-foreground", "#888");
  const grid = colour("--vscode-editorIndentGuide-background1", "rgba(128,128,128,0.2)");
  const blue = colour("--vscode-charts-blue", "#3794ff");
  const green = colour("--vscode-charts-green", "#89d185");
  const axis: uPlot.Axis = {
    stroke: foreground,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1 },
  };
  const figure = (_: uPlot, value: number | null) => (value === null ? "–" : value.toFixed(3));
  return {
    width: chartWidth(),
    height: CHART_HEIGHT,
    scales: {
      x: { time: false, range: (_, min, max) => [min, Math.max(max, min + MIN_SPAN_SECONDS)] },
    },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((tick) => duration(tick)) },
      { ...axis, size: 60 },
    ],
    series: [
      {
        label: "Time",
        value: (_, value: number | null) => (value === null ? "–" : duration(value)),
      },
      {
        label: "Batch",
        stroke: blue,
        width: 0.5,
        alpha: 0.4,
        points: { show: false },
        value: figure,
      },
      { label: "Batch, smoothed", stroke: blue, width: 2, points: { show: false }, value: figure },
      {
        label: "Held-out files, network alone",
        stroke: green,
        width: 2,
        spanGaps: true,
        points: { show: true, size: 6, fill: green },
        value: figure,
      },
    ],
  };
}

function chartWidth(): number {
  return Math.max(240, byId("chart").clientWidth);
}

function bytes(value: number): string {
  if (value < 1e3) return `${Math.round(value)} B`;
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} kB`;
  return `${(value / 1e6).toFixed(1)} MB`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(seconds % 60 === 0 ? 0 : 1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
