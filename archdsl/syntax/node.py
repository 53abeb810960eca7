"""What every node of the syntax tree is.

Records rather than frozen dataclasses: they are as immutable, and 50 of them are defined in a
hundredth of the time, which every start of the program pays. A type checker is shown plain classes
instead: it compares tuples member by member, and members that lead back to the tuple without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self, dataclass_transform

    @dataclass_transform(frozen_default=True)
    class Node:
        """Gives its subclasses what their annotations declare."""

        def __init__(self, *fields: Any, **named: Any) -> None: ...

        def __iter__(self) -> Iterator[Any]: ...

        def _replace(self, **changes: Any) -> Self: ...

else:
    Node = Record
