"""Says what a shape that was given for an input changes, beside what the spec itself says of it.

Another size of an image changes nothing but sizes. Other channels change the parameters, which may
be meant; a picture given as height x width x channels hardly ever is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from archdsl.diagnostics import Diagnostic, Span, printable
from archdsl.graph import Graph
from archdsl.layers.base import Shape, numel, shown_shape
from archdsl.layers.sizes import Formula, FormulaError, Size, total
from archdsl.records import Record


class Change(Record):
    """The shape of an input: what the spec says, and what was given."""

    name: str
    declared: Shape
    given: Shape
    span: Span

    def __str__(self) -> str:
        text = self.span.source.text[self.span.start : self.span.end].partition(":")[2].strip()
        parts = text.strip("[]").replace(" ", "").split(",")
        # where the sizes are worked out from others, those which the spec has tell from which
        written = "" if parts == [*map(str, self.declared)] else f" (`{printable(text, 60)}`)"
        shown = f"{shown_shape(self.given)} instead of {shown_shape(self.declared)}"
        return f"input `{self.name}` is {shown}{written}"


class GivenShape(Diagnostic):
    """A shape given for an input that changes the parameters, or whose axes seem exchanged.

    It is a note where that may well be meant, and a warning where it looks like a mistake.

    Attributes:
        effect: on the parameters, as the end of a sentence, or "".
    """

    text = "{changes: and }{outcome}"
    mark = "{declared}"

    changes: tuple[Change, ...]
    likely: bool
    effect: str = ""

    @property
    def severity(self) -> str:
        return "warning" if self.likely else "note"

    @property
    def outcome(self) -> str:
        return f", which {self.effect}" if self.effect else ""

    @property
    def declared(self) -> str:
        return "the spec says so" if len(self.changes) == 1 else ""


def compare(
    graph: Graph, as_declared: Callable[[Mapping[str, Shape]], Graph | None]
) -> list[GivenShape]:
    """Return what is worth saying of the shapes that were given for the inputs of a network.

    `as_declared` works it out for other shapes, if that can be; it is asked once, and only where an
    axis is given another size than the spec says.
    """
    changes = [
        Change(name, declared, graph.inputs[name], graph.nodes[name].span)
        for name, declared in graph.declared.items()
        if declared != graph.inputs[name]
    ]
    if not changes:
        return []
    effect = _effect(graph, as_declared(graph.declared))
    turned = {change.name: text for change in changes if (text := _turned(change, effect))}
    if not effect and not turned:
        return []
    said = [change for change in changes if effect or change.name in turned]
    return [
        GivenShape(
            said[0].span,
            changes=tuple(said),
            effect=effect,
            likely=bool(turned),
            hint="; ".join(turned.values()),
        )
    ]


def suspicious(
    as_declared: Callable[[Mapping[str, Shape]], Graph | None],
    shapes: Mapping[str, Sequence[Size | str]],
) -> list[GivenShape]:
    """Return what looks like a mistake in shapes with which a network can't be worked out.

    A spec that doesn't even work out as it stands has nothing to compare them with.
    """
    graph = as_declared({}) if shapes else None
    if graph is None:
        return []
    found: list[GivenShape] = []
    for name, sizes in shapes.items():
        given = tuple(Formula.named(size) if isinstance(size, str) else size for size in sizes)
        declared = graph.inputs.get(name, ())
        if declared and len(declared) == len(given):
            change = Change(name, declared, given, graph.nodes[name].span)
            if hint := _turned(change, ""):
                found.append(GivenShape(change.span, changes=(change,), likely=True, hint=hint))
    return found


def _effect(graph: Graph, other: Graph | None) -> str:
    """Say what became of the parameters; nothing if they are the same, or can't be compared."""
    if other is None or _held(graph) == _held(other):
        return ""
    try:
        found, before = map(_parameters, (graph, other))
    except FormulaError:  # of free sizes, in too intricate a way to write it down
        return "changes the shapes of parameters"
    if found == before:
        return "changes the shapes of parameters"
    return f"changes the number of parameters: {_number(found)} instead of {_number(before)}"


def _held(graph: Graph) -> list[tuple[str, Mapping[str, Shape]]]:
    return [
        (name, node.facts.params)
        for name, node in graph.nodes.items()
        if node.facts.params and not node.shares
    ]


def _parameters(graph: Graph) -> Size:
    return total(numel(shape) for _, held in _held(graph) for shape in held.values())


def _turned(change: Change, effect: str) -> str:
    """Say how to write a shape whose axes look as if they were in another order than the spec's."""
    name, declared, given, _ = change
    front, back = declared[0], declared[-1]
    first, last = (given[-1], *given[:-1]), (*given[1:], given[0])
    moved = "if its axes are in another order, write them as the spec does"
    ways: dict[Shape, str] = {}
    if isinstance(front, int) and given[-1] == front != given[0]:
        ways[first] = "if its channels come last, as in Keras and TensorFlow, write them first"
    if isinstance(back, int) and given[0] == back != given[-1]:
        ways[last] = "if its channels come first, as in PyTorch, write them last, as the spec does"
    if len(given) == 2:
        ways = dict.fromkeys(ways, "if its axes are the other way round, exchange them")
    elif isinstance(front, int) and isinstance(back, int) and front != back:
        # an image has fewer channels than rows or columns: what was moved may be none
        ways |= dict.fromkeys(ways.keys() & {last if front < back else first}, moved)
    if effect and not ways and sorted(map(str, given)) == sorted(map(str, declared)):
        ways[declared] = moved
    if not ways:
        return ""

    def likelihood(way: Shape) -> tuple[int, int]:
        """Count the sizes that are the spec's; of two ways, channels are rather the fewer."""
        same = sum(size == wanted for size, wanted in zip(way, declared, strict=True))
        moved = front if way == first else back
        return same, -moved if isinstance(moved, int) else 0

    likely = max(ways, key=likelihood)
    return f"{ways[likely]}: `--input {name}={'x'.join(map(str, likely))}`"


def _number(size: Size) -> str:
    return f"{size:,}" if isinstance(size, int) else str(size)
