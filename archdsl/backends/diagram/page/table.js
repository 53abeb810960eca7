"use strict";
// The table of layers, and what is known of the chosen one.

const COLUMNS = [
  ["name", "Name", false], ["type", "Layer", false], ["shape", "Output", false],
  ["parameters", "Parameters", true], ["macs", "MACs", true], ["memory", "Bytes", true],
  ["field", "Receptive field", false],
];
const table = document.getElementById("table");
const details = document.getElementById("details");
const lines = new Map(); // number of a node -> its row
let sorted = { column: null, down: false };

function makeTable() {
  const head = document.createElement("tr");
  for (const [key, title, isNumber] of COLUMNS) {
    const cell = document.createElement("th");
    const button = document.createElement("button");
    cell.scope = "col";
    if (isNumber) cell.className = "number";
    button.type = "button";
    button.textContent = title;
    button.addEventListener("click", () => sortBy(key));
    cell.append(button);
    cell.dataset.column = key;
    head.append(cell);
  }
  table.tHead.append(head);
  nodes.forEach((node, number) => {
    const line = document.createElement("tr");
    line.dataset.node = number;
    for (const [key, , isNumber] of COLUMNS) {
      const cell = document.createElement("td");
      cell.className = isNumber ? "number" : key;
      if (key === "name" || key === "type") breakable(cell, node[key]);
      else cell.textContent = written(node[key]);
      line.append(cell);
    }
    lines.set(number, line);
    table.tBodies[0].append(line);
  });
}

const UNBROKEN = 18; // characters of a word that stay together, but for its dots

// Names may break behind their dots, and long words at their parts: the numbers need the room.
function breakable(cell, text) {
  for (const part of text.split(text.length > UNBROKEN ? /(?<=[._-])|(?<=[a-z])(?=[A-Z])/ : /(?<=\.)/)) {
    if (cell.firstChild) cell.append(document.createElement("wbr"));
    cell.append(part);
  }
}

function written(value) {
  return typeof value === "number" ? value.toLocaleString("en") : value;
}

// Sort by a column; again the other way round; a third time as in the spec.
function sortBy(column) {
  if (sorted.column !== column) sorted = { column, down: false };
  else if (!sorted.down) sorted = { column, down: true };
  else sorted = { column: null, down: false };
  const order = nodes.map((_, number) => number);
  if (sorted.column) order.sort((a, b) => compare(nodes[a][column], nodes[b][column]) * (sorted.down ? -1 : 1) || a - b);
  table.tBodies[0].append(...order.map((number) => lines.get(number)));
  for (const cell of table.tHead.rows[0].cells) {
    const here = cell.dataset.column === sorted.column;
    if (here) cell.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
    const title = COLUMNS.find(([key]) => key === cell.dataset.column)[1];
    cell.firstChild.textContent = here ? `${title} ${sorted.down ? "▾" : "▴"}` : title;
  }
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}

function describe(numbers, element) {
  details.replaceChildren();
  if (element && (element.kind === "cluster" || element.kind === "block" || element.kind === "run")) describeScope(element);
  else if (element && element.output) heading(`output ${element.output.name}`, { shape: nodes[element.output.node].shape });
  else numbers.slice(0, 8).forEach(describeNode);
}

function describeScope(element) {
  const scope = scopes[element.scope];
  const costs = element.costs || scope.costs; // where sizes are free
  const sum = (key) => {
    const values = element.nodes.map((number) => nodes[number][key]);
    return values.every((value) => typeof value === "number") ? values.reduce((a, b) => a + b, 0) : costs[key];
  };
  const partly = !scope.training && element.nodes.some((number) => nodes[number].training);
  heading(scope.name || network.name, {
    ...(element.turn ? { "each time": element.turn }
      : { block: scope.parent < 0 ? "" : scope.block, arguments: scope.arguments, description: scope.description }),
    times: element.times ? String(element.times) : "", nodes: element.nodes.length,
    parameters: sum("parameters"), [partly ? "multiply-accumulates in training" : "multiply-accumulates"]: sum("macs"), "bytes of output": sum("memory"),
    place: scope.place,
  });
}

function describeNode(number) {
  const node = nodes[number];
  heading(node.name, {
    layer: node.type, arguments: node.arguments,
    in: node.inputs.map((input) => nodes[input].shape).join("; "), out: node.shape,
    parameters: node.parameters, "multiply-accumulates": node.macs, "bytes of output": node.memory,
    "receptive field": node.field, stride: node.stride, "in training only": node.training ? "yes" : "",
    place: node.place,
  });
  if (!node.source) return;
  const line = document.createElement("pre");
  line.textContent = node.source;
  details.append(line);
}

function heading(title, facts) {
  const head = document.createElement("h2");
  head.textContent = title;
  const list = document.createElement("dl");
  for (const [key, value] of Object.entries(facts)) {
    if (value === "" || value === undefined || value === null) continue;
    const term = document.createElement("dt");
    const said = document.createElement("dd");
    term.textContent = key;
    said.textContent = written(value);
    list.append(term, said);
  }
  details.append(head, list);
}
