"use strict";
// The picture as SVG elements. All text goes through textContent.

const drawing = document.getElementById("drawing");
const SVG = "http://www.w3.org/2000/svg";
let root = null;       // what is shown
let stage = null;      // the group that zoom and pan move
let shown = new Map(); // key -> element with its group
let most = 1;          // what the costliest box costs, where colours tell that

function svg(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function redraw() {
  root = visible();
  layout(root);
  most = boxesOf(root).reduce((so, box) => Math.max(so, costOf(box)), 1);
  drawing.replaceChildren();
  shown = new Map();
  const definitions = svg("defs", {}, drawing);
  const marker = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" }, definitions);
  svg("path", { d: "M0,1 L8,4 L0,7 z" }, marker);
  stage = svg("g", { id: "stage" }, drawing);
  drawClusters(root, 0);
  drawEdges(root);
  drawShapes(root, new Set());
  for (const box of boxesOf(root)) drawBox(box);
  drawTitles(root);
  mark();
}

function drawClusters(element, depth) {
  for (const child of element.children) {
    if (child.kind !== "cluster") continue;
    const group = svg("g", { class: `cluster${depth % 2 ? " odd" : ""}${child.training ? " training" : ""}` }, stage);
    svg("rect", { x: child.left, y: child.top, width: child.width, height: child.height, rx: 8 }, group);
    drawClusters(child, depth + 1);
  }
}

function drawTitles(element) {
  for (const child of element.children) {
    if (child.kind !== "cluster") continue;
    const { name, label, block } = scopes[child.scope];
    const group = svg("g", { class: "title", tabindex: 0, role: "button", "aria-expanded": "true", "aria-label": `${name} ${block}, open` }, stage);
    const { left, top, width, height } = child.head;
    svg("rect", { x: left, y: top, width, height, class: "frame" }, group);
    const text = svg("text", { x: left + width / 2, y: top + 16, "text-anchor": "middle" }, group);
    svg("tspan", { class: "strong" }, text, label);
    svg("tspan", {}, text, ` ${block}`);
    remember(child, group);
    drawTitles(child);
  }
}

function remember(element, group) {
  element.group = group;
  group.dataset.key = element.key;
  shown.set(element.key, element);
}

function drawEdges(element) {
  for (const segment of element.segments) {
    const { edge, to } = segment;
    const classes = [];
    if (edge.main) classes.push("main");
    else if (edge.shortcut && edge.target.kind === "merge") classes.push("shortcut");
    if (edge.training) classes.push("training");
    const arrow = segment.last && to.kind !== "cluster" && to.kind !== "exit";
    const path = svg("path", { d: curve(segment.points), class: classes.join(" ") }, stage);
    if (arrow) path.setAttribute("marker-end", "url(#arrow)");
  }
  for (const child of element.children) if (child.kind === "cluster") drawEdges(child);
}

// Each tensor's shape, once, below the box that gives it.
function drawShapes(element, said) {
  for (const { edge, from, points } of element.segments) {
    if (["bend", "entry", "cluster"].includes(from.kind) || said.has(edge.tensor)) continue;
    said.add(edge.tensor);
    svg("text", { class: "shape", x: points[0][0] + 5, y: points[0][1] + 13 }, stage, nodes[edge.tensor].shape);
  }
  for (const child of element.children) if (child.kind === "cluster") drawShapes(child, said);
}

function curve(points) {
  let path = `M${round(points[0][0])},${round(points[0][1])}`;
  for (let at = 1; at < points.length; at += 1) {
    const [x0, y0] = points[at - 1];
    const [x, y] = points[at];
    if (Math.abs(x - x0) < 0.5) path += ` L${round(x)},${round(y)}`;
    else {
      const half = (y - y0) / 2;
      path += ` C${round(x0)},${round(y0 + half)} ${round(x)},${round(y - half)} ${round(x)},${round(y)}`;
    }
  }
  return path;
}

function round(number) {
  return Math.round(number * 10) / 10;
}

function drawBox(box) {
  const opens = box.kind === "block" || box.kind === "run";
  const group = svg("g", {
    class: `box ${box.kind}${opens ? " block" : ""}${box.training ? " training" : ""}`,
    tabindex: 0, role: opens ? "button" : "group", "aria-label": spoken(box),
    transform: `translate(${round(box.left)},${round(box.top)})`,
  }, stage);
  if (opens) group.setAttribute("aria-expanded", "false");
  if (box.kind === "merge" && box.sign) drawSign(box, group);
  else drawRows(box, group);
  remember(box, group);
}

function drawSign(box, group) {
  svg("circle", { cx: 12, cy: 12, r: 12, fill: fillOf(box, nodes[box.nodes[0]].family) }, group);
  svg("circle", { cx: 12, cy: 12, r: 12, class: "frame" }, group);
  svg("text", { x: 12, y: 17, "text-anchor": "middle", class: "sign" }, group, box.sign);
}

function drawRows(box, group) {
  const rounded = ["input", "output", "merge"].includes(box.kind) ? box.height / 2 : 0;
  const badge = box.kind === "run" ? 34 : 0;
  const single = rounded > 0;
  box.rows.forEach((row, at) => {
    const fill = fillOf(box, row.family);
    const back = svg("rect", { x: 0, y: at * ROW, width: box.width - badge, height: ROW, rx: rounded }, group);
    if (fill) back.setAttribute("fill", fill);
    else back.setAttribute("class", single ? "pill" : "plain");
    if (row.node !== undefined) back.dataset.node = row.node;
    if (row.scope !== undefined) back.dataset.scope = row.scope;
    const text = svg("text", single ? { x: box.width / 2, y: at * ROW + 14, "text-anchor": "middle" } : { x: 7, y: at * ROW + 14 }, group);
    if (row.strong) svg("tspan", { class: "strong" }, text, row.strong);
    if (row.text) svg("tspan", row.small ? { class: "small" } : {}, text, row.strong ? ` ${row.text}` : row.text);
    if (row.name) svg("text", { x: box.width - badge - 7, y: at * ROW + 14, "text-anchor": "end", class: "small" }, group, row.name);
  });
  if (box.kind === "run" || box.kind === "block") drawStrip(box, group, badge);
  svg("rect", { x: 0, y: 0, width: box.width, height: box.height, rx: rounded, class: "frame" }, group);
}

// The colours of the families in a block, and how often a run repeats it.
function drawStrip(box, group, badge) {
  const families = [...new Set(box.nodes.map((number) => nodes[number].family))];
  const y = box.rows.length * ROW;
  const part = (box.width - badge) / families.length;
  families.forEach((family, at) => {
    svg("rect", { x: at * part, y, width: part, height: 5, fill: state.colour === "family" ? familyColour(family) : fillOf(box) }, group);
  });
  if (!badge) return;
  svg("rect", { x: box.width - badge, y: 0, width: badge, height: box.height, class: "badge" }, group);
  svg("text", { x: box.width - badge / 2, y: box.height / 2 + 4, "text-anchor": "middle", class: "badge-text" }, group, `x ${box.times}`);
}

function spoken(box) {
  if (box.output) return `output ${box.output.name}`;
  const what = box.rows.map((row) => [row.strong, row.text, row.name].filter(Boolean).join(" ")).join(", ");
  const times = box.kind === "run" ? `, ${box.times} times` : "";
  return `${box.kind === "layers" || box.kind === "merge" ? "" : `${box.kind} `}${what}${times}, output ${nodes[box.nodes[box.nodes.length - 1]].shape}`;
}

function familyColour(family) {
  const theme = network.themes[document.documentElement.dataset.theme];
  return Object.hasOwn(theme.families, family) ? theme.families[family] : theme.other;
}

// The fill of a row: by family, or by the share of the costliest box.
function fillOf(box, family) {
  if (state.colour === "family") return family && family !== "tensor" ? familyColour(family) : "";
  if (!box.nodes.length) return "";
  const theme = network.themes[document.documentElement.dataset.theme];
  return theme.heat[Math.round((theme.heat.length - 1) * costOf(box) / most)];
}

// What a box costs by the chosen colour. A formula has no share, and so has none that it is a part of.
function costOf(box) {
  const costs = box.nodes.map((number) => nodes[number][state.colour]);
  return costs.every((cost) => typeof cost === "number") ? costs.reduce((sum, cost) => sum + cost, 0) : 0;
}

function hasFormulas(cost) {
  return nodes.some((node) => typeof node[cost] === "string");
}

// Some families share a colour, and then an entry.
function coloursOfFamilies() {
  const said = new Map();
  for (const family of network.families) {
    const colour = familyColour(family);
    said.set(colour, [...(said.get(colour) || []), family.replaceAll("_", " ")]);
  }
  return [...said].map(([colour, families]) => [colour, families.join(", ")]);
}

function drawLegend() {
  const legend = document.getElementById("legend");
  legend.replaceChildren();
  const theme = network.themes[document.documentElement.dataset.theme];
  const entries = state.colour === "family"
    ? coloursOfFamilies()
    : [[theme.heat[0], hasFormulas(state.colour) ? "least, or a formula" : "least"], [theme.heat[theme.heat.length - 1], `most ${state.colour}`]];
  for (const [colour, text] of entries) {
    const entry = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    entry.append(swatch, text);
    legend.append(entry);
  }
}
