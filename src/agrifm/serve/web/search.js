// Search by coordinates, or by the name of a parcel.

import { find, hint } from "./elements.js";
import { ask } from "./server.js";
import { change } from "./state.js";

/** [longitude, latitude] of a text such as "46.9, 1.7" or "1.7 E 46.9 N"; null if it is something else. */
export function coordinatesOf(text) {
  const found = [...text.toUpperCase().matchAll(/([NSEW])?\s*(-?\d+(?:\.\d+)?)\s*°?\s*([NSEW])?/g)];
  if (found.length !== 2 || /[A-Z]/.test(text.toUpperCase().replace(/[NSEW]/g, "")) || !/[\s,;]/.test(text.trim()))
    return null;
  const parts = found.map(([, before, number, after]) => ({ letter: before ?? after ?? "", value: Number(number) }));
  const signed = ({ letter, value }) => ("SW".includes(letter) && letter ? -value : value);
  const swapped = "EW".includes(parts[0].letter) && parts[0].letter !== "";
  const [lat, lon] = swapped ? [signed(parts[1]), signed(parts[0])] : [signed(parts[0]), signed(parts[1])];
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? [lon, lat] : null;
}

/** Connect the search field. */
export function connectSearch(season, map) {
  find("query").placeholder = season.parcels ? "Lat, lon or a parcel" : "Latitude, longitude";
  find("search").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = find("query").value.trim();
    if (!text) return;
    const place = coordinatesOf(text);
    if (place) {
      map.easeTo({ center: place, zoom: Math.max(map.getZoom(), 14) });
      change({ place });
      return;
    }
    if (!season.parcels) {
      hint("Write a latitude and a longitude, such as 46.9, 1.7.");
      return;
    }
    try {
      const parcel = await ask("parcel", { id: text });
      const [west, south, east, north] = parcel.bounds;
      map.fitBounds(
        [
          [west, south],
          [east, north],
        ],
        { padding: 80, maxZoom: 16 },
      );
      change({ parcels: true, place: parcel.inside });
    } catch (error) {
      hint(error.message);
    }
  });
}
