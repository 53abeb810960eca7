"""Lists what a module does and the language has no words for."""

from __future__ import annotations

from collections import Counter

from archdsl.importing.errors import ImportingError, NotSayable
from archdsl.importing.lowering import Lowering
from archdsl.importing.places import shown_place

MOST_LISTED = 12


def require_sayable(evaluation: Lowering, training: Lowering, name: str) -> None:
    """Raise where something that outputs need can't be said."""
    found: Counter[tuple[str, str]] = Counter()
    for one in (evaluation, training):
        times: Counter[tuple[str, str]] = Counter(one.lost)
        times.update((n.missing, n.place) for n in one.root.nodes() if n.missing)
        found |= times
    raise_if_lost(found, name)


def raise_if_lost(found: Counter[tuple[str, str]], name: str) -> None:
    """Raise with a list of what can't be said, given how often at which places."""
    if not found:
        return
    kinds: Counter[str] = Counter()
    for (text, _), count in found.items():
        kinds[text] += count
    listed: list[str] = []
    for text, count in kinds.most_common(MOST_LISTED):
        place = next(place for what, place in found if what == text)
        listed.append(f"{count} time{'s' * (count > 1)}: {text}, at {shown_place(place)}")
    raise ImportingError(NotSayable(what=f"`{name}`", missing=tuple(listed)))
