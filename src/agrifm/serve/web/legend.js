// The legend: classes with their hectares, which can be hidden, or the ramp of a layer of numbers.

import { find, hectares, make, swatch } from "./elements.js";
import { change, onChange, state } from "./state.js";

/** Draw the legend of the chosen layer, now and after each change. */
export function showLegend(season) {
  const draw = () => {
    const layer = season.layers.find((one) => one.key === state.layer);
    const imagery = season.imagery.find((one) => one.key === state.sensor);
    const green = !layer && imagery && state.picture.startsWith("ndvi") ? { ramp: imagery.ramp, top: 1, unit: "NDVI" } : null;
    find("legend").replaceChildren(...(layer ? content(season, layer) : green ? [ramp(green)] : []));
  };
  onChange((changed) => {
    if (changed.has("layer") || changed.has("picture")) draw();
    else if (changed.has("hidden")) tick();
  });
  draw();
}

function content(season, layer) {
  const note = layer.note ? [make("p", { className: "small" }, layer.note)] : [];
  if (!layer.classes) return [ramp(layer), ...note];
  const areas = layer.classes.map((_, number) => (layer.key === "classes" ? season.hectares[number] : null));
  const known = areas.filter((value) => value !== null);
  const most = Math.max(...known, 0);
  const order = layer.classes.map((_, number) => number);
  order.sort((one, other) => (areas[other] ?? 0) - (areas[one] ?? 0));
  const list = make(
    "ul",
    { className: "crops" },
    ...order.map((number) => crop(layer.classes[number], number, areas[number], most)),
  );
  const total = known.reduce((sum, value) => sum + value, 0);
  const everything = make("button", {
    type: "button",
    textContent: "All",
    onclick: () => change({ hidden: new Set() }),
  });
  const nothing = make("button", {
    type: "button",
    textContent: "None",
    onclick: () => change({ hidden: new Set(order) }),
  });
  const foot = make(
    "p",
    { className: "row small" },
    everything,
    nothing,
    make("span", { className: "end" }, known.length ? `${hectares(total)} ha mapped` : ""),
  );
  return [list, foot, ...note];
}

function crop(entry, number, area, most) {
  const box = make("input", { type: "checkbox", checked: !state.hidden.has(number), value: String(number) });
  box.addEventListener("change", () => {
    const hidden = new Set(state.hidden);
    if (box.checked) hidden.delete(number);
    else hidden.add(number);
    change({ hidden });
  });
  const bar = make("span", { className: "bar" });
  bar.style.width = `${(100 * (area ?? 0)) / (most || 1)}%`;
  bar.style.backgroundColor = entry.color;
  const track = area === null ? null : make("span", { className: "track" }, bar);
  const only = make("button", {
    type: "button",
    className: "only",
    textContent: "only",
    title: `Show only ${entry.name}`,
  });
  only.addEventListener("click", () => change({ hidden: new Set(allNumbers().filter((other) => other !== number)) }));
  const label = make("label", {}, box, swatch(entry.color), make("span", { className: "name" }, entry.name));
  const value = area === null ? "" : `${hectares(area)} ha`;
  return make("li", {}, label, only, make("span", { className: "area" }, value), track);
}

const boxes = () => [...find("legend").querySelectorAll("input[type=checkbox]")];
const allNumbers = () => boxes().map((box) => Number(box.value));

function tick() {
  for (const box of boxes()) box.checked = !state.hidden.has(Number(box.value));
}

function ramp(layer) {
  const bar = make("span", { className: "ramp" });
  bar.style.background = `linear-gradient(to right, ${layer.ramp.join(", ")})`;
  const ends = make(
    "span",
    { className: "row small" },
    make("span", {}, `${layer.bottom ?? 0} ${layer.unit}`),
    make("span", { className: "end" }, `${layer.top} ${layer.unit}`),
  );
  return make("div", {}, bar, ends);
}
