// Swiping between two layers: a second map that follows the first one, to the right of a divider.

import { dateLabel } from "./dates.js";
import { find } from "./elements.js";
import { makeMap, Raster } from "./map_view.js";
import { change, onChange, state } from "./state.js";
import { imageryTiles, layerTiles } from "./tiles.js";

/** Connect the second map, which is made when it is first needed. */
export function connectComparison(season, map) {
  let second = null;
  let raster = null;

  const imageryOf = (text) => {
    const [, sensor, picture, date] = /^([^/]+)\/([^@]+)@(.+)$/.exec(text) ?? [];
    return { imagery: season.imagery.find((one) => one.key === sensor), picture, date };
  };

  const follow = () => second?.jumpTo({ center: map.getCenter(), zoom: map.getZoom() });

  const show = () => {
    if (!state.compare) return;
    if (!second) {
      second = makeMap(find("compare-map"), season, { center: map.getCenter(), zoom: map.getZoom() }, false);
      map.on("move", follow);
      second.once("style.load", () => {
        raster = new Raster(second, "compare", season);
        show();
      });
      return;
    }
    second.resize();
    follow();
    if (!raster) return;
    const { imagery, picture, date } = imageryOf(state.compare);
    if (imagery) raster.show(imageryTiles(season, imagery, picture, date));
    else raster.show(layerTiles(season, state.compare, state.compare === state.layer ? state.hidden : new Set()));
  };

  const draw = () => {
    const on = Boolean(state.compare);
    for (const id of ["compare-map", "divider", "tags"]) find(id).hidden = !on;
    if (!on) return;
    find("compare-map").style.clipPath = `inset(0 0 0 ${state.divider}%)`;
    find("divider").style.left = `${state.divider}%`;
    find("divider").setAttribute("aria-valuenow", String(Math.round(state.divider)));
    const { imagery, picture, date } = imageryOf(state.compare);
    const title = (key) => season.layers.find((layer) => layer.key === key)?.title;
    const beneathOf = season.imagery.find((one) => one.key === state.sensor);
    const beneath = beneathOf?.pictures.find((one) => one.key === state.picture);
    find("left-tag").textContent = title(state.layer) ?? (beneath ? `${beneath.title}, ${dateLabel(beneathOf, state.date)}` : "");
    find("right-tag").textContent = imagery
      ? `${imagery.pictures.find((one) => one.key === picture).title}, ${dateLabel(imagery, date)}`
      : title(state.compare);
  };

  const drag = (event) => {
    const box = find("stage").getBoundingClientRect();
    change({ divider: Math.max(2, Math.min(98, (100 * (event.clientX - box.left)) / box.width)) });
  };
  find("divider").addEventListener("pointerdown", (event) => {
    find("divider").setPointerCapture(event.pointerId);
    find("divider").addEventListener("pointermove", drag);
  });
  find("divider").addEventListener("pointerup", () => find("divider").removeEventListener("pointermove", drag));
  find("divider").addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -4, ArrowRight: 4 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    change({ divider: Math.max(2, Math.min(98, state.divider + by)) });
  });
  onChange((changed) => {
    draw();
    if (changed.has("compare") || changed.has("hidden")) show();
  });
  draw();
  show();
}
