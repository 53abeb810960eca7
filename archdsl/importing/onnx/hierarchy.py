"""Finds the scopes that nodes stand in, by the names that a file has for them.

The dynamo exporter of torch stores for each node the modules that it comes of, with their classes.
The older one, as others do, has them in the names of nodes: `/layer1/layer1.0/conv1/Conv`. Names of
weights (`layer1.0.conv1.weight`) tell the same. Where no class is known, scopes whose names differ
by numbers alone share one, and so do those that hold the same operators.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archdsl.importing.naming import fresh_in
from archdsl.importing.onnx.reading import OnnxFile, OnnxNode
from archdsl.importing.onnx.regions import found_in, shared
from archdsl.importing.ordering import by_scopes

DEEPEST = 40  # scopes in each other
LONGEST = 10_000  # characters of what tells them
SCOPES, CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
SIZES = ("Shape", "Size")  # of them nothing but the size of what comes in is needed


@dataclass(eq=False)
class Place:
    """Where a node stands.

    Attributes:
        scopes: labels of the scopes, outermost first. One with dots, `layers.0`, stands in a list
            that computes nothing itself.
        label: of the node itself in them; "" if nothing names it.
        told: whether the file says where the node stands.
    """

    scopes: tuple[str, ...]
    label: str = ""
    told: bool = True


@dataclass(eq=False)
class Part:
    """Nodes in a row that stand in the same scope.

    Attributes:
        label: in the scope around it.
        kind: the class; "" before one was found, and "Sequential" where there is none.
        nameless: whether the label is none that the file has.
    """

    label: str
    kind: str
    scopes: tuple[str, ...] = ()
    nameless: bool = False
    steps: list[Step] = field(default_factory=list)
    module: Any = None
    reads: list[str] = field(default_factory=list)  # names of the tensors that come in and go out
    gives: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Leaf:
    """A node where it is computed."""

    node: OnnxNode
    label: str
    known: bool


Step = Leaf | Part


def planned(file: OnnxFile) -> list[Step]:
    """Return the nodes in an order in which they can be computed, in the scopes that hold them."""
    known = known_before(file)
    places, classes = placed(file, known | biases(file, known))
    found, nameless = found_in(file, known, places)
    classes |= found
    steps = nested([(node, places.get(node)) for node in in_order(file, places)], classes)
    steps = without_single(steps)
    name_classes(steps)
    for part in parts_in(steps):
        part.nameless = part.scopes in nameless
    return steps


def known_before(file: OnnxFile) -> set[OnnxNode]:
    """Return the nodes of which no number follows from those that come in."""
    names, found = {*file.tensors}, set()
    for node in file.nodes:
        if node.op in SIZES or all(name in names for name in node.needs):
            names.update(node.outputs)
            found.add(node)
    return found


def biases(file: OnnxFile, known: set[OnnxNode]) -> set[OnnxNode]:
    """Return the nodes that add the bias of a linear map, which stand where that does."""
    readers = Counter(name for node in file.nodes for name in node.inputs)
    maps = {
        node.outputs[0]
        for node in file.nodes
        if node.op == "MatMul" and node not in known and readers[node.outputs[0]] == 1
    }
    tensors = file.tensors
    return {
        node
        for node in file.nodes
        if node.op == "Add"
        and any(name in maps for name in node.inputs)
        and any(name in tensors and tensors[name].ndim == 1 for name in node.inputs)
    }


# --- where nodes stand ----------------------------------------------------------------------------


def placed(
    file: OnnxFile, known: set[OnnxNode]
) -> tuple[dict[OnnxNode, Place], dict[tuple[str, ...], str]]:
    """Return the places of all nodes that compute something, and the classes of scopes."""
    classes: dict[tuple[str, ...], str] = {}
    places: dict[OnnxNode, Place] = {}
    for node in file.nodes:
        if node not in known:
            places[node] = place_of(node, classes)
    readers = {name: node for node in file.nodes for name in node.inputs}
    for node, place in places.items():
        owner = owner_of(node, file, readers)
        if owner:
            by_weight(place, owner)
    return places, unwrapped(places, classes)


def unwrapped(
    places: Mapping[OnnxNode, Place], classes: Mapping[tuple[str, ...], str]
) -> dict[tuple[str, ...], str]:
    """Take away the outermost scopes that hold all that says where it stands; return the other
    classes.

    What a converter adds, as what turns the axes of images, says nothing of that.
    """
    depth = len(shared([one.scopes for one in places.values() if one.told or one.label]))
    for place in places.values():
        place.scopes = place.scopes[depth:]
    return {where[depth:]: kind for where, kind in classes.items() if len(where) > depth}


def place_of(node: OnnxNode, classes: dict[tuple[str, ...], str]) -> Place:
    """Return where a node says that it stands."""
    paths, kinds = listed(node.metadata.get(SCOPES, "")), listed(node.metadata.get(CLASSES, ""))
    if len(paths) > 1 and len(kinds) == len(paths):
        scopes: tuple[str, ...] = ()
        before = ""
        for path, kind in zip(paths[1:-1], kinds[1:-1], strict=True):
            if not path or path == before:
                continue
            scopes += within(path, before)
            classes[scopes] = kind.rpartition(".")[2]
            before = path
        return Place(scopes[:DEEPEST])
    parts = node.name[:LONGEST].split("/")
    if len(parts) < 2:
        return Place((), told=False)
    scopes, before = (), ""
    for part in parts[:-1]:
        if part:
            scopes += within(part, before)
            before = part
    return Place(scopes[:DEEPEST])


def listed(text: str) -> list[str]:
    """Return the strings of a list that is written as Python writes it."""
    if not text or len(text) > LONGEST:
        return []
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return found
    return []


def within(path: str, before: str) -> tuple[str, ...]:
    """Return the label of a scope in the one before it; nothing if it has none."""
    label = ".".join(split(path.removeprefix(f"{before}.") if before else path))
    return (label,) if label else ()


def split(path: str) -> tuple[str, ...]:
    """Return the labels of a path."""
    return tuple(re.sub(r"[^\x21-\x7e]", "_", part) for part in path.split(".") if part)


def owner_of(node: OnnxNode, file: OnnxFile, readers: Mapping[str, OnnxNode]) -> str:
    """Return the module that a node's weight or bias belongs to by its name, or ""."""
    names = [*node.inputs[1:]]
    after = readers.get(node.outputs[0])
    if node.op == "MatMul" and after is not None and after.op == "Add":
        names += after.inputs
    for end in (".weight", ".bias"):
        for name in names:
            if name in file.tensors and file.tensors[name].ndim and name.endswith(end):
                return name.removesuffix(end)
    return ""


def by_weight(place: Place, owner: str) -> None:
    """Name a node after the module that holds its weight, in the scopes that they share."""
    labels = split(owner)
    if not labels or len(labels) > DEEPEST:
        return
    paths = [split(".".join(place.scopes[:depth])) for depth in range(len(place.scopes) + 1)]
    inside = [depth for depth, path in enumerate(paths) if labels[:-1][: len(path)] == path]
    here = paths[inside[-1]]
    if inside[-1] == len(place.scopes):
        place.scopes, place.label = place.scopes + labels[len(here) : -1], labels[-1]
    elif paths[inside[-1] + 1][: len(labels)] == labels or here == labels[:-1]:
        # it stands in its own scope, or in one of which the file says less
        place.scopes, place.label = place.scopes[: inside[-1]], ".".join(labels[len(here) :])


# --- in which order they are computed -------------------------------------------------------------


def in_order(file: OnnxFile, places: Mapping[OnnxNode, Place]) -> Iterator[OnnxNode]:
    """Yield the nodes so that those of a scope stand together where that can be."""
    makers = {name: node for node in file.nodes for name in node.outputs if name}
    number = {node: place for place, node in enumerate(file.nodes)}
    waits = [
        {number[makers[name]] for name in node.inputs if name in makers} for node in file.nodes
    ]
    scopes = [places[node].scopes if node in places else None for node in file.nodes]
    for place in by_scopes(waits, scopes):
        yield file.nodes[place]


def nested(
    nodes: Sequence[tuple[OnnxNode, Place | None]], classes: Mapping[tuple[str, ...], str]
) -> list[Step]:
    """Put nodes in a row into the scopes that hold them; what comes again is a scope of its own."""
    root = Part("", "")
    stack = [root]
    taken: dict[Part, set[str]] = {root: set()}
    for node, place in nodes:
        if place is None:
            stack[-1].steps.append(Leaf(node, "", True))
            continue
        depth = 0
        while depth < min(len(stack) - 1, len(place.scopes)) and (
            stack[depth + 1].scopes == place.scopes[: depth + 1]
        ):
            depth += 1
        del stack[depth + 1 :]
        for label in place.scopes[depth:]:
            depth += 1
            scopes = place.scopes[:depth]
            part = Part(fresh_in(label, taken[stack[-1]]), classes.get(scopes, ""), scopes)
            taken[part] = set()
            stack[-1].steps.append(part)
            stack.append(part)
        stack[-1].steps.append(Leaf(node, place.label, False))
    return root.steps


def without_single(steps: Sequence[Step]) -> list[Step]:
    """Let the scope of a single node that has no other name be the name of that node."""
    found: list[Step] = []
    for one in steps:
        if isinstance(one, Part):
            one.steps = without_single(one.steps)
            inside = [step for step in one.steps if isinstance(step, Part) or not step.known]
            if len(inside) == 1 and isinstance(inside[0], Leaf) and not inside[0].label:
                inside[0].label = one.label
                found += one.steps
                continue
        found.append(one)
    return found


# --- classes --------------------------------------------------------------------------------------


def name_classes(steps: Sequence[Step]) -> None:
    """Find classes for scopes whose class isn't known."""
    unnamed = [part for part in parts_in(steps) if not part.kind]
    group: dict[Any, Any] = {}

    def find(key: Any) -> Any:
        while group.setdefault(key, key) != key:
            key = group[key]
        return key

    shapes: dict[Part, Any] = {}
    for part in unnamed:
        stem = ("stem", re.sub(r"\d+", "#", ".".join(part.scopes)))
        shapes[part] = ("shape", shape_of(part))
        group[find(stem)] = find(shapes[part])
    members: dict[Any, list[Part]] = {}
    for part in unnamed:
        members.setdefault(find(shapes[part]), []).append(part)
    names: set[str] = set()
    for parts in members.values():
        if all(is_container(part) for part in parts):
            kind = "Sequential"
        else:
            stems = Counter(stem_of(part) for part in parts)
            kind = fresh_in(stems.most_common(1)[0][0], names)
        for part in parts:
            part.kind = kind


def parts_in(steps: Sequence[Step]) -> Iterator[Part]:
    """Yield scopes, with those in them."""
    for one in steps:
        if isinstance(one, Part):
            yield one
            yield from parts_in(one.steps)


def shape_of(part: Part) -> Any:
    """Return what a scope holds, as text: operators in order, and scopes."""
    found = [
        shape_of(one) if isinstance(one, Part) else one.node.op
        for one in part.steps
        if isinstance(one, Part) or not one.known
    ]
    return f"({' '.join(found)})"


def is_container(part: Part) -> bool:
    """Tell whether what a scope holds is numbered, as in a list of modules."""
    labels = [one.label for one in part.steps if isinstance(one, Part) or not one.known]
    return all(label.isdigit() for label in labels)


def stem_of(part: Part) -> str:
    """Return a name for the class of a scope: its own without numbers, or the list's around it."""
    for label in reversed(part.scopes):
        stem = re.sub(r"[^A-Za-z0-9]+", "_", label)
        stem = re.sub(r"_?\d+[a-z]?$", "", stem).strip("_")
        if stem and not stem[0].isdigit():
            return stem[0].upper() + stem[1:]
    return "Block"
