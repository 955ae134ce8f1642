// The curves of a place as SVG: what was observed, and where clouds left gaps.

import { dayText, isoDay } from "./elements.js";

const WIDTH = 340;
const HEIGHT = 170;
const EDGE = { left: 34, right: 8, top: 10, bottom: 30 };
const STEPS = [0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100]; // between lines of the grid
const COLORS = ["var(--curve-1)", "var(--curve-2)", "var(--curve-3)", "var(--curve-4)"];

function svg(name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

/** Names of curves of all sensors, each once: indices first. */
export function curveNames(series) {
  return [...new Set(series.flatMap((one) => (one.curves ?? []).map((curve) => curve.name)))];
}

/** A chart of the curve of one name, a line for each sensor that has it. Dashed lines bridge dates of cloud. */
export function drawCurves(series, name, date, choose) {
  const lines = series.filter((one) => one.curves?.some((curve) => curve.name === name));
  const days = lines.flatMap((one) => one.days);
  const values = lines.flatMap((one) => valuesOf(one, name)).filter((value) => value !== null);
  const [first, last] = [Math.min(...days), Math.max(...days)];
  const isIndex = /^[A-Z]{2}[A-Z]+$|-/.test(name);
  const isShare = values.every((value) => Math.abs(value) <= 2); // reflectance and indices begin at 0
  const low = Math.min(...(isShare ? [0] : []), ...values);
  const high = Math.max(...(isShare ? [isIndex ? 1 : 0.1] : []), ...values);
  const x = (day) => EDGE.left + ((day - first) / Math.max(last - first, 1)) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - ((value - low) / (high - low || 1)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const chart = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    class: "curve",
    role: "img",
    "aria-label": `${name} over the season`,
  });
  chart.append(...axes(first, last, low, high, x, y));
  lines.forEach((one, number) => chart.append(line(one, valuesOf(one, name), COLORS[number % COLORS.length], x, y)));
  const chosen = Date.parse(date) / 86400000;
  if (chosen >= first && chosen <= last) {
    chart.append(
      svg("line", { x1: x(chosen), x2: x(chosen), y1: EDGE.top, y2: HEIGHT - EDGE.bottom, class: "chosen" }),
    );
  }
  chart.addEventListener("click", (event) => {
    const box = chart.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    choose(isoDay(Math.round(first + ((at - EDGE.left) / (WIDTH - EDGE.left - EDGE.right)) * (last - first))));
  });
  return chart;
}

const valuesOf = (one, name) => one.curves.find((curve) => curve.name === name).values;

/** The colour of the line of each sensor that has the curve, with its title. */
export function curveKeys(series, name) {
  return series
    .filter((one) => one.curves?.some((curve) => curve.name === name))
    .map((one, number) => ({
      title: one.metres > 60 ? `${one.title}, ${one.metres} m` : one.title,
      color: COLORS[number % COLORS.length],
    }));
}

function axes(first, last, low, high, x, y) {
  const parts = [];
  const step = STEPS.find((one) => (high - low) / one <= 6) ?? (high - low) / 5;
  const decimals = step < 0.1 || step === 0.25 ? 2 : step < 1 ? 1 : 0;
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) {
    parts.push(svg("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(
      svg(
        "text",
        { x: EDGE.left - 4, y: y(value) + 3.5, class: "end" },
        (Math.abs(value) < 1e-9 ? 0 : value).toFixed(decimals),
      ),
    );
  }
  const from = new Date(first * 86400000);
  for (let month = from.getUTCMonth() + 1; ; month += 1) {
    const start = Date.UTC(from.getUTCFullYear(), month, 1);
    if (start > last * 86400000) break;
    const at = x(start / 86400000);
    parts.push(svg("line", { x1: at, x2: at, y1: HEIGHT - EDGE.bottom, y2: HEIGHT - EDGE.bottom + 4, class: "axis" }));
    const text = new Date(start).toLocaleDateString("en-GB", { month: "short", timeZone: "UTC" });
    if (at < WIDTH - 24) parts.push(svg("text", { x: at + 2, y: HEIGHT - 6 }, text));
  }
  return parts;
}

/** One sensor: a solid line between dates in a row, dashed over dates of cloud, which have a tick below. */
function line(one, values, color, x, y) {
  const group = svg("g", { class: "series" });
  group.style.setProperty("--series", color);
  const seen = values
    .map((value, at) => at)
    .filter((at) => values[at] !== null)
    .sort((a, b) => one.days[a] - one.days[b]);
  seen.slice(1).forEach((at, number) => {
    const before = seen[number];
    const gap = at - before > 1;
    group.append(
      svg("line", {
        x1: x(one.days[before]),
        y1: y(values[before]),
        x2: x(one.days[at]),
        y2: y(values[at]),
        class: gap ? "gap" : "seen",
      }),
    );
  });
  for (const at of seen) {
    const dot = svg("circle", { cx: x(one.days[at]), cy: y(values[at]), r: 2 });
    dot.append(svg("title", {}, `${dayText(isoDay(one.days[at]))}: ${values[at].toFixed(3)}`));
    group.append(dot);
  }
  values.forEach((value, at) => {
    if (value === null)
      group.append(
        svg("line", {
          x1: x(one.days[at]),
          x2: x(one.days[at]),
          y1: HEIGHT - EDGE.bottom - 3,
          y2: HEIGHT - EDGE.bottom,
          class: "cloud",
        }),
      );
  });
  return group;
}
