"""Works out what joins branches: merges and residuals."""

from __future__ import annotations

from archdsl.diagnostics import ArchError, Label, Span
from archdsl.elaborate.bodies import Made
from archdsl.elaborate.calls import infer, is_constant, make_layer
from archdsl.elaborate.errors import BadFlow, BranchesDisagree, Spoiled
from archdsl.elaborate.expressions import evaluate_as
from archdsl.elaborate.frames import Branched, Frame, Work
from archdsl.elaborate.labels import open_scope, settle, single
from archdsl.elaborate.naming import Entry
from archdsl.elaborate.tracing import follow_choice
from archdsl.elaborate.values import BlockValue, truth
from archdsl.layers.base import Disagreement, Layer, LayerError, Shape, shown_shape
from archdsl.syntax import ast


def merge(operation: ast.Merge, stage: ast.Stage, frame: Frame) -> Work:
    place, entry = open_scope(frame, stage.label) if stage.label else (None, None)
    inner = frame.inner(place)
    inner.branches = []
    yield operation.body, inner
    kind = frame.world.layers.word(operation.word)
    call = ast.Call(ast.Name(operation.word, operation.span), operation.arguments, operation.span)
    block = BlockValue(operation.word, layer=kind)
    layer = make_layer(kind, block, call, frame)
    if not is_constant(call):
        frame.cannot_repeat()
    wire(layer, operation.word, inner.branches, stage, operation, inner, frame, entry)


def residual(operation: ast.Residual, stage: ast.Stage, frame: Frame) -> Work:
    place, entry = open_scope(frame, stage.label) if stage.label else (None, None)
    joined = True
    if operation.condition is not None:
        condition = operation.condition
        joined = frame.asked(
            lambda: evaluate_as(truth, condition, frame, frame.most, "the condition"), condition
        )
    branches: list[Branched] = []
    choice = None
    for body in (operation.body, operation.shortcut):
        if branches and operation.condition is not None and frame.world.trace is not None:
            choice = follow_choice(frame.world.trace, operation.condition, frame, joins=True)
        if branches and not joined:
            break
        inner = frame.inner(place)
        inner.last = operation.span
        first = frame.body.size
        if body is not None:
            yield body, inner
        end = frame.body.size
        branches.append(Branched(inner.flowing, Label(inner.last, ""), first, end))
    if joined:
        layer = frame.recorder.layer(frame.world.layers.word("add"), {})
        wire(layer, "residual", branches, stage, operation, inner, frame, entry)
        if choice is not None:
            choice.end = frame.recorder.nodes
        return
    frame.flowing = branches[0].flow
    frame.last = stage.span
    settle(entry, operation.name, frame)


def wire(
    layer: Layer,
    word: str,
    branches: list[Branched],
    stage: ast.Stage,
    operation: ast.Merge | ast.Residual,
    inner: Frame,
    frame: Frame,
    entry: Entry | None,
) -> None:
    """Make the node that joins branches; `entry` is of the label of the merge."""
    incoming: list[int] = []
    for branch in branches:
        if branch.flow is None:
            raise Spoiled
        if len(branch.flow) != 1:
            single(branch.flow, "what a branch gives", branch.label.span, frame)
            raise Spoiled
        incoming += branch.flow
    if not incoming and any(isinstance(one, ast.Stage) for one in operation.body.statements):
        raise Spoiled  # structure.py has said that these belong into branches
    if not incoming:
        if inner.flowing != frame.flowing:
            raise Spoiled  # something else than branches stands in it, which was reported
        reason = f"`{word}` has no branches"
        hint = "it needs at least one `branch { ... }`"
        raise ArchError(BadFlow(operation.span, frame.trail, reason=reason, hint=hint))
    shapes = tuple([frame.shape(number) for number in incoming])
    path = operation.name or stage.label
    label = ".".join(frame.parts(path)) if path else ""
    try:
        facts = frame.recorder.infer(layer, [*map(frame.body.facts, incoming)], shapes)
    except Disagreement as error:
        raise ArchError(disagreement(word, error, branches, operation.span, frame)) from None
    except LayerError:  # which is raised again, with its place
        facts = infer(layer, tuple(incoming), operation.span, frame)
    if frame.inside is not None:
        frame.inside.join(shapes, facts)
    scope = inner.place.opened
    made = Made("", label, layer, tuple(incoming), facts, scope, operation.span, frame.way)
    frame.flowing = (frame.make(made),)
    frame.keep_node(made)
    frame.last = stage.span if not isinstance(stage.operation, ast.Merge) else operation.span
    settle(entry, operation.name, frame)


def disagreement(
    word: str, error: Disagreement, branches: list[Branched], span: Span, frame: Frame
) -> BranchesDisagree:
    """Show each branch with its shape, and a way to mend it if a layer knows one."""
    shapes = [frame.body.facts(branch.flow[0]).output for branch in branches if branch.flow]
    labels = tuple(
        Label(branch.label.span, shown_shape(shape))
        for branch, shape in zip(branches, shapes, strict=True)
    )
    hint = error.help or way_to_mend(branches, shapes, frame)
    return BranchesDisagree(
        span, frame.trail, word=word, axes=error.named, branches=labels, hint=hint
    )


def way_to_mend(branches: list[Branched], shapes: list[Shape], frame: Frame) -> str:
    """Ask the layers of branches how to give the size that most of the others have."""
    sizes = [shape[1:] for shape in shapes]
    for size in sorted(dict.fromkeys(sizes), key=sizes.count, reverse=True):
        if sizes.count(size) < max(map(sizes.count, sizes)):
            break
        wanted = next(shape for shape in shapes if shape[1:] == size)
        for branch, other in zip(branches, sizes, strict=True):
            if other != size and (hint := ask_layers(branch, wanted, frame)):
                return hint
    return ""


def ask_layers(branch: Branched, wanted: Shape, frame: Frame) -> str:
    """Ask the layer of a branch that loses the size wanted, else the last that changes it."""
    changing = []
    for number in range(branch.first, branch.end):
        made, move = frame.body.find(number)
        came = tuple(frame.body.facts(move(read)).output for read in made.inputs)
        if came and came[0][1:] != made.facts.output[1:]:
            changing.append((made.layer, came))
    losing = [(layer, came) for layer, came in changing if came[0][1:] == wanted[1:]]
    for layer, came in losing[:1] or changing[-1:]:
        return layer.mend(came, wanted)
    return ""
