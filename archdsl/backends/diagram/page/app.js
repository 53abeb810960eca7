"use strict";
// What the reader does: fold, choose, search, zoom and pan, with mouse, finger or keys.

const search = document.getElementById("search");
const hits = document.getElementById("hits");
let camera = { x: 0, y: 0, scale: 1 };
let found = [];

function elementOf(target) {
  const group = target.closest && target.closest("[data-key]");
  return group && drawing.contains(group) ? shown.get(group.dataset.key) : undefined;
}

// Redraw after folding, with what stands for a block kept where it was, and the focus kept.
function refold(change, scope) {
  const before = handleOf(scope);
  change();
  redraw();
  const after = handleOf(scope);
  if (before && after) {
    camera.x += (before.x - after.x) * camera.scale;
    camera.y += (before.y - after.y) * camera.scale;
  }
  applyCamera();
  if (after) after.element.group.focus({ preventScroll: true });
  saveState();
}

// What stands for a block, whether it is folded, open, drawn as a head on a box or part of a run,
// and the middle of its upper edge. A folded block has the place of the title that it has when
// open, which is where its tensors come in: so the way that leads there stays too.
function handleOf(scope) {
  if (scope === undefined) return undefined;
  const own = shown.get(`s${scope}`);
  const element = own || [...shown.values()].find((each) => each.kind !== "cluster" && each.nodes.includes(inside[scope][0]));
  if (!element) return undefined;
  const { left, top, width } = placeOf(element);
  const row = element.heads ? Math.max(0, element.heads.indexOf(scope)) : 0;
  return { element, x: left + width / 2, y: top + row * ROW };
}

// Where an element is, or where its title is if it is an open block.
function placeOf(element) {
  return element.kind === "cluster" ? element.head : element;
}

function saveState() {
  // a frame in a notebook has no address of its own
  if (location.protocol !== "about:") history.replaceState(null, "", toFragment());
}

function activate(element) {
  if (["block", "run", "cluster"].includes(element.kind)) {
    refold(() => toggle(element), element.scope);
    describe(element.nodes, shown.get(`s${element.scope}`) || element);
  } else if (element.nodes.length) choose(element.nodes[0]);
}

function close(scope) {
  if (scope > 0) refold(() => closeScope(scope), scope);
}

function choose(number) {
  state.chosen = number;
  if (!homeOf(number)) return;
  mark();
  describe([number]);
  saveState();
  const line = lines.get(number);
  if (line) bringIntoTable(line);
}

// Scroll the table to a line, and nothing around the table: the picture stays where it is.
function bringIntoTable(line) {
  const head = table.tHead.offsetHeight;
  const rows = document.getElementById("rows");
  if (line.offsetTop - head < rows.scrollTop) rows.scrollTop = line.offsetTop - head;
  else rows.scrollTop = Math.max(rows.scrollTop, line.offsetTop + line.offsetHeight - rows.clientHeight);
}

function homeOf(number) {
  return boxesOf(root).find((box) => box.nodes.includes(number));
}

// Show a node in the picture, whatever has to be opened for it.
function show(number) {
  const home = homeOf(number);
  if (!home || home.kind === "block" || home.kind === "run") {
    reveal(number);
    redraw();
  }
  choose(number);
  center(homeOf(number));
}

function mark() {
  const hit = new Set(found);
  const has = (element, set) => element.kind !== "cluster" && element.nodes.some((number) => set.has(number));
  for (const element of shown.values()) {
    element.group.classList.toggle("chosen", has(element, new Set([state.chosen])));
    element.group.classList.toggle("found", has(element, hit));
  }
  for (const [number, line] of lines) {
    line.classList.toggle("chosen", number === state.chosen);
    line.classList.toggle("found", hit.has(number));
  }
}

function hover(numbers, element) {
  const own = new Set(numbers);
  for (const each of shown.values()) each.group.classList.toggle("hovered", each.kind !== "cluster" && each.nodes.some((number) => own.has(number)));
  for (const [number, line] of lines) line.classList.toggle("hovered", own.has(number));
  if (element || numbers.length) describe(numbers, element);
}

// --- zoom and pan -----------------------------------------------------------------------------

function applyCamera() {
  stage.setAttribute("transform", `translate(${camera.x},${camera.y}) scale(${camera.scale})`);
}

function fit(least = 0.6) {
  const { width, height } = drawing.getBoundingClientRect();
  const scale = Math.min(1.5, width / (root.width + 20), height / (root.height + 20));
  // what is much higher than the window is shown from its top, large enough to read
  camera.scale = Math.max(scale, Math.min(least, width / (root.width + 20)));
  camera.x = (width - root.width * camera.scale) / 2;
  camera.y = Math.max(10, (height - root.height * camera.scale) / 2);
  applyCamera();
}

function center(element) {
  if (!element) return;
  const { width, height } = drawing.getBoundingClientRect();
  camera.scale = Math.max(camera.scale, 0.7);
  camera.x = width / 2 - (element.left + element.width / 2) * camera.scale;
  camera.y = height / 2 - (element.top + element.height / 2) * camera.scale;
  applyCamera();
}

function zoom(factor, x, y) {
  const { width, height, left, top } = drawing.getBoundingClientRect();
  const at = [x === undefined ? width / 2 : x - left, y === undefined ? height / 2 : y - top];
  const scale = Math.min(8, Math.max(0.02, camera.scale * factor));
  camera.x = at[0] - (at[0] - camera.x) * scale / camera.scale;
  camera.y = at[1] - (at[1] - camera.y) * scale / camera.scale;
  camera.scale = scale;
  applyCamera();
}

const fingers = new Map();
const JITTER = { mouse: 2, touch: 10, pen: 6 }; // pixels that a pointer may move in a click
let pressed = null; // where a finger or button went down
let moved = false;

drawing.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX, event.clientY);
}, { passive: false });

drawing.addEventListener("pointerdown", (event) => {
  fingers.set(event.pointerId, event);
  pressed = event;
  moved = false;
});

window.addEventListener("pointermove", (event) => {
  const last = fingers.get(event.pointerId);
  if (!last) return;
  const others = [...fingers.values()].filter((finger) => finger.pointerId !== event.pointerId);
  moved ||= others.length > 0 || Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) > (JITTER[event.pointerType] ?? 2);
  if (!moved) return;
  if (others.length) {
    const span = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1;
    zoom(span(event, others[0]) / span(last, others[0]), others[0].clientX, others[0].clientY);
  } else {
    camera.x += event.clientX - last.clientX;
    camera.y += event.clientY - last.clientY;
    applyCamera();
  }
  fingers.set(event.pointerId, event);
});

for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, (event) => fingers.delete(event.pointerId));

// --- clicks, hovering, keys ---------------------------------------------------------------------

drawing.addEventListener("click", (event) => {
  const element = elementOf(event.target);
  if (!element || moved) return;
  const { node, scope } = event.target.dataset;
  if (node !== undefined) choose(Number(node));
  else if (scope !== undefined) close(Number(scope));
  else activate(element);
});
drawing.addEventListener("dblclick", (event) => { if (!elementOf(event.target)) fit(); });
drawing.addEventListener("pointerover", (event) => {
  const element = elementOf(event.target);
  if (!element) return;
  const row = event.target.dataset.node;
  hover(row === undefined ? element.nodes : [Number(row)], row === undefined ? element : undefined);
});
drawing.addEventListener("focusin", (event) => {
  const element = elementOf(event.target);
  if (!element) return;
  hover(element.nodes, element);
  keepInSight(element);
});

function keepInSight(element) {
  const box = element.group.getBoundingClientRect();
  const view = drawing.getBoundingClientRect();
  if (box.right < view.left || box.left > view.right || box.bottom < view.top || box.top > view.bottom) center(element);
}

// The nearest box in a direction: what lies more sideways counts as further away.
function neighbour(element, key) {
  const [dx, dy] = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] }[key];
  const middle = (each) => {
    const { left, top, width, height } = placeOf(each);
    return [left + width / 2, top + height / 2];
  };
  const [x, y] = middle(element);
  let best;
  let least = Infinity;
  for (const other of shown.values()) {
    const [ox, oy] = middle(other);
    const along = (ox - x) * dx + (oy - y) * dy;
    const aside = Math.abs((ox - x) * dy) + Math.abs((oy - y) * dx);
    if (along > 1 && along + 3 * aside < least) {
      least = along + 3 * aside;
      best = other;
    }
  }
  return best;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const element = elementOf(event.target);
  if (event.key === "/") search.focus();
  else if (event.key === "+" || event.key === "=") zoom(1.25);
  else if (event.key === "-") zoom(0.8);
  else if (event.key === "0") fit();
  else if (element && (event.key === "Enter" || event.key === " ")) activate(element);
  else if (element && event.key === "Backspace") close(element.heads ? element.heads[0] : element.parent.scope);
  else if (element && event.key.startsWith("Arrow")) {
    const next = neighbour(element, event.key);
    if (next) next.group.focus({ preventScroll: true });
  } else return;
  event.preventDefault();
});

table.addEventListener("click", (event) => {
  const line = event.target.closest("tr[data-node]");
  if (line) show(Number(line.dataset.node));
});
table.addEventListener("pointerover", (event) => {
  const line = event.target.closest("tr[data-node]");
  if (line) hover([Number(line.dataset.node)]);
});

search.addEventListener("input", () => {
  const text = search.value.trim().toLowerCase();
  found = text ? nodes.flatMap((node, number) => (`${node.name} ${node.type}`.toLowerCase().includes(text) ? [number] : [])) : [];
  hits.textContent = text ? `${found.length} found` : "";
  mark();
  if (found.length) bringIntoTable(lines.get(found[0]));
});
search.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !found.length) return;
  const at = found.indexOf(state.chosen);
  show(found[(at + 1) % found.length]);
});

const on = (id, action) => document.getElementById(id).addEventListener("click", action);
on("unfold-all", () => { refold(openAll); fit(); });
on("fold-all", () => { refold(foldAll); fit(); });
on("zoom-in", () => zoom(1.25));
on("zoom-out", () => zoom(0.8));
on("fit", () => fit());
on("theme", () => {
  const page = document.documentElement;
  page.dataset.theme = page.dataset.theme === "dark" ? "light" : "dark";
  refold(() => {});
  drawLegend();
});
on("help", (event) => {
  const keys = document.getElementById("keys");
  keys.hidden = !keys.hidden;
  event.currentTarget.setAttribute("aria-expanded", String(!keys.hidden));
});
const colour = document.getElementById("colour");
if (!network.timed) colour.querySelector("[value=time]").remove();
colour.addEventListener("change", () => {
  state.colour = colour.value;
  refold(() => {});
  drawLegend();
});

// Where sizes are free, a cost may be a formula everywhere: then no box has a share of the most.
function offerColours() {
  for (const option of colour.options) {
    if (option.value === "family" || !hasFormulas(option.value)) continue;
    option.disabled = !nodes.some((node) => node[option.value] > 0);
    option.textContent += option.disabled ? " (depends on free sizes)" : " (where it is a number)";
  }
}

function start() {
  fromFragment(location.hash);
  if (colour.querySelector(`[value=${state.colour}]`).disabled) state.colour = "family";
  colour.value = state.colour;
  redraw();
  drawLegend();
  fit(0.9);
  mark();
  if (state.chosen >= 0) show(state.chosen);
  else describe([], root);
}

makeTable();
offerColours();
start();
window.addEventListener("hashchange", start);
window.addEventListener("resize", () => applyCamera());
