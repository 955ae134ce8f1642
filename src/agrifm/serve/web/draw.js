// A polygon that the reader draws or opens, and the hectares inside it.

import { find, hectares, hint, make, swatch } from "./elements.js";
import { addOutlines } from "./map_view.js";
import { askHectares } from "./server.js";

const MOST_CORNERS = 500; // that are clicked
const LARGEST_FILE = 2e6; // bytes

/** Connect the button and the map. `isDrawing()` says whether a click is a corner. */
export function connectDrawing(season, map) {
  const shape = addOutlines(map, "drawn", [
    ["fill", "fill", { "fill-color": "#ffffff", "fill-opacity": 0.15 }],
    ["case", "line", { "line-color": "#000000", "line-width": 4 }],
    ["line", "line", { "line-color": "#ffffff", "line-width": 2 }],
    [
      "corner",
      "circle",
      { "circle-radius": 4, "circle-color": "#ffffff", "circle-stroke-color": "#000000", "circle-stroke-width": 1.5 },
    ],
  ]);
  let corners = [];
  let drawing = false;

  const outline = (pointer = null) => {
    const line = pointer ? [...corners, pointer] : corners;
    if (!line.length) return null;
    const ring =
      line.length > 2
        ? { type: "Polygon", coordinates: [[...line, line[0]]] }
        : { type: "LineString", coordinates: line.length > 1 ? line : [line[0], line[0]] };
    return { type: "Feature", properties: {}, geometry: ring };
  };

  const begin = () => {
    [corners, drawing] = [[], true];
    find("area").replaceChildren();
    shape.set(null);
    map.getCanvas().classList.add("drawing");
    map.doubleClickZoom.disable();
    buttons();
    hint("Click the corners of the area; double-click or Enter finishes, Esc discards.", 0);
  };

  const stop = () => {
    drawing = false;
    map.getCanvas().classList.remove("drawing");
    setTimeout(() => map.doubleClickZoom.enable(), 300);
    hint("");
    buttons();
  };

  const discard = () => {
    corners = [];
    shape.set(null);
    find("area").replaceChildren();
    stop();
  };

  const finish = async () => {
    if (!drawing) return;
    corners = corners.filter((corner, at) => at === 0 || corner.join() !== corners[at - 1].join());
    if (corners.length < 3) {
      hint("An area has at least three corners.");
      return;
    }
    stop();
    await count();
  };

  const count = async () => {
    shape.set(outline());
    find("discard").hidden = false;
    find("area").replaceChildren("…");
    try {
      find("area").replaceChildren(...areaTable(season, await askHectares(corners)));
    } catch (error) {
      find("area").replaceChildren(make("p", { className: "fault" }, error.message));
    }
  };

  const open = async (file) => {
    discard();
    try {
      corners = await outlineOfFile(file);
    } catch (error) {
      hint(error.message);
      return;
    }
    const [lons, lats] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    map.fitBounds(
      [
        [Math.min(...lons), Math.min(...lats)],
        [Math.max(...lons), Math.max(...lats)],
      ],
      { padding: 60, maxZoom: 16 },
    );
    await count();
  };

  const buttons = () => {
    find("draw").textContent = drawing ? "Click the corners …" : "Draw an area";
    find("draw").disabled = drawing;
    find("finish").hidden = !drawing;
    find("open").hidden = drawing;
    find("discard").hidden = !drawing && !corners.length;
  };

  const corner = (lngLat) => {
    if (corners.length >= MOST_CORNERS) return;
    corners.push([lngLat.lng, lngLat.lat]);
    shape.set(outline());
  };

  map.on("mousemove", (event) => drawing && corners.length && shape.set(outline([event.lngLat.lng, event.lngLat.lat])));
  map.on("dblclick", (event) => {
    if (!drawing) return;
    event.preventDefault();
    finish();
  });
  find("draw").addEventListener("click", begin);
  find("open").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", async () => {
    const [file] = find("file").files;
    if (file) await open(file);
    find("file").value = "";
  });
  find("finish").addEventListener("click", finish);
  find("discard").addEventListener("click", discard);
  return { begin, finish, discard, corner, isDrawing: () => drawing };
}

/** The outer ring of the first polygon of a GeoJSON file, in longitude and latitude. */
async function outlineOfFile(file) {
  if (file.size > LARGEST_FILE) throw new Error("The file is too large; give one of a single area.");
  let content = null;
  try {
    content = JSON.parse(await file.text());
  } catch {
    throw new Error("The file is not GeoJSON.");
  }
  const shapes = (content?.features ?? [content]).map((one) => one?.geometry ?? one);
  const [polygon] = shapes.flatMap((one) =>
    one?.type === "Polygon" ? [one.coordinates] : one?.type === "MultiPolygon" ? one.coordinates : [],
  );
  const ring = (polygon?.[0] ?? []).map(([lon, lat]) => [lon, lat]);
  if (ring.length < 4) throw new Error("The file has no polygon.");
  if (!ring.flat().every((number) => Number.isFinite(number) && Math.abs(number) <= 180))
    throw new Error("The file is not in longitude and latitude.");
  return ring.slice(0, -1);
}

/** The yield of an area: its hectares, mean and sum. */
function yieldTable(season, found) {
  const { hectares: area, mean, tonnes } = found.yield;
  const row = (title, value) => make("tr", {}, make("td", {}, title), make("td", {}, value));
  const rows = [row("Hectares with a yield", hectares(area))];
  if (mean !== null)
    rows.push(row("Mean, t/ha", mean.toFixed(2)), row("Sum of the pixels, t", hectares(tonnes)));
  const notes = ["These are means and sums of the map, no estimates by a sample, so they have no interval."];
  if (found.without_yield >= 0.05) notes.push(`${hectares(found.without_yield)} ha of the area have no yield on the map.`);
  return [make("table", {}, make("tbody", {}, ...rows)), ...notes.map((note) => make("p", { className: "small" }, note))];
}

function areaTable(season, found) {
  if (found.yield) return yieldTable(season, found);
  const crops = season.classes;
  const estimates = new Map((found.estimates ?? []).map((one) => [one.code, one]));
  const order = crops
    .map((_, number) => number)
    .filter((number) => found.hectares[number] > 0 || (estimates.get(crops[number].code)?.hectares ?? 0) >= 0.05);
  order.sort((one, other) => found.hectares[other] - found.hectares[one]);
  const total = found.hectares.reduce((sum, value) => sum + value, 0);
  const head = make(
    "tr",
    {},
    make("th", {}, "Crop"),
    make("th", {}, "Mapped ha"),
    estimates.size ? make("th", {}, "Estimate, 95 % interval") : null,
  );
  const rows = order.map((number) => {
    const one = estimates.get(crops[number].code);
    const interval = one ? `${hectares(one.hectares)} (${hectares(one.low)}–${hectares(one.high)})` : "";
    return make(
      "tr",
      {},
      make("td", {}, swatch(crops[number].color), crops[number].name),
      make("td", {}, hectares(found.hectares[number])),
      estimates.size ? make("td", {}, interval) : null,
    );
  });
  const foot = make(
    "tr",
    {},
    make("th", {}, "Together"),
    make("th", {}, hectares(total)),
    estimates.size ? make("th", {}) : null,
  );
  const notes = [];
  if (found.without_class >= 0.05)
    notes.push(`${hectares(found.without_class)} ha of the area have no crop on the map.`);
  if (found.side)
    notes.push(
      `Counted on the map in squares of ${found.side.toFixed(1)} m, each with its exact area. Estimates with intervals need agrifm serve.`,
    );
  if (found.pixel) notes.push(`Sums of shares; pixels of ${found.pixel} m count whole if their centre is inside.`);
  if (estimates.size)
    notes.push("The estimate supposes that the map errs here as it does at the reference points of the whole map.");
  return [
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows), make("tfoot", {}, foot)),
    ...notes.map((note) => make("p", { className: "small" }, note)),
  ];
}
