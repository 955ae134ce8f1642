// Blocks of pixels of a grid with their series or their values and probabilities; src/agrifm/serve/series_blocks.py has the format.

import { placeInTiles, tileOf, unpacked } from "./archives.js";

const SIGNATURE = "AGB1";
const HEAD = 40; // bytes before the planes

/** The planes of the pixel at a place, as a function of their number; null where there is no block or no pixel. */
export async function pixelAt(folder, about, place) {
  const [x, y] = placeInTiles(place, about.zoom);
  const up = 2 ** (about.zoom - about.archive_zoom);
  const name = [about.archive_zoom, Math.floor(x / up), Math.floor(y / up)].join("-");
  if (!about.archives.includes(name)) return null;
  const packed = await tileOf(`${folder}/${name}`, about.zoom, Math.floor(x), Math.floor(y));
  if (!packed) return null;
  const bytes = await unpacked(packed, "gzip");
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== SIGNATURE) throw new Error("A block of pixels is damaged.");
  const view = new DataView(bytes.buffer);
  const [height, width] = [view.getUint16(4, true), view.getUint16(6, true)];
  const [right, down] = [x % 1, y % 1];
  const between = (axis) => {
    const corner = (number) => view.getFloat32(8 + 8 * number + 4 * axis, true);
    const top = corner(0) * (1 - right) + corner(1) * right;
    return top * (1 - down) + (corner(2) * (1 - right) + corner(3) * right) * down;
  };
  const [row, col] = [Math.floor(between(0)), Math.floor(between(1))];
  if (row < 0 || col < 0 || row >= height || col >= width) return null;
  return (plane) => bytes[HEAD + (plane * height + row) * width + col];
}

/** The series of a sensor at a place, as the server would answer; all dates unseen where there is no block. */
export async function seriesAt(about, place) {
  const plane = await pixelAt(`series/${about.key}`, about, place);
  const [dates, bands] = [about.days.length, about.bands.length];
  const seen = about.days.map((_, date) => Boolean(plane?.(date)));
  const folded = (first, number, stride) => plane(first + number) + 256 * plane(first + number + stride);
  const days = about.days.map((day, date) =>
    about.composite && seen[date] ? day + plane(dates + 2 * date) + 256 * plane(dates + 2 * date + 1) : day,
  );
  const first = dates * (about.composite ? 3 : 1);
  const stored = about.bands.map((_, band) => {
    let value = 0;
    return seen.map((observed, date) => {
      if (!observed) return null;
      const number = folded(first, date * bands + band, dates * bands);
      value = ((value + ((number >>> 1) ^ -(number & 1))) << 16) >> 16;
      return value * about.unit;
    });
  });
  return withCurves(about, days, stored);
}

/** The series of a sensor from values by band and date, null where not observed, as the server would answer. */
export function withCurves(about, days, stored) {
  const rounded = (value) => (value === null ? null : Math.round(value * 1e4) / 1e4);
  const indices = about.indices.map(({ name, bands: [one, other] }) => ({
    name,
    values: stored[one].map((value, date) => {
      if (value === null) return null;
      const against = stored[other][date];
      return rounded((value - against) / Math.max(value + against, about.least_sum));
    }),
  }));
  const curves = about.bands.map((name, band) => ({ name, values: stored[band].map(rounded) }));
  const { key, title, metres, quantity } = about;
  return { key, title, metres, quantity, days, curves: [...indices, ...curves] };
}
