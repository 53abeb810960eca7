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

// A run is open as long as one of its blocks is.
for (const scope of state.open) {
  const { parent } = scopes[scope];
  if (parent < 0) continue;
  for (const run of runsAround(parent, scopes[parent].parts.indexOf(-scope))) state.runs.add(runKey(parent, run));
}

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
  return scope * 1000000 + run.first;
}

// The runs around a part of a scope: one, or none.
function runsAround(scope, part) {
  return scopes[scope].runs.filter((run) => run.first <= part && part < run.end);
}

// Open all that hides a node.
function reveal(number) {
  let inner = (part) => part.includes && part.includes(number);
  for (let scope = nodes[number].scope; scope >= 0; scope = scopes[scope].parent) {
    state.open.add(scope);
    for (const run of runsAround(scope, scopes[scope].parts.findIndex(inner))) state.runs.add(runKey(scope, run));
    const shown = -scope;
    inner = (part) => part === shown;
  }
}

// A box or cluster has `kind`, `nodes`, `parent`, and what the layout adds: x, y, width, height.
// What stands in a scope and what joins it comes ready-made; here it is only put together.
function visible() {
  const root = cluster(0, null);
  for (const output of network.outputs) {
    const box = {
      kind: "output", nodes: [], parent: root, output, training: output.training,
      key: `output.${output.name}`, rows: [{ strong: output.name, text: "", name: "" }],
    };
    root.children.push(box);
    root.ends.push(box);
  }
  return root;
}

// An open scope. Its `ends` are what stands for each of its parts: those of a folded run share it.
function cluster(scope, parent) {
  const { parts, runs, training } = scopes[scope];
  const made = { kind: "cluster", scope, parent, nodes: inside[scope], children: [], ends: [], key: `s${scope}`, training };
  const folded = new Map(runs.filter((run) => !state.runs.has(runKey(scope, run))).map((run) => [run.first, run]));
  while (made.ends.length < parts.length) {
    const at = made.ends.length;
    const run = folded.get(at);
    const child = run ? runBox(run, scope, made) : partOf(parts[at], made);
    made.children.push(child);
    for (let part = at; part < (run ? run.end : at + 1); part += 1) made.ends.push(child);
  }
  return withHead(made);
}

function partOf(part, parent) {
  if (part.length) return layerBox(part, parent);
  return state.open.has(-part) ? cluster(-part, parent) : blockBox(-part, parent);
}

// A frame around one box is drawn as a head on it.
function withHead(made) {
  const [only, ...others] = made.children;
  if (made.scope === 0 || others.length || only.kind !== "layers") return made;
  const { label, block } = scopes[made.scope];
  const head = { strong: block || label, text: "", name: block ? label : "", scope: made.scope };
  return { ...only, parent: made.parent, rows: [head, ...only.rows], heads: [made.scope, ...(only.heads || [])] };
}

// A stack of layers; a text among their numbers is a remark.
function layerBox(part, parent) {
  const numbers = numbersOf(part);
  const first = nodes[numbers[0]];
  const rows = [...numbers.map(layerRow), ...givenRows(part.slice(numbers.length))];
  if (first.kind === "input") rows[0] = { strong: first.name, text: "", name: "", node: numbers[0] };
  return { kind: first.kind, nodes: numbers, parent, rows, key: `n${numbers[0]}`, sign: first.sign, training: first.training };
}

// The nodes in a part of a scope, whether it is a stack or a scope.
function numbersOf(part) {
  return part.length ? part.filter((row) => typeof row === "number") : inside[-part];
}

function layerRow(node) {
  const { type, short, label, family } = nodes[node];
  return { strong: type, text: short, name: label, family, node };
}

// Rows that are given: a remark is only text.
function givenRows(rows) {
  return rows.map((row) => {
    if (typeof row === "string") return { strong: "", text: row, name: "", small: true };
    const [strong, text, name, family] = row;
    return { strong, text, name, family };
  });
}

function blockBox(scope, parent) {
  const { rows, training } = scopes[scope];
  return { kind: "block", scope, nodes: inside[scope], parent, rows: givenRows(rows), key: `s${scope}`, training };
}

function runBox(run, scope, parent) {
  const parts = scopes[scope].parts.slice(run.first, run.end);
  const all = parts.flatMap(numbersOf).sort((a, b) => a - b);
  const rows = givenRows(run.rows);
  const turn = rows.map((row) => row.strong).filter(Boolean);
  return {
    kind: "run", scope: -parts.find((part) => part < 0), turn: turn.length > 1 ? turn.join(", ") : "",
    run: runKey(scope, run), times: run.times, nodes: all, parent, rows, costs: run.costs, key: `r${scope}.${run.first}`,
    training: all.every((number) => nodes[number].training),
  };
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
  const parts = scopes[parent].parts;
  for (const run of runsAround(parent, parts.indexOf(-scope))) {
    if (!parts.slice(run.first, run.end).some((part) => state.open.has(-part))) state.runs.delete(runKey(parent, run));
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
  state.colour = ["macs", "parameters", "memory", ...network.timed ? ["time"] : []].includes(colour) ? colour : "family";
}
