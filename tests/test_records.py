"""Records are what named tuples are, as far as the package uses them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from archdsl.records import Record


class Ours(Record):
    """A record."""

    a: int
    b: str = "b"
    c: tuple[int, ...] = ()

    @property
    def twice(self) -> int:
        return 2 * self.a


class Theirs(NamedTuple):
    a: int
    b: str = "b"
    c: tuple[int, ...] = ()


GIVEN: dict[str, Callable[[Any], Any]] = {
    "positions": lambda kind: kind(1, "x", (2,)),
    "names": lambda kind: kind(c=(2,), a=1, b="x"),
    "both": lambda kind: kind(1, c=(2,)),
    "defaults": lambda kind: kind(1),
    "named alone": lambda kind: kind(a=3),
    "replaced": lambda kind: kind(1)._replace(b="z"),
    "parts": lambda kind: (kind(1).a, kind(1).b, kind(1).c),
    "unpacked": lambda kind: [*kind(1, "y")],
    "as a mapping": lambda kind: kind(1)._asdict(),
    "copied": lambda kind: copy.copy(kind(1)),
    "copied deeply": lambda kind: copy.deepcopy(kind(1)),
    "pickled": lambda kind: pickle.loads(pickle.dumps(kind(1))),
    "fields": lambda kind: kind._fields,
    "order": lambda kind: kind(1) < kind(2),
    "hash": lambda kind: hash(kind(1)),
}
WRONG: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda kind: kind(),
    "too many": lambda kind: kind(1, "x", (), 4),
    "unknown": lambda kind: kind(1, d=2),
    "twice": lambda kind: kind(1, a=2),
    "missing": lambda kind: kind(b="x"),
    "missing one of three": lambda kind: kind(b="x", c=(), d=1),
    "replaced": lambda kind: kind(1)._replace(d=2),
}
CHANGED: dict[str, Callable[[Any], Any]] = {
    "a part": lambda it: setattr(it, "a", 2),
    "another": lambda it: setattr(it, "d", 2),
    "removed": lambda it: delattr(it, "a"),
}


@pytest.mark.parametrize("make", GIVEN.values(), ids=GIVEN.keys())
def test_a_record_is_what_a_named_tuple_is(make: Callable[[Any], Any]) -> None:
    ours, theirs = make(Ours), make(Theirs)

    assert ours == theirs
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_parts_that_are_wrong(make: Callable[[Any], Any]) -> None:
    for kind in (Ours, Theirs):
        with pytest.raises((TypeError, ValueError)):
            make(kind)


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED.keys())
def test_nothing_changes_it(change: Callable[[Any], Any]) -> None:
    for it in (Ours(1), Theirs(1)):
        with pytest.raises(AttributeError):
            change(it)


def test_what_else_a_class_has() -> None:
    assert Ours(4).twice == 8
    assert Ours.__doc__ == "A record."
    assert isinstance(Ours(1), Ours)
    match Ours(1, "x"):
        case Ours(a, b):
            assert (a, b) == (1, "x")
