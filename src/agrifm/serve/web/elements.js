// Small helpers for elements, numbers and dates.

export const find = (id) => document.getElementById(id);

/** An element with attributes and children; a child that is text stays text. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A square of a colour. */
export function swatch(color) {
  const square = make("span", { className: "swatch" });
  square.style.backgroundColor = color;
  return square;
}

/** Hectares with a comma at thousands: 1,234 and 1.2. */
export function hectares(value) {
  if (value === null || value === undefined) return "";
  const digits = Math.abs(value) < 100 ? 1 : 0;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const percent = (share) => `${Math.round(100 * share)} %`;

/** 14 Jun 2024, of an ISO day. */
export function dayText(iso) {
  return new Date(`${iso}T00:00:00Z`).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    timeZone: "UTC",
  });
}

/** The ISO day of a number of days since 1970-01-01. */
export const isoDay = (days) => new Date(days * 86400000).toISOString().slice(0, 10);

/** A sentence over the map for some seconds. */
let hintTimer = 0;
export function hint(text, seconds = 5) {
  const line = find("hint");
  line.textContent = text;
  line.hidden = !text;
  clearTimeout(hintTimer);
  if (seconds) hintTimer = setTimeout(() => (line.hidden = true), 1000 * seconds);
}
