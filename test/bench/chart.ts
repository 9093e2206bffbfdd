/**
 * Line charts as SVG: panels side by side, one legend. Colours follow the reader's theme, as far as the viewer says
 * which one it is; the background stays open.
 */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Marks every point, for few points. */
  readonly dots?: true;
}

export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  /** A horizontal line with a name. */
  readonly mark?: { readonly y: number; readonly name: string };
}

export interface Axis {
  readonly label: string;
  readonly from: number;
  readonly to: number;
  readonly log?: true;
  readonly ticks: readonly number[];
}

const WIDTH = 420;
const HEIGHT = 300;
const LEFT = 62;
const RIGHT = 26;
const TOP = 40;
const BOTTOM = 46;
const LEGEND_ROW = 20;
/** Per theme; told apart by lightness too. */
const COLORS: readonly (readonly [light: string, dark: string])[] = [
  ["#0b5cad", "#6cb2ff"],
  ["#c2410c", "#ff9a5c"],
  ["#15803d", "#5fd38a"],
  ["#7e22ce", "#c99bff"],
  ["#a16207", "#f2cf4a"],
  ["#be185d", "#ff8fc0"],
  ["#475569", "#b6c2d2"],
  ["#0f766e", "#56d6c9"],
];
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];

const escape = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const tickText = (v: number): string =>
  v !== 0 && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5)
    ? v.toExponential(0).replace("e+", "e")
    : String(v);

function position(axis: Axis, length: number): (v: number) => number {
  const scale = axis.log === true ? Math.log10 : (v: number): number => v;
  const from = scale(axis.from);
  const to = scale(axis.to);
  // A logarithm has no place for zero: such points lie below the axis, where they are clipped.
  const least = axis.log === true ? axis.from / 2 : -Infinity;
  return (v) => (length * (scale(Math.max(least, v)) - from)) / (to - from);
}

function drawPanel(panel: Panel, index: number, colorOf: ReadonlyMap<string, number>): string {
  const width = WIDTH - LEFT - RIGHT;
  const height = HEIGHT - TOP - BOTTOM;
  const x = position(panel.x, width);
  const up = position(panel.y, height);
  const y = (v: number): number => height - up(v);
  const f = (v: number): string => v.toFixed(1);
  const parts = [
    `<text class="title" x="0" y="-14">${escape(panel.title)}</text>`,
    ...panel.x.ticks.map(
      (t) =>
        `<path class="grid" d="M${f(x(t))} 0V${height}"/><text x="${f(x(t))}" y="${height + 16}" text-anchor="middle">${tickText(t)}</text>`,
    ),
    ...panel.y.ticks.map(
      (t) =>
        `<path class="grid" d="M0 ${f(y(t))}H${width}"/><text x="-7" y="${f(y(t) + 4)}" text-anchor="end">${tickText(t)}</text>`,
    ),
    `<text x="${width / 2}" y="${height + 36}" text-anchor="middle">${escape(panel.x.label)}</text>`,
    `<text transform="translate(-46 ${height / 2}) rotate(-90)" text-anchor="middle">${escape(panel.y.label)}</text>`,
    `<path class="axis" d="M0 0V${height}H${width}"/>`,
  ];
  if (panel.mark !== undefined)
    parts.push(
      `<path class="axis" stroke-dasharray="3 3" d="M0 ${f(y(panel.mark.y))}H${width}"/>`,
      `<text x="${width - 4}" y="${f(y(panel.mark.y) - 5)}" text-anchor="end">${escape(panel.mark.name)}</text>`,
    );
  const clip = `panel${index}`;
  parts.push(
    `<clipPath id="${clip}"><path d="M-4 -4H${width + 4}V${height + 4}H-4z"/></clipPath><g clip-path="url(#${clip})">`,
  );
  for (const s of panel.series) {
    const color = colorOf.get(s.name)!;
    const path = s.points.map(([px, py], i) => `${i === 0 ? "M" : "L"}${f(x(px))} ${f(y(py))}`);
    parts.push(`<path class="line c${color}" d="${path.join("")}"/>`);
    if (s.dots === true)
      parts.push(
        ...s.points.map(
          ([px, py]) => `<circle class="dot c${color}" cx="${f(x(px))}" cy="${f(y(py))}" r="3"/>`,
        ),
      );
  }
  parts.push("</g>");
  return `<g transform="translate(${index * WIDTH + LEFT} ${TOP})">${parts.join("\n")}</g>`;
}

/** One SVG document; a name has the same colour in all panels. */
export function chart(panels: readonly Panel[], alt: string): string {
  const names = [...new Set(panels.flatMap((p) => p.series.map((s) => s.name)))];
  const colorOf = new Map(names.map((name, i) => [name, i]));
  const width = WIDTH * panels.length;
  const perRow = Math.max(1, Math.floor(width / 200));
  const rows = Math.ceil(names.length / perRow);
  const height = HEIGHT + rows * LEGEND_ROW + 8;
  const colors = (theme: 0 | 1): string =>
    names
      .map((_, i) => {
        const color = COLORS[i % COLORS.length]![theme];
        return `.c${i}{stroke:${color};color:${color};stroke-dasharray:${DASHES[Math.floor(i / COLORS.length) % DASHES.length] || "none"}}`;
      })
      .join("");
  const legend = names.map((name, i) => {
    const left = LEFT + (i % perRow) * 200;
    const top = HEIGHT + Math.floor(i / perRow) * LEGEND_ROW + 8;
    return `<path class="line c${i}" d="M${left} ${top}h24"/><text x="${left + 31}" y="${top + 4}">${escape(name)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(alt)}">
<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}
.title{font-weight:600;font-size:13px}
.grid{stroke:#1f2328;stroke-opacity:.12}
.axis{stroke:#1f2328;stroke-opacity:.6;fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.dot{fill:currentColor;stroke:none}
${colors(0)}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.grid,.axis{stroke:#e6edf3}${colors(1)}}
</style>
${panels.map((p, i) => drawPanel(p, i, colorOf)).join("\n")}
${legend.join("\n")}
</svg>
`;
}
