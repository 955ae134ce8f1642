// Outlines of parcels, as vector tiles from the zoom at which a tile does not have too many.

import { find, hint } from "./elements.js";
import { addOutlines } from "./map_view.js";
import { change, onChange, state } from "./state.js";
import { parcelTiles } from "./tiles.js";

const CASED = 13.5; // zoom from which outlines have an edge; at smaller ones the edges would cover small fields

/** Outlines of vector tiles, which the map fetches by itself when they are shown. */
function addTiledOutlines(map, season, look) {
  const tiles = parcelTiles(season);
  map.addSource("parcels", tiles);
  for (const [suffix, type, paint, minzoom] of look)
    map.addLayer({ id: `parcels-${suffix}`, type, source: "parcels", "source-layer": "parcels", paint, minzoom });
  const show = (shown) => {
    for (const [suffix] of look)
      map.setLayoutProperty(`parcels-${suffix}`, "visibility", shown ? "visible" : "none");
    if (shown && map.getZoom() < tiles.minzoom) hint("Zoom in to see the parcels.");
  };
  return { show };
}

/** Connect the checkbox and the map. Returns a function that outlines one parcel, or none. */
export function connectParcels(season, map, colors) {
  const look = [
    ["case", "line", { "line-color": colors.case, "line-width": 2.6, "line-opacity": 0.7 }, CASED],
    ["line", "line", { "line-color": colors.line, "line-width": 1.1 }, 0],
  ];
  const outlines = season.parcels ? addTiledOutlines(map, season, look) : null;
  const chosen = addOutlines(map, "parcel", [
    ["case", "line", { "line-color": "#000000", "line-width": 5 }],
    ["line", "line", { "line-color": "#ffdd00", "line-width": 2.5 }],
  ]);
  find("parcels-choice").hidden = !season.parcels;
  find("parcel-count").textContent = season.parcels ? `(${season.parcels.toLocaleString("en")})` : "";
  const draw = () => outlines?.show(state.parcels);

  find("parcels").addEventListener("change", (event) => change({ parcels: event.target.checked }));
  map.on("moveend", draw);
  onChange((changed) => {
    if (!changed.has("parcels")) return;
    find("parcels").checked = state.parcels;
    draw();
  });
  find("parcels").checked = state.parcels;
  draw();
  return (found) => chosen.set(found && { type: "Feature", properties: {}, geometry: found.geometry });
}
