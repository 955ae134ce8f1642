// Keys for everything that a mouse can do; the map itself has arrows, + and -.

import { find, make } from "./elements.js";
import { change, state } from "./state.js";

/** Connect the keys, and list them. */
export function connectKeys(season, dates, drawing, map) {
  const layers = [...season.layers.map((layer) => layer.key), ""];
  const second = season.layers[1] ?? season.layers[0];
  const keys = {
    ",": ["Earlier date", () => dates.step(-1)],
    ".": ["Later date", () => dates.step(1)],
    " ": ["Play or pause", () => dates.play()],
    l: ["Next layer", () => change({ layer: layers[(layers.indexOf(state.layer) + 1) % layers.length] })],
    o: ["Show or hide the layer", () => change({ opacity: state.opacity ? 0 : 100 })],
    s: [`Compare with ${lowered(second.title)}, or stop`, () => change({ compare: state.compare ? "" : second.key })],
    p: ["Parcels", () => season.parcels && change({ parcels: !state.parcels })],
    c: ["Choose the place in the middle", () => choose(map, drawing)],
    d: ["Draw an area; c sets a corner", () => drawing.begin()],
    Enter: ["Finish the area", () => drawing.isDrawing() && drawing.finish()],
    Escape: ["Discard, close", () => (drawing.isDrawing() ? drawing.discard() : change({ place: null, compare: "" }))],
    "/": ["Search", () => find("query").focus()],
  };
  const names = { " ": "space", Escape: "Esc" };
  find("keys")
    .querySelector("dl")
    .replaceChildren(
      ...Object.entries(keys).flatMap(([key, [text]]) => [
        make("dt", {}, make("kbd", {}, names[key] ?? key)),
        make("dd", {}, text),
      ]),
      make("dt", {}, make("kbd", {}, "arrows"), " ", make("kbd", {}, "+"), " ", make("kbd", {}, "-")),
      make("dd", {}, "Move and zoom, when the map has the focus"),
    );
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    const typing = target.matches?.("input:not([type=checkbox]):not([type=range]), select, textarea");
    if (typing && event.key !== "Escape") return;
    if (target.matches?.("button, summary, input, a") && [" ", "Enter"].includes(event.key)) return;
    const entry = keys[event.key];
    if (!entry) return;
    event.preventDefault();
    if (typing) target.blur();
    entry[1]();
  });
}

function choose(map, drawing) {
  const middle = map.getCenter();
  if (drawing.isDrawing()) drawing.corner(middle);
  else change({ place: [middle.lng, middle.lat] });
}

const lowered = (title) => title[0].toLowerCase() + title.slice(1);
