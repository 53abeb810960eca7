"""The ready-made parts of a page: put together in any way, they are the network."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from graphs import Builder, densenet, inception, resnet, unet
from hypothesis import given, settings
from hypothesis import strategies as st

from archdsl import load
from archdsl.backends.diagram.page.parts import OUTSIDE, ScopeParts, parts_of_scopes
from archdsl.backends.diagram.view.edges import main_way
from archdsl.backends.diagram.view.scope_tree import ScopeTree
from archdsl.backends.diagram.view.viewer import Viewer
from archdsl.graph import CheckedGraph, Scope

GRAPHS = {"resnet": resnet, "densenet": densenet, "inception": inception, "unet": unet}
SHIPPED = ("inception_v3", "googlenet", "densenet121", "deeplabv3_resnet50", "vit_b_16", "vgg16")


def led_to(
    parts: dict[str, ScopeParts], scope: str, part: int, tensor: int
) -> set[tuple[str, int]]:
    """Follow all links of a tensor from the part that gives it to the stacks that read it."""
    around = {
        item.name: (name, number)
        for name, each in parts.items()
        for number, items in enumerate(each.items)
        for item in items
        if isinstance(item, Scope)
    }
    found: set[tuple[str, int]] = set()
    waiting = [(scope, part)]
    while waiting:
        scope, part = waiting.pop()
        for source, target, what in parts[scope].links:
            if (source, what) != (part, tensor):
                continue
            if target == OUTSIDE:
                waiting.append(around[scope])
            elif target < len(parts[scope].items) and isinstance(
                inner := parts[scope].items[target][0], Scope
            ):
                waiting.append((inner.name, OUTSIDE))
            else:
                found.add((scope, target))
    return found


def assert_same(checked: CheckedGraph) -> None:
    """Compare the parts of a network with its graph: each layer once, each tensor led rightly."""
    tree = ScopeTree(checked)
    parts = {**parts_of_scopes(tree)}
    home = {
        item.name: (name, number)
        for name, each in parts.items()
        for number, items in enumerate(each.items)
        for item in items
        if not isinstance(item, Scope)
    }
    assert home.keys() == checked.nodes.keys()
    wanted: dict[int, set[tuple[str, int]]] = {}
    for place, sources in enumerate(tree.sources):
        for tensor in sources:
            if home[tree.nodes[tensor].name] != home[tree.nodes[place].name]:
                wanted.setdefault(tensor, set()).add(home[tree.nodes[place].name])
    for number, output in enumerate(checked.outputs, len(parts[""].items)):
        wanted.setdefault(tree.places[output.node], set()).add(("", number))
    for tensor, node in enumerate(tree.nodes):
        assert led_to(parts, *home[node.name], tensor) == wanted.get(tensor, set())
    looks = [(link, look) for each in parts.values() for link, look in each.links.items()]
    assert {link.tensor for link, look in looks if look.main} <= {*main_way(tree)}
    for each in parts.values():
        assert all(0 <= run.first < run.end <= len(each.items) for run in each.runs)
        for run in each.runs:
            inside = [item for items in each.items[run.first : run.end] for item in items]
            assert len(inside) == run.run.period * run.run.times


@pytest.mark.parametrize("name", [*GRAPHS, *SHIPPED])
def test_links_lead_each_tensor_to_those_that_read_it(name: str) -> None:
    assert_same(GRAPHS[name]() if name in GRAPHS else load(name).checked)


STEPS = st.lists(st.tuples(st.sampled_from("obc+"), st.integers(0, 30)), max_size=25)


def grown(steps: list[tuple[str, int]]) -> CheckedGraph:
    """Open and close blocks anywhere, some of them again; layers read what any before them gave."""
    b = Builder("any")
    b.input("x", 4, 8, 8)
    given, opened = [b.flow], []
    for number, (what, which) in enumerate(steps):
        if what == "o" and len(opened) < 4:
            opened.append(b.block(f"s{which % 3}", "Block"))
            opened[-1].__enter__()
        elif what == "b" and opened:
            opened.pop().__exit__(None, None, None)
        elif what == "c":
            b.flow = given[which % len(given)]
            given.append(b.layer("ReLU", f"n{number}"))
        elif what == "+":
            one, other = given[which % len(given)], given[which // 2 % len(given)]
            given.append(b.merge("add", one, other))
    return b.checked()


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_links_of_any_nesting(steps: list[tuple[str, int]]) -> None:
    assert_same(grown(steps))


@settings(max_examples=80, deadline=None)
@given(STEPS, st.integers(0, 5))
def test_the_main_path_is_a_way_through_the_boxes(steps: list[tuple[str, int]], depth: int) -> None:
    """Whatever is folded: each of its steps is an edge, and no box comes twice."""
    seen = Viewer(grown(steps)).view(depth)

    assert len({*seen.main}) == len(seen.main) > 0
    assert {*pairwise(seen.main)} <= {(edge.source, edge.target) for edge in seen.edges}
    assert seen.boxes[seen.main[-1]].kind == "output"


def test_what_stands_in_a_scope_is_written_once_whatever_is_open() -> None:
    """So the size of a page grows with the network, and not with the ways to fold it."""
    spec = f"{Path(__file__).parents[3] / 'specs' / 'resnet_cifar.arch'}:ResNetCifar"
    sizes = [len(load(spec, n=n).draw(format="html").data) for n in (9, 18, 36)]

    assert sizes[2] - sizes[1] == pytest.approx(2 * (sizes[1] - sizes[0]), rel=0.1)
