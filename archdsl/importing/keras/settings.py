"""The settings of a layer: each is checked when it is read, and all that matter have to be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from archdsl.diagnostics import printable
from archdsl.importing.keras.errors import Missing, Wrong

MOST = 2**31  # of a whole number
LONGEST = 4096  # of a list of numbers

# These say nothing of what a layer computes: how it begins, how it learns, what it is called.
SILENT = (
    "name", "trainable", "dtype", "seed", "batch_input_shape", "batch_shape", "input_shape",
    "sparse", "ragged", "optional", "synchronized", "fused",
    "renorm_momentum", "activity_regularizer", "implementation",
    "zero_output_for_mask", "autocast", "build_config", "registered_name", "shared_object_id",
    "input_dtype", "batch_size", "lora_alpha", "flash_attention",
)  # fmt: skip
ENDS = ("_initializer", "_regularizer", "_constraint")


class Settings:
    """The config of a layer."""

    def __init__(self, held: Mapping[str, Any]) -> None:
        self.held = held
        self.read: set[str] = set()

    def value(self, name: str, default: Any = None) -> Any:
        """Return a setting as it stands; the default where the file has none."""
        self.read.add(name)
        return self.held.get(name, default)

    def whole(self, name: str, default: int | None = None, least: int = 1) -> int:
        """Return a whole number."""
        found = self.value(name, default)
        if type(found) is not int or not least <= found < MOST:
            raise self.wrong(name, f"a whole number of at least {least} and below {MOST:,}")
        return found

    def wholes(self, name: str, count: int, default: int | None = None) -> tuple[int, ...]:
        """Return whole numbers for so many axes; a single one is for all of them."""
        found = self.value(name, default)
        if type(found) is int:
            found = [found] * count
        if not isinstance(found, list) or len(found) != count or not all(map(is_size, found)):
            raise self.wrong(name, f"{count} whole numbers of at least 1 and below {MOST:,}")
        return tuple(found)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number."""
        found = self.value(name, default)
        if not is_number(found):
            raise self.wrong(name, "a number")
        return float(found)

    def numbers(self, name: str, default: float = 0.0) -> float | list[float]:
        """Return a number or a list of them, however Keras wraps it."""
        found = unwrapped(self.value(name, default))
        if is_number(found):
            return float(found)
        if not isinstance(found, list) or not 0 < len(found) < LONGEST:
            raise self.wrong(name, "a number or a list of them")
        if not all(map(is_number, found)):
            raise self.wrong(name, "a number or a list of them")
        return [*map(float, found)]

    def flag(self, name: str, default: bool = False) -> bool:
        """Return whether something is set."""
        found = self.value(name, default)
        if not isinstance(found, bool):
            raise self.wrong(name, "true or false")
        return found

    def word(self, name: str, words: Sequence[str], default: str | None = None) -> str:
        """Return one of some words."""
        found = self.value(name, default)
        if not isinstance(found, str) or found not in words:
            raise self.wrong(name, f"one of {', '.join(words)}")
        return found

    def axis(self, name: str, rank: int, default: int = -1) -> int:
        """Return an axis as Keras counts them, without negatives; it may stand in a list."""
        found = self.value(name, default)
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        if isinstance(found, list):
            raise Missing(f"`{name}` of several axes")
        if type(found) is not int or not -rank <= found < rank:
            raise self.wrong(name, f"an axis of {rank}")
        return found % rank

    def require_all(self) -> None:
        """Refuse settings that nobody has read, and that are set."""
        for name, value in self.held.items():
            if name in self.read or name in SILENT or str(name).endswith(ENDS):
                continue
            if value is not None and value is not False and value != 0:
                raise Missing(f"its setting `{printable(str(name)[:60])}`")

    def wrong(self, name: str, wanted: str) -> Wrong:
        """Return what is wrong with a setting."""
        if name not in self.held:
            return Wrong(f"is without its `{name}`")
        return Wrong(f"has {shown(self.held[name])} for `{name}`, and not {wanted}")


def shown(value: Any) -> str:
    """Return a value for a message."""
    return printable(repr(value)[:60])


def is_size(value: Any) -> bool:
    """Tell whether a value is a size of something."""
    return type(value) is int and 1 <= value < MOST


def is_number(value: Any) -> bool:
    """Tell whether a value is a number that can be computed with."""
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def unwrapped(value: Any) -> Any:
    """Return the numbers of an array as a list: Keras writes what it is, and its values."""
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        held = value.get("config")
        value = held.get("value") if isinstance(held, dict) else None
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    return value
