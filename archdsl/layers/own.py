"""What a user's own layer gives is checked before anything is worked out of it.

The layers of this package are held by tests. Those of users may give anything or fail in any way,
and where they do, that is said of the layer at its place in the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from reprlib import repr as short
from typing import ParamSpec, TypeVar, get_args

from archdsl.layers.base import Back, Facts, Layer, LayerError, TorchFunction, TorchModule, Window
from archdsl.layers.homes import is_own
from archdsl.layers.sizes import Formula, FormulaError
from archdsl.records import Record

Given = ParamSpec("Given")
T = TypeVar("T")


def asked(layer: Layer, method: Callable[Given, T], *given: Given.args, **named: Given.kwargs) -> T:
    """Return what a method of a layer gives.

    Raises:
        LayerError: the layer says so, or it is a user's own and fails in another way.
        FormulaError: arithmetic with free sizes has a result that can't be written down.
    """
    try:
        return method(*given, **named)
    except (LayerError, FormulaError):
        raise
    except Exception as error:
        if not is_own(type(layer)):
            raise
        raise fault(layer, f"fails with {type(error).__name__}: {error}") from error


def fault(layer: Layer, reason: str) -> LayerError:
    """Return the error for what a user has to mend in a layer, and not in the spec."""
    return LayerError(reason, f"the fault is in {type(layer).__module__}, not in the spec")


def require_facts(layer: Layer, facts: object) -> None:
    """Refuse facts of a user's own layer that are of other kinds than facts are.

    Raises:
        LayerError: something is; the text says what, and what it must be.
    """
    if not is_own(type(layer)):
        return
    if not isinstance(facts, Facts):
        raise fault(layer, f"gives {short(facts)}, and must give Facts")
    for name, wanted in FACTS.items():
        value: object = getattr(facts, name)
        if not wanted.holds(value):
            raise fault(layer, f"gives {name} = {short(value)}, which must be {wanted.expected}")
    if facts.moves and sorted(facts.moves) != list(range(len(facts.output))):
        raise fault(layer, f"gives moves = {facts.moves}, which must name each axis once")


class Wanted(Record):
    """What a fact must be: a test, and the words for it."""

    holds: Callable[[object], bool]
    expected: str


def is_count(value: object, least: int = 0) -> bool:
    """Tell whether a value is an integer of at least so much, or a formula."""
    if isinstance(value, Formula):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_shape(value: object) -> bool:
    """Tell whether a value is a shape, none of whose sizes is known to be less than 1."""
    return isinstance(value, tuple) and all(is_count(size, 1) for size in value)


def _by_name(holds: Callable[[object], bool]) -> Callable[[object], bool]:
    def named(value: object) -> bool:
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and holds(each) for name, each in value.items()
        )

    return named


def _is_torch(value: object) -> bool:
    if isinstance(value, TorchFunction):
        return isinstance(value.expression, str)
    if not isinstance(value, TorchModule):
        return False
    texts = (value.target, value.source, value.call)
    given = isinstance(value.positional, tuple) and isinstance(value.keywords, Mapping)
    return given and all(isinstance(text, str) for text in texts)


def _are_windows(value: object) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(window, Window) for window in value)
    return value in ("pointwise", "global")


def _are_integers(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, int) for item in value)


def _are_pairs(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(map(is_count, pair)) for pair in value
    )


COUNT = Wanted(is_count, "an integer of at least 0")
TENSORS = Wanted(_by_name(is_shape), "shapes by name, such as {'weight': (8, 4)}")
TRUTH = Wanted(lambda value: isinstance(value, bool), "True or False")
INTEGERS = Wanted(_are_integers, "a tuple of integers")

FACTS: Mapping[str, Wanted] = {
    "output": Wanted(is_shape, "a tuple of sizes of at least 1, such as (8, 32, 32)"),
    "torch": Wanted(_is_torch, "a TorchModule or a TorchFunction with their texts"),
    "params": TENSORS,
    "buffers": TENSORS,
    "macs": COUNT,
    "other": Wanted(_by_name(is_count), "integers by heading, such as {'activation': 64}"),
    "windows": Wanted(_are_windows, '"pointwise", "global" or a tuple of Window, one for an axis'),
    "apart": TRUTH,
    "wraps": TRUTH,
    "moves": INTEGERS,
    "view": TRUTH,
    "inside": COUNT,
    "inside_training": COUNT,
    "shape_only": INTEGERS,
    "batched": TRUTH,
    "arithmetic": Wanted(lambda value: isinstance(value, str), "a text"),
    "agreements": Wanted(_are_pairs, "a tuple of pairs of sizes"),
    "back": Wanted(
        lambda value: value in get_args(Back), " or ".join(f'"{one}"' for one in get_args(Back))
    ),
}
