"""Valid specs made at random, in the manner of NNSmith: grown stage by stage.

Only stages whose constraints hold for the present shape are chosen, so that every spec is valid by
construction: at most 40 nodes, 4 levels, 16 channels and maps of 16 x 16. A spec is kept as a
tree, so that the same network can be written in several ways: unrolled, inlined, renamed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from hypothesis import assume
from hypothesis import strategies as st
from pieces import MEETINGS, PIECES, SHAPES, VALUES

MOST_NODES, MOST_DEPTH, MOST_CHANNELS, MOST_SIZE = 40, 4, 16, 16
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Style:
    """How a spec is written; every style means the same network.

    Attributes:
        unrolled: `repeat n { ... }` is written n times.
        inlined: a block is written where it is used, as a group.
        folded: values stand where their names stood.
        swapped: the branches of each `add` are written in the opposite order.
        asked: for each `let` the network has a parameter `own_...` of that value, and uses that.
        rename: gives blocks, parameters and `let` their names.
    """

    unrolled: bool = False
    inlined: bool = False
    folded: bool = False
    swapped: bool = False
    asked: bool = False
    rename: Callable[[str], str] = field(default=lambda name: name)


PLAIN = Style()


@dataclass(frozen=True)
class Number:
    """A value that has a name: a parameter of a block, or a `let` of the file."""

    name: str
    value: int


Arguments = tuple[tuple[str, "int | str | bool | Number"], ...]


@dataclass(frozen=True)
class Stage:
    """A layer."""

    kind: str
    arguments: Arguments = ()
    label: str = ""


@dataclass(frozen=True)
class Use:
    """The use of a block, with the values of its parameters in order."""

    block: Block
    values: tuple[int, ...]
    label: str = ""


@dataclass(frozen=True)
class Repeat:
    count: int
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Group:
    label: str
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Merge:
    """`concat`, `add`, `mul`, `residual`, or the flow added to an earlier stage."""

    word: str
    branches: tuple[tuple[Statement, ...], ...]


@dataclass(frozen=True)
class From:
    label: str


@dataclass(frozen=True)
class Piece:
    """Lines that keep the shape of a map, in braces of their own or not.

    In braces they may ask for the sizes of the map, so that they are the same for every size.
    """

    lines: tuple[str, ...]
    number: int
    shape: Shape | None
    braced: bool = True
    label: str = ""

    def text(self) -> Iterator[str]:
        """Yield the lines."""
        if self.shape is None:
            yield "let c, h, w = in.shape"
        sizes: dict[str, object] = {name: name for name in "chw"}
        if self.shape is not None:
            sizes = dict(zip("chw", self.shape, strict=True))
        for line in self.lines:
            yield line.format(n=self.number, **sizes)


Statement = Stage | Use | Repeat | Group | Merge | From | Piece


@dataclass(frozen=True)
class Block:
    name: str
    parameters: tuple[str, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class ArchSpec:
    """A network, with the blocks and values that it uses."""

    shape: Shape
    body: tuple[Statement, ...]
    blocks: tuple[Block, ...] = ()
    lets: tuple[Number, ...] = ()

    def text(self, style: Style = PLAIN) -> str:
        """Return it as the text of one file."""
        return "\n".join([*self.parts(style), *self.network(style)]) + "\n"

    def parts(self, style: Style = PLAIN) -> Iterator[str]:
        """Yield the lines of what can as well stand in a file of its own."""
        for let in () if style.folded else self.lets:
            yield f"let {style.rename(let.name)} = {let.value}"
        for block in () if style.inlined else self.blocks:
            named = ", ".join(map(style.rename, block.parameters))
            yield f"block {style.rename(block.name)}{f'({named})' if named else ''} {{"
            yield from _lines(block.body, style, "  ", {})
            yield "}"

    def network(self, style: Style = PLAIN) -> Iterator[str]:
        """Yield the lines of the network itself."""
        asked = ", ".join(f"own_{let.name} = {let.value}" for let in self.lets)
        yield f"network spec({asked}) {{" if style.asked and asked else "network spec {"
        yield f"  input x: [{', '.join(map(str, self.shape))}]"
        own = replace(style, rename=lambda name: f"own_{name}" if name[0] == "v" else name)
        yield from _lines(self.body, own if style.asked else style, "  ", {})
        yield "}"

    def names(self) -> list[str]:
        """List the names that can stand in a file of their own."""
        return [*(let.name for let in self.lets), *(block.name for block in self.blocks)]


def _lines(
    body: tuple[Statement, ...], style: Style, indent: str, known: dict[str, int]
) -> Iterator[str]:
    for one in body:
        if isinstance(one, Stage):
            arguments = ", ".join(
                f"{name} = {_value(value, style, known)}" for name, value in one.arguments
            )
            yield f"{indent}{_label(one.label)}{one.kind}{f'({arguments})' if arguments else ''}"
        elif isinstance(one, Repeat) and style.unrolled:
            for _ in range(one.count):
                yield from _lines(one.body, style, indent, known)
        elif isinstance(one, Repeat):
            yield from _braced(f"{indent}repeat {one.count}", one.body, style, indent, known)
        elif isinstance(one, Group):
            yield from _braced(
                f"{indent}{_label(one.label)}".rstrip(), one.body, style, indent, known
            )
        elif isinstance(one, Use) and style.inlined:
            inside = dict(zip(one.block.parameters, one.values, strict=True))
            head = f"{indent}{_label(one.label)}".rstrip()
            yield from _braced(head, one.block.body, style, indent, inside)
        elif isinstance(one, Use):
            values = ", ".join(map(str, one.values))
            name = style.rename(one.block.name)
            yield f"{indent}{_label(one.label)}{name}{f'({values})' if values else ''}"
        elif isinstance(one, From):
            yield f"{indent}from {one.label}"
        elif isinstance(one, Piece):
            lines = [f"{indent}{'  ' * one.braced}{line}" for line in one.text()]
            head = f"{indent}{_label(one.label)}{{"
            yield from [head, *lines, f"{indent}}}"] if one.braced else lines
        elif one.word == "residual":
            yield from _braced(f"{indent}residual", one.branches[0], style, indent, known)
        else:
            swaps = style.swapped and one.word == "add"
            yield f"{indent}{one.word} {{"
            for branch in one.branches[::-1] if swaps else one.branches:
                yield from _braced(f"{indent}  branch", branch, style, f"{indent}  ", known)
            yield f"{indent}}}"


def _braced(
    head: str, body: tuple[Statement, ...], style: Style, indent: str, known: dict[str, int]
) -> Iterator[str]:
    space = " " if head.strip() else head
    yield f"{head}{space}{{"
    yield from _lines(body, style, f"{indent}  ", known)
    yield f"{indent}}}"


def _label(label: str) -> str:
    return f"{label}: " if label else ""


def _value(value: int | str | bool | Number, style: Style, known: dict[str, int]) -> str:
    if isinstance(value, Number):
        if value.name in known:
            return str(known[value.name])
        return (
            str(value.value) if style.folded and value.name[0] == "v" else style.rename(value.name)
        )
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


class _Grower:
    """Grows a spec; `draw` chooses."""

    def __init__(self, draw: st.DrawFn, wide: bool) -> None:
        self.draw, self.wide = draw, wide
        self.pieces = 0
        self.left = MOST_NODES - 10
        self.labels = 0
        self.blocks: list[Block] = []
        self.lets: list[Number] = []

    def choose(self, *choices: object) -> object:
        return self.draw(st.sampled_from(choices))

    def integer(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def label(self, allowed: bool) -> str:
        if not allowed or not self.draw(st.booleans()):
            return ""
        self.labels += 1
        return f"s{self.labels}"

    def body(
        self, shape: Shape, depth: int, same: bool = False, labels: bool = True, least: int = 1
    ) -> tuple[tuple[Statement, ...], Shape]:
        """Return statements and the shape that they give; with `same`, the one that came in."""
        body: list[Statement] = []
        for _ in range(self.integer(least, 4)):
            if self.left <= 0:
                break
            statement, shape = self.statement(shape, depth, same, labels)
            body.append(statement)
        return tuple(body), shape

    def statement(
        self, shape: Shape, depth: int, same: bool, labels: bool
    ) -> tuple[Statement, Shape]:
        wide = ["piece"] * 4 if self.wide else []
        kind = self.choose("layer", "layer", "layer", "repeat", "merge", "use", "group", *wide)
        if depth >= MOST_DEPTH or self.left < 6:
            kind = "layer"
        if kind == "piece":
            return self.piece(shape, labels), shape
        if kind == "repeat":
            count = self.integer(1, 3)
            self.left -= 2 * count
            before = self.left
            body, _ = self.body(shape, depth + 1, same=True, labels=False)
            self.left -= (count - 1) * (before - self.left)
            return Repeat(count, body), shape
        if kind == "merge":
            return self.merge(shape, depth, same, labels)
        if kind == "use":
            return self.use(shape, same, labels)
        if kind == "group":
            label = self.label(labels)
            body, shape = self.body(shape, depth + 1, same, labels)
            return Group(label, body), shape
        return self.layer(shape, same, labels)

    def piece(self, shape: Shape | None, labels: bool) -> Piece:
        """Return one of `pieces`, or a tensor of the network's own that meets the flow."""
        self.pieces += 1
        if self.integer(0, 2):
            lines: tuple[str, ...] = self.draw(st.sampled_from(PIECES))
        else:
            value = str(self.choose(*VALUES)).replace("{shape}", str(self.choose(*SHAPES)))
            lines = (value, str(self.choose(*MEETINGS)))
        self.left -= 2 * len(lines)
        if labels and shape is not None and self.draw(st.booleans()):
            return Piece(lines, self.pieces, shape, braced=False)
        sizes = shape if self.draw(st.booleans()) else None
        return Piece(lines, self.pieces, sizes, label=self.label(labels))

    def layer(self, shape: Shape, same: bool, labels: bool) -> tuple[Statement, Shape]:
        channels, height, width = shape
        self.left -= 1
        kinds = ["Conv2d", "ReLU", "BatchNorm2d", "GELU", "GroupNorm", "Dropout"]
        if not same:
            kinds += ["Conv2d", "MaxPool2d", "AvgPool2d"]
            if max(height, width) <= MOST_SIZE // 2:
                kinds.append("Upsample")
        kind = str(self.choose(*kinds))
        label = self.label(labels)
        if kind == "Conv2d":
            return self.convolution(shape, same, label)
        if kind in ("MaxPool2d", "AvgPool2d"):
            kernel = self.integer(1, min(3, height, width))
            stride = self.integer(1, 2)
            arguments: Arguments = (("kernel_size", kernel), ("stride", stride))
            out = tuple((size - kernel) // stride + 1 for size in (height, width))
            return Stage(kind, arguments, label), (channels, *out)
        if kind == "Upsample":
            return Stage(kind, (("scale_factor", 2),), label), (channels, 2 * height, 2 * width)
        if kind == "GroupNorm":
            groups = self.integer(1, channels)
            # a group needs more than one number, of which to take statistics
            while groups and (channels % groups or channels // groups * height * width == 1):
                groups -= 1
            if not groups:
                return Stage("ReLU", (), label), shape
            return Stage(kind, (("num_groups", groups),), label), shape
        return Stage(kind, (), label), shape

    def convolution(self, shape: Shape, same: bool, label: str) -> tuple[Statement, Shape]:
        channels, height, width = shape
        dilation = self.integer(1, 2)
        kernel = 1 + 2 * self.integer(0, 1) if same else self.integer(1, 4)
        extent = dilation * (kernel - 1) + 1
        padding = (extent - 1) // 2 if same else self.integer(0, extent // 2)
        if extent > min(height, width) + 2 * padding:
            kernel, extent, padding = 1, 1, 0
        stride = 1 if same else self.integer(1, 2)
        out = channels if same else self.integer(1, MOST_CHANNELS)
        groups = channels if out == channels and self.draw(st.booleans()) else 1
        arguments: list[tuple[str, int | str | bool | Number]] = [
            ("out_channels", self.named(out)),
            ("kernel_size", kernel),
            ("stride", stride),
            ("padding", padding),
            ("dilation", dilation),
            ("groups", groups),
            ("bias", self.draw(st.booleans())),
        ]
        sizes = tuple((size + 2 * padding - extent) // stride + 1 for size in (height, width))
        return Stage("Conv2d", tuple(arguments), label), (out, *sizes)

    def named(self, value: int) -> int | Number:
        """Give a value a name now and then, with a `let` of the file."""
        if self.integer(0, 3):
            return value
        known = next((let for let in self.lets if let.value == value), None)
        if known is None:
            known = Number(f"v{len(self.lets)}", value)
            self.lets.append(known)
        return known

    def merge(self, shape: Shape, depth: int, same: bool, labels: bool) -> tuple[Statement, Shape]:
        word = str(self.choose("residual", "add", "mul", *([] if same else ["concat"])))
        self.left -= 1
        branches = [
            self.body(shape, depth + 1, same=True, labels=labels, least=0)[0]
            for _ in range(1 if word == "residual" else self.integer(2, 3))
        ]
        if word == "concat":
            total = shape[0] * len(branches)
            if total > MOST_CHANNELS:
                word, total = "add", shape[0]
            return Merge(word, tuple(branches)), (total, *shape[1:])
        return Merge(word, tuple(branches)), shape

    def use(self, shape: Shape, same: bool, labels: bool) -> tuple[Statement, Shape]:
        """Use a block of a convolution of so many channels and more, which keeps the size."""
        if not self.blocks or self.integer(0, 2) == 0:
            self.blocks.append(self.block(len(self.blocks)))
        block: Block = self.draw(st.sampled_from(self.blocks))
        self.left -= len(block.body) + 1
        out = shape[0] if same else self.integer(1, MOST_CHANNELS)
        return Use(block, (out, 1 + 2 * self.integer(0, 1)), self.label(labels)), (out, *shape[1:])

    def block(self, number: int) -> Block:
        out, kernel = Number("width", 0), Number("kernel", 0)
        first = Stage(
            "Conv2d", (("out_channels", out), ("kernel_size", kernel), ("padding", "same"))
        )
        kinds = self.draw(st.lists(st.sampled_from(["ReLU", "BatchNorm2d", "GELU"]), max_size=3))
        after: list[Statement] = [Stage(kind) for kind in kinds]
        if self.draw(st.booleans()):
            inner = Stage(
                "Conv2d", (("out_channels", out), ("kernel_size", 1), ("bias", False)), "inner"
            )
            after.append(Merge("residual", ((inner, Stage("ReLU")),)))
        if self.wide:
            after.append(self.piece(None, labels=True))
        return Block(f"Block{number}", ("width", "kernel"), (first, *after))


@st.composite
def arch_specs(draw: st.DrawFn, wide: bool = False) -> ArchSpec:
    """Return a valid spec: a classifier of images, or what gives a map.

    With `wide` there may stand all that `pieces` holds.
    """
    grower = _Grower(draw, wide)
    shape = (
        draw(st.integers(1, 4)),
        draw(st.integers(4, MOST_SIZE)),
        draw(st.integers(4, MOST_SIZE)),
    )
    body, _ = grower.body(shape, 0)
    if not body:
        body = (Stage("ReLU"),)
    if draw(st.booleans()):
        head = (Stage("AdaptiveAvgPool2d", (("output_size", 1),)), Stage("Flatten"))
        body = (*body, *head, Stage("Linear", (("out_features", draw(st.integers(1, 10))),), "fc"))
    assume(nodes_of(body) < MOST_NODES)
    return ArchSpec(shape, body, tuple(grower.blocks), tuple(grower.lets))


def nodes_of(body: tuple[Statement, ...]) -> int:
    """Count the nodes that statements come to."""
    count = 0
    for one in body:
        if isinstance(one, Stage):
            count += 1
        elif isinstance(one, Piece):
            count += 2 * len(one.lines)
        elif isinstance(one, Use):
            count += nodes_of(one.block.body)
        elif isinstance(one, Repeat):
            count += one.count * nodes_of(one.body)
        elif isinstance(one, Group):
            count += nodes_of(one.body)
        elif isinstance(one, Merge):
            count += 1 + sum(map(nodes_of, one.branches))
    return count


def relabelled(spec: ArchSpec, rename: Callable[[str], str]) -> ArchSpec:
    """Return the spec with other labels."""

    def inside(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        return tuple(map(changed, body))

    def changed(one: Statement) -> Statement:
        if isinstance(one, Merge):
            return replace(one, branches=tuple(map(inside, one.branches)))
        if isinstance(one, Repeat):
            return replace(one, body=inside(one.body))
        if isinstance(one, Group):
            return Group(rename(one.label) if one.label else "", inside(one.body))
        if isinstance(one, From):
            return From(rename(one.label))
        if isinstance(one, Piece):
            raise TypeError("the lines of a piece have labels of their own")
        return replace(one, label=rename(one.label)) if one.label else one

    return replace(spec, body=inside(spec.body))
