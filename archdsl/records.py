"""Values with named parts, which never change."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["Record"]

if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from collections.abc import Mapping
    from operator import itemgetter

    try:
        from _collections import _tuplegetter as part  # which named tuples use, where it is there
    except ImportError:

        def part(at: int, doc: str) -> property:
            return property(itemgetter(at), doc=doc)

    class _Declared(type):
        """Makes the class of a record of what its annotations declare."""

        def __new__(meta, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
            if names := tuple(body.get("__annotations__", ())):
                body["_fields"] = body["__match_args__"] = names
                body["_places"] = {each: at for at, each in enumerate(names)}
                body["_defaults"] = {each: body[each] for each in names if each in body}
                body["_last"] = tuple(body["_defaults"].values())
                body |= {each: part(at, "") for at, each in enumerate(names)}
            body["__slots__"] = ()
            return super().__new__(meta, name, bases, body)

    class Record(tuple, metaclass=_Declared):
        """What `typing.NamedTuple` is, as far as this package uses it; the type checker sees that.

        Every command defines a hundred of them before it does anything, and so pays for a class
        more than for a value: each takes a twentieth of the time here, since no source text is
        made and compiled for it, and no annotation either.
        """

        _fields = ()
        _places: Mapping[str, int] = {}
        _defaults: Mapping[str, object] = {}
        _last: tuple[object, ...] = ()  # defaults come last, as in a function

        def __new__(cls, *values: object, **named: object) -> Record:
            if named:
                whole = named if len(named) == len(cls._fields) else cls._defaults | named
                if values:
                    values = cls._after(values, named, whole)
                elif whole.keys() != cls._places.keys():
                    values = cls._completed(values, named)
                else:
                    values = map(whole.__getitem__, cls._fields)
            elif lacking := len(cls._fields) - len(values):
                if not 0 < lacking <= len(cls._last):
                    values = cls._completed(values, named)
                else:
                    values += cls._last[-lacking:]
            return tuple.__new__(cls, values)

        @classmethod
        def _after(
            cls, values: tuple[object, ...], named: dict[str, object], whole: dict[str, object]
        ) -> tuple[object, ...] | list[object]:
            rest = cls._fields[len(values) :]
            if whole.keys() >= {*rest} and named.keys() <= {*rest}:
                return (*values, *map(whole.__getitem__, rest))
            return cls._completed(values, named)

        @classmethod
        def _completed(cls, values: tuple[object, ...], named: dict[str, object]) -> list[object]:
            rest = cls._fields[len(values) :]
            missing = [one for one in rest if one not in named and one not in cls._defaults]
            surplus = [one for one in named if one not in rest]
            if missing or surplus or len(values) > len(cls._fields):
                wrong = ", ".join(missing or surplus) or "so many values"
                raise TypeError(f"{cls.__name__} {'needs' if missing else 'does not take'} {wrong}")
            return [*values, *(named[one] if one in named else cls._defaults[one] for one in rest)]

        def __getnewargs__(self) -> tuple[object, ...]:  # for copies and pickles
            return tuple(self)

        def __repr__(self) -> str:
            parts = zip(self._fields, self, strict=True)
            return f"{type(self).__name__}({', '.join(f'{name}={it!r}' for name, it in parts)})"

        def _asdict(self) -> dict[str, object]:
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **changes: object) -> Record:
            values, places = [*self], self._places
            for name in changes:
                if name not in places:
                    raise TypeError(f"{type(self).__name__} does not take {name}")
                values[places[name]] = changes[name]
            return tuple.__new__(type(self), values)
