// The selects of the map's layer, of the imagery beneath and of the other side, and the opacity.

import { dateLabel, nearestDate } from "./dates.js";
import { find, make } from "./elements.js";
import { change, onChange, state } from "./state.js";

/** Fill the selects, and keep them and the state alike. */
export function connectChoices(season) {
  const layers = season.layers.map((layer) => make("option", { value: layer.key }, layer.title));
  find("layer").replaceChildren(...layers, make("option", { value: "" }, "Nothing"));
  const pictures = season.imagery.flatMap((one) =>
    one.pictures.map((picture) => ({
      value: `${one.key}/${picture.key}`,
      text: season.imagery.length > 1 ? `${picture.title}, ${one.title}` : picture.title,
    })),
  );
  find("picture").replaceChildren(
    ...pictures.map(({ value, text }) => make("option", { value }, text)),
    make("option", { value: "" }, "Nothing"),
  );

  const fillComparison = () => {
    const options = season.layers.map((layer) => make("option", { value: layer.key }, layer.title));
    const here = season.imagery.map((one) => ({
      one,
      date: one.key === state.sensor ? state.date : nearestDate(one, state.date),
    }));
    const dated = here.flatMap(({ one, date }) =>
      one.pictures.map((picture) => ({
        value: `${one.key}/${picture.key}@${date}`,
        text: `${picture.title}, ${one.title}, ${dateLabel(one, date)}`,
      })),
    );
    if (state.compare.includes("@") && !dated.some(({ value }) => value === state.compare)) {
      const [, sensor, kind, date] = /^([^/]+)\/([^@]+)@(.+)$/.exec(state.compare);
      const imagery = season.imagery.find((one) => one.key === sensor);
      dated.unshift({
        value: state.compare,
        text: `${imagery.pictures.find((one) => one.key === kind).title}, ${imagery.title}, ${dateLabel(imagery, date)}`,
      });
    }
    find("compare").replaceChildren(
      make("option", { value: "" }, "Off"),
      ...options,
      ...dated.map(({ value, text }) => make("option", { value }, text)),
    );
    find("compare").value = state.compare;
  };

  const choosePicture = (value) => {
    if (!value) return change({ picture: "" });
    const [sensor, picture] = value.split("/");
    const imagery = season.imagery.find((one) => one.key === sensor);
    return change({ sensor, picture, date: nearestDate(imagery, state.date) });
  };

  const draw = () => {
    find("layer").value = state.layer;
    find("opacity").value = String(state.opacity);
    find("picture").value = state.picture ? `${state.sensor}/${state.picture}` : "";
    fillComparison();
  };

  find("layer").addEventListener("change", (event) => change({ layer: event.target.value }));
  find("opacity").addEventListener("input", (event) => change({ opacity: Number(event.target.value) }));
  find("picture").addEventListener("change", (event) => choosePicture(event.target.value));
  find("compare").addEventListener("change", (event) => change({ compare: event.target.value }));
  onChange(draw);
  draw();
}
