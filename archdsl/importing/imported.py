"""The way from a module of PyTorch to a spec, and to a network made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.importing.apart import NotApart, taken_apart
from archdsl.importing.batches import following, other_batch
from archdsl.importing.blocks import extract
from archdsl.importing.bodies import Body
from archdsl.importing.costs import Costs
from archdsl.importing.errors import ImportingError, NoForwardPass, NoModule, NotSayable
from archdsl.importing.free import Differs, odd_shapes, unify
from archdsl.importing.graphs import GraphMaker
from archdsl.importing.hoisting import flatten, hoist
from archdsl.importing.inputs import filled, input_names, of_samples, sized
from archdsl.importing.lowering import Lowering, as_layer
from archdsl.importing.made import in_order, require_numbers
from archdsl.importing.making import Unsayable
from archdsl.importing.missing import raise_if_lost, require_floats, require_sayable, require_used
from archdsl.importing.naming import few, label, register, valid
from archdsl.importing.places import place_of, shown_place
from archdsl.importing.proof import (
    Proof,
    elsewhere,
    joint,
    kept,
    load_text,
    prove,
    put_into,
    restore,
)
from archdsl.importing.randomness import untouched
from archdsl.importing.record import Call, Value
from archdsl.importing.recorder import record
from archdsl.importing.sharing import dissolve
from archdsl.importing.structure import Structure
from archdsl.importing.tree import (
    Definition,
    Own,
    Part,
    Statement,
    Written,
    everything,
    taking_positions,
)
from archdsl.importing.writing import network, remark
from archdsl.layers.registry import Registry
from archdsl.network import Network

if TYPE_CHECKING:
    from archdsl.backends.python_source import PythonSource


# What is computed, what of it only training gives, and places: where gradients stop, where the
# module has its own, and where numbers are infinite.
Recorded = tuple[Body, set[Value], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
SAMPLES = 5  # a number that is seldom a size of something in a module


class Imported(Network):
    """A network that was written from a module of PyTorch, or recorded from one.

    Where the language has no words for all that the module does it can be counted and drawn all
    the same; the parts for which there are none are marked "from torch". What asks for the text
    then, as `spec` and `compile` do, raises an error that lists what is missing.

    Attributes:
        spec: its text.
        weights: the module's parameters and buffers by name, with which `compile` begins; but for
            those that no output needs.
        proof: how it was compared with the module.
        notes: what the module does and the text doesn't say, one sentence each; they stand at its
            head.
    """

    notes: tuple[str, ...] = ()
    weights: Mapping[str, torch.Tensor]
    _spec = ""
    _proof: Proof | None = None
    _refused: ImportingError | None = None  # why there is no text

    @property
    def spec(self) -> str:
        self._require_text()
        return self._spec

    @property
    def proof(self) -> Proof:
        self._require_text()
        assert self._proof is not None
        return self._proof

    def _require_text(self) -> None:
        if self._refused is not None:
            raise self._refused

    @property
    def _generated(self) -> PythonSource:
        self._require_text()
        return super()._generated


class Unproven(ArchError):
    """A text that the language doesn't take, or that isn't the module.

    Attributes:
        marked: the text, with what is wrong with it at its head.
        sentence: what is wrong, in one line.
    """

    def __init__(self, text: str, sentence: str, cause: ArchError) -> None:
        super().__init__(*cause.diagnostics)
        self.sentence = sentence
        self.marked = marked(text, sentence)


def marked(text: str, sentence: str) -> str:
    """Return a text with a mark at its head."""
    return remark(f"archdsl import: {sentence}") + text


def from_torch(
    module: nn.Module,
    images: torch.Tensor | Sequence[torch.Tensor],
    /,
    *,
    name: str | None = None,
    inputs: Sequence[str] = (),
    shapes: Sequence[Sequence[int | str]] = (),
    source: str = "",
) -> Imported:
    """Write a module as a spec, prove that it is the same, and return the network.

    Where the language has no words for a part of it, the network can be counted and drawn, with
    that part as torch counts it, and its `spec` raises an error that lists what is missing.

    The module's forward pass is run on the inputs, in evaluation and in training mode; its
    parameters and buffers are the same afterwards.

    Args:
        module: whose source is recovered.
        images: a tensor, or several, that it takes: a batch of at least two samples each.
        name: of the network; else the module's class.
        inputs: names for the inputs; where all are those of `forward`'s parameters, it gets them by
            name.
        shapes: of the inputs, without batch, where some sizes are to be free: `[[3, "H", "W"]]`.
            The module is run at other sizes too, and numbers that follow them become formulas.
        source: where the module comes from, for the network's description.

    Raises:
        ImportingError: the module doesn't run on the inputs.
        Unproven: the text isn't one that the language takes, which is a fault of archdsl.
    """
    if not isinstance(module, nn.Module):
        what = f"`{type(module).__name__}`"
        raise ImportingError(NoModule(what=what, reason="is no torch.nn.Module"))
    if not [*module.children()] and layer_alone(module):
        what = f"`{type(module).__name__}`"
        reason = "is a layer by itself, and its parameters belong to no module of a network"
        hint = "wrap it: `nn.Sequential(module)`"
        raise ImportingError(NoModule(what=what, reason=reason, hint=hint))
    given = tuple(images) if isinstance(images, list | tuple) else (images,)
    require_numbers(module, given)
    if len(inputs) == len(given):
        order = in_order(module, inputs)
        given, inputs = tuple(given[at] for at in order), [inputs[at] for at in order]
        shapes = [shapes[at] for at in order] if len(shapes) == len(order) else shapes

    def compared(loaded: Network, runs: Sequence[tuple[torch.Tensor, ...]]) -> Proof:
        return joint([prove(loaded, module, run) for run in runs])

    title = name or type(module).__name__
    return written_as_spec(module, given, compared, title, inputs, shapes, source)


@untouched()
def written_as_spec(
    module: nn.Module,
    given: tuple[torch.Tensor, ...],
    compared: Callable[[Network, Sequence[tuple[torch.Tensor, ...]]], Proof],
    name: str,
    inputs: Sequence[str] = (),
    shapes: Sequence[Sequence[int | str]] = (),
    source: str = "",
    told: Sequence[str] = (),
) -> Imported:
    """Write a module as a spec, and compare the network that comes of it on all sizes of inputs.

    The arguments and what is raised are those of `from_torch`; `told` is what else the text
    doesn't say.
    """
    title = valid(name)
    if title in Registry():
        title += "Net"  # a network would hide the layer
    description = f"Written by archdsl import from {source or qualified(module)}"
    runs = sized(module, given, shapes)
    try:
        text, notes, runs = spec_of(module, runs, shapes, title, description, inputs)
    except ImportingError as error:
        if not isinstance(error.diagnostics[0], NotSayable):
            raise
        recorded = Imported(graph_of(module, given, title, inputs))
        recorded.weights, recorded._refused = dict(module.state_dict()), error
        return recorded
    free = len(runs) > 1
    try:
        try:
            found = imported_of(load_text(text, title))
            proof = compared(found, runs)
            held = [tuple(one.shape[1:]) for one in given]
            odd = odd_shapes([tuple(shape) for shape in shapes], held) if free else []
            wrong, note = elsewhere(module, found, compared, filled(given, odd))
        except ArchError as error:
            if not free:
                raise
            wrong, note = first_sentence(error), ""  # no module of formulas like these
        if free and (wrong or not proof.same):
            wrong = f"sizes are not free as asked for: {wrong or proof.sentence()}"
            text, notes, runs = spec_of(module, runs, shapes, title, description, inputs, wrong)
            found = imported_of(load_text(text, title))
            proof = compared(found, runs)
        elif note:
            notes, text = (note, *notes), remark(note) + text
    except ArchError as error:
        sentence = f"not the same: the text is wrong ({first_sentence(error)})"
        raise Unproven(text, sentence, error) from error
    for note in told:
        notes, text = (note, *notes), remark(note) + text
    if proof.same and proof.missing:
        note = f"no output needs {few(proof.missing)}, which the module holds: not here"
        notes, text = (note, *notes), remark(note) + text
    found._spec = text if proof.same else marked(text, proof.sentence())
    stored = module.state_dict()
    found.weights = {name: one for name, one in stored.items() if name not in proof.missing}
    found._proof, found.notes = proof, notes
    numbers = not any(one.is_meta for one in found.weights.values())
    if numbers and not proof.surplus and not proof.differing:
        found.load_weights(found.weights)  # whatever became of the outputs
    return found


def imported_of(loaded: Network) -> Imported:
    """Return a network that was loaded as one that is imported.

    It is what is compared, so that its source is written once for that and for its weights.
    """
    return Imported(loaded.checked, loaded._read)


def layer_alone(module: nn.Module) -> bool:
    """Tell whether a module is a class of torch with parameters."""
    return bool(module.state_dict()) and type(module).__module__.startswith("torch.nn.")


def qualified(module: nn.Module) -> str:
    """Return where a module's class stands."""
    kind = type(module)
    return f"{kind.__module__}.{kind.__qualname__}"


def spec_of(
    module: nn.Module,
    runs: list[tuple[torch.Tensor, ...]],
    shapes: Sequence[Sequence[int | str]],
    name: str,
    description: str = "",
    wanted: Sequence[str] = (),
    fixed: str = "",
) -> tuple[str, tuple[str, ...], list[tuple[torch.Tensor, ...]]]:
    """Return the text of a module, what it doesn't say, and the inputs for which it is right.

    Args:
        fixed: why sizes can't be free, if that is known.

    Raises:
        ImportingError: the module doesn't run, or can't be said.
    """
    require_floats(module, name)
    recorded, (body, training, *places) = recorded_apart(module, runs)
    inputs = recorded[0]
    require_any_batch(module, body, inputs, name)
    if len(runs) > 1:
        fixed = fixed or why_fixed(module, body, recorded)
    free = len(runs) > 1 and not fixed
    try:
        names = input_names(module, inputs, wanted)
        require_used(body, names)
        statements = rooted(body, training, names, inputs[0].shape[0])
        label(statements)
        register(statements, module)
        blocks = extract(statements, {*names.values(), name})
    except Unsayable as error:
        text = f"1 time: {error}"
        raise ImportingError(NotSayable(what=f"`{name}`", missing=(text,))) from None
    written = {
        names[number]: tuple(map(Written, map(str, shapes[number])))
        if free
        else tuple(one.shape[1:])
        for number, one in enumerate(inputs)
    }
    notes = (*([fixed] if fixed else []), *unsaid(module, statements, blocks, *places))
    head = "".join(map(remark, notes))
    text = head + network(name, description, written, statements, blocks)
    return text, notes, runs if free else runs[:1]


def recorded_apart(
    module: nn.Module, runs: list[tuple[torch.Tensor, ...]]
) -> tuple[list[tuple[torch.Tensor, ...]], Recorded]:
    """Return what a module computes, and the inputs on which that was recorded.

    A size of the module that is that of the batch by chance is taken for it, so that what can't be
    said is tried once more on another number of samples.

    Raises:
        ImportingError: it doesn't run, or can't be said.
    """
    try:
        return runs, body_of(module, runs[0])
    except ImportingError as error:
        if not isinstance(error.diagnostics[0], NotSayable):
            raise
        others = [of_samples(run, SAMPLES) for run in runs]
        with suppress(ImportingError):
            return others, body_of(module, others[0])
        raise


def require_any_batch(
    module: nn.Module, body: Body, inputs: tuple[torch.Tensor, ...], name: str
) -> None:
    """Raise where something in a body follows the size of the batch."""
    try:
        other = body_of(module, other_batch(body, inputs))[0]
    except ImportingError:
        return  # it is for so many samples alone
    raise_if_lost(Counter(following(body, other)), name)


def why_fixed(module: nn.Module, body: Body, runs: Sequence[tuple[torch.Tensor, ...]]) -> str:
    """Write formulas of free sizes into a body; return why its sizes can't be free, or ""."""
    start = "sizes are not free as asked for: "
    others: list[Body] = []
    for run in runs[1:]:
        try:
            others.append(body_of(module, run)[0])
        except ImportingError as error:
            shapes = " and ".join("x".join(map(str, one.shape[1:])) for one in run)
            first = error.diagnostics[0]
            said = "; ".join([first.message(), *first.notes()])
            return f"{start}at {shapes} {said}"
    try:
        lost = unify([body, *others])
    except Differs as error:
        return f"{start}the module goes another way at other sizes, at {shown_place(str(error))}"
    if lost:
        shown = [f"{what}, at {shown_place(place)}" for what, place in lost]
        return f"{start}no formula was found for {few(shown)}"
    return ""


def unsaid(
    module: nn.Module,
    statements: Sequence[Statement],
    blocks: Sequence[Definition],
    cut: Sequence[str],
    own: Sequence[str],
    infinite: Sequence[str],
) -> tuple[str, ...]:
    """Say what a module does and its text doesn't, in one sentence each."""
    notes: list[str] = []
    frozen = [name for name, one in module.named_parameters() if not one.requires_grad]
    if frozen:
        notes.append(f"frozen in the module (requires_grad = False), and not here: {few(frozen)}")
    if cut:
        places = [shown_place(place) for place in cut]
        notes.append(f"gradients stop in the module, and not here: {few(places)}")
    hooked = [path or "the module" for path, one in module.named_modules() if one._backward_hooks]
    hooked += [name for name, one in module.named_parameters() if one._backward_hooks]
    if own or hooked:
        notes.append(
            f"gradients are the module's own (autograd.Function, hooks), and here those of what "
            f"is computed: {few([*map(shown_place, own), *hooked])}"
        )
    bodies = [statements, *(one.statements for one in blocks)]
    owned = [one for body in bodies for one in everything([*body]) if isinstance(one, Own)]
    if drawn := [one.label for one in owned if one.differs]:
        notes.append(
            f"first values of buffers that are large, or hold infinity, are others here, and the "
            f"module's own are in its weights: {few(drawn)}"
        )
    places = [*map(shown_place, infinite), *(one.label for one in owned if one.infinite)]
    if places:
        notes.append(
            f"infinity in the module is the largest number here, and what gives NaN there, as "
            f"softmax of a row that is masked as a whole, a number: {few(places)}"
        )
    return tuple(notes)


def rooted(body: Body, training: set[Value], names: Mapping[int, str], batch: int) -> Any:
    """Return the statements of the whole network, whose inputs have names already."""
    if not body.outputs or any(value in body.inputs for value in body.outputs):
        raise Unsayable("a module that gives what came in, or nothing that it computes")
    dissolve(body)
    structure = Structure(body, training=training, batch=batch)
    return structure.network(names)


def name_by_position(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], nameless: set[nn.Module]
) -> None:
    """Give modules that have no names those of their positions in the text, which needs no labels.

    Nothing is done where there is no text.
    """
    try:
        _, (body, training, *_) = recorded_apart(module, [inputs])
        statements = rooted(body, training, input_names(module, inputs), inputs[0].shape[0])
    except (ImportingError, Unsayable):
        return  # whoever wants the text gets the reason
    homes: list[tuple[nn.Module, list[Statement]]] = [(module, statements)]
    while homes:
        home, inside = homes.pop()
        names: dict[str, str] = {}
        for position, one in enumerate(taking_positions(inside)):
            held = home._modules.get(one.path)
            if held in nameless and str(position) not in home._modules:
                names[one.path] = str(position)
            if isinstance(one, Part) and one.body is not None:
                homes.append((one.body.module, one.statements))
        renamed = {names.get(name, name): one for name, one in home._modules.items()}
        home._modules.clear()
        home._modules.update(renamed)


def body_of(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Recorded:
    """Record a module in both modes and return what it computes, with what only training gives.

    The third is where gradients stop, the fourth where the module has its own, and the fifth where
    numbers are infinity. Batches that it joins are told apart where it can't be said as it stands.

    Raises:
        ImportingError: it doesn't run, or can't be said.
    """
    try:
        return body_by(module, inputs, lambda root, batch: root)
    except ImportingError as error:
        if not isinstance(error.diagnostics[0], NotSayable):
            raise
        with suppress(ImportingError, NotApart):
            return body_by(module, inputs, taken_apart)
        raise


def body_by(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], turned: Callable[[Call, int], Call]
) -> Recorded:
    """Record a module in both modes, and return the same for what recorded passes are turned to."""
    batch = batch_of(module, inputs)
    was = module.training
    before = kept(module)
    passes: dict[bool, Lowering] = {}
    try:
        for training in (False, True):
            put_into(module, training)
            root, output = run(module, inputs)
            passes[training] = Lowering(turned(root, batch), output, batch)
    finally:
        module.train(was)
        restore(module, before)
    for one in passes.values():
        flatten(one.root)
        hoist(one.root)
    require_sayable(passes[False], passes[True], type(module).__name__)
    body, besides = joined(passes[False], passes[True], type(module).__name__)
    full = passes[True]
    return body, besides, tuple(full.cut), tuple(full.own), tuple(full.functions.infinite)


def run(module: nn.Module, inputs: tuple[torch.Tensor, ...], costs: Any = None) -> tuple[Any, Any]:
    """Record a pass.

    Raises:
        ImportingError: the module fails.
    """
    try:
        return record(module, inputs, as_layer, costs)
    except ImportingError:
        raise  # the module has its own words for it
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        what = f"`{type(module).__name__}`"
        place = place_of(error)
        raise ImportingError(NoForwardPass(what=what, reason=reason, place=place)) from error


@untouched()
def graph_of(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    name: str,
    wanted: Sequence[str] = (),
) -> CheckedGraph:
    """Return the graph of a module that runs, whether the language has words for it or not.

    Raises:
        ImportingError: it doesn't run.
    """
    batch = batch_of(module, inputs)
    was, before = module.training, kept(module)
    try:
        put_into(module, training=False)
        root, output = run(module, inputs, Costs())
    finally:
        module.train(was)
        restore(module, before)
    with torch.device("cpu"):  # where numbers are looked at that the module made on the CPU besides
        lowering = Lowering(root, output, batch)
    names = input_names(module, inputs, wanted)
    given = sorted(
        (value for value in root.values_in() if value.input is not None),
        key=lambda value: value.input or 0,
    )
    shapes = {names[number]: tuple(one.shape[1:]) for number, one in enumerate(inputs)}
    return GraphMaker(name, module, lowering, names, given).graph(shapes)


def batch_of(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Return how many samples come in.

    Raises:
        ImportingError: the inputs don't tell.
    """
    require_numbers(module, inputs)
    batches = {one.shape[0] for one in inputs if one.dim() > 0}
    if len(batches) != 1 or len(inputs) == 0:
        reason = "needs inputs that begin with one batch axis, of the same size"
        raise ImportingError(NoModule(what=f"`{type(module).__name__}`", reason=reason))
    (batch,) = batches
    here = next((str(one.device) for one in module.parameters()), "")
    for one in inputs:
        if here and str(one.device) != here:
            reason = f"is on the device {here}, and what comes in on {one.device}"
            hint = "give both to one device"
            raise ImportingError(
                NoModule(what=f"`{type(module).__name__}`", reason=reason, hint=hint)
            )
    return batch


def joined(evaluation: Lowering, training: Lowering, name: str) -> tuple[Body, set[Value]]:
    """Return the pass of training, which has all that evaluation has, and what it has besides.

    Raises:
        ImportingError: evaluation does something that training doesn't.
    """
    plain, full = evaluation.root, training.root
    alike = [n.signature() for n in plain.nodes()] == [n.signature() for n in full.nodes()]
    if alike and len(plain.outputs) == len(full.outputs):
        # in evaluation a dropout gives the very tensor that came in, so that the two are one there
        return full, set()
    pairs: dict[Value, Value] = {}
    rest = iter(full.nodes())
    for node in plain.nodes():
        for other in rest:
            if other.signature() == node.signature():
                pairs[node.output] = other.output
                break
        else:
            what = f"`{node.path or node.use.layer}`, which only evaluation mode does"
            at = shown_place(node.place)
            raise ImportingError(
                NotSayable(what=f"`{name}`", missing=(f"1 time: {what}, at {at}",))
            )
    wanted = [pairs[value] for value in plain.outputs]
    others = [value for value in full.outputs if value not in wanted]
    if [value for value in full.outputs if value in wanted] != wanted or full.outputs[0] in others:
        full.outputs = [*wanted, *others]  # in evaluation mode the order has to be right
    for value in plain.outputs:
        if value in plain.names:
            full.names[pairs[value]] = plain.names[value]
    return full, set(others)


def first_sentence(error: ArchError) -> str:
    return error.diagnostics[0].sentence() if error.diagnostics else str(error)
