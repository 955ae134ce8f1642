// Questions to the server that the page came from, or to the files of a page without one.

let answers = null; // functions by question, of a page without a server

/** What there is to show. */
export async function openSeason() {
  const season = await answer(fetch("season.json", { cache: "no-cache" }));
  season.classes = season.layers.find(({ key }) => key === "classes")?.classes ?? []; // of the crops; none of yields
  if (season.static) {
    const { answersOf } = await import("./static_answers.js");
    answers = await answersOf(season);
  }
  return season;
}

async function answer(request) {
  const response = await request;
  const content = await response.json();
  if (!response.ok) throw new Error(content.error || response.statusText);
  return content;
}

/** The answer to a question with numbers or words, such as ask("pixel", {lon, lat}). */
export function ask(address, query = {}, signal = undefined) {
  if (answers) return answers[address](query);
  const turn = "lon" in query ? Math.floor((query.lon + 180) / 360) : 0; // a map across longitude 180 counts on
  const asked = turn ? { ...query, lon: query.lon - 360 * turn } : query;
  return answer(fetch(`${address}?${new URLSearchParams(asked)}`, { signal }));
}

/** Hectares inside an outline, a list of [longitude, latitude]. */
export function askHectares(outline) {
  if (answers) return answers.hectares(outline);
  const headers = { "content-type": "application/json" };
  return answer(fetch("hectares", { method: "POST", headers, body: JSON.stringify({ outline }) }));
}
