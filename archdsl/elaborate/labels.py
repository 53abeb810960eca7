"""Gives stages their names, and opens the scopes that labels ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from sys import intern

from archdsl.diagnostics import ArchError, Span
from archdsl.elaborate.bodies import Body, Instance, Made
from archdsl.elaborate.errors import BadFlow, BadLabel, BadStructure, NameClash
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.naming import Entry, Flow, Opened, Place
from archdsl.elaborate.wording import did_you_mean, with_index, written
from archdsl.layers.base import TorchModule, TorchTensor
from archdsl.layers.tensor import InputTensor
from archdsl.limits import CHARACTERS_OF_STEP
from archdsl.syntax import ast

COST_OF_SCOPE = 3  # in steps, beyond that of its name


def declare(
    frame: Frame, path: ast.Path | None, span: Span, positional: bool = True
) -> tuple[str, Entry]:
    """Enter a stage in its scope under its label, or its position; return that and the entry.

    A dotted label, which is entered further inside, is returned whole.
    """
    place = frame.place
    if path is None:
        label = last = intern(str(place.position))  # one "0" for all scopes
        where = span
    else:
        *outer, last = parts = frame.parts(path)
        label = ".".join(parts)
        where = path.span
        for part in outer:
            place = step_into(place, part, path, frame)
    # that of a stage with a label too, so that to name one renames none of the others
    frame.place.position += positional
    first = place.get(last)
    if first is not None:
        name = place.full_name(last)
        if first.awaited:
            reason = f"`register` names what is inside `{name}`, which is made as a whole after it"
            hint = f"put `register {written(first.awaited)}` at the head of what is inside"
            raise ArchError(BadStructure(first.span, frame.trail, reason=reason, hint=hint))
        hint = ""
        if first.span == where:
            loop = "put the index of a loop into the label: `for i in range(n)`"
            hint = f"{loop}, {with_index(last)}"
        raise ArchError(NameClash(where, frame.trail, name=name, first=first.span, hint=hint))
    return label, place.enter(last, Entry(where))


def step_into(place: Place, part: str, path: ast.Path, frame: Frame) -> Place:
    """Return the scope that a part of a dotted label names, which may be new."""
    entry = place.get(part)
    if entry is None:
        frame.step(path.span, COST_OF_SCOPE)  # of the entry, which others have a statement for
        entry = place.enter(part, Entry(path.span, flow=()))
        opened = Opened(part, place.opened, path.span)
        return open_place(opened, place.full_name(part), entry, frame, place)
    if entry.place is None or not entry.place.open:
        stage, name = place.full_name(part), ".".join(map(str, path.parts))
        reason = f"`{stage}` is a stage already, and nothing can be added to it from outside"
        raise ArchError(BadLabel(path.span, frame.trail, name=name, reason=reason))
    return entry.place


def register(frame: Frame, path: ast.Path) -> None:
    """Keep the next place in the `state_dict` for a label that a later stage has."""
    place = frame.place
    *outer, last = frame.parts(path)
    for depth, part in enumerate(outer, 1):
        around, known = place, place.get(part)
        if known is None:
            _keep_order(place, frame)
        place = step_into(place, part, path, frame)
        if known is None:
            around.entries[part].awaited = ".".join([*outer[depth:], last])
    if first := _keep_order(place, frame).get(last):
        name, what = place.full_name(last), "places are registered for what is"
        raise ArchError(NameClash(path.span, frame.trail, name=name, first=first, what=what))
    if place.get(last) is not None:
        reason = f"`{place.full_name(last)}` is made before this, and has its place there"
        hint = f"put `register {written(last)}` before that stage"
        raise ArchError(BadStructure(path.span, frame.trail, reason=reason, hint=hint))
    _keep_order(place, frame)[last] = path.span


def _keep_order(place: Place, frame: Frame) -> dict[str, Span | None]:
    """Return the order of the labels of a scope, which is kept from now on."""
    if place.registered is None:
        place.registered = dict.fromkeys(place.in_order())
        frame.body.ordered.append(place)
    return place.registered


def settle_order(frame: Frame) -> None:
    """Keep the order of the labels of scopes with a `register`, at the end of a body.

    Raises:
        ArchError: no stage has a label that was registered.
    """
    if not frame.body.ordered:
        return
    names = set(_in_state(frame.body))
    for place in frame.body.ordered:
        labels = place.registered or {}
        # of stages in turns of a loop that were not worked out, the first ones stand for the others
        known = {label for label in labels if (place.opened, place.like(label)) in names}
        for label, span in labels.items():
            if span is None or label in known:
                continue
            inside = f" of `{place.name}`" if place.name else ""
            reason = f"no stage{inside} that comes after this is labelled `{label}`"
            if place.get(label) is not None:
                reason = f"`{label}` is no module or parameter: the state_dict has no place for it"
            others = [name for name in labels if name in known]
            hint = did_you_mean(label, others, lambda other: f"`{written(other)}`")
            raise ArchError(BadStructure(span, reason=reason, hint=hint))
        frame.body.registered[place.opened] = tuple(label for label in labels if label in known)


def _in_state(body: Body) -> Iterator[tuple[Opened | None, str]]:
    """Yield what has a place in the state_dict, or may hold such, by its scope and label."""
    dotted: dict[tuple[Opened | None, str], Opened] = {}
    for item in body.items:
        if isinstance(item, Opened):
            place = _at(item.around, item.tail, dotted)
            dotted[place] = item
            yield place
        elif isinstance(item, Instance) or (isinstance(item, Made) and _is_member(item)):
            yield _at(item.scope, item.tail, dotted)


def _is_member(made: Made) -> bool:
    torch = made.facts.torch
    own = bool(made.tail) and made.shares < 0 and not isinstance(made.layer, InputTensor)
    return own and isinstance(torch, TorchModule | TorchTensor)


def _at(
    scope: Opened | None, tail: str, dotted: Mapping[tuple[Opened | None, str], Opened]
) -> tuple[Opened | None, str]:
    """Follow a dotted label to the scope that it leads to."""
    *outer, last = tail.split(".")
    for part in outer:
        scope = dotted[scope, part]
    return scope, last


def open_scope(frame: Frame, path: ast.Path) -> tuple[Place, Entry]:
    """Open the scope that a label of wiring (a branch or merge) asks for."""
    label, entry = declare(frame, path, path.span, positional=False)
    return open_group(frame, label, entry, path.span), entry


def open_group(frame: Frame, label: str, entry: Entry, span: Span, position: int = -1) -> Place:
    """Open a scope that has a label, or a position, where a frame is."""
    opened = Opened(label, frame.place.opened, span, position)
    return open_place(opened, frame.place.full_name(label), entry, frame, frame.place)


def open_place(opened: Opened, name: str, entry: Entry, frame: Frame, around: Place) -> Place:
    """Begin a scope within a body."""
    enter_scope(name, len(name) - len(frame.home.name), entry.span, frame)
    frame.body.add(opened)
    entry.place = Place(name, opened, around)
    return entry.place


def enter_scope(name: str, characters: int, span: Span, frame: Frame) -> None:
    """Count a scope before it is made: so many characters of its name are new."""
    # all names inside begin with its name: nested scopes would make them long out of all proportion
    frame.step(span, COST_OF_SCOPE + characters // CHARACTERS_OF_STEP)
    within = depth_of(name) - depth_of(frame.home.name)
    frame.body.scopes = max(frame.body.scopes, within)
    allowed = frame.world.limits.nesting
    if depth_of(name) > allowed:
        asks = f"scopes are nested {depth_of(name)} deep"
        raise ArchError(frame.world.limits.over("nesting", asks, span, frame.trail))


def depth_of(name: str) -> int:
    """Return how many scopes a name leads through."""
    return name.count(".") + 1 if name else 0


def name_tensor(path: ast.Path, frame: Frame) -> None:
    """Let a label stand for what flows."""
    _, entry = declare(frame, path, path.span, positional=False)
    entry.flow = frame.flowing


def settle(entry: Entry | None, name: ast.Path | None, frame: Frame) -> None:
    """Let the label of a merge, and the name after `as`, stand for its result."""
    if entry is not None:
        entry.flow = frame.flowing
    if name is not None:
        name_tensor(name, frame)


def single(flow: Flow, what: str, span: Span, frame: Frame) -> None:
    """Refuse more or less than one tensor."""
    if flow is not None and len(flow) != 1:
        come = f"{len(flow)} tensors flow here" if flow else "nothing flows here"
        reason = f"{what} is one tensor, and {come}"
        hint = "choose one with `from`" if flow else ""
        raise ArchError(BadFlow(span, frame.trail, reason=reason, hint=hint))
