// What a server would answer, from the files next to the page.

import { loadReader, placeInTiles, tileOf, unpacked, valuesOf } from "./archives.js";
import { pixelAt, seriesAt, withCurves } from "./blocks.js";
import { isInside } from "./geometry.js";
import { hectaresOf } from "./tile_hectares.js";

const NOTHING = 255; // value of a pixel without one

/** Functions by the name of the question. */
export async function answersOf(season) {
  await loadReader();
  const { series, pixels, parcels } = season.static;
  const crops = season.layers.find((layer) => layer.key === "classes");
  return {
    pixel: async ({ lon, lat }) => {
      const plane = await pixelAt("pixels", pixels, [lon, lat]);
      const valueOf = ({ key, maxzoom }) => {
        const number = pixels.layers.indexOf(key); // those of another grid are read from their tiles
        if (number < 0) return valueAt(key, maxzoom, [lon, lat]);
        return plane && plane(number) !== NOTHING ? plane(number) : null;
      };
      const values = await Promise.all(season.layers.map(valueOf));
      const shares = plane && pixels.probabilities && crops.classes.map((_, number) => plane(pixels.layers.length + number));
      const sum = shares ? shares.reduce((total, one) => total + one, 0) : 0;
      return {
        values: Object.fromEntries(season.layers.map((layer, number) => [layer.key, values[number]])),
        probabilities: sum && !shares.includes(NOTHING) ? shares.map((one) => one / sum) : null,
      };
    },
    series: ({ lon, lat }) => Promise.all(series.map((one) => seriesAt(one, [lon, lat]))),
    parcel: ({ lon, lat, id }) => (id === undefined ? parcelAt(parcels, [lon, lat]) : parcelNamed(parcels, id)),
    "parcel-series": ({ row, tile }) => parcelSeries(parcels, series[0], row, tile),
    hectares: (outline) => hectaresOf(crops, outline),
  };
}

async function valueAt(key, zoom, place) {
  const [x, y] = placeInTiles(place, zoom);
  const tile = await tileOf(`layers/${key}`, zoom, Math.floor(x), Math.floor(y));
  if (!tile) return null;
  const value = (await valuesOf(tile))[Math.floor((y % 1) * 256) * 256 + Math.floor((x % 1) * 256)];
  return value === NOTHING ? null : value;
}

async function parcelsNear(parcels, place) {
  const [x, y] = placeInTiles(place, parcels.rows_zoom).map(Math.floor);
  const packed = await tileOf("parcel-rows", parcels.rows_zoom, x, y);
  return packed ? JSON.parse(new TextDecoder().decode(await unpacked(packed, "gzip"))) : [];
}

async function parcelAt(parcels, place) {
  return (await parcelsNear(parcels, place)).find((one) => isInside(one.geometry, place)) ?? null;
}

async function parcelNamed(parcels, id) {
  const response = await fetch(`parcel-names/${hash(id) % parcels.name_files}.json`);
  if (!response.ok) throw new Error(`parcel-names: ${response.statusText}`);
  const names = await response.json();
  const found = Object.hasOwn(names, id) && (await parcelsNear(parcels, names[id]));
  const parcel = found && found.find((one) => String(one.columns.id) === id);
  if (!parcel) throw new Error("no parcel has this name");
  return parcel;
}

/** The mean series of a parcel, which is with those of the parcels of a tile. */
async function parcelSeries(parcels, about, row, [x, y]) {
  const packed = await tileOf("parcel-series", parcels.rows_zoom, x, y);
  const found = packed && JSON.parse(new TextDecoder().decode(await unpacked(packed, "gzip")))[row];
  if (!found) return [];
  const stored = about.bands.map((_, band) => {
    const values = about.days.map(() => null);
    found.seen.forEach((date, number) => (values[date] = found.values[number][band] * about.unit));
    return values;
  });
  return [withCurves(about, about.days, stored)];
}

/** FNV-1a of a text in UTF-8, 32 bits. */
function hash(text) {
  let value = 2166136261;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 16777619) >>> 0;
  return value;
}
