"use strict";
// The rows of a sweep as a table and a scatter, which show the same rows and the same choice.

const sweep = JSON.parse(document.getElementById("sweep").textContent);
const columns = sweep.columns, rows = sweep.rows;
const at = Object.fromEntries(columns.map((column, place) => [column.name, place]));
const get = (id) => document.getElementById(id);
const SHOWN_AT_ONCE = 300; // rows of the table; more come as one scrolls down
const CATEGORIES = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb"];
const SCALE = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], COUNTS = ["", "k", "M", "G", "T", "P"];

const state = { x: "", y: "", colour: "", sort: "", down: false, filter: "", only: false, xMore: false, yMore: false, xLog: false, yLog: false };
let shown = [], front = new Set(), spots = [], chosen = -1, hovered = -1, drawn = 0;

// --- how values are written -----------------------------------------------------------------

function written(value, column) {
  if (value === null) return column.kind === "figure" ? "-" : "none";
  if (Array.isArray(value)) return `[${value.map((one) => written(one, column)).join(", ")}]`;
  if (typeof value !== "number") return String(value);
  if (column.bytes) return scaled(value, 1024, BYTES, 1);
  if (!Number.isInteger(value)) return String(value);
  // a number that JavaScript has not exactly is not shown as if it were exact
  return Number.isSafeInteger(value) ? value.toLocaleString("en-US") : `about ${value.toPrecision(7)}`;
}

function scaled(value, base, units, digits) {
  let power = 0;
  while (Math.abs(value) >= base && power < units.length - 1) { value /= base; power += 1; }
  const text = Number.isInteger(value) ? String(value) : value.toFixed(digits).replace(/\.?0+$/, "");
  return units[power] ? `${text} ${units[power]}` : text;
}

const tick = (value, column) => column.bytes ? scaled(value, 1024, BYTES, 2)
  : Math.abs(value) < 1000 ? String(Number(value.toPrecision(6))) : scaled(value, 1000, COUNTS, 2);

// --- which rows -----------------------------------------------------------------------------

const COMPARE = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  "=": (a, b) => a === b, "==": (a, b) => a === b, "!=": (a, b) => a !== b,
};

// A filter is read by hand: nothing that is typed is ever run.
function condition(text) {
  const parts = text.trim().split(/\s+and\s+/i).filter(Boolean);
  const tests = parts.map((part) => {
    const found = /^(\S.*?)\s*(<=|>=|==|!=|<|>|=|:)\s*(.+)$/.exec(part);
    if (!found) {
      const word = part.toLowerCase();
      return (row) => columns.some((column, place) => written(row[place], column).toLowerCase().includes(word));
    }
    const [, name, sign, given] = found;
    if (!Object.hasOwn(at, name)) throw new Error(`there is no column ${name}`);
    const place = at[name], column = columns[place];
    const value = given.replace(/^"(.*)"$/, "$1");
    if (sign === ":") return (row) => written(row[place], column).toLowerCase().includes(value.toLowerCase());
    const number = Number(value.replace(/,/g, ""));
    if (column.numeric) {
      if (Number.isNaN(number)) throw new Error(`${given} is no number`);
      return (row) => row[place] !== null && COMPARE[sign](row[place], number);
    }
    return (row) => COMPARE[sign](written(row[place], column), value);
  });
  return (row) => tests.every((test) => test(row));
}

function choose() {
  let holds = () => true;
  get("wrong").textContent = "";
  try { holds = condition(state.filter); } catch (error) { get("wrong").textContent = error.message; }
  let found = rows.map((_, number) => number).filter((number) => holds(rows[number]));
  front = frontOf(found);
  if (state.only) found = found.filter((number) => front.has(number));
  if (state.sort) {
    const place = at[state.sort], way = state.down ? -1 : 1;
    found.sort((a, b) => {
      const left = rows[a][place], right = rows[b][place];
      if (left === null || right === null) return (left === null) - (right === null) || a - b;
      const order = columns[place].numeric ? left - right : String(left).localeCompare(String(right));
      return way * order || a - b;
    });
  }
  shown = found;
  const failed = rows.filter((row) => row[at[sweep.error]]).length;
  get("totals").textContent = `${shown.length.toLocaleString("en-US")} of ${rows.length.toLocaleString("en-US")} variants`
    + `, ${front.size.toLocaleString("en-US")} on the front`
    + (failed ? `; ${failed.toLocaleString("en-US")} failed` : "");
}

function frontOf(numbers) {
  const x = at[state.x], y = at[state.y];
  const sx = state.xMore ? -1 : 1, sy = state.yMore ? -1 : 1;
  const points = numbers.filter((n) => rows[n][x] !== null && rows[n][y] !== null)
    .map((n) => [sx * rows[n][x], sy * rows[n][y], n]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const best = new Set();
  let least = Infinity, across = NaN;
  for (const [px, py, n] of points) {
    if (py < least || (py === least && px === across)) { best.add(n); least = py; across = px; }
  }
  return best;
}

// --- the table ------------------------------------------------------------------------------

function head() {
  const line = document.createElement("tr");
  for (const column of columns) {
    const cell = document.createElement("th"), button = document.createElement("button");
    button.type = "button";
    button.textContent = column.name;
    cell.className = column.numeric ? "number" : "";
    button.className = cell.className;
    button.addEventListener("click", () => {
      if (state.sort === column.name && state.down) { state.sort = ""; state.down = false; }
      else { state.down = state.sort === column.name; state.sort = column.name; }
      refresh();
    });
    cell.append(button);
    line.append(cell);
  }
  document.querySelector("thead").append(line);
}

function sortMarks() {
  document.querySelectorAll("th").forEach((cell, place) => {
    const column = columns[place], is = column.name === state.sort;
    cell.setAttribute("aria-sort", is ? (state.down ? "descending" : "ascending") : "none");
    cell.firstChild.textContent = column.name + (is ? (state.down ? " ↓" : " ↑") : "");
  });
}

function more(until) {
  const body = document.querySelector("tbody"), lines = document.createDocumentFragment();
  for (; drawn < Math.min(until, shown.length); drawn += 1) {
    const number = shown[drawn], line = document.createElement("tr");
    line.dataset.number = number;
    line.className = [front.has(number) ? "front" : "", number === chosen ? "chosen" : ""].join(" ").trim();
    columns.forEach((column, place) => {
      const cell = document.createElement("td");
      cell.textContent = written(rows[number][place], column);
      if (column.numeric) cell.className = "number";
      if (column.name === sweep.error) cell.className = "error";
      line.append(cell);
    });
    lines.append(line);
  }
  body.append(lines);
}

function table() {
  document.querySelector("tbody").textContent = "";
  drawn = 0;
  more(SHOWN_AT_ONCE);
  sortMarks();
  get("none").hidden = shown.length > 0;
}

const lineOf = (number) => document.querySelector(`tr[data-number="${number}"]`);

function pick(number, scroll) {
  lineOf(chosen)?.classList.remove("chosen");
  chosen = number;
  if (number >= 0) {
    const place = shown.indexOf(number);
    if (place >= drawn) more(place + 50);
    const line = lineOf(number);
    line?.classList.add("chosen");
    if (scroll) line?.scrollIntoView({ block: "nearest" });
  }
  paint();
}

function hover(number) {
  if (number === hovered) return;
  lineOf(hovered)?.classList.remove("hovered");
  hovered = number;
  lineOf(number)?.classList.add("hovered");
  paint();
}

// --- the scatter ----------------------------------------------------------------------------

const MARGIN = { left: 74, right: 18, top: 16, bottom: 44 };

function scale(name, log, from, to) {
  const values = shown.map((n) => rows[n][at[name]]).filter((value) => value !== null && (!log || value > 0));
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  if (low > high) { low = log ? 1 : 0; high = log ? 10 : 1; }
  const into = log ? Math.log10 : (value) => value;
  let a = into(low), b = into(high);
  const space = (b - a) * 0.05 || Math.abs(a) * 0.05 || 1;
  a -= space; b += space;
  const place = (value) => from + (into(value) - a) / (b - a) * (to - from);
  return { place, ticks: log ? logTicks(a, b) : ticks(a, b, columns[at[name]].bytes) };
}

function ticks(low, high, bytes) {
  const base = bytes ? 2 : 10, rough = (high - low) / 5;
  let step = base ** Math.floor(Math.log(rough) / Math.log(base));
  if (!bytes) step *= [1, 2, 5, 10].find((times) => step * times >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high && found.length < 20; value += step) found.push(value);
  return found.map((value) => Math.abs(value) < step / 1e6 ? 0 : value);
}

function logTicks(low, high) {
  const found = [];
  for (const times of high - low > 3 ? [1] : high - low > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]) {
    for (let power = Math.floor(low); power <= high; power += 1) {
      const value = times * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(value);
    }
  }
  return found.sort((a, b) => a - b);
}

function colours() {
  const legend = get("legend");
  legend.textContent = "";
  const entry = (colour, text) => {
    const item = document.createElement("li"), swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    item.append(swatch, text);
    legend.append(item);
  };
  const look = getComputedStyle(document.documentElement);
  const plain = look.getPropertyValue("--point").trim(), accent = look.getPropertyValue("--accent").trim();
  if (!state.colour) {
    entry(accent, "on the front");
    entry(plain, "not");
    return (number) => front.has(number) ? accent : plain;
  }
  const place = at[state.colour], column = columns[place];
  const values = [...new Set(rows.map((row) => written(row[place], column)))];
  if (!column.numeric || values.length <= CATEGORIES.length) {
    values.slice(0, CATEGORIES.length - 1).forEach((value, one) => entry(CATEGORIES[one], value));
    if (values.length === CATEGORIES.length) entry(CATEGORIES[values.length - 1], values[values.length - 1]);
    if (values.length > CATEGORIES.length) entry(CATEGORIES[CATEGORIES.length - 1], "others");
    const known = Object.fromEntries(values.map((value, one) => [value, CATEGORIES[Math.min(one, CATEGORIES.length - 1)]]));
    return (number) => known[written(rows[number][place], column)];
  }
  const numbers = rows.map((row) => row[place]).filter((value) => value !== null);
  const low = numbers.reduce((a, b) => Math.min(a, b)), high = numbers.reduce((a, b) => Math.max(a, b));
  const mixed = (part) => {
    const where = Math.min(part, 1) * (SCALE.length - 1), first = Math.min(Math.floor(where), SCALE.length - 2);
    return `rgb(${SCALE[first].map((one, k) => Math.round(one + (SCALE[first + 1][k] - one) * (where - first))).join()})`;
  };
  for (const part of [0, 0.5, 1]) entry(mixed(part), tick(low + part * (high - low), column));
  return (number) => mixed((rows[number][place] - low) / (high - low || 1));
}

function element(parent, kind, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
}

function scatter() {
  const plot = get("plot"), axes = get("axes"), wide = plot.clientWidth, high = plot.clientHeight;
  const across = scale(state.x, state.xLog, MARGIN.left, wide - MARGIN.right);
  const up = scale(state.y, state.yLog, high - MARGIN.bottom, MARGIN.top);
  axes.textContent = "";
  axes.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  axes.setAttribute("aria-label", `${shown.length} variants: ${state.y} over ${state.x}, ${front.size} on the front`);
  const bottom = high - MARGIN.bottom, right = wide - MARGIN.right;
  let free = -Infinity;
  for (const value of across.ticks) {
    const place = across.place(value), text = tick(value, columns[at[state.x]]);
    element(axes, "line", { x1: place, x2: place, y1: MARGIN.top, y2: bottom });
    if (place - 3.2 * text.length < free) continue; // two numbers never stand on each other
    free = place + 3.2 * text.length + 8;
    element(axes, "text", { x: place, y: bottom + 16, "text-anchor": "middle" }, text);
  }
  free = Infinity;
  for (const value of up.ticks) {
    const place = up.place(value);
    element(axes, "line", { x1: MARGIN.left, x2: right, y1: place, y2: place });
    if (place > free) continue;
    free = place - 14;
    element(axes, "text", { x: MARGIN.left - 6, y: place + 4, "text-anchor": "end" }, tick(value, columns[at[state.y]]));
  }
  element(axes, "line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom });
  element(axes, "line", { class: "axis", x1: MARGIN.left, x2: MARGIN.left, y1: MARGIN.top, y2: bottom });
  element(axes, "text", { class: "name", x: right, y: high - 8, "text-anchor": "end" }, state.x);
  element(axes, "text", { class: "name", x: 12, y: MARGIN.top, transform: `rotate(-90 12 ${MARGIN.top})`, "text-anchor": "end" }, state.y);
  const x = at[state.x], y = at[state.y];
  spots = shown.filter((n) => rows[n][x] !== null && rows[n][y] !== null && (!state.xLog || rows[n][x] > 0) && (!state.yLog || rows[n][y] > 0))
    .map((n) => ({ number: n, x: across.place(rows[n][x]), y: up.place(rows[n][y]) }));
  const line = spots.filter((spot) => front.has(spot.number)).sort((a, b) => a.x - b.x || a.y - b.y);
  // between two of the front nothing better is known: so it goes in steps
  const corner = (a, b) => (state.xMore ? `L${a.x} ${b.y}` : `L${b.x} ${a.y}`) + `L${b.x} ${b.y}`;
  if (line.length) element(axes, "path", { class: "front", d: `M${line[0].x} ${line[0].y}` + line.slice(1).map((spot, k) => corner(line[k], spot)).join("") });
  paint();
}

let colourOf = () => "";

function paint() {
  const canvas = get("points"), plot = get("plot"), ratio = window.devicePixelRatio || 1;
  canvas.width = plot.clientWidth * ratio;
  canvas.height = plot.clientHeight * ratio;
  const pen = canvas.getContext("2d"), look = getComputedStyle(document.documentElement);
  pen.scale(ratio, ratio);
  const radius = spots.length > 3000 ? 2.2 : spots.length > 500 ? 3 : 4.5;
  const dot = (spot, size) => { pen.beginPath(); pen.arc(spot.x, spot.y, size, 0, 7); };
  for (const late of [false, true]) {
    for (const spot of spots) {
      if (front.has(spot.number) !== late) continue;
      pen.globalAlpha = late ? 1 : 0.75;
      pen.fillStyle = colourOf(spot.number);
      dot(spot, late ? radius + 1 : radius);
      pen.fill();
      if (late && state.colour) { pen.strokeStyle = look.getPropertyValue("--accent"); pen.lineWidth = 1.5; pen.stroke(); }
    }
  }
  pen.globalAlpha = 1;
  for (const spot of spots) {
    if (spot.number !== chosen && spot.number !== hovered) continue;
    pen.strokeStyle = look.getPropertyValue(spot.number === chosen ? "--chosen" : "--text");
    pen.lineWidth = 2.5;
    dot(spot, radius + 4);
    pen.stroke();
  }
  tip();
}

function tip() {
  const box = get("tip"), number = hovered >= 0 ? hovered : chosen, spot = spots.find((one) => one.number === number);
  box.hidden = !spot;
  if (!spot) return;
  box.textContent = "";
  const list = document.createElement("dl");
  columns.forEach((column, place) => {
    if (column.kind !== "parameter" && column.name !== state.x && column.name !== state.y) return;
    const name = document.createElement("dt"), value = document.createElement("dd");
    name.textContent = column.name;
    value.textContent = written(rows[number][place], column);
    list.append(name, value);
  });
  box.append(list);
  const plot = get("plot");
  box.style.left = `${Math.max(4, Math.min(spot.x + 12, plot.clientWidth - box.offsetWidth - 6))}px`;
  const above = spot.y + 12 + box.offsetHeight > plot.clientHeight;
  box.style.top = `${Math.max(4, above ? spot.y - 12 - box.offsetHeight : spot.y + 12)}px`;
}

function nearest(event) {
  const frame = get("plot").getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
  let best = -1, least = event.pointerType === "touch" ? 900 : 200;
  for (const spot of spots) {
    const far = (spot.x - x) ** 2 + (spot.y - y) ** 2;
    if (far < least) { least = far; best = spot.number; }
  }
  return best;
}

// --- the page -------------------------------------------------------------------------------

function refresh() {
  choose();
  if (!shown.includes(chosen)) chosen = -1;
  colourOf = colours();
  table();
  scatter();
  for (const axis of ["x", "y"]) {
    const more = state[`${axis}More`];
    get(`${axis}-way`).textContent = `${state[axis]}: ${more ? "more" : "less"} is better`;
    get(`${axis}-log`).setAttribute("aria-pressed", state[`${axis}Log`]);
  }
  get("only").setAttribute("aria-pressed", state.only);
  const kept = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
  history.replaceState(null, "", `#${kept}`);
}

function begin() {
  head();
  const numeric = columns.filter((column) => column.numeric);
  const option = (name, text) => { const made = document.createElement("option"); made.value = name; made.textContent = text; return made; };
  for (const id of ["x", "y"]) numeric.forEach((column) => get(id).append(option(column.name, column.name)));
  get("colour").append(option("", "by the front"), ...columns.filter((column) => column.name !== sweep.error).map((column) => option(column.name, `by ${column.name}`)));
  state.x = sweep.x; state.y = sweep.y;
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (!Object.hasOwn(state, name)) continue;
    if (typeof state[name] === "boolean") state[name] = value === "true";
    else if (name === "filter" || Object.hasOwn(at, value)) state[name] = value;
  }
  if (!columns[at[state.x]]?.numeric) state.x = sweep.x;
  if (!columns[at[state.y]]?.numeric) state.y = sweep.y;
  for (const id of ["x", "y", "colour", "filter"]) get(id).value = state[id];
  for (const id of ["x", "y", "colour"]) get(id).addEventListener("change", () => { state[id] = get(id).value; refresh(); });
  get("filter").addEventListener("input", () => { state.filter = get("filter").value; refresh(); });
  for (const axis of ["x", "y"]) {
    get(`${axis}-way`).addEventListener("click", () => { state[`${axis}More`] = !state[`${axis}More`]; refresh(); });
    get(`${axis}-log`).addEventListener("click", () => { state[`${axis}Log`] = !state[`${axis}Log`]; refresh(); });
  }
  get("only").addEventListener("click", () => { state.only = !state.only; refresh(); });
  const theme = (name) => { document.documentElement.dataset.theme = name; };
  if (window.matchMedia("(prefers-color-scheme: dark)").matches) theme("dark");
  get("theme").addEventListener("click", () => {
    theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    refresh();
  });
  get("help").addEventListener("click", () => {
    const keys = get("keys");
    keys.hidden = !keys.hidden;
    get("help").setAttribute("aria-expanded", !keys.hidden);
    scatter();
  });
  const plot = get("plot"), body = document.querySelector("tbody"), pane = get("rows");
  plot.addEventListener("pointermove", (event) => hover(nearest(event)));
  plot.addEventListener("pointerleave", () => hover(-1));
  plot.addEventListener("click", (event) => pick(nearest(event), true));
  const numberOf = (event) => Number(event.target.closest("tr")?.dataset.number ?? -1);
  body.addEventListener("pointerover", (event) => hover(numberOf(event)));
  body.addEventListener("pointerleave", () => hover(-1));
  body.addEventListener("click", (event) => pick(numberOf(event), false));
  pane.addEventListener("scroll", () => { if (pane.scrollTop + pane.clientHeight > pane.scrollHeight - 400) more(drawn + SHOWN_AT_ONCE); });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) { if (event.key === "Escape") event.target.blur(); return; }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length) {
      event.preventDefault();
      const place = shown.indexOf(chosen);
      pick(shown[Math.max(0, Math.min(shown.length - 1, place < 0 ? 0 : place + step))], true);
    } else if (event.key === "/") { event.preventDefault(); get("filter").focus(); }
    else if (event.key === "Escape") pick(-1, false);
  });
  window.addEventListener("resize", scatter);
  refresh();
}

begin();
