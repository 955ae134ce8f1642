// The slider of dates, and its play button.

import { dayText, find, percent } from "./elements.js";
import { change, onChange, state } from "./state.js";

const PAUSE = 450; // milliseconds at least between two dates of a play

/** Connect the slider. `shown` returns a promise that ends when the imagery of the state is on the map. */
export function connectDates(season, shown) {
  const imagery = () => season.imagery.find((one) => one.key === state.sensor);
  let playing = false;

  const draw = () => {
    const one = imagery();
    find("dates").hidden = !one || !state.picture || one.dates.length < 2;
    if (!one) return;
    const frame = Math.max(one.dates.indexOf(state.date), 0);
    find("frame").max = String(one.dates.length - 1);
    find("frame").value = String(frame);
    find("date").textContent = dateLabel(one, one.dates[frame]);
    find("frame").setAttribute("aria-valuetext", dateLabel(one, one.dates[frame]));
    find("clear").textContent = one.clear[frame] === null ? "" : `${percent(one.clear[frame])} clear`;
  };

  const step = (by) => {
    const { dates } = imagery() ?? { dates: [] };
    if (!dates.length) return;
    const frame = (dates.indexOf(state.date) + by + dates.length) % dates.length;
    change({ date: dates[frame] });
  };

  const play = async () => {
    playing = !playing;
    find("play").textContent = playing ? "❚❚" : "▶";
    find("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    while (playing) {
      stepToClear(imagery(), step);
      await Promise.all([shown(), new Promise((resolve) => setTimeout(resolve, PAUSE))]);
    }
  };

  find("frame").addEventListener("input", (event) => change({ date: imagery().dates[Number(event.target.value)] }));
  find("before").addEventListener("click", () => step(-1));
  find("after").addEventListener("click", () => step(1));
  find("play").addEventListener("click", play);
  find("dates").addEventListener("submit", (event) => event.preventDefault());
  onChange((changed) => {
    if (["date", "sensor", "picture"].some((name) => changed.has(name))) draw();
  });
  draw();
  return { step, play };
}

/** The next date that shows something; a play leaves out those that are all cloud. */
function stepToClear(imagery, step) {
  if (!imagery) return;
  for (let tries = 0; tries < imagery.dates.length; tries += 1) {
    step(1);
    if ((imagery.clear[imagery.dates.indexOf(state.date)] ?? 1) > 0.3) return;
  }
}

/** What a date of a sensor is called: the day, or a month or season of composites. */
export function dateLabel(imagery, iso) {
  return imagery.labels?.[imagery.dates.indexOf(iso)] ?? dayText(iso);
}

/** The date of a sensor nearest to an ISO day. */
export function nearestDate(imagery, iso) {
  const distance = (date) => Math.abs(Date.parse(date) - Date.parse(iso));
  return imagery.dates.reduce((best, date) => (distance(date) < distance(best) ? date : best));
}
