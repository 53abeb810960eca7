"use strict";
// The network, and which of its blocks are open. What is open decides which boxes there are.

const network = JSON.parse(document.getElementById("network").textContent);
const nodes = network.nodes;
const scopes = network.scopes;

const state = { open: new Set(network.open), runs: new Set(), chosen: -1, colour: network.colour };

// All nodes in a scope, and the first of them, which gives its place in the flow.
const inside = scopes.map(() => []);
nodes.forEach((node, number) => {
  for (let scope = node.scope; scope >= 0; scope = scopes[scope].parent) inside[scope].push(number);
});

function openAll() {
  scopes.forEach((scope, number) => {
    state.open.add(number);
    scope.runs.forEach((run) => state.runs.add(runKey(number, run)));
  });
}

function foldAll() {
  state.open = new Set([0]);
  state.runs = new Set();
}

function runKey(scope, run) {
  return scope * 1000000 + run[0];
}

// Open all that hides a node.
function reveal(number) {
  for (let scope = nodes[number].scope, item = number; scope >= 0; scope = scopes[scope].parent) {
    state.open.add(scope);
    const place = scopes[scope].items.indexOf(item);
    for (const run of scopes[scope].runs) {
      if (run[0] <= place && place < run[0] + run[1] * run[2]) state.runs.add(runKey(scope, run));
    }
    item = -scope;
  }
}

// A box or cluster has `kind`, `nodes`, `parent`, and what the layout adds: x, y, width, height.
function visible() {
  const root = cluster(0, null);
  for (const output of network.outputs) {
    root.children.push({
      kind: "output", nodes: [], parent: root, output, training: output.training,
      key: `output.${output.name}`, rows: [{ strong: output.name, text: "", name: "" }],
    });
  }
  return root;
}

function cluster(scope, parent) {
  const made = {
    kind: "cluster", scope, parent, nodes: inside[scope], children: [], key: `s${scope}`,
    training: scopes[scope].training,
  };
  const items = scopes[scope].items;
  const runs = new Map(scopes[scope].runs.map((run) => [run[0], run]));
  for (let at = 0; at < items.length;) {
    const run = runs.get(at);
    if (run && !state.runs.has(runKey(scope, run))) {
      made.children.push(runBox(items.slice(at, at + run[1] * run[2]), run, scope, made));
      at += run[1] * run[2];
    } else if (items[at] < 0) {
      const inner = -items[at];
      made.children.push(state.open.has(inner) ? cluster(inner, made) : blockBox(inner, made));
      at += 1;
    } else {
      let end = at + 1;
      while (end < items.length && items[end] >= 0 && nodes[items[end]].goesOn && !runs.has(end)) end += 1;
      made.children.push(layerBox(items.slice(at, end), made));
      at = end;
    }
  }
  return withHead(made);
}

// A frame around one box is drawn as a head on it.
function withHead(made) {
  const [only, ...others] = made.children;
  if (made.scope === 0 || others.length || only.kind !== "layers") return made;
  const head = { ...blockRow(made.scope), text: "", scope: made.scope };
  return { ...only, parent: made.parent, rows: [head, ...only.rows], heads: [made.scope, ...(only.heads || [])] };
}

function layerBox(items, parent) {
  const first = nodes[items[0]];
  const rows = items.map((number) => ({ ...layerRow(number), node: number }));
  if (first.kind === "input") rows[0] = { strong: first.name, text: "", name: "", node: items[0] };
  return { kind: first.kind, nodes: items, parent, rows, key: `n${items[0]}`, sign: first.sign, training: first.training };
}

function layerRow(number) {
  const { type, short, label, family } = nodes[number];
  return { strong: type, text: short, name: label, family };
}

function blockRow(scope) {
  const { label, block, short } = scopes[scope];
  return { strong: block || label, text: short, name: block ? label : "" };
}

function blockBox(scope, parent) {
  return {
    kind: "block", scope, nodes: inside[scope], parent, rows: [blockRow(scope)], key: `s${scope}`,
    training: scopes[scope].training,
  };
}

function runBox(items, run, scope, parent) {
  const blocks = items.filter((item) => item < 0).map((item) => -item);
  const all = items.flatMap((item) => (item < 0 ? inside[-item] : [item])).sort((a, b) => a - b);
  const rows = items.slice(0, run[1]).map((item, at) => {
    const last = items[items.length - run[1] + at];
    return item < 0 ? toLast(blockRow(-item), scopes[-item].label, scopes[-last].label)
      : toLast(layerRow(item), nodes[item].label, nodes[last].label);
  });
  const mine = new Set(all);
  const came = all.flatMap((number) => nodes[number].inputs).find((number) => !mine.has(number));
  const shapes = `${came === undefined ? "" : nodes[came].shape + " → "}${nodes[all[all.length - 1]].shape}`;
  return {
    kind: "run", scope: blocks[0], turn: rows.length > 1 ? rows.map((row) => row.strong).join(", ") : "",
    run: runKey(scope, run), times: run[2], nodes: all, parent,
    rows: [...rows, { strong: "", text: shapes, name: "", small: true }], costs: run[3], key: `r${scope}.${run[0]}`,
    training: all.every((number) => nodes[number].training),
  };
}

// Give a row of a run the first and the last label; a group's stands in the place of what it is.
function toLast(row, first, last) {
  const labels = `${first} ... ${last}`;
  if (row.name) return { ...row, name: labels };
  return row.family ? row : { ...row, strong: labels };
}

function boxesOf(element) {
  return element.kind === "cluster" ? element.children.flatMap(boxesOf) : [element];
}

// Open or close what a box or a cluster's title stands for.
function toggle(element) {
  if (element.kind === "run") state.runs.add(element.run);
  else if (element.kind === "block") state.open.add(element.scope);
  else if (element.kind === "cluster") closeScope(element.scope);
}

function closeScope(scope) {
  state.open.delete(scope);
  const parent = scopes[scope].parent;
  if (parent < 0) return;
  const place = scopes[parent].items.indexOf(-scope);
  for (const run of scopes[parent].runs) {
    const end = run[0] + run[1] * run[2];
    if (run[0] > place || place >= end) continue;
    const others = scopes[parent].items.slice(run[0], end).filter((item) => item < 0);
    if (!others.some((item) => state.open.has(-item))) state.runs.delete(runKey(parent, run));
  }
}

// The state as text for the address, and back. What is not of this network is left out.
function toFragment() {
  const parts = [`open=${[...state.open].sort((a, b) => a - b).join(".")}`];
  if (state.runs.size) parts.push(`runs=${[...state.runs].sort((a, b) => a - b).join(".")}`);
  if (state.chosen >= 0) parts.push(`at=${state.chosen}`);
  if (state.colour !== "family") parts.push(`colour=${state.colour}`);
  return `#${parts.join("&")}`;
}

function fromFragment(text) {
  const given = new URLSearchParams(text.replace(/^#/, ""));
  if (!given.has("open")) return;
  const numbers = (name) => (given.get(name) || "").split(".").filter((part) => /^\d{1,15}$/.test(part)).map(Number);
  state.open = new Set([0, ...numbers("open").filter((number) => number < scopes.length)]);
  state.runs = new Set(numbers("runs"));
  const at = numbers("at")[0];
  state.chosen = at !== undefined && at < nodes.length ? at : -1;
  const colour = given.get("colour");
  state.colour = ["macs", "parameters", "memory"].includes(colour) ? colour : "family";
}
