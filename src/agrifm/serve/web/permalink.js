// The page's state in the address after #, so that a link shows the same.

import { change, onChange, state } from "./state.js";

/** Take the state from the address; what the season does not have is left as it is. Returns the view, or null. */
export function readLink(season) {
  const link = new URLSearchParams(location.hash.slice(1));
  const values = {};
  const layers = ["", ...season.layers.map((layer) => layer.key)];
  if (link.has("layer") && layers.includes(link.get("layer"))) values.layer = link.get("layer");
  const [sensor, picture] = (link.get("base") ?? "").split("/");
  const imagery = season.imagery.find((one) => one.key === sensor);
  if (imagery?.pictures.some((one) => one.key === picture)) Object.assign(values, { sensor, picture });
  else if (link.get("base") === "none") values.picture = "";
  const dates = season.imagery.flatMap((one) => one.dates);
  if (dates.includes(link.get("date"))) values.date = link.get("date");
  if (isComparable(season, link.get("compare"))) values.compare = link.get("compare");
  const hidden = (link.get("hide") ?? "").split(",").filter((text) => /^\d{1,3}$/.test(text));
  if (hidden.length) values.hidden = new Set(hidden.map(Number));
  for (const name of ["opacity", "divider"]) {
    const number = Number(link.get(name) ?? NaN);
    if (number >= 0 && number <= 100) values[name] = number;
  }
  if (link.get("parcels") === "1" && season.parcels) values.parcels = true;
  const at = numbers(link.get("at"), 2);
  if (at && Math.abs(at[0]) <= 180 && Math.abs(at[1]) <= 90) values.place = at;
  change(values);
  const view = numbers(link.get("map"), 3);
  return view && Math.abs(view[1]) <= 85 ? { zoom: view[0], center: [view[2], view[1]] } : null;
}

function isComparable(season, text) {
  if (season.layers.some((layer) => layer.key === text)) return true;
  const [, sensor, picture, date] = /^([^/]+)\/([^@]+)@(.+)$/.exec(text ?? "") ?? [];
  const imagery = season.imagery.find((one) => one.key === sensor);
  return Boolean(imagery?.dates.includes(date) && imagery.pictures.some((one) => one.key === picture));
}

function numbers(text, count) {
  const found = (text ?? "").split("/").map(Number);
  return text && found.length === count && found.every(Number.isFinite) ? found : null;
}

/** Keep the address up to date with the state and the map's view. */
export function writeLinks(map) {
  let timer = 0;
  const write = () => {
    const { lng, lat } = map.getCenter();
    const parts = {
      map: [map.getZoom().toFixed(2), lat.toFixed(5), lng.toFixed(5)].join("/"),
      layer: state.layer,
      base: state.picture ? `${state.sensor}/${state.picture}` : "none",
      date: state.date,
      opacity: state.opacity,
      ...(state.hidden.size ? { hide: [...state.hidden].join(",") } : {}),
      ...(state.compare ? { compare: state.compare, divider: Math.round(state.divider) } : {}),
      ...(state.parcels ? { parcels: 1 } : {}),
      ...(state.place ? { at: state.place.map((number) => number.toFixed(5)).join("/") } : {}),
    };
    const text = Object.entries(parts)
      .map(([key, value]) => `${key}=${encodeURI(value)}`)
      .join("&");
    history.replaceState(null, "", `#${text}`);
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(write, 200);
  };
  map.on("moveend", later);
  onChange(later);
  later();
}
