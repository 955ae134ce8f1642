// Questions to the server that the page came from.

async function answer(request) {
  const response = await request;
  const content = await response.json();
  if (!response.ok) throw new Error(content.error || response.statusText);
  return content;
}

/** The answer to a question with numbers or words, such as ask("/pixel", {lon, lat}). */
export function ask(address, query = {}, signal = undefined) {
  return answer(fetch(`${address}?${new URLSearchParams(query)}`, { signal }));
}

/** Hectares inside an outline, a list of [longitude, latitude]. */
export function askHectares(outline) {
  const headers = { "content-type": "application/json" };
  return answer(fetch("/hectares", { method: "POST", headers, body: JSON.stringify({ outline }) }));
}
