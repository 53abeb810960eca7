"""Arguments, shapes and counts in the short notation of pictures: "3x3, 64, /2"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from archdsl.backends.formulas import Formulas
from archdsl.diagnostics import printable
from archdsl.layers.base import Layer, Shape, squeeze
from archdsl.layers.sizes import Formula, Size

LONGEST_LABEL = 80  # characters of a text from the spec in a picture
LONGEST_ARGUMENTS = 40
LONGEST_TEXT = 4_096
PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*").fullmatch  # what shows as it stands
MOST_LISTED = 8
MORE = "..."
# What a picture leaves out: it shows in the shapes, or decides nothing that a reader asks for.
UNSAID = {
    "affine",
    "bias",
    "ceil_mode",
    "count_include_pad",
    "divisor_override",
    "elementwise_affine",
    "end_dim",
    "eps",
    "holds",
    "momentum",
    "output_padding",
    "padding",
    "padding_mode",
    "shape",
    "start_dim",
    "track_running_stats",
    "value",
}
SIZES = {"out_channels", "out_features", "normalized_shape"}
WINDOWS = {"kernel_size", "output_size"}
SAID_FIRST = ("kernel_size", "output_size", "out_channels", "out_features")  # without their names
SAID = {*SIZES, *WINDOWS, *UNSAID, "stride"}


def short(text: str, limit: int = LONGEST_LABEL) -> str:
    """Cut text in the middle, since names differ at both ends, and fold its white space."""
    if len(text) > 4 * limit:  # 10,000 characters need not all be looked at
        text = f"{text[: 2 * limit]}…{text[-2 * limit :]}"
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


@lru_cache(1024)  # the same few names and shapes stand in a picture again and again
def visible(text: str, limit: int = LONGEST_LABEL) -> str:
    """Cut text to a label's length, with control and bidirectional characters as escapes."""
    if len(text) <= limit and PLAIN(text):
        return text
    return printable(short(text, limit), 2 * LONGEST_TEXT)


def kind_of(layer: Layer) -> str:
    """Return what a layer is called in the language: "Conv2d", "concat"."""
    return layer.word or type(layer).__name__


def beginning(parts: Iterable[str], between: str, limit: int) -> str:
    """Join as many parts as fit; where some are left out, it ends in `...`."""
    text, rest = "", MORE
    parts = list(parts)
    for number, part in enumerate(parts):
        longer = f"{text}{between}{part}" if text else part
        last = number == len(parts) - 1
        if len(longer) + (0 if last else len(between) + len(rest)) > limit:
            return f"{text}{between}{rest}" if text else short(part, limit)
        text = longer
    return text


class Notation:
    """Writes what a network is made of as pictures do, in short.

    Attributes:
        formulas: writes its sizes.
    """

    def __init__(self, formulas: Formulas) -> None:
        self.formulas = formulas
        self._shapes: dict[Shape, str] = {}

    def arguments(self, layer: Layer) -> str:
        """Say the arguments of a layer that matter in a picture: "3x3, 64, /2"."""
        given = layer.given()
        parts: list[str] = []
        for name in SAID_FIRST:
            if name in given:
                value = given[name]
                window = name in WINDOWS
                parts.append(self._window(value, _axes(layer)) if window else self.value(value))
        stride = given.get("stride", 1)
        if stride is not None and stride != 1:
            parts.append("/" + self._window(stride, 1))
        if "groups" in given and given["groups"] == given.get("out_channels"):
            parts.append("depthwise")
            del given["groups"]
        parts += [self._argument(name, value) for name, value in given.items() if name not in SAID]
        return beginning(parts, ", ", LONGEST_ARGUMENTS)

    def _window(self, value: object, axes: int) -> str:
        """Write a window's size along all axes: 3 over two axes is "3x3"."""
        sizes = value if isinstance(value, tuple) else (value,) * axes
        return "x".join(map(_enclosed, map(self.value, sizes)))

    def _argument(self, name: str, value: object) -> str:
        if value is True:
            return name
        if name == "p":
            return self.value(value)
        return f"{name} {self.value(value)}"

    def value(self, value: object) -> str:
        """Write a value as the language does, and a formula as a count does."""
        if type(value) is int:  # most are
            return str(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return f'"{short(value, LONGEST_ARGUMENTS)}"'
        if isinstance(value, tuple | list):
            return self._list(value)
        if isinstance(value, type):
            return value.__name__
        if value is None:
            return "none"
        if isinstance(value, float):
            return f"{value:g}"
        if isinstance(value, int | Formula):
            return self.formulas.length(value)
        name = getattr(value, "name", None)  # a block or layer that is handed over
        return name if isinstance(name, str) else type(value).__name__

    def _list(self, values: tuple[object, ...] | list[object]) -> str:
        squeezed = squeeze(tuple(values))
        if not isinstance(squeezed, tuple):
            return self.value(squeezed)
        if len(values) > MOST_LISTED or any(isinstance(value, tuple | list) for value in values):
            return "[...]"
        return f"[{', '.join(map(self.value, values))}]"

    def shape(self, shape: Shape) -> str:
        """Write a shape: "64 x 56 x 56"."""
        if shape not in self._shapes:
            self._shapes[shape] = short(self.formulas.shape(shape))
        return self._shapes[shape]

    def quantity(self, value: Size) -> str:
        """Write a count in three digits: "5.71 G"; of a formula as much as fits."""
        if isinstance(value, Formula):
            return self.exact(value, LONGEST_ARGUMENTS)
        for power, prefix in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
            if value >= power:
                return f"{_three_digits(value, power)} {prefix}"
        return str(value)

    def exact(self, value: Size, limit: int = LONGEST_LABEL) -> str:
        """Write a count in full: "27,161,264"; of a formula the first terms, as they fit."""
        text = self.formulas.size(value)
        if not isinstance(value, Formula):
            return text
        terms = re.split(r" (?=[-+] )(?![^(]*\))", text)  # no sign within parentheses
        return beginning(terms, " ", limit)

    def scope(self, arguments: Mapping[str, object]) -> str:
        """Write all arguments of a block, as the language does: `pool = 32`."""
        written = (f"{name} = {self.value(value)}" for name, value in arguments.items())
        return short(", ".join(written), 400)


def _axes(layer: Layer) -> int:
    """Tell over how many axes a window goes, from how the layer keeps it."""
    for name in WINDOWS:
        kept = getattr(layer, name, None)
        if isinstance(kept, tuple):
            return len(kept)
    return 1


def _enclosed(text: str) -> str:
    return f"({text})" if " " in text else text


def _three_digits(value: int, power: int) -> str:
    if value >= 100 * power:
        return f"{(value + power // 2) // power:,}"
    return f"{value / power:.3g}"
