// Outlines of parcels in the view; with too many of them, how many there are.

import { find, hint } from "./elements.js";
import { addOutlines } from "./map_view.js";
import { ask } from "./server.js";
import { change, onChange, state } from "./state.js";
import { parcelTiles } from "./tiles.js";

/** Outlines of vector tiles, which the map fetches by itself when they are shown. */
function addTiledOutlines(map, season, look) {
  map.addSource("parcels", parcelTiles(season));
  for (const [suffix, type, paint] of look)
    map.addLayer({ id: `parcels-${suffix}`, type, source: "parcels", "source-layer": "parcels", paint });
  const show = (shown) => {
    for (const [suffix] of look)
      map.setLayoutProperty(`parcels-${suffix}`, "visibility", shown ? "visible" : "none");
    if (shown && map.getZoom() < season.static.parcels.minzoom) hint("Zoom in to see the parcels.");
  };
  return { show };
}

/** Connect the checkbox and the map. Returns a function that outlines one parcel, or none. */
export function connectParcels(season, map, colors) {
  const look = [
    ["case", "line", { "line-color": colors.case, "line-width": 2.6, "line-opacity": 0.7 }],
    ["line", "line", { "line-color": colors.line, "line-width": 1.1 }],
  ];
  const tiled = Boolean(season.static && season.parcels);
  const outlines = tiled ? addTiledOutlines(map, season, look) : addOutlines(map, "parcels", look);
  const chosen = addOutlines(map, "parcel", [
    ["case", "line", { "line-color": "#000000", "line-width": 5 }],
    ["line", "line", { "line-color": "#ffdd00", "line-width": 2.5 }],
  ]);
  find("parcels-choice").hidden = !season.parcels;
  find("parcel-count").textContent = season.parcels ? `(${season.parcels.toLocaleString("en")})` : "";
  let asking = null;

  const draw = async () => {
    if (tiled) return outlines.show(state.parcels);
    asking?.abort();
    if (!state.parcels || !season.parcels) return outlines.set(null);
    asking = new AbortController();
    const bounds = map.getBounds();
    const clip = (value, most) => Math.max(-most, Math.min(most, value)).toFixed(6);
    const box = {
      west: clip(bounds.getWest(), 180),
      east: clip(bounds.getEast(), 180),
      south: clip(bounds.getSouth(), 90),
      north: clip(bounds.getNorth(), 90),
    };
    try {
      const found = await ask("parcels", box, asking.signal);
      outlines.set(found);
      if (found.count && !found.features.length)
        hint(`${found.count.toLocaleString("en")} parcels here; zoom in to see them.`);
    } catch (error) {
      if (error.name !== "AbortError") hint(error.message);
    }
    return undefined;
  };

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
