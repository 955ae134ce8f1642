// The districts of the assessment report: mapped and estimated hectares of each crop.

import { find, hectares, make } from "./elements.js";

/** Fill the table of districts, if the report has one. */
export function showDistricts(season) {
  find("districts").hidden = !season.districts.length;
  if (!season.districts.length) return;
  if (season.task === "yield") return showProduction(season);
  const rows = season.districts.flatMap((district) => {
    const about = `${district.code}: ${hectares(district.mapped_ha)} ha mapped, ${district.points} reference ${district.points === 1 ? "point" : "points"}${district.areas ? "" : ", too few for estimates"}`;
    const head = make("tr", {}, make("th", { colSpan: 3 }, about));
    const areas = (district.areas ?? [])
      .filter((one) => one.mapped_ha > 0 || one.area_ha > 0)
      .map((one) =>
        make(
          "tr",
          {},
          make("td", {}, one.name),
          make("td", {}, hectares(one.mapped_ha)),
          make("td", {}, interval(one)),
        ),
      );
    return [head, ...areas];
  });
  const head = make(
    "tr",
    {},
    make("th", {}, "Crop"),
    make("th", {}, "Mapped ha"),
    make("th", {}, "Estimate, 95 % interval"),
  );
  find("districts")
    .querySelector(".scroll")
    .replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

/** Districts of a report on yields: mean of the map, and the production that the reference estimates. */
function showProduction(season) {
  const rows = season.districts.map((one) => {
    const [low, high] = one.stated?.interval ?? [];
    const estimate = one.stated ? `${hectares(one.stated.estimate)} (${hectares(low)}–${hectares(high)})` : "";
    const cells = [one.code, hectares(one.hectares), one.map_mean.toFixed(2), hectares(one.map_sum_t), estimate];
    return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
  });
  const titles = ["District", "ha", "Mean, t/ha", "Map's sum, t", "Estimate, t, 95 % interval"];
  const head = make("tr", {}, ...titles.map((title) => make("th", {}, title)));
  find("districts")
    .querySelector(".scroll")
    .replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function interval(one) {
  const [low, high] = one.interval_ha ?? [];
  return low === undefined || low === null
    ? hectares(one.area_ha)
    : `${hectares(one.area_ha)} (${hectares(low)}–${hectares(high)})`;
}
