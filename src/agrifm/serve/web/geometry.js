// Whether a place is in a polygon.

/** Whether a GeoJSON polygon or multipolygon has a place [x, y] inside, by the number of edges to its east. */
export function isInside(geometry, place) {
  const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  return polygons.some((rings) => rings.filter((ring) => isInRing(ring, place)).length % 2 === 1);
}

function isInRing(ring, [x, y]) {
  return crossings(ring, y).filter((at) => at > x).length % 2 === 1;
}

/** Where a horizontal line crosses the edges of a ring, in order. */
export function crossings(ring, y) {
  const found = [];
  ring.forEach(([x1, y1], number) => {
    const [x2, y2] = ring[(number + 1) % ring.length];
    if (y1 > y !== y2 > y) found.push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1));
  });
  return found.sort((one, other) => one - other);
}
