// What is known of the place that was clicked: crop, probabilities, confidence, parcel and curves.

import { curveKeys, curveNames, drawCurves } from "./curve.js";
import { nearestDate } from "./dates.js";
import { dayText, find, hectares, make, percent, swatch } from "./elements.js";
import { ask } from "./server.js";
import { change, onChange, state } from "./state.js";

/** Show the chosen place whenever it changes. `mark` draws it on the map, `parcel` outlines the parcel there. */
export function showPlaces(season, mark, parcel) {
  let answered = 0;
  let series = null; // that is shown: of the pixel, or of the parcel around it
  let ofPixel = null;
  let around = null; // the parcel
  let whole = false; // whether the parcel's series is wanted
  let curve = "";

  const draw = async () => {
    const number = (answered += 1);
    [series, ofPixel, around] = [null, null, null];
    mark(state.place);
    parcel(null);
    find("place").hidden = !state.place;
    document.body.classList.toggle("has-place", Boolean(state.place));
    if (!state.place) return;
    const [lon, lat] = state.place;
    const pieces = { crop: make("div", {}, "…"), parcel: make("div"), curves: make("div", { className: "curves" }) };
    const close = make("button", {
      type: "button",
      className: "close",
      textContent: "×",
      title: "Close (Esc)",
      onclick: () => change({ place: null }),
    });
    close.setAttribute("aria-label", "Close");
    find("place").replaceChildren(close, pieces.crop, pieces.curves, pieces.parcel);
    const fill = async (piece, work) => {
      try {
        const found = await work();
        if (number === answered) piece.replaceChildren(...found);
      } catch (error) {
        if (number === answered) piece.replaceChildren(make("p", { className: "fault" }, error.message));
      }
    };
    fill(pieces.crop, async () => cropLines(season, await ask("pixel", { lon, lat }), lon, lat));
    if (season.parcels) {
      fill(pieces.parcel, async () => {
        const found = await ask("parcel", { lon, lat });
        if (number === answered) {
          parcel(found);
          around = found;
          if (around && ofPixel) showSeries(pieces.curves);
        }
        return found ? [parcelLines(season, found)] : [];
      });
    }
    if (season.series) {
      fill(pieces.curves, async () => {
        const found = await ask("series", { lon, lat });
        if (number !== answered) return []; // another place was chosen meanwhile
        [series, ofPixel] = [found, found];
        if (around && whole) showSeries(pieces.curves);
        return curveLines(pieces.curves);
      });
    }
  };

  const showSeries = async (box) => {
    const { row, series_tile: tile } = around;
    try {
      const found = whole ? await ask("parcel-series", { row, ...(tile ? { tile } : {}) }) : ofPixel;
      if (around?.row !== row) return;
      series = found.length ? found : ofPixel;
      box.replaceChildren(...curveLines(box));
    } catch (error) {
      box.replaceChildren(...curveLines(box), make("p", { className: "fault" }, error.message));
    }
  };

  const parcelChoice = (box) => {
    const tick = make("input", { type: "checkbox", id: "whole", checked: whole });
    tick.addEventListener("change", async () => {
      whole = tick.checked;
      await showSeries(box);
      find("whole")?.focus();
    });
    return make("label", { className: "check" }, tick, "Mean of the parcel");
  };

  const curveLines = (box) => {
    const names = curveNames(series);
    const faults = series
      .filter((one) => one.fault)
      .map((one) => make("p", { className: "fault" }, `${one.title}: ${one.fault}`));
    if (!names.length) return faults;
    if (!names.includes(curve)) [curve] = names;
    const select = make(
      "select",
      { id: "curve" },
      ...names.map((name) => make("option", { value: name, selected: name === curve }, name)),
    );
    select.setAttribute("aria-label", "Curve");
    select.addEventListener("change", () => {
      curve = select.value;
      box.replaceChildren(...curveLines(box));
      find("curve").focus();
    });
    const imagery = season.imagery.find((one) => one.key === state.sensor);
    const choose = (iso) => imagery && change({ date: nearestDate(imagery, iso) });
    const keys = curveKeys(series, curve).map((key) => make("span", {}, swatch(key.color), key.title));
    const about = series === ofPixel ? "" : " Dates that show less than half of the parcel are left out.";
    const note = make("p", { className: "small" }, `Ticks and dashed lines: dates without a clear view.${about}`);
    return [
      make("div", { className: "row" }, select, ...(around ? [parcelChoice(box)] : []), ...keys),
      drawCurves(series, curve, state.date, choose),
      note,
      ...faults,
    ];
  };

  onChange((changed) => {
    if (changed.has("place")) draw();
    else if (changed.has("date") && series) {
      const box = find("place").querySelector(".curves");
      const old = box?.querySelector("svg");
      const imagery = season.imagery.find((one) => one.key === state.sensor);
      old?.replaceWith(
        drawCurves(series, curve, state.date, (iso) => imagery && change({ date: nearestDate(imagery, iso) })),
      );
    }
  });
  draw();
}

function cropLines(season, found, lon, lat) {
  const where = make("p", { className: "small" }, `${lat.toFixed(5)}, ${lon.toFixed(5)}`);
  if (!found) return [make("h2", {}, "Outside the map"), where];
  if (season.task === "yield") return yieldLines(season, found, where);
  const crops = season.classes;
  const crop = crops[found.values.classes];
  if (!crop)
    return [
      make("h2", {}, "No crop"),
      make("p", {}, "The map has nothing here: it is outside the area, or was never observed."),
      where,
    ];
  const isFact = ({ key }) => key !== "classes" && !key.startsWith("share-");
  return [
    make("h2", {}, swatch(crop.color), crop.name),
    factLines(season.layers.filter(isFact), found),
    ...probabilityLines(crops, found.probabilities, season.task === "fractions" ? "Shares of this pixel" : ""),
    ...whyLines(season, crops, lon, lat),
    ...decidingLines(season, crop),
    where,
  ];
}

/** The value of each layer that has one here. */
function factLines(layers, found) {
  const facts = layers
    .filter(({ key }) => (found.values[key] ?? null) !== null)
    .map((layer) => {
      const value = found.values[layer.key];
      const shown = layer.classes ? layer.classes[value]?.name : `${value} ${layer.unit}`;
      return [make("dt", {}, layer.title), make("dd", {}, shown ?? "")];
    });
  return make("dl", { className: "facts" }, ...facts.flat());
}

/** What a map of yields has at a place: the yield, and the ends of its interval. */
function yieldLines(season, found, where) {
  const [layer] = season.layers;
  const value = found.values[layer.key];
  if (value === null)
    return [
      make("h2", {}, "No yield"),
      make("p", {}, "The map has nothing here: it is outside the area, was never observed, or is not where the crop was mapped."),
      where,
    ];
  const isFact = ({ key }) => ![layer.key, "half-interval"].includes(key);
  return [
    make("h2", {}, `${value.toFixed(2)} ${layer.unit}`),
    make("p", {}, layer.title),
    factLines(season.layers.filter(isFact), found),
    where,
  ];
}

/** What `agrifm explain` found for the class: how much its probability falls when a period or a band is hidden. */
function decidingLines(season, crop) {
  const found = season.deciding?.[crop.code];
  if (!found?.periods.length) return [];
  const row = (title, effect) => [make("dt", {}, title), make("dd", {}, `−${Math.round(1000 * effect) / 10} points`)];
  const rows = [
    ...found.periods.flatMap(({ start, end, effect }) => row(`${dayText(start)} to ${dayText(end)}`, effect)),
    ...found.bands.flatMap(({ sensor, band, effect }) => row(`${band}, ${sensor}`, effect)),
  ];
  const note = `How much the probability of ${crop.name} falls on unseen test blocks when these dates or bands are hidden (agrifm explain). It is about the class, not about this place alone.`;
  return [
    make(
      "details",
      {},
      make("summary", {}, `What decides ${crop.name}`),
      make("dl", { className: "facts small" }, ...rows),
      make("p", { className: "small" }, note),
    ),
  ];
}

/** A button that asks the server which months decided this place; a page of files cannot compute it. */
function whyLines(season, crops, lon, lat) {
  if (!season.explains) return [];
  const answer = make("div", { className: "small" });
  const button = make("button", { type: "button", id: "why" }, "What decided here?");
  answer.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    button.disabled = true;
    answer.replaceChildren("Hiding one month after the other …");
    try {
      answer.replaceChildren(...whyAnswer(crops, await ask("why", { lon, lat })));
      button.remove();
    } catch (error) {
      answer.replaceChildren(error.message);
      button.disabled = false;
    }
  });
  return [button, answer];
}

const SMALLEST_EFFECT = 0.005;

function whyAnswer(crops, found) {
  if (!found) return ["Nothing was observed here."];
  const name = (code) => crops.find((crop) => crop.code === code)?.name ?? code;
  const points = (share) => `${share > 0 ? "−" : "+"}${Math.abs(Math.round(1000 * share) / 10)} points`;
  const strong = found.periods
    .filter(({ effect }) => Math.abs(effect) >= SMALLEST_EFFECT)
    .sort((one, other) => Math.abs(other.effect) - Math.abs(one.effect))
    .slice(0, 4);
  const rows = strong.flatMap(({ start, end, effect, other }) => [
    make("dt", {}, `${dayText(start)} to ${dayText(end)}`),
    make("dd", {}, other === found.code ? points(effect) : `${points(effect)}: then ${name(other)}`),
  ]);
  const about = `${name(found.code)} has ${percent(found.probability)} here. What that becomes when the observations of a month are hidden:`;
  if (!rows.length) return [make("p", {}, `${about} nearly the same, whichever month it is.`)];
  return [make("p", {}, about), make("dl", { className: "facts" }, ...rows)];
}

function probabilityLines(crops, probabilities, caption) {
  if (!probabilities) return [];
  const order = crops.map((_, number) => number).sort((one, other) => probabilities[other] - probabilities[one]);
  const rows = order
    .filter((number) => probabilities[number] >= 0.01)
    .slice(0, caption ? order.length : 5)
    .map((number) => {
      const bar = make("span", { className: "bar" });
      bar.style.width = `${100 * probabilities[number]}%`;
      bar.style.backgroundColor = crops[number].color;
      return make(
        "li",
        {},
        make("span", {}, crops[number].name),
        make("span", { className: "track" }, bar),
        make("span", { className: "area" }, percent(probabilities[number])),
      );
    });
  return [
    ...(caption ? [make("p", { className: "small" }, caption)] : []),
    make("ul", { className: "probabilities", "aria-label": caption || "Probabilities" }, ...rows),
  ];
}

const TITLES = {
  id: "Parcel",
  "crop:name": "Crop",
  "agrifm:yield_t_ha": "Yield, t/ha",
  "agrifm:yield_lower_t_ha": "Its interval from",
  "agrifm:yield_upper_t_ha": "to",
  "agrifm:production_t": "Production, t",
  "agrifm:confidence": "Confidence",
  "agrifm:hectares": "Hectares",
  "agrifm:second_code": "Second crop",
  "agrifm:second_probability": "Its probability",
  "agrifm:observations": "Observations",
};

/** The row of a parcel: the columns that readers ask for, and the others behind them. */
function parcelLines(season, found) {
  const crops = season.classes;
  const shown = (name, value) => {
    if (name === "agrifm:second_code") return crops.find((crop) => crop.code === value)?.name ?? value;
    if (name === "agrifm:observations") return `${Math.round(value)} dates`;
    if (name === "agrifm:hectares") return hectares(value);
    if (["agrifm:confidence", "agrifm:second_probability"].includes(name)) return percent(value);
    if (typeof value === "number") return String(Math.round(value * 100) / 100);
    return Array.isArray(value) ? value.map((one) => Math.round(one * 1000) / 1000).join(", ") : String(value);
  };
  const rows = (names, title) =>
    names
      .filter((name) => (found.columns[name] ?? null) !== null)
      .flatMap((name) => [make("dt", {}, title(name)), make("dd", {}, shown(name, found.columns[name]))]);
  const others = Object.keys(found.columns).filter((name) => !(name in TITLES));
  return make(
    "div",
    { className: "parcel" },
    make("dl", { className: "facts" }, ...rows(Object.keys(TITLES), (name) => TITLES[name])),
    make(
      "details",
      {},
      make("summary", {}, "All columns"),
      make(
        "dl",
        { className: "facts small" },
        ...rows(others, (name) => name.replace("agrifm:", "").replaceAll("_", " ")),
      ),
    ),
  );
}
