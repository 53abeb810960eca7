"use strict";
// Where everything stands. Each cluster is arranged by itself, innermost first: its children in
// ranks from top to bottom, each rank in an order with few crossings, then moved sideways until
// edges are straight. Tensors come into a cluster through ports at its top and leave at its bottom.

const GAP = 32;       // between ranks
const ASIDE = 26;     // between neighbours
const PORT_GAP = 22;  // below what comes into a cluster, and above what leaves it
const MARGIN = 12;    // within a cluster
const ROW = 20;       // height of a row in a box
const BAR = 5;        // height of the strip of colours under a block
const HEAD = ROW + BAR; // height of a cluster's title, which is that of the folded block

function layout(root) {
  measure(root);
  connect(root);
  arrange(root);
  place(root, 0, 0);
}

const pen = document.createElement("canvas").getContext("2d");

function widthOf(text, font) {
  pen.font = font;
  return pen.measureText(text).width;
}

function rowWidth(row) {
  let width = widthOf(row.strong, "bold 11px Helvetica, Arial, sans-serif");
  if (row.text) width += 5 + widthOf(row.text, row.small ? "9px Helvetica, Arial, sans-serif" : "11px Helvetica, Arial, sans-serif");
  if (row.name) width += 12 + widthOf(row.name, "9px Helvetica, Arial, sans-serif");
  return width + 14;
}

function measure(element) {
  if (element.kind === "cluster") {
    element.children.forEach(measure);
    const { label, block, rows } = scopes[element.scope];
    // as wide as the folded block at least, so that a click on the one can be taken back on the other
    element.head = { width: Math.max(60, ...givenRows(rows).map(rowWidth), rowWidth({ strong: `${label} ${block}` })) };
    return;
  }
  if (element.kind === "merge" && element.sign) {
    element.width = element.height = 24;
    return;
  }
  const badge = element.kind === "run" ? 34 : 0;
  element.width = Math.max(element.kind === "merge" ? 90 : 60, ...element.rows.map(rowWidth)) + badge;
  const bar = element.kind === "run" || element.kind === "block" ? BAR : 0;
  element.height = ROW * element.rows.length + bar;
}

// Join what stands in each cluster by the `links` that are given for its scope. They lead from a
// part or a port at the top to a part or a port at the bottom; within a folded run none is drawn.
function connect(parent) {
  if (parent.kind !== "cluster") return;
  Object.assign(parent, { links: new Map(), entries: new Map(), exits: new Map() });
  for (const [from, to, tensor, looks = 0] of scopes[parent.scope].links) {
    const source = from < 0 ? port(parent.entries, parent, tensor, "entry") : parent.ends[from];
    const target = to < 0 ? port(parent.exits, parent, tensor, "exit") : parent.ends[to];
    if (source === target) continue;
    const [main, shortcut, training] = [1, 2, 4].map((bit) => Boolean(looks & bit));
    const key = `${idOf(source)}>${idOf(target)}>${tensor}`;
    const known = parent.links.get(key) || { source, target, tensor, main: false, shortcut: false, training: true };
    known.main ||= main;
    known.shortcut ||= shortcut;
    known.training &&= training;
    parent.links.set(key, known);
    if (main) source.main = target.main = true;
  }
  parent.children.forEach(connect);
}

function port(ports, parent, tensor, kind) {
  // an entry is as high as the title, behind which the tensor comes in
  if (!ports.has(tensor)) ports.set(tensor, { kind, tensor, parent, width: 2, height: kind === "entry" ? HEAD : 0, nodes: [] });
  return ports.get(tensor);
}

let ids = 0;

function idOf(element) {
  if (element.id === undefined) element.id = ids++;
  return element.id;
}

function arrange(parent) {
  for (const child of parent.children) if (child.kind === "cluster") arrange(child);
  const items = [...parent.entries.values(), ...parent.children, ...parent.exits.values()];
  const edges = [...parent.links.values()];
  const ranks = rankAll(parent, items, edges);
  const { layers, segments } = withBends(items, edges, ranks);
  orderLayers(layers, segments);
  moveSideways(layers, segments);
  finish(parent, layers, segments);
}

function firstOf(item) {
  if (item.kind === "entry") return -1;
  return item.nodes.length ? item.nodes[0] : Infinity;
}

// Longest path from the top. An edge against the order of the graph, between two folded blocks
// that read each other, counts for nothing here and is drawn as it comes.
function rankAll(parent, items, edges) {
  const into = new Map(items.map((item) => [item, []]));
  const out = new Map(items.map((item) => [item, []]));
  for (const edge of edges) {
    edge.forward = edge.target.kind === "exit" || edge.source.kind === "entry" || firstOf(edge.source) < firstOf(edge.target);
    if (!edge.forward) continue;
    into.get(edge.target).push(edge.source);
    out.get(edge.source).push(edge.target);
  }
  const rank = new Map();
  const top = parent.entries.size ? 1 : 0;
  for (const item of [...parent.children].sort((a, b) => firstOf(a) - firstOf(b))) {
    rank.set(item, Math.max(top, ...into.get(item).map((source) => (rank.has(source) ? rank.get(source) + 1 : top))));
  }
  // what reads nothing, such as a learnable tensor, stands right above its reader
  for (const item of [...parent.children].reverse()) {
    const readers = out.get(item).filter((target) => rank.has(target));
    if (!into.get(item).length && readers.length && !item.main) {
      rank.set(item, Math.max(top, Math.min(...readers.map((target) => rank.get(target))) - 1));
    }
  }
  const bottom = 1 + Math.max(top, ...rank.values());
  for (const entry of parent.entries.values()) rank.set(entry, 0);
  for (const exit of parent.exits.values()) rank.set(exit, bottom);
  return rank;
}

// Cut edges over several ranks into segments from bend to bend. The edges of one tensor share
// their bends as far as they go together.
function withBends(items, edges, ranks) {
  const layers = [];
  for (const item of items) (layers[ranks.get(item)] ||= []).push(item);
  for (let at = 0; at < layers.length; at += 1) layers[at] ||= [];
  const segments = [];
  const bends = new Map();
  const longestFirst = [...edges].sort((a, b) => Number(b.main) - Number(a.main));
  for (const edge of longestFirst) {
    if (!edge.forward) {
      segments.push({ from: edge.source, to: edge.target, edge, last: true, back: true });
      continue;
    }
    let from = edge.source;
    for (let at = ranks.get(edge.source) + 1; at < ranks.get(edge.target); at += 1) {
      const key = `${idOf(edge.source)}>${edge.tensor}>${at}`;
      let bend = bends.get(key);
      if (!bend) {
        bend = { kind: "bend", width: 10, height: 0, nodes: edge.source.nodes, tensor: edge.tensor };
        bends.set(key, bend);
        layers[at].push(bend);
        segments.push({ from, to: bend, edge });
      }
      from = bend;
    }
    segments.push({ from, to: edge.target, edge, last: true });
  }
  return { layers, segments };
}

function place(element, left, top) {
  element.left = left + (element.x ?? 0);
  element.top = top + (element.y ?? 0);
  if (element.kind !== "cluster") return;
  element.head.left = element.left + (element.head.x ?? 0);
  element.head.top = element.top;
  element.head.height = HEAD;
  for (const child of element.children) place(child, element.left, element.top);
  for (const segment of element.segments) {
    for (const point of segment.points) {
      point[0] += element.left;
      point[1] += element.top;
    }
  }
}
