"use strict";
// The form for interpreters: shows a point, takes keys and clicks, keeps answers in the browser, saves them as CSV.
// Where a server keeps the answers (form_server.js), the browser keeps the place alone.
(() => {
  const server = window.agrifmServer;
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLUMNS = ["id", "longitude", "latitude", "label", "confidence", "comment", "interpreter", "answered"];
  const SENSOR_COLOURS = ["#117733", "#cc6677", "#332288", "#aa7700", "#0088aa", "#882255"];
  const LINKED_DAYS = 25; // a curve has no line over a longer gap
  const at = (id) => document.getElementById(id);
  const byId = new Map(data.points.map((point) => [point.id, point]));
  let answers = {}; // id -> {label, confidence, comment, answered}
  let interpreter = "";
  let here = 0;
  let kind = 0;

  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "line", "path", "circle", "rect", "text"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // ---- answers -------------------------------------------------------------------------------------------------

  const storageKey = () => `agrifm-form ${data.digest} ${interpreter}`;

  function keep() {
    try {
      localStorage.setItem(storageKey(), JSON.stringify(server ? { here } : { answers, here }));
      localStorage.setItem(`agrifm-form ${data.digest}`, interpreter);
      return true;
    } catch {
      if (server) return true; // the server has the answers
      say("This browser does not keep answers. Save them as a file before you close it.");
      return false;
    }
  }

  function kept() {
    try {
      return JSON.parse(localStorage.getItem(storageKey())) || {};
    } catch {
      return {};
    }
  }

  const isAnswered = (point) => Boolean(answers[point.id] && (answers[point.id].label || answers[point.id].confidence));

  function change(parts) {
    if (!interpreter) return; // the answers of before are not here yet
    const id = data.points[here].id;
    const next = { label: "", confidence: "", comment: "", ...answers[id], ...parts };
    next.answered = new Date().toISOString().slice(0, 19) + "Z";
    if (next.label || next.confidence || next.comment) answers[id] = next;
    else delete answers[id];
    say("");
    keep();
    if (server) server.send(id, next);
    showAnswer();
  }

  function choose(code) {
    const now = answers[data.points[here].id] || {};
    change({ label: now.label === code ? "" : code });
  }

  function toggleUnsure() {
    const now = answers[data.points[here].id] || {};
    change({ confidence: now.confidence === "low" ? "" : "low" });
  }

  // ---- files ---------------------------------------------------------------------------------------------------

  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  function csv() {
    const rows = data.points
      .filter((point) => answers[point.id])
      .map((point) => {
        const { label, confidence, comment, answered } = answers[point.id];
        return [point.id, point.lon, point.lat, label, confidence, comment, interpreter, answered];
      });
    return [COLUMNS, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }

  function save() {
    const name = interpreter.replace(/[^\p{L}\p{N}_-]+/gu, "-") || "answers";
    const link = make("a", { download: `${data.stem}-${name}.csv` });
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`Saved ${Object.keys(answers).length} answers as ${link.download} in your downloads.`);
  }

  function parseCsv(text) {
    const rows = [[]];
    let field = "";
    let quoted = false;
    const source = text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
    const separator = /^[^\n,]*;/.test(source) ? ";" : ","; // spreadsheets of some languages write semicolons
    for (let i = 0; i < source.length; i += 1) {
      const sign = source[i];
      if (quoted) {
        if (sign === '"' && source[i + 1] === '"') field += source[(i += 1)];
        else if (sign === '"') quoted = false;
        else field += sign;
      } else if (sign === '"') quoted = true;
      else if (sign === separator || sign === "\n") {
        rows.at(-1).push(field);
        field = "";
        if (sign === "\n") rows.push([]);
      } else field += sign;
    }
    if (field || rows.at(-1).length) rows.at(-1).push(field);
    return rows.filter((row) => row.some((one) => one !== ""));
  }

  function load(name, text) {
    const [head = [], ...rows] = parseCsv(text);
    const entries = rows.map((row) => Object.fromEntries(head.map((column, i) => [column.trim(), row[i] || ""])));
    const codes = new Set(data.classes.map((entry) => entry.code));
    const problem = () => {
      if (!head.includes("id") || !head.includes("label")) return "it has no columns id and label";
      for (const entry of entries) {
        const point = byId.get(entry.id);
        if (!point) return `it has an answer for a point that is not in this form (${entry.id})`;
        if (entry.longitude && Math.abs(entry.longitude - point.lon) > 1e-5) return "its points are those of another draw";
        if (entry.label && !codes.has(entry.label)) return `its label ${entry.label} is not a class of this form`;
        if (entry.interpreter && entry.interpreter !== interpreter) {
          return `it has answers of ${entry.interpreter}; open the form under that name to go on with them`;
        }
      }
      return "";
    };
    const found = problem();
    if (found) return say(`${name} was not loaded: ${found}.`);
    for (const { id, label, confidence = "", comment = "", answered = "" } of entries) {
      if (label || confidence || comment) answers[id] = { label, confidence, comment, answered };
    }
    keep();
    show();
    return say(`Loaded ${entries.length} answers from ${name}.`);
  }

  // ---- the point -----------------------------------------------------------------------------------------------

  function say(text) {
    at("message").textContent = text;
  }

  function go(to) {
    here = Math.min(Math.max(to, 0), data.points.length - 1);
    say("");
    keep();
    show();
    window.scrollTo(0, 0);
  }

  function goToOpen(step) {
    const count = data.points.length;
    for (let i = 1; i <= count; i += 1) {
      const to = (((here + step * i) % count) + count) % count;
      if (!isAnswered(data.points[to])) return go(to);
    }
    return say(`Every point has an answer. ${server ? "See the results (s)." : "Save them."}`);
  }

  function show() {
    const point = data.points[here];
    at("where").textContent = `Point ${point.id}`;
    at("place").textContent = `${here + 1} of ${data.points.length} · latitude ${point.lat}, longitude ${point.lon}`;
    showAnswer();
    if (server && !isRead(point)) return showLater(point);
    showSeason(point);
    return readAhead();
  }

  function showSeason(point) {
    showMonths(point);
    showCurves(point);
  }

  // ---- a server gives each point when it is looked at, and those after it ahead -----------------------------------

  const AHEAD = 2;
  const isRead = (point) => Boolean(point.months);
  const reading = new Map(); // id -> promise

  function read(place) {
    const point = data.points[place];
    if (isRead(point)) return Promise.resolve();
    if (!reading.has(point.id)) {
      const content = server.point(place).then((found) => Object.assign(point, found));
      reading.set(point.id, content.finally(() => reading.delete(point.id)));
    }
    return reading.get(point.id);
  }

  async function showLater(point) {
    at("months").replaceChildren(make("p", { role: "status" }, "Reading pictures and curves …"));
    at("curves").replaceChildren();
    at("caption").textContent = "";
    try {
      await read(data.points.indexOf(point));
    } catch (error) {
      if (data.points[here] === point) at("months").replaceChildren(make("p", { class: "warning" }, `${error.message}.`));
      return;
    }
    if (data.points[here] !== point) return;
    showSeason(point);
    readAhead();
  }

  async function readAhead() {
    if (!server) return;
    try {
      for (let place = here + 1; place <= here + AHEAD && place < data.points.length; place += 1) await read(place);
    } catch {
      // said when the point is looked at
    }
  }

  function reticle() {
    const side = data.side;
    const middle = side / 2;
    const gap = Math.max(side * 0.07, 1.5);
    const svg = make("svg", { viewBox: `0 0 ${side} ${side}`, "aria-hidden": "true" });
    const pixel = `M${middle - 0.5} ${middle - 0.5}h1v1h-1z`;
    const reach = side * 0.18;
    const arms = [[0, -1], [0, 1], [-1, 0], [1, 0]]
      .map(([x, y]) => `M${middle + x * gap} ${middle + y * gap}L${middle + x * reach} ${middle + y * reach}`)
      .join("");
    for (const [stroke, width] of [["#000", 3], ["#ff0", 1.4]]) {
      const style = { fill: "none", stroke, "stroke-width": width, "vector-effect": "non-scaling-stroke" };
      svg.append(make("path", { d: pixel + arms, ...style }));
    }
    return svg;
  }

  function showMonths(point) {
    const grid = at("months");
    grid.replaceChildren();
    at("caption").textContent = "";
    if (!data.kinds.length || !point.inside) {
      const why = point.inside ? data.no_pictures : "This point is outside the season's cube, so nothing of it is shown.";
      if (why) grid.append(make("p", { class: "warning" }, why));
      return;
    }
    const shown = new Map(point.months.map((month, place) => [month.month, { ...month, place }]));
    data.months.forEach((name, number) => {
      const month = shown.get(number);
      const chip = make("div", { class: "chip" });
      let caption = name;
      if (month) {
        const count = point.months.length;
        chip.style.backgroundImage = `url(${point.pictures[kind]})`;
        chip.style.backgroundSize = `${count * 100}% 100%`;
        chip.style.backgroundPosition = `${count > 1 ? (month.place / (count - 1)) * 100 : 0}% 0`;
        chip.setAttribute("role", "img");
        caption = `${month.date}, ${month.clear} % clear${month.seen ? "" : ", not at the point"}`;
        chip.setAttribute("aria-label", `${data.kinds[kind].name} of ${caption}`);
        chip.append(reticle());
      } else {
        chip.classList.add("empty");
        chip.append("no clear observation");
      }
      grid.append(make("figure", {}, chip, make("figcaption", {}, caption)));
    });
    at("caption").append(`${data.kinds[kind].text} ${data.about_pictures} `);
    if (data.kinds.length > 1) {
      const other = make("button", { type: "button" }, "Other colours ", make("kbd", {}, "c"));
      other.addEventListener("click", actions.c);
      at("caption").append(other);
    }
  }

  // ---- curves --------------------------------------------------------------------------------------------------

  const SIZE = { width: 460, height: 150, left: 36, right: 8, top: 8, bottom: 20 };

  function rangeOf(curves) {
    // Of a curve that the points which decide the axes do not have.
    const values = curves.flatMap((curve) => curve.values);
    return [Math.min(...values) - 0.02, Math.max(...values) + 0.02];
  }

  function plot(curves, range) {
    const { width, height, left, right, top, bottom } = SIZE;
    const [first, last] = data.days;
    const x = (day) => left + ((day - first) / (last - first)) * (width - left - right);
    const y = (value) => {
      const part = Math.min(Math.max((value - range[0]) / (range[1] - range[0]), 0), 1);
      return height - bottom - part * (height - top - bottom);
    };
    const svg = make("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img" });
    for (const [day, name] of data.month_starts) {
      svg.append(make("line", { x1: x(day), x2: x(day), y1: top, y2: height - bottom, stroke: "#ddd" }));
      svg.append(make("text", { x: x(day) + 3, y: height - 6 }, name));
    }
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((s) => (range[1] - range[0]) / s <= 5) || 100;
    for (let tick = Math.ceil(range[0] / step) * step; tick <= range[1]; tick += step) {
      svg.append(make("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), stroke: "#ddd" }));
      svg.append(make("text", { x: left - 4, y: y(tick) + 4, "text-anchor": "end" }, String(Number(tick.toFixed(2)))));
    }
    curves.forEach(({ days, values, colour }) => {
      let d = "";
      days.forEach((day, i) => {
        const linked = i > 0 && day - days[i - 1] <= LINKED_DAYS;
        d += `${linked ? "L" : "M"}${x(day).toFixed(1)} ${y(values[i]).toFixed(1)}`;
      });
      svg.append(make("path", { d, fill: "none", stroke: colour, "stroke-width": 1.3, opacity: 0.6 }));
      days.forEach((day, i) => svg.append(make("circle", { cx: x(day), cy: y(values[i]), r: 2.6, fill: colour })));
    });
    return svg;
  }

  function showCurves(point) {
    const box = at("curves");
    box.replaceChildren();
    if (!point.inside) return;
    for (const name of data.curve_names) {
      const curves = point.curves
        .filter((curve) => curve.name === name)
        .map((curve) => ({ ...curve, colour: SENSOR_COLOURS[data.sensors.indexOf(curve.sensor) % SENSOR_COLOURS.length] }));
      if (!curves.length) continue;
      const key = make("p", { class: "key" });
      for (const { sensor, colour, days } of curves) {
        const dot = make("i");
        dot.style.background = colour;
        key.append(make("span", {}, dot, days.length ? sensor : `${sensor}: never observed`));
      }
      const drawn = curves.filter((curve) => curve.days.length);
      const figure = make("figure", {}, make("h2", {}, name), key);
      if (drawn.length) {
        const svg = plot(drawn, data.ranges[name] || rangeOf(drawn));
        svg.setAttribute("aria-label", `${name} over the season`);
        figure.append(svg);
      }
      box.append(figure);
    }
  }

  // ---- classes -------------------------------------------------------------------------------------------------

  function buildClasses() {
    const box = at("classes");
    if (data.classes.length > 12) {
      const find = make("input", { id: "find", placeholder: "find a class ( / )", "aria-label": "Find a class" });
      find.addEventListener("input", () => filterClasses(find.value));
      find.addEventListener("keydown", (event) => {
        const first = [...box.querySelectorAll("button[data-code]")].find((button) => !button.hidden);
        if (event.key === "Enter" && find.value && first) choose(first.dataset.code);
        if (event.key === "Enter" || event.key === "Escape") {
          find.value = "";
          filterClasses("");
          find.blur();
          event.preventDefault();
        }
      });
      box.append(find);
    }
    for (const { code, name, color, key } of data.classes) {
      const swatch = make("span", { class: "swatch" });
      swatch.style.background = color;
      const label = make("span", { class: "name" }, name);
      if (name !== code) label.append(make("span", { class: "code" }, ` ${code}`));
      const button = make("button", { type: "button", "data-code": code }, swatch, label);
      if (key) button.append(make("kbd", {}, key));
      button.addEventListener("click", () => choose(code));
      box.append(button);
    }
    const unsure = make("button", { type: "button", class: "unsure" }, make("span", { class: "name" }, "unsure"));
    unsure.append(make("kbd", {}, "u"));
    unsure.addEventListener("click", toggleUnsure);
    box.append(unsure);
  }

  function filterClasses(text) {
    const wanted = text.trim().toLowerCase();
    for (const button of at("classes").querySelectorAll("button[data-code]")) {
      button.hidden = !button.textContent.toLowerCase().includes(wanted);
      button.style.display = button.hidden ? "none" : "";
    }
  }

  function showAnswer() {
    const answer = answers[data.points[here].id] || {};
    for (const button of at("classes").querySelectorAll("button[data-code]")) {
      button.setAttribute("aria-pressed", String(button.dataset.code === answer.label));
    }
    const pressed = at("classes").querySelector("[data-code][aria-pressed=true]");
    const side = document.querySelector("aside");
    if (pressed && side.scrollHeight > side.clientHeight) side.scrollTop = pressed.offsetTop - side.clientHeight / 2;
    at("classes").querySelector(".unsure").setAttribute("aria-pressed", String(answer.confidence === "low"));
    if (document.activeElement !== at("note")) at("note").value = answer.comment || "";
    const done = data.points.filter(isAnswered).length;
    at("progress").textContent = `${interpreter}: ${done} of ${data.points.length} answered`;
  }

  // ---- keys ----------------------------------------------------------------------------------------------------

  const classOfKey = new Map(data.classes.filter((entry) => entry.key).map((entry) => [entry.key, entry.code]));
  const actions = {
    ArrowRight: () => go(here + 1),
    ArrowLeft: () => go(here - 1),
    ArrowDown: () => goToOpen(1),
    ArrowUp: () => goToOpen(-1),
    Home: () => go(0),
    End: () => go(data.points.length - 1),
    u: toggleUnsure,
    n: () => at("note").focus(),
    s: server ? server.showResults : save,
    c: () => {
      kind = data.kinds.length ? (kind + 1) % data.kinds.length : 0;
      if (!server || isRead(data.points[here])) showMonths(data.points[here]);
    },
    b: () => document.body.classList.toggle("bigger"),
    "/": () => at("find")?.focus(),
    "?": () => at("keys").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("textarea, input")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (classOfKey.has(key)) choose(classOfKey.get(key));
    else if (actions[key]) actions[key]();
    else return;
    event.preventDefault();
  });

  at("note").addEventListener("input", () => change({ comment: at("note").value.trim() }));
  at("back").addEventListener("click", actions.ArrowLeft);
  at("on").addEventListener("click", actions.ArrowRight);
  at("help").addEventListener("click", actions["?"]);
  if (!server) {
    at("save").addEventListener("click", save);
    at("load").addEventListener("click", () => at("file").click());
    at("file").addEventListener("change", async () => {
      const [file] = at("file").files;
      if (file) load(file.name, await file.text());
      at("file").value = "";
    });
  }

  // ---- start ---------------------------------------------------------------------------------------------------

  buildClasses();
  at("start").addEventListener("cancel", (event) => event.preventDefault());
  if (server) {
    server.toPoint = (id) => go(data.points.findIndex((point) => point.id === id));
    server.progress = () => ({ name: interpreter, done: data.points.filter(isAnswered).length, all: data.points.length });
    at("start").addEventListener("close", async () => {
      try {
        answers = await server.begin(Number(at("start").returnValue));
      } catch (error) {
        at("start-problem").textContent = `The answers could not be read: ${error.message}.`;
        return at("start").showModal();
      }
      interpreter = server.name();
      document.activeElement?.blur();
      const open = data.points.findIndex((point) => !isAnswered(point));
      return go(kept().here ?? Math.max(open, 0));
    });
    at("start").showModal();
    return;
  }
  try {
    at("interpreter").value = localStorage.getItem(`agrifm-form ${data.digest}`) || "";
  } catch {
    // without storage the name is typed again
  }
  at("start").addEventListener("close", () => {
    interpreter = at("interpreter").value.trim();
    if (!interpreter) return at("start").showModal();
    const { answers: before = {}, here: place = 0 } = kept();
    answers = before;
    document.activeElement?.blur();
    return go(place);
  });
  at("start").showModal();
  at("interpreter").select();
})();
