"""`reuse`: applies the modules of an earlier stage again, to something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archdsl.diagnostics import Span
from archdsl.elaborate.errors import NotReusable, Problem
from archdsl.elaborate.making import infer
from archdsl.elaborate.naming import Entry
from archdsl.elaborate.recording import Record
from archdsl.elaborate.wording import shown_shape

if TYPE_CHECKING:
    from archdsl.elaborate.frames import Frame


def replay(name: str, entry: Entry, span: Span, label: str, frame: Frame) -> tuple[int, ...]:
    """Make the nodes of a stage, group or block once more, with what flows coming in.

    Each new node shares the module of the one it repeats, so the parameters stay the same ones.

    Raises:
        Problem: it has no module, or its parameters don't fit what comes in.
    """

    def refuse(reason: str) -> Problem:
        return Problem(
            NotReusable(span=span, trail=frame.trail, name=name, reason=reason, first=entry.span)
        )

    records = frame.recorder.records
    if entry.end <= entry.first or entry.incoming is None or entry.flow is None:
        empty = entry.place is not None
        raise refuse("it holds no layer" if empty else "it names a tensor, and not a stage")
    assert frame.flowing is not None
    if len(entry.incoming) != len(frame.flowing):
        raise refuse(f"it takes {len(entry.incoming)} tensors, and {len(frame.flowing)} come in")
    frame.recorder.reserve(entry.end - entry.first, span, frame.trail)
    new = dict(zip(entry.incoming, frame.flowing, strict=True))
    for number in range(entry.first, entry.end):
        old = records[number]
        inputs = tuple(new.get(read, read) for read in old.inputs)
        facts = infer(old.layer, inputs, span, frame) if inputs else old.facts
        if facts.params != old.facts.params:
            came = " and ".join(shown_shape(frame.recorder.shape(read)) for read in inputs)
            made = " and ".join(shown_shape(frame.recorder.shape(read)) for read in old.inputs)
            raise refuse(f"its parameters were made for {made}, and {came} comes in")
        if not inputs:
            new[number] = number  # a tensor of its own is the same one
            continue
        shares = old.shares if old.shares >= 0 else number
        record = Record(
            "", label if number == entry.end - 1 else "", old.layer, inputs, facts, old.scope, span,
            frame.trail, shares if old.name or old.shares >= 0 else -1,
        )  # fmt: skip
        new[number] = frame.recorder.add(record)
    return tuple(new[number] for number in entry.flow)
