// The page: asks what the season has, puts it on a map, and connects the panel.

import { connectChoices } from "./choices.js";
import { connectComparison } from "./compare.js";
import { connectDates } from "./dates.js";
import { connectDrawing } from "./draw.js";
import { showDistricts } from "./districts.js";
import { dayText, find, hint, make } from "./elements.js";
import { connectKeys } from "./keyboard.js";
import { showLegend } from "./legend.js";
import { addOutlines, makeMap, Raster } from "./map_view.js";
import { connectParcels } from "./parcels.js";
import { readLink, writeLinks } from "./permalink.js";
import { showPlaces } from "./place.js";
import { connectSearch } from "./search.js";
import { openSeason } from "./server.js";
import { change, onChange, state } from "./state.js";
import { imageryTiles, layerTiles, serveArchives } from "./tiles.js";

async function begin() {
  const season = await openSeason();
  hint("");
  if (season.static) serveArchives();
  describe(season);
  change({ layer: season.layers[0].key });
  chooseImagery(season);
  const view = readLink(season);
  const map = makeMap(find("map"), season, view, true);
  map.on("error", (event) => hint(event.error?.message ?? "Something could not be shown."));
  await new Promise((resolve) => map.once("style.load", resolve));
  const shown = connectRasters(season, map);
  connectChoices(season);
  showLegend(season);
  const dates = connectDates(season, shown);
  const outlineParcel = connectParcels(season, map, { case: "#000000", line: "#ffffff" });
  const drawing = connectDrawing(season, map);
  const place = addOutlines(map, "place", [
    [
      "point",
      "circle",
      { "circle-radius": 6, "circle-color": "#ffdd00", "circle-stroke-color": "#000000", "circle-stroke-width": 2 },
    ],
  ]);
  const mark = (at) =>
    place.set(at && { type: "Feature", properties: {}, geometry: { type: "Point", coordinates: at } });
  showPlaces(season, mark, outlineParcel);
  onChange((changed) => changed.has("place") && state.place && moveIntoSight(map, state.place));
  connectSearch(season, map);
  connectComparison(season, map);
  connectKeys(season, dates, drawing, map);
  map.on("click", (event) => {
    if (drawing.isDrawing()) drawing.corner(event.lngLat);
    else change({ place: [event.lngLat.lng, event.lngLat.lat] });
  });
  writeLinks(map);
  document.body.dataset.ready = "yes";
  window.agrifm = { map, state, season }; // for those who look behind the page, and for its tests
}

/** Move the map if the chosen place is under the answer. */
function moveIntoSight(map, place) {
  const at = map.project(place);
  const stage = find("stage").getBoundingClientRect();
  const answer = find("place").getBoundingClientRect();
  const [x, y] = [at.x + stage.left, at.y + stage.top];
  if (x < answer.left - 20 || y < answer.top - 20 || x > answer.right) return;
  if (answer.left > stage.left + 100) map.panBy([x - answer.left + 100, 0]);
  else map.panBy([0, y - answer.top + 60]);
}

/** The title, the sentence on trust, what is missing, districts and files. */
function describe(season) {
  document.title = `${season.title} – agrifm`;
  find("title").textContent = season.title;
  const kind = { yield: "Map of yields", fractions: "Map of shares" }[season.task] ?? "Crop map";
  find("period").textContent = `${kind}, ${season.period.map(dayText).join(" to ")}`;
  if (season.labelling) find("period").append(" · ", make("a", { href: "label" }, "Label points"));
  find("trust").hidden = !season.trust;
  find("trust").textContent = season.trust ?? "";
  find("missing").hidden = !season.missing.length;
  find("missing").replaceChildren(
    ...season.missing.map(({ title, why }) => make("li", {}, make("strong", {}, `${title}: not shown. `), why)),
  );
  showDistricts(season);
  const links = season.downloads.map((name) =>
    make("li", {}, make("a", { href: `files/${encodeURIComponent(name)}`, download: name }, name)),
  );
  find("downloads")
    .querySelector("ul")
    .replaceChildren(...links);
}

/** At first the clearest date of the middle third of the season. */
function chooseImagery(season) {
  const [first] = season.imagery;
  if (!first) return change({ sensor: "", picture: "", opacity: 100 });
  const third = first.dates.length / 3;
  const frames = first.dates.map((_, frame) => frame).filter((frame) => frame >= third - 1 && frame <= 2 * third);
  const clearest = frames.reduce(
    (best, frame) => (first.clear[frame] > first.clear[best] ? frame : best),
    frames[0] ?? 0,
  );
  return change({ sensor: first.key, picture: first.pictures[0].key, date: first.dates[clearest] });
}

/** The imagery and the layer on the map. Returns a function whose promise ends when the imagery is there. */
function connectRasters(season, map) {
  addOutlines(map, "top", []); // what is drawn later is above the rasters
  map.addLayer({ id: "top-of-imagery", type: "background", paint: { "background-opacity": 0 } });
  map.addLayer({ id: "top-of-layer", type: "background", paint: { "background-opacity": 0 } });
  const beneath = new Raster(map, "imagery", season, "top-of-imagery");
  const above = new Raster(map, "layer", season, "top-of-layer");
  const showImagery = () => {
    const imagery = season.imagery.find((one) => one.key === state.sensor);
    if (!imagery || !state.picture) return beneath.show(null);
    return beneath.show(imageryTiles(season, imagery, state.picture, state.date));
  };
  const showLayer = () => 
    above.show(state.layer ? layerTiles(season, state.layer, state.hidden) : null, state.opacity / 100);
  const sayIfTooFar = () => {
    const imagery = season.imagery.find((one) => one.key === state.sensor);
    const wanted = imagery && state.picture && (!state.layer || state.opacity < 100);
    if (wanted && map.getZoom() + 1 < imagery.minzoom) hint("Zoom in to see the imagery.");
  };
  let coming = showImagery();
  showLayer();
  sayIfTooFar();
  map.on("zoomend", sayIfTooFar);
  onChange((changed) => {
    if (["sensor", "picture", "date"].some((name) => changed.has(name))) coming = showImagery();
    if (["layer", "hidden", "opacity"].some((name) => changed.has(name))) showLayer();
    sayIfTooFar();
  });
  return () => coming;
}

begin().catch((error) => hint(`The page could not be shown: ${error.message}`, 0));
