"""Gives stages their names, and opens the scopes that labels ask for."""

from __future__ import annotations

from collections.abc import Container
from sys import intern

from archdsl.diagnostics import Span
from archdsl.elaborate.errors import BadFlow, BadLabel, BadStructure, NameClash, Problem
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.naming import Entry, Flow, Place
from archdsl.elaborate.wording import did_you_mean, with_index, written
from archdsl.graph import Scope
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
    frame.place.position += positional
    first = place.entries.get(last)
    if first is not None:
        name = place.full_name(last)
        hint = ""
        if first.span == where:
            loop = "put the index of a loop into the label: `for i in range(n)`"
            hint = f"{loop}, {with_index(last)}"
        raise Problem(NameClash(where, frame.trail, name=name, first=first.span, hint=hint))
    return label, place.enter(last, Entry(where))


def step_into(place: Place, part: str, path: ast.Path, frame: Frame) -> Place:
    """Return the scope that a part of a dotted label names, which may be new."""
    entry = place.entries.get(part)
    if entry is None:
        entry = place.enter(part, Entry(path.span, flow=()))
        scope = Scope(place.full_name(part), place.scope, "", path.span)
        return enter_scope(scope, entry, frame, around=place)
    if entry.place is None or not entry.place.open:
        stage, name = place.full_name(part), ".".join(map(str, path.parts))
        reason = f"`{stage}` is a stage already, and nothing can be added to it from outside"
        raise Problem(BadLabel(path.span, frame.trail, name=name, reason=reason))
    return entry.place


def register(frame: Frame, path: ast.Path) -> None:
    """Keep the next place in the `state_dict` for a label that a later stage has."""
    place = frame.place
    *outer, last = frame.parts(path)
    for part in outer:
        if part not in place.entries:
            _keep_order(place, frame)
        place = step_into(place, part, path, frame)
    if first := _keep_order(place, frame).get(last):
        name, what = place.full_name(last), "places are registered for what is"
        raise Problem(NameClash(path.span, frame.trail, name=name, first=first, what=what))
    if last in place.entries:
        reason = f"`{place.full_name(last)}` is made before this, and has its place there"
        hint = f"put `register {written(last)}` before that stage"
        raise Problem(BadStructure(path.span, frame.trail, reason=reason, hint=hint))
    _keep_order(place, frame)[last] = path.span


def _keep_order(place: Place, frame: Frame) -> dict[str, Span | None]:
    """Return the order of the labels of a scope, which is kept from now on."""
    if place.registered is None:
        place.registered = dict.fromkeys(place.entries)
        frame.recorder.ordered.append(place)
    return place.registered


def registered(frame: Frame, names: Container[str]) -> dict[str, tuple[str, ...]]:
    """Return the labels of scopes with a `register`, in the order that it gives them.

    `names` are those of all modules, scopes and tensors in the `state_dict`.

    Raises:
        Problem: no stage has a label that was registered.
    """
    found: dict[str, tuple[str, ...]] = {}
    for place in frame.recorder.ordered:
        for label, span in (place.registered or {}).items():
            if span is None or place.full_name(label) in names:
                continue
            inside = f" of `{place.scope.name}`" if place.scope.name else ""
            reason = f"no stage{inside} that comes after this is labelled `{label}`"
            if label in place.entries:
                reason = f"`{label}` is no module or parameter: the state_dict has no place for it"
            others = [name for name in place.registered or () if place.full_name(name) in names]
            raise Problem(BadStructure(span, reason=reason, hint=did_you_mean(label, others)))
        found[place.scope.name] = tuple(
            label for label in place.registered or () if place.full_name(label) in names
        )
    return found


def open_scope(frame: Frame, path: ast.Path) -> tuple[Place, Entry]:
    """Open the scope that a label of wiring (a branch or merge) asks for."""
    label, entry = declare(frame, path, path.span, positional=False)
    scope = Scope(frame.place.full_name(label), frame.place.scope, "", path.span)
    return enter_scope(scope, entry, frame), entry


def enter_scope(
    scope: Scope,
    entry: Entry,
    frame: Frame,
    outside: bool = True,
    around: Place | None = None,
) -> Place:
    """Begin a scope."""
    frame.step(entry.span, COST_OF_SCOPE + len(scope.name) // CHARACTERS_OF_STEP)
    if scope.depth > frame.world.limits.nesting:
        asks = f"scopes are nested {scope.depth} deep"
        raise Problem(frame.world.limits.over("nesting", asks, entry.span, frame.trail))
    frame.recorder.scopes[scope.name] = scope
    entry.place = Place(scope, around or frame.place, outside, open=outside)
    return entry.place


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
        raise Problem(BadFlow(span, frame.trail, reason=reason, hint=hint))
