"use strict";
// Order and position of the items of each rank.

function orderLayers(layers, segments) {
  const near = neighbours(segments);
  layers.forEach((layer) => layer.forEach((item, number) => { item.order = number; }));
  let best = snapshot(layers);
  let least = crossings(layers, near);
  for (let sweep = 0; sweep < 10 && least > 0; sweep += 1) {
    const down = sweep % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      for (const item of layer) {
        const beside = (near.get(item) || []).filter((other) => (down ? other.up : !other.up)).map((other) => other.item.order);
        item.wish = beside.length ? beside.reduce((sum, order) => sum + order, 0) / beside.length : item.order;
      }
      layer.sort((a, b) => a.wish - b.wish || a.order - b.order);
      layer.forEach((item, number) => { item.order = number; });
    }
    const now = crossings(layers, near);
    if (now < least) {
      least = now;
      best = snapshot(layers);
    }
  }
  best.forEach((layer, at) => {
    layers[at].splice(0, layers[at].length, ...layer);
    layer.forEach((item, number) => { item.order = number; });
  });
}

function snapshot(layers) {
  return layers.map((layer) => [...layer]);
}

function neighbours(segments) {
  const near = new Map();
  const add = (item, other, up, segment) => {
    if (!near.has(item)) near.set(item, []);
    near.get(item).push({ item: other, up, segment });
  };
  for (const segment of segments) {
    if (segment.back) continue;
    add(segment.to, segment.from, true, segment);
    add(segment.from, segment.to, false, segment);
  }
  return near;
}

function crossings(layers, near) {
  let count = 0;
  for (const layer of layers) {
    const ends = layer.flatMap((item) => (near.get(item) || []).filter((other) => !other.up)
      .map((other) => [item.order, other.item.order]));
    if (ends.length > 600) return 1; // not worth counting exactly: all sweeps are made
    for (let i = 0; i < ends.length; i += 1) {
      for (let j = i + 1; j < ends.length; j += 1) {
        if ((ends[i][0] - ends[j][0]) * (ends[i][1] - ends[j][1]) < 0) count += 1;
      }
    }
  }
  return count;
}

// Move items towards those that they are linked with, rank by rank, without changing the order.
function moveSideways(layers, segments) {
  const near = neighbours(segments);
  for (const layer of layers) {
    let at = 0;
    for (const item of layer) {
      item.center = at + item.width / 2;
      at += item.width + ASIDE;
    }
    for (const item of layer) item.center -= (at - ASIDE) / 2;
  }
  for (let turn = 0; turn < 16; turn += 1) {
    const down = turn % 2 === 1; // the last turn goes down
    // first all are drawn together from both sides, then lined up with what stands before them
    for (const layer of down ? layers : [...layers].reverse()) settle(layer, near, down, turn < 8 ? 0.3 : 0.0001);
  }
}

function settle(layer, near, down, behind) {
  const wishes = layer.map((item) => wishOf(item, near.get(item) || [], down, behind));
  const offsets = [0];
  for (let at = 1; at < layer.length; at += 1) {
    offsets[at] = offsets[at - 1] + (layer[at - 1].width + layer[at].width) / 2 + ASIDE;
  }
  // Least squares under an order: neighbours that would overlap become one group (pool adjacent violators).
  const groups = [];
  layer.forEach((item, at) => {
    let group = { sum: (wishes[at].x - offsets[at]) * wishes[at].weight, weight: wishes[at].weight, count: 1 };
    while (groups.length && mean(groups[groups.length - 1]) > mean(group)) {
      const last = groups.pop();
      group = { sum: last.sum + group.sum, weight: last.weight + group.weight, count: last.count + group.count };
    }
    groups.push(group);
  });
  let at = 0;
  for (const group of groups) {
    for (let n = 0; n < group.count; n += 1, at += 1) layer[at].center = mean(group) + offsets[at];
  }
}

function mean(group) {
  return group.sum / group.weight;
}

function wishOf(item, near, down, behind) {
  let sum = 0;
  let weight = 0;
  for (const other of near) {
    const { from, to, edge } = other.segment;
    const side = other.up === down ? 1 : behind;
    // Long edges are to be straight, so their bends hold together: the weights 1, 2 and 8 are those of
    // Gansner et al., A Technique for Drawing Directed Graphs, 1993. The main path outweighs all.
    const share = side * (edge.main ? 2000 : from.kind === "bend" && to.kind === "bend" ? 8 : from.kind === "bend" || to.kind === "bend" ? 2 : 1);
    const there = other.item.center + offsetOf(other.item, edge.tensor, other.up);
    sum += share * (there - offsetOf(item, edge.tensor, !other.up));
    weight += share;
  }
  return weight ? { x: sum / weight, weight } : { x: item.center, weight: 0.01 };
}

// How far from the middle of an item a tensor leaves it (or comes in).
function offsetOf(item, tensor, leaves) {
  if (item.kind !== "cluster") return 0;
  const found = (leaves ? item.exits : item.entries).get(tensor);
  return found && found.center !== undefined ? found.center - item.width / 2 : 0;
}

// Give everything its coordinates within the cluster, the frame and the title around it.
function finish(parent, layers, segments) {
  const isRoot = parent.parent === null;
  const all = layers.flat();
  let left = Math.min(...all.map((item) => item.center - item.width / 2));
  let right = Math.max(...all.map((item) => item.center + item.width / 2));
  if (!isRoot) {
    // the title stands where the folded block stands: where the tensors come in
    const middle = middleOfEntries(parent) ?? (left + right) / 2;
    left = Math.min(left, middle - parent.head.width / 2 + MARGIN);
    right = Math.max(right, middle + parent.head.width / 2 - MARGIN);
    parent.head.x = middle - parent.head.width / 2 + MARGIN - left;
  }
  const width = right - left + 2 * MARGIN;
  let y = isRoot ? MARGIN : 0;
  for (const [at, layer] of layers.entries()) {
    const height = Math.max(0, ...layer.map((item) => item.height));
    for (const item of layer) {
      item.center += MARGIN - left;
      item.x = item.center - item.width / 2;
      item.y = y + (height - item.height) / 2;
      item.rankTop = y;
      item.rankBottom = y + height;
    }
    const ports = layer.some((item) => item.kind === "entry") || (layers[at + 1] || []).some((item) => item.kind === "exit");
    y += height + (ports ? PORT_GAP : GAP);
  }
  parent.width = width;
  parent.height = y - GAP + (parent.exits.size ? 0 : MARGIN);
  if (!isRoot && !parent.entries.size) shiftDown(parent, layers, HEAD + MARGIN);
  parent.segments = segments;
  for (const segment of segments) {
    segment.points = pointsOf(segment);
  }
}

function shiftDown(parent, layers, by) {
  for (const item of layers.flat()) {
    item.y += by;
    item.rankTop += by;
    item.rankBottom += by;
  }
  parent.height += by;
}

// Where the main path comes in, or else the middle of all that comes in.
function middleOfEntries(parent) {
  const entries = [...parent.entries.values()];
  if (!entries.length) return undefined;
  const main = [...parent.links.values()].find((edge) => edge.main && edge.source.kind === "entry");
  return main ? main.source.center : entries.reduce((sum, entry) => sum + entry.center, 0) / entries.length;
}

function pointsOf(segment) {
  const { from, to, edge } = segment;
  const start = [from.center + offsetOf(from, edge.tensor, true), from.y + from.height];
  const end = [to.center + offsetOf(to, edge.tensor, false), to.y];
  const points = from.kind === "entry" ? [[start[0], from.y], start] : [start];
  if (from.rankBottom > start[1] + 1) points.push([start[0], from.rankBottom]);
  if (!segment.back && to.rankTop < end[1] - 1) points.push([end[0], to.rankTop]);
  points.push(end);
  return points;
}
