"""What of a scope is drawn as one box: stacks of layers, and runs of equal blocks or layers.

A stack is a layer with those that only go on with its output. A run is the same again, each time on
the output of the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from archdsl.backends.diagram.view.scope_tree import Level, NodeOrScope, ScopeTree
from archdsl.backends.diagram.view.view import BoxKind
from archdsl.graph import Node, Scope
from archdsl.layers.base import POINTWISE, Layer

# How tensors are drawn that no layer computes, by the word of the language for each.
TENSORS: Mapping[str, BoxKind] = {"input": "input", "parameter": "tensor"}
LONGEST_PERIOD = 4  # a block and its wiring: DenseNet's layer and the `concat` behind it


def goes_on(tree: ScopeTree, last: NodeOrScope, node: NodeOrScope) -> bool:
    """Tell whether a layer only goes on with the output of another, place by place."""
    return (
        isinstance(node, Node)
        and node.facts.windows == POINTWISE
        and node.facts.macs == 0  # a 1x1 convolution is pointwise too, and a step of its own
        and isinstance(last, Node)
        and node.sources == (last.name,)
        and tree.reads[tree.places[last.name]] == 1
        and node.shape == last.shape
        and _kind_of_layer(type(last.layer)) == _kind_of_layer(type(node.layer)) == "layers"
    )


def kind_of_node(node: Node) -> BoxKind:
    """Return as what kind of box a node is drawn."""
    return _kind_of_layer(type(node.layer))


@lru_cache(256)  # of few kinds of layers, asked for at every node
def _kind_of_layer(layer: type[Layer]) -> BoxKind:
    return "merge" if layer.merges else TENSORS.get(layer.word, "layers")


class ItemRun(NamedTuple):
    """Items of a scope that say the same `times` times: from `start` on, `period` at a time."""

    start: int
    period: int
    times: int

    @property
    def end(self) -> int:
        return self.start + self.period * self.times


def stacks_in(
    tree: ScopeTree, items: Sequence[NodeOrScope], start: int, end: int
) -> Iterator[ItemRun]:
    """Divide items, from one to another, into scopes and stacks: runs of one turn."""
    at = start
    while at < end:
        start, at = at, at + 1
        while at < end and goes_on(tree, items[at - 1], items[at]):
            at += 1
        yield ItemRun(start, at - start, 1)


def runs_in(tree: ScopeTree, level: Level) -> tuple[ItemRun, ...]:
    """Find the runs among the items of a scope, from the first item on.

    Blocks are equal if their layers, arguments and wiring are. Three and more of them are a run
    whatever their shapes, as the layers of DenseNet are; two only if their shapes are equal too.
    Layers outside of blocks are a run with what goes on with them, from three times on: the
    convolutions of VGG.
    """
    keys = _keys(tree, level)
    if len({*keys}) == len(keys):
        return ()
    found: list[ItemRun] = []
    start = 0
    while start < len(keys):
        run = _longest(tree, level, keys, start)
        if run:
            found.append(run)
        start = run.end if run else start + 1
    return tuple(found)


def _keys(tree: ScopeTree, level: Level) -> Sequence[int]:
    """Number the items so that equal ones have the same: they have the same layers, in order.

    Groups are equal only if what is in them has the same names: nothing else says that they are
    uses of the same.
    """
    numbers = tree.numbers
    if level.plain:
        return numbers[level.starts[0] : level.starts[-1]]
    known: dict[object, int] = {}
    keys: list[int] = []
    for item, (start, end) in zip(level.items, pairwise(level.starts), strict=True):
        if isinstance(item, Node):
            keys.append(known.setdefault(numbers[start], len(known)))
        else:
            names = () if item.block else _names(item, tree.nodes[start:end])
            key = item.block, names, tuple(numbers[start:end])
            keys.append(known.setdefault(key, len(known)))
    return keys


def _names(group: Scope, nodes: Sequence[Node]) -> tuple[str, ...]:
    inner = len(group.name)
    return tuple([node.name[inner:] for node in nodes])


def _longest(tree: ScopeTree, level: Level, keys: Sequence[int], start: int) -> ItemRun | None:
    best: ItemRun | None = None
    # most items begin no run, which one look ahead tells
    if keys[start] not in keys[start + 1 : start + 1 + LONGEST_PERIOD]:
        return None
    for length in range(1, LONGEST_PERIOD + 1):
        if keys[start : start + length] != keys[start + length : start + 2 * length]:
            continue
        if best and length % best.period == 0:
            continue  # the same run, taken in longer steps
        blocks = any(isinstance(item, Scope) for item in level.items[start : start + length])
        if not blocks and not _is_stack(tree, level.items, start, length):
            continue
        # Two are read at a glance. As one box they must be the same in all that is said of them;
        # of three and more the box says what goes into the first and comes out of the last.
        twice = blocks and _same_shapes(tree, level, start, length)
        if (
            not twice
            and keys[start : start + length] != keys[start + 2 * length : start + 3 * length]
        ):
            continue
        run = ItemRun(start, length, _times(tree, level, keys, start, length))
        if run.times == 2 and not twice:
            continue
        if run.times > 1 and (best is None or run.end > best.end):
            best = run
    return best


def _is_stack(tree: ScopeTree, items: Sequence[NodeOrScope], start: int, length: int) -> bool:
    """Tell whether some items are the layers of one box, from its first on."""
    first = items[start]
    if not isinstance(first, Node) or kind_of_node(first) != "layers":
        return False
    if start and goes_on(tree, items[start - 1], first):
        return False
    stack = items[start : start + length]
    return all(goes_on(tree, last, item) for last, item in pairwise(stack))


def _same_shapes(tree: ScopeTree, level: Level, start: int, length: int) -> bool:
    """Tell whether a period and the next have outputs and parameters of the same shapes."""
    first, middle, end = level.starts[start : start + 2 * length + 1 : length]
    for one, other in zip(tree.nodes[first:middle], tree.nodes[middle:end], strict=True):
        if one.facts is other.facts:  # as those of equal layers with equal inputs are
            continue
        if one.shape != other.shape:
            return False
        if [*one.facts.params.values()] != [*other.facts.params.values()]:
            return False
    return True


def _times(tree: ScopeTree, level: Level, keys: Sequence[int], start: int, length: int) -> int:
    """Count how often a period follows itself."""
    times = 1
    same = keys[start : start + length]
    while (at := start + times * length) and keys[at : at + length] == same:
        if not _goes_on_with(tree, level.starts[at - length : at + length + 1 : length]):
            break
        times += 1
    return times


def _goes_on_with(tree: ScopeTree, starts: Sequence[int]) -> bool:
    """Tell whether a period goes on with the output of the one before, which has equal layers.

    Both must be wired in the same way, save for the one tensor by which the second reads the first.
    It must be the only tensor that leaves the first, and nobody else may read it.

    Args:
        starts: the places where the two begin, and where the second ends.
    """
    start, middle, end = starts
    length = middle - start
    before, behind = tree.sources[start:middle], tree.sources[middle:end]
    if [*map(len, before)] != [*map(len, behind)] or not _alike(tree, start, middle, end):
        return False
    sources = list(chain.from_iterable(behind))
    # What the one reads, and what the other reads in its place. Within the periods both are as far
    # apart as the periods themselves; a tensor of outside that both read is the same.
    pairs = zip(chain.from_iterable(before), sources, strict=True)
    outer = {pair for pair in pairs if pair[1] - pair[0] != length or not start <= pair[0] < middle}
    came = [one for one, other in outer if one != other]
    if len(came) != 1 or (came[0], came[0]) in outer:
        return False
    # Reads within the first are as many as within the second; all others must be by the second.
    return len([at for at in sources if start <= at < end]) == sum(tree.reads[start:middle])


def _alike(tree: ScopeTree, start: int, middle: int, end: int) -> bool:
    """Tell whether the same nodes of two periods are for training, and share modules alike."""
    length = middle - start
    if [at + length for at in tree.in_training(start, middle)] != tree.in_training(middle, end):
        return False
    if not tree.shared:
        return True
    owners = map(tree.shared.get, range(start, middle)), map(tree.shared.get, range(middle, end))
    return all(
        other == (one if one is None or not start <= one < middle else one + length)
        for one, other in zip(*owners, strict=True)
    )
