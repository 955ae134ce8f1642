// Hectares of each crop inside a drawn outline, counted on the tiles of the map.

import { placeInTiles, tileOf, valuesOf } from "./archives.js";
import { crossings } from "./geometry.js";

const MOST_TILES = 256; // that one outline may fetch; a larger one is counted on coarser tiles
const SIDE = 256;
const RADIUS = 6378137; // WGS 84, metres
const ECCENTRICITY = 0.0818191908426215;

/** Mapped hectares by class, and those without one. `side` is that of the counted squares in metres. */
export async function hectaresOf(layer, outline) {
  let zoom = layer.maxzoom;
  while (zoom > 0 && tilesOf(outline, zoom).length > MOST_TILES) zoom -= 1;
  const counted = new Float64Array(256);
  for (const [x, y] of tilesOf(outline, zoom)) {
    const ring = outline.map((corner) => placeInTiles(corner, zoom).map((part, axis) => (part - [x, y][axis]) * SIDE));
    const tile = await tileOf(`layers/${layer.key}`, zoom, x, y);
    count(counted, tile && (await valuesOf(tile)), ring, zoom, y);
  }
  const classes = layer.classes.map((_, number) => counted[number]);
  const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
  const [, row] = placeInTiles(outline[0], zoom);
  const side = 100 * Math.sqrt(pixelHectares(row * SIDE, zoom));
  return { hectares: classes, without_class: sum(counted) - sum(classes), side };
}

/** Columns and rows of the tiles that the box around an outline touches. */
function tilesOf(outline, zoom) {
  const places = outline.map((corner) => placeInTiles(corner, zoom));
  const [xs, ys] = [0, 1].map((axis) => places.map((place) => place[axis]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)].map(Math.floor);
  if ((right - left + 1) * (bottom - top + 1) > 100 * MOST_TILES) return { length: Infinity };
  const tiles = [];
  for (let x = left; x <= right; x += 1) for (let y = top; y <= bottom; y += 1) tiles.push([x, y]);
  return tiles;
}

/** Add the pixels whose centres are in a ring, in pixels of the tile, to the hectares of their values. */
function count(counted, values, ring, zoom, tileRow) {
  for (let row = 0; row < SIDE; row += 1) {
    const at = crossings(ring, row + 0.5);
    const area = at.length ? pixelHectares(tileRow * SIDE + row, zoom) : 0;
    for (let pair = 0; pair + 1 < at.length; pair += 2) {
      const [from, to] = [at[pair], at[pair + 1]].map((x) => Math.max(0, Math.min(SIDE, Math.ceil(x - 0.5))));
      for (let col = from; col < to; col += 1) counted[values ? values[row * SIDE + col] : 255] += area;
    }
  }
}

/** Hectares of a pixel of a row of all tiles of a zoom, on the ellipsoid (Snyder 1987, equation 3-12). */
function pixelHectares(row, zoom) {
  const rows = SIDE * 2 ** zoom;
  const north = (at) => {
    const sine = Math.tanh(Math.PI * (1 - (2 * at) / rows));
    const product = ECCENTRICITY * sine;
    return sine / (1 - product * product) + Math.atanh(product) / ECCENTRICITY;
  };
  const polar = RADIUS * RADIUS * (1 - ECCENTRICITY * ECCENTRICITY);
  return (((polar / 2) * (north(row) - north(row + 1)) * 2 * Math.PI) / rows) * 1e-4;
}
