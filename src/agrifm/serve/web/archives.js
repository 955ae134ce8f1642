// Tiles of a page without a server: archives (PMTiles) next to the page, of which parts are fetched.

const SIDE = 256;
const archives = new Map();
const here = new URL(".", location.href).href;

/** Load the reader of archives, which is a script and not a module. */
export function loadReader() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("./pmtiles.js", import.meta.url).href;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error("web/pmtiles.js is not there.")));
    document.head.append(script);
  });
}

/** The bytes of a tile; null where the archive has none. */
export async function tileOf(name, zoom, x, y, signal = undefined) {
  if (!archives.has(name)) archives.set(name, new window.pmtiles.PMTiles(`${here}${name}.pmtiles`));
  try {
    const found = await archives.get(name).getZxy(zoom, x, y, signal);
    return found ? new Uint8Array(found.data) : null;
  } catch (error) {
    if (!String(error.message).includes("Byte Serving")) throw error;
    throw new Error("This web space does not send parts of files (HTTP Range), which the page needs.");
  }
}

/** Column and row of a place in tiles of a zoom, as real numbers (Web Mercator). */
export function placeInTiles([lon, lat], zoom) {
  const angle = (lat * Math.PI) / 180;
  const down = (1 - Math.asinh(Math.tan(angle)) / Math.PI) / 2;
  return [((lon + 180) / 360) * 2 ** zoom, down * 2 ** zoom];
}

/** What a stream of gzip or deflate holds, as bytes. */
export async function unpacked(bytes, format) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The chunks of a PNG file: name, where its content begins, and its length. */
function chunksOf(png) {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const chunks = [];
  for (let at = 8; at < png.length; ) {
    const length = view.getUint32(at);
    chunks.push({ name: String.fromCharCode(...png.subarray(at + 4, at + 8)), start: at + 8, length });
    at += length + 12;
  }
  return chunks;
}

/** A PNG tile with a palette in which some values are transparent. */
export function withoutValues(png, hidden) {
  if (!hidden.length) return png;
  const copy = png.slice();
  const { start, length } = chunksOf(copy).find(({ name }) => name === "tRNS");
  for (const value of hidden) if (value < length) copy[start + value] = 0;
  new DataView(copy.buffer).setUint32(start + length, crc(copy.subarray(start - 4, start + length)));
  return copy;
}

/** The values of a PNG tile with a palette of 8 bits and rows without a filter, row by row. */
export async function valuesOf(png) {
  const parts = chunksOf(png).filter(({ name }) => name === "IDAT");
  const packed = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const { start, length } of parts) {
    packed.set(png.subarray(start, start + length), at);
    at += length;
  }
  const rows = await unpacked(packed, "deflate");
  const values = new Uint8Array(SIDE * SIDE);
  for (let row = 0; row < SIDE; row += 1) {
    if (rows[row * (SIDE + 1)] !== 0) throw new Error("A tile of the map is not as this page expects it.");
    values.set(rows.subarray(row * (SIDE + 1) + 1, (row + 1) * (SIDE + 1)), row * SIDE);
  }
  return values;
}

let table = null;

/** The checksum of PNG chunks (CRC-32, ISO 3309). */
function crc(bytes) {
  table ??= Uint32Array.from({ length: 256 }, (_, number) => {
    for (let bit = 0; bit < 8; bit += 1) number = number & 1 ? 0xedb88320 ^ (number >>> 1) : number >>> 1;
    return number;
  });
  let value = 0xffffffff;
  for (const byte of bytes) value = table[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
