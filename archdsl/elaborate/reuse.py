"""`reuse`: applies the modules of an earlier stage again, to something else."""

from __future__ import annotations

from archdsl.diagnostics import ArchError, Span
from archdsl.elaborate.bodies import Made
from archdsl.elaborate.calls import infer
from archdsl.elaborate.errors import NotReusable
from archdsl.elaborate.frames import Frame
from archdsl.elaborate.naming import Entry
from archdsl.elaborate.ties import without_tied
from archdsl.layers.base import Facts, TorchModule, shown_shape


def replay(name: str, entry: Entry, span: Span, label: str, frame: Frame) -> tuple[int, ...]:
    """Make the nodes of a stage, group or block once more, with what flows coming in.

    Each new node shares the module of the one it repeats, so the parameters stay the same ones.

    Raises:
        ArchError: it has no module, or its parameters don't fit what comes in.
    """

    def refuse(reason: str, hint: str = "") -> ArchError:
        return ArchError(
            NotReusable(span, frame.trail, name=name, reason=reason, first=entry.span, hint=hint)
        )

    body = frame.body
    if entry.incoming is None and entry.place is not None:
        hint = "put its stages into a group, `label: { ... }`, and apply that again"
        raise refuse("it is no layer, group or block", hint)
    if entry.end <= entry.first or entry.incoming is None or entry.flow is None:
        empty = entry.place is not None
        raise refuse("it holds no layer" if empty else "it names a tensor, and not a stage")
    assert frame.flowing is not None
    if len(entry.incoming) != len(frame.flowing):
        takes = "one tensor" if len(entry.incoming) == 1 else f"{len(entry.incoming)} tensors"
        come = f"{len(frame.flowing)} come" if len(frame.flowing) > 1 else "one comes"
        raise refuse(f"it takes {takes}, and {come if frame.flowing else 'none comes'} in")
    frame.recorder.reserve(entry.end - entry.first, span, frame.trail)
    pairs = set(zip(entry.incoming, frame.flowing, strict=True))
    new = dict(pairs)
    if len(new) < len(pairs):  # nodes know what they read, and not as which input
        raise refuse("it took the same tensor as several inputs, and now takes different ones")
    # in their order, so that what one reads of the others is there by then
    for number in range(entry.first, entry.end):
        old, move = body.find(number)
        before = tuple(map(move, old.inputs))
        inputs = tuple(new.get(read, read) for read in before)
        facts = infer(old.layer, inputs, span, frame) if inputs else old.facts
        facts = without_tied(facts, old.ties)
        if _module(facts) != _module(old.facts):
            came = " and ".join(shown_shape(body.facts(read).output) for read in inputs)
            was = " and ".join(shown_shape(body.facts(read).output) for read in before)
            what = "its parameters were" if facts.params else "it was"
            raise refuse(f"{what} made for {was}, and {came} comes in")
        if not inputs:
            new[number] = number  # a tensor of its own is the same one
            continue
        # of what was itself made by `reuse` the first node has the module
        shares = move(old.shares) if old.shares >= 0 else number
        made = Made(
            "", label if number == entry.end - 1 else "", old.layer, inputs, facts, None, span,
            frame.way, shares if old.tail or old.shares >= 0 else -1, number,
        )  # fmt: skip
        new[number] = frame.make(made)
    return tuple(new[number] for number in entry.flow)


def _module(facts: Facts) -> tuple[object, ...]:
    """Return what a module is made with, which must be the same wherever it is applied."""
    torch = facts.torch
    if not isinstance(torch, TorchModule):
        return ()
    arguments = torch.positional, torch.keywords
    return torch.target, arguments, facts.params, facts.buffers
