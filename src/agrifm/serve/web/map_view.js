// The map: imagery of a date at the bottom, a layer of the map above it, outlines on top.

import { Map as WebMap, NavigationControl, ScaleControl, setWorkerUrl } from "./maplibre-gl.mjs";

setWorkerUrl(new URL("./maplibre-gl-worker.mjs", import.meta.url).href);
const EMPTY = { type: "FeatureCollection", features: [] };

/** A map without anything on it. */
export function makeMap(container, season, view, interactive) {
  const [west, south, east, north] = season.bounds;
  const margin = Math.max(east - west, north - south) * 3;
  const around = [west - margin, Math.max(south - margin, -85), east + margin, Math.min(north + margin, 85)];
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const map = new WebMap({
    container,
    interactive,
    locale: { "Map.Title": interactive ? "Map" : "Map of the other side" },
    style: {
      version: 8,
      sources: {},
      layers: [{ id: "ground", type: "background", paint: { "background-color": dark ? "#23272b" : "#e9e9e4" } }],
    },
    ...(view ?? {
      bounds: season.bounds,
      fitBoundsOptions: { padding: { top: 20, left: 20, right: 20, bottom: season.imagery.length ? 76 : 20 } },
    }),
    maxBounds: east > 180 ? undefined : around,
    maxZoom: 19,
    dragRotate: false,
    pitchWithRotate: false,
    rollEnabled: false,
    attributionControl: false,
    fadeDuration: 0,
  });
  map.touchZoomRotate?.disableRotation();
  map.keyboard?.disableRotation();
  if (interactive) {
    map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    map.addControl(new ScaleControl({ maxWidth: 120 }), "bottom-right");
  }
  return map;
}

/** Where a map has tiles; one across longitude 180 has them at both ends of the world. */
function sourceBounds({ bounds: [west, south, east, north] }) {
  return east > 180 ? [-180, south, 180, north] : [west, south, east, north];
}

/** A raster of the map that is replaced without a flicker: the new one appears when its tiles are there. */
export class Raster {
  constructor(map, name, season, above) {
    Object.assign(this, { map, name, season, above, count: 0, address: null, opacity: 1, shown: null, coming: null });
  }

  /** Show tiles ({address, minzoom, maxzoom, resampling}), or none. The promise ends when they are there. */
  show(tiles, opacity = 1) {
    this.opacity = opacity;
    if ((tiles?.address ?? null) === this.address) {
      const id = this.coming ?? this.shown;
      if (id) this.map.setPaintProperty(id, "raster-opacity", this.opacity);
      return Promise.resolve();
    }
    this.address = tiles?.address ?? null;
    this.remove(this.coming);
    this.coming = null;
    if (!tiles) {
      this.remove(this.shown);
      this.shown = null;
      return Promise.resolve();
    }
    const id = `${this.name}-${(this.count += 1)}`;
    const source = {
      type: "raster",
      tiles: [tiles.address],
      tileSize: 256,
      bounds: sourceBounds(this.season),
      minzoom: tiles.minzoom ?? 0,
      maxzoom: tiles.maxzoom,
    };
    this.map.addSource(id, source);
    const paint = {
      "raster-opacity": opacity,
      "raster-fade-duration": 0,
      "raster-resampling": tiles.resampling ?? "nearest",
    };
    this.map.addLayer({ id, type: "raster", source: id, paint }, this.above);
    this.coming = id;
    return new Promise((resolve) => {
      const settle = () => {
        const replaced = this.coming !== id;
        if (!replaced && !this.map.isSourceLoaded(id)) return;
        this.map.off("sourcedata", settle);
        this.map.off("idle", settle);
        if (!replaced) {
          this.remove(this.shown);
          [this.shown, this.coming] = [id, null];
        }
        resolve();
      };
      this.map.on("sourcedata", settle);
      this.map.on("idle", settle);
    });
  }

  remove(id) {
    if (!id || !this.map.getLayer(id)) return;
    this.map.removeLayer(id);
    this.map.removeSource(id);
  }
}

/** Outlines on top of the map by name; `set` replaces them. */
export function addOutlines(map, name, paint, below = undefined) {
  map.addSource(name, { type: "geojson", data: EMPTY });
  for (const [suffix, type, look] of paint)
    map.addLayer({ id: `${name}-${suffix}`, type, source: name, paint: look }, below);
  return { set: (data) => map.getSource(name).setData(data ?? EMPTY) };
}
