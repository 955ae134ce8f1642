"use strict";
// Sends the answers of the form to the server that keeps them, and shows the hectares that follow from them.
window.agrifmServer = (() => {
  const AGAIN_MS = 2000; // after which an answer is sent again that did not arrive
  const NEW_TOKEN = 403; // the server was started again
  const EARLY = 428; // not every point has an answer
  const NEVER = [404, 413, 422]; // sending again would not help
  const { names } = JSON.parse(document.getElementById("server").textContent);
  const at = (id) => document.getElementById(id);
  const waiting = new Map(); // id -> answer that is not saved yet
  const hooks = { begin, name: () => names[number], point, send, showResults };
  let number = 0;
  let token = "";
  let sending = false;
  let refused = "";

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // ---- requests ------------------------------------------------------------------------------------------------

  async function read(answer) {
    const found = await answer.json().catch(() => ({}));
    if (answer.ok) return found;
    throw Object.assign(new Error(found.error || `the server answered ${answer.status}`), { status: answer.status });
  }

  async function answersSoFar() {
    const found = await read(await fetch(`label/answers?interpreter=${number}`, { cache: "no-store" }));
    token = found.token;
    return found.answers;
  }

  async function post(path, content) {
    const body = JSON.stringify({ interpreter: number, ...content });
    const ask = async () => {
      const headers = { "content-type": "application/json", "x-agrifm-token": token };
      return read(await fetch(path, { method: "POST", headers, body }));
    };
    try {
      return await ask();
    } catch (error) {
      if (error.status !== NEW_TOKEN) throw error;
      await answersSoFar();
      return ask();
    }
  }

  async function point(place) {
    return read(await fetch(`label/points/${place}`));
  }

  function begin(chosen) {
    number = chosen;
    return answersSoFar();
  }

  // ---- answers -------------------------------------------------------------------------------------------------

  function send(id, { label, confidence, comment }) {
    waiting.set(id, { label, confidence, comment });
    refused = "";
    showUnsaved("");
    if (!sending) sendAll();
  }

  async function sendAll() {
    sending = true;
    while (waiting.size) {
      const [id, answer] = waiting.entries().next().value;
      let trouble = "";
      try {
        await post("label/answers", { id, ...answer });
        if (waiting.get(id) === answer) waiting.delete(id);
      } catch (error) {
        if (NEVER.includes(error.status)) {
          refused = `The answer for point ${id} was not saved: ${error.message}.`;
          waiting.delete(id);
        } else trouble = error.status ? error.message : "the server does not answer";
      }
      showUnsaved(trouble);
      if (trouble) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    sending = false;
  }

  function showUnsaved(trouble) {
    const count = `${waiting.size} ${waiting.size === 1 ? "answer is" : "answers are"} not saved yet`;
    const late = trouble ? `${count} (${trouble}); trying again. Leave this page open.` : "";
    at("unsaved").textContent = [refused, late].filter(Boolean).join(" ");
    document.body.dataset.unsaved = waiting.size;
  }

  window.addEventListener("beforeunload", (event) => {
    if (waiting.size) event.preventDefault();
  });

  // ---- results -------------------------------------------------------------------------------------------------

  const BUTTONS = {
    "make-report": ["Hectares from these answers", "label/report", showReport],
    compare: ["Compare the interpreters", "label/agreement", showAgreement],
  };

  function problem(text) {
    at("results-problem").textContent = text;
    at("results-problem").hidden = !text;
  }

  function showResults() {
    const { name, done, all } = hooks.progress();
    at("results-progress").textContent = `${name}: ${done} of ${all} answered`;
    problem("");
    at("outcome").replaceChildren();
    for (const [id, [title]] of Object.entries(BUTTONS)) {
      if (!at(id)) continue;
      at(id).textContent = title;
      delete at(id).dataset.early;
    }
    at("results").showModal();
    at("make-report").focus();
  }

  async function getResult(id) {
    const [title, path, show] = BUTTONS[id];
    const button = at(id);
    problem("");
    at("outcome").replaceChildren("Computing …");
    button.disabled = true;
    try {
      show(await post(path, { early: button.dataset.early === "yes" }));
    } catch (error) {
      at("outcome").replaceChildren();
      problem(`${error.message}.`);
      if (error.status === EARLY && !button.dataset.early) {
        button.dataset.early = "yes";
        button.textContent = `${title} all the same`;
      }
    }
    button.disabled = false;
    if (document.activeElement === document.body || document.activeElement === at("results")) button.focus();
  }

  const hectares = (value) =>
    value === null ? "–" : value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
  const interval = ([low, high]) => `${hectares(low)} to ${hectares(high)}`;

  function table(heads, rows) {
    const cells = (tag, texts) =>
      texts.map((text, column) => make(tag, /^[\d,.]/.test(rows[0]?.[column] ?? "") ? { class: "number" } : {}, text));
    const head = make("tr", {}, ...cells("th", heads));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells("td", row)))));
  }

  function showReport({ areas, sentence, warnings, wrote }) {
    const estimate = (one) => `${hectares(one.area_ha)} (${interval(one.interval_ha)})`;
    const rows = areas.map((one) => [one.name, hectares(one.mapped_ha), estimate(one)]);
    const link = make("a", { id: "open-report", href: `label/report/${number}`, target: "_blank", rel: "noopener" }, "Open the report");
    at("outcome").replaceChildren(
      make("p", {}, sentence),
      table(["Crop", "Mapped ha", "Estimated ha (95 % interval)"], rows),
      make("p", {}, link, ` (${wrote})`),
      ...warnings.map((warning) => make("p", { class: "warning" }, `${warning}.`)),
    );
    link.focus();
  }

  function showAgreement({ lines, disagreements, wrote }) {
    const rows = disagreements.map((one) => {
      const button = make("button", { type: "button" }, `Point ${one.id}`);
      button.addEventListener("click", () => {
        at("results").close();
        hooks.toPoint(one.id);
      });
      return [button, one.first, one.second, hectares(one.hectares)];
    });
    at("outcome").replaceChildren(
      ...lines.map((line) => make("p", {}, `${line}.`)),
      rows.length ? table(["Different", names[0], names[1], "ha"], rows) : make("p", {}, "No point has different classes."),
      make("p", { class: "note" }, wrote),
    );
  }

  at("show-results").addEventListener("click", showResults);
  for (const id of Object.keys(BUTTONS)) at(id)?.addEventListener("click", () => getResult(id));
  return hooks;
})();
