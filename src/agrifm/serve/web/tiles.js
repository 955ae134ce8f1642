// The addresses of tiles: of the server, or of archives next to the page.

import { addProtocol } from "./maplibre-gl.mjs";
import { tileOf, withoutValues } from "./archives.js";

const SCHEME = "agrifm";
const SERVED_ZOOM = 16; // deepest zoom that a server is asked for; its tiles are enlarged at deeper ones
const here = new URL(".", location.href).href;
const start = Date.now(); // in tile addresses, so that a browser forgets those of an earlier map
// A transparent picture of one pixel (PNG).
const EMPTY = Uint8Array.from(
  atob("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR4AWNkAAIAAAoAAlgUsBsAAAAASUVORK5CYII="),
  (letter) => letter.charCodeAt(0),
);

/** Tiles of archives, for addresses such as agrifm://layers/classes/14/8297/5768?hide=1,2. */
export function serveArchives() {
  addProtocol(SCHEME, async ({ url, type }, { signal }) => {
    const { pathname, searchParams } = new URL(url.replace(`${SCHEME}://`, "https://archives/"));
    const parts = decodeURIComponent(pathname).split("/").slice(1);
    const [zoom, x, y] = parts.slice(-3).map(Number);
    const tile = await tileOf(parts.slice(0, -3).join("/"), zoom, x, y, signal);
    if (!tile) return { data: type === "image" ? EMPTY.buffer.slice() : new ArrayBuffer(0) };
    const hidden = (searchParams.get("hide") ?? "").split(",").filter(Boolean).map(Number);
    return { data: withoutValues(tile, hidden).buffer };
  });
}

const hide = (hidden) => (hidden.size ? [...hidden].sort((a, b) => a - b).join(",") : "");

/** The tiles of a layer of the map, and the deepest zoom that has some. */
export function layerTiles(season, key, hidden) {
  const { minzoom, maxzoom } = season.layers.find((layer) => layer.key === key);
  const path = `layers/${key}/{z}/{x}/{y}`;
  const without = hide(hidden);
  const address = season.static
    ? `${SCHEME}://${path}${without && `?hide=${without}`}`
    : `${here}${path}.png?v=${start}${without && `&hide=${without}`}`;
  return { address, minzoom, maxzoom: maxzoom ?? SERVED_ZOOM };
}

/** The tiles of a picture of a date, and the zooms that have some; null if the sensor has no such date. */
export function imageryTiles(season, imagery, picture, date) {
  const frame = imagery.dates.indexOf(date);
  if (frame < 0) return null;
  const folder = `imagery/${imagery.key}/${picture}`;
  const address = season.static
    ? `${SCHEME}://${folder}/${date}/{z}/{x}/{y}`
    : `${here}${folder}/${frame}/{z}/{x}/{y}.png?v=${start}`;
  const resampling = picture.startsWith("ndvi") ? "nearest" : "linear";
  return { address, minzoom: imagery.minzoom, maxzoom: imagery.maxzoom ?? SERVED_ZOOM, resampling };
}

/** The outlines of parcels as vector tiles. */
export function parcelTiles(season) {
  const { minzoom, maxzoom } = season.static?.parcels ?? season.outlines;
  const path = "parcels/{z}/{x}/{y}";
  const address = season.static ? `${SCHEME}://${path}` : `${here}${path}.mvt?v=${start}`;
  return { type: "vector", tiles: [address], minzoom, maxzoom };
}
