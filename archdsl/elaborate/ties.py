"""`weight = from embed.weight`: a parameter of a layer that is that of another, or is computed."""

from __future__ import annotations

from collections import Counter

from archdsl.diagnostics import ArchError, Span
from archdsl.elaborate.errors import BadArguments, BadFlow
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.naming import Entry
from archdsl.layers.base import Facts, Layer, Shape, shown_shape
from archdsl.layers.tensor import OwnTensor
from archdsl.syntax import ast

# Name of the parameter, its place among those of the module, the node that has it, its name there.
Tied = tuple[str, int, int, str]


def tied_arguments(call: ast.Call) -> tuple[tuple[ast.Argument, ...], ast.Call]:
    """Return the arguments of a call that are tensors from elsewhere, and the call without them."""
    found = tuple([one for one in call.arguments if type(one.value) is ast.TensorOf])
    if not found:
        return (), call
    return found, call._replace(arguments=tuple(a for a in call.arguments if a not in found))


def computed(given: tuple[ast.Argument, ...], frame: Frame) -> dict[str, int]:
    """Return the tensors that stand for parameters, by their names, if any of them is computed.

    Where all are parameters there is none: these are ties.

    Raises:
        ArchError: some are tensors, and one is none.
    """
    names = {argument.name for argument in given}
    if len(names) < len(given) or None in names:
        return {}  # which is for `tied` to say
    found = {argument.name or "": _tensor(argument, frame) for argument in given}
    if not any(number is not None and _is_computed(number, frame) for number in found.values()):
        return {}
    for argument in given:
        assert isinstance(argument.value, ast.TensorOf)
        if found[argument.name or ""] is None:
            _parameter(argument.value.reference, frame)  # says so where it isn't known at all
            reason = "this is a parameter of a layer, and what comes in beside it is computed"
            hint = "declare it as a `parameter` of the network's own, and hand it to both layers"
            raise _wrong(argument.value.reference.span, reason, hint, frame)
    return {name: number for name, number in found.items() if number is not None}


def _tensor(argument: ast.Argument, frame: Frame) -> int | None:
    assert isinstance(argument.value, ast.TensorOf)
    reference = argument.value.reference
    if reference.path is not None and frame.place.find(frame.parts(reference.path)) is None:
        return None  # a parameter of a layer, or nothing
    flow = frame.follow(reference)
    return flow[0] if flow is not None and len(flow) == 1 else None


def _is_computed(number: int, frame: Frame) -> bool:
    """Tell whether a tensor is one that all samples share, and no parameter."""
    if frame.body.facts(number).batched:
        return False
    layer = frame.body.find(number)[0].layer if number >= 0 else None  # it came in
    return not (isinstance(layer, OwnTensor) and layer.learnable)


def tied(
    layer: Layer, facts: Facts, given: tuple[ast.Argument, ...], frame: Frame
) -> tuple[Tied, ...]:
    """Return which parameters of a layer are those of others, as its arguments ask for.

    Raises:
        ArchError: there is no such parameter, or it has another shape.
    """
    names = list(facts.params)
    often = Counter(argument.name for argument in given)
    ties: dict[str, Tied] = {}
    for argument in given:
        assert isinstance(argument.value, ast.TensorOf)
        name, reference = argument.name, argument.value.reference
        if name not in names or often[name] > 1:
            reason = f"takes `{name}` once" if name in names else f"has no parameter `{name}`"
            quoted = " and ".join(f"`{each}`" for each in names)
            hint = f"its parameters here are {quoted}" if names else "it has no parameters here"
            callee = type(layer).__name__
            raise ArchError(
                BadArguments(argument.span, frame.trail, callee=callee, reason=reason, hint=hint)
            )
        owner, of, shape = _parameter(reference, frame)
        if shape != facts.params[name]:
            own, other = shown_shape(facts.params[name]), shown_shape(shape)
            raise _wrong(
                reference.span,
                f"`{name}` of `{type(layer).__name__}` is {own} here, and this is {other}",
                "" if own != other else "both must have the same sizes",
                frame,
            )
        ties[name] = name, names.index(name), owner, of
    return tuple(ties.values())


def without_tied(facts: Facts, ties: tuple[Tied, ...]) -> Facts:
    """Return facts without the parameters that are those of others: each is counted once."""
    if not ties:
        return facts
    other = {name for name, *_ in ties}
    left = {name: shape for name, shape in facts.params.items() if name not in other}
    return facts._replace(params=left, arithmetic="")


def _parameter(reference: ast.Reference, frame: Frame) -> tuple[int, str, Shape]:
    """Return the node that has the parameter which a reference names, its name there, its shape."""
    path = reference.path
    if path is None or reference.item is not None:
        reason = "a parameter is named by its layer and its own name, as in the state_dict"
        raise _wrong(reference.span, reason, "for example `from embed.weight`", frame)
    parts = frame.parts(path)
    frame.body.references += 1
    whole = frame.place.find(parts)
    if whole is not None and (found := _held(whole, "", frame)):
        return found
    outer = frame.place.find(parts[:-1]) if len(parts) > 1 else None
    if outer is not None and (found := _held(outer, parts[-1], frame)):
        return found
    if whole is None and outer is None:
        raise frame.unknown(parts[:-1] or parts, reference.span)
    name, holder = ".".join(parts), outer or whole
    hint = ""
    if holder is not None and holder.end == holder.first + 1:
        held = [each for each in frame.body.facts(holder.first).params if each]
        at = ".".join(parts[:-1] if outer else parts)
        hint = " or ".join(f"`from {at}.{each}`" for each in held[:4])
    reason = f"`{name}` is no parameter of a layer, and no tensor that all samples share"
    raise _wrong(reference.span, reason, hint, frame)


def _held(entry: Entry, name: str, frame: Frame) -> tuple[int, str, Shape] | None:
    """Return a parameter of the layer that a label stands for, or a tensor of the network's own."""
    number = entry.first
    if entry.end != entry.first + 1:
        if name or entry.flow is None or len(entry.flow) != 1 or entry.flow[0] < 0:
            return None
        (number,) = entry.flow
    made, move = frame.body.find(number)
    for own, _, owner, of in made.ties:
        if own == name:  # it is another's itself
            return move(owner), of, frame.body.facts(move(owner)).params[of]
    shape = made.facts.params.get(name)
    if shape is None or made.shares >= 0:
        return None
    return number, name, shape


def _wrong(span: Span, reason: str, hint: str, frame: Frame) -> ArchError:
    return ArchError(BadFlow(span, frame.trail, reason=reason, hint=hint))
