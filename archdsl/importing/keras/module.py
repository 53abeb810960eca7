"""A module of torch that computes what the layers of a file say.

Its submodules are the scopes that the names of layers tell of, and in these the layers with
weights; all else is functions of torch. It is made by one run on the meta device, where no number
is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from archdsl.diagnostics import printable
from archdsl.importing.bounds import Bounded
from archdsl.importing.errors import ImportingError, NotSayable
from archdsl.importing.keras.at import At, Source, Variable, require_plain
from archdsl.importing.keras.errors import Missing, Wrong
from archdsl.importing.keras.held import FIRST, LAST, Held, Order
from archdsl.importing.keras.hierarchy import Leaf, Part, Step, kind_of, planned
from archdsl.importing.keras.layers import LAYERS
from archdsl.importing.keras.models import Layer, Model, Ref, Sizes, Use, leaves
from archdsl.importing.keras.reading import KerasFile
from archdsl.importing.naming import few, fresh, valid
from archdsl.importing.places import standing_at
from archdsl.importing.scopes import attach, scope_module

MOST_COMPUTED = 2**33  # numbers in all tensors of one pass
MOST_LISTED = 12
KINDS = ("float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")
LAYERS_ALONE = ("Average", "Reshape")  # and not the operations of the name
SEQUENCES = ("Conv1D", "SeparableConv1D", "DepthwiseConv1D", "Conv1DTranspose", "MaxPooling1D",
             "AveragePooling1D", "ZeroPadding1D", "UpSampling1D", "Cropping1D")  # fmt: skip


class TooLarge(Exception):
    """More numbers than are computed."""


class Net:
    """One model of a file while it is computed: the file's own, or one in another."""

    def __init__(self, build: Builder, model: Model, module: Any) -> None:
        self.build, self.model, self.module = build, model, module
        self.steps = planned(model.uses, model.outputs)
        self.values: dict[Ref, Held] = {}
        self.orders: list[Order] = []
        self.called = self.outermost = False
        self.given: list[Order] = [order_of(model, ref) for ref in model.inputs]
        module.forward = self.forward

    def call(self, given: Sequence[Held]) -> list[Held]:
        """Return what the model makes of tensors."""
        # its text is written once: all calls have the order of the first, and none is of Flatten
        if not self.called:
            self.given = [FIRST if one.order == FIRST else LAST for one in given]
            self.called = True
        pairs = zip(given, self.given, strict=True)
        found = self.module(*[one.within(order) for one, order in pairs])
        many = found if isinstance(found, tuple) else (found,)
        return [Held(one, order) for one, order in zip(many, self.orders, strict=True)]

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return what the outputs are."""
        before = self.values
        held = [Held(one, order) for one, order in zip(inputs, self.given, strict=True)]
        self.values = dict(zip(self.model.inputs, held, strict=True))
        self.steps_of(self.module, self.steps)
        found = [self.value(ref) for ref in self.model.outputs]
        if self.outermost:
            given = [Held(one, order) for one, order in zip(inputs, self.given, strict=True)]
            first = {one.rank for one in given if one.order == FIRST}
            if not counts_channels_first(self.model):
                first |= {one.rank for one in found if one.rank > 3}
            found = [
                Held(one.first, FIRST) if one.rank in first else Held(one.last) for one in found
            ]
        found = [one.ordered for one in found]
        self.orders = [one.order for one in found]
        self.values = before
        if self.outermost and self.build.names:
            return dict(zip(self.build.names, (one.pair[0] for one in found), strict=True))
        if len(found) == 1:
            return found[0].pair[0]
        return tuple(one.pair[0] for one in found)

    def steps_of(self, home: nn.Module, steps: Sequence[Step]) -> None:
        """Compute the layers of a scope."""
        for step in steps:
            if isinstance(step, Leaf):
                self.leaf(home, step)
                continue
            if step.module is None:
                step.module = scope_module(step.kind)
                step.module.forward = self.runner(step)
                attach(home, step.label, step.module)
            step.module(*[self.value(ref).pair[0] for ref in step.reads])

    def runner(self, part: Part) -> Callable[..., Any]:
        """Return the `forward` of a scope: it takes and gives what flows in and out."""

        def forward(*tensors: torch.Tensor) -> Any:
            self.steps_of(part.module, part.steps)
            found = [self.value(ref).pair[0] for ref in part.gives]
            return found[0] if len(found) == 1 else tuple(found)

        return forward

    def leaf(self, home: nn.Module, step: Leaf) -> None:
        """Compute a layer."""
        use = step.use
        self.build.compare(use, self.value)
        found = self.build.called_at(use, home, step.label, self.filled)
        for number, one in enumerate(found):
            self.values[Ref(use.layer.name, use.number, number)] = one

    def value(self, ref: Ref) -> Held:
        """Return what a layer gave; all that come before have been computed."""
        if ref not in self.values:
            name = printable(ref.layer[:200])
            raise self.build.file.bad(f"reads output {ref.number} of `{name}`, which gives fewer")
        return self.values[ref]

    def filled(self, held: Any) -> Any:
        """Return arguments with tensors in the place of their names."""
        if isinstance(held, Ref):
            return self.value(held)
        if isinstance(held, list):
            return [self.filled(one) for one in held]
        if isinstance(held, dict):
            return {key: self.filled(one) for key, one in held.items()}
        return held


class Builder:
    """Makes the modules of a file, and keeps of which weights they are made.

    Attributes:
        left: weights of Keras of which nothing is made.
        names: of the outputs; none where they are but a list.
        notes: what the text won't say.
        compared: how many shapes were those that the file says.
    """

    def __init__(self, file: KerasFile, title: str) -> None:
        self.file, self.title = file, title
        self.early = file.early
        self.nets: dict[Layer, Net] = {}
        self.orders: dict[Layer, tuple[Order, int]] = {}
        self.modules: dict[tuple[Layer, str], nn.Module] = {}
        self.sources: list[tuple[nn.Module, str, Source]] = []
        self.left: dict[Variable, None] = {}
        self.notes: dict[str, None] = {}
        self.compared = self.numbers = 0
        self.building = False
        require_known(file, title)
        self.root = Net(self, file.model, scope_module(title))
        self.root.outermost = True
        self.names, other = named(file.model.gives)
        if other:
            self.note(other)

    def build(self, inputs: Sequence[torch.Tensor]) -> nn.Module:
        """Make the modules by a run on tensors without numbers.

        Raises:
            ImportingError: something has no words, contradicts itself, or is too large.
        """
        self.building = True
        try:
            with torch.no_grad(), Bounded(self.spend):
                self.root.module(*inputs)
        except TooLarge:
            most = f"{MOST_COMPUTED:,}"
            raise self.file.bad(f"computes more than {most} numbers in one pass") from None
        self.building = False
        module: nn.Module = self.root.module
        return module.eval()

    def spend(self, numbers: int) -> None:
        """Refuse to compute more of what flows in one pass than there is room for."""
        self.numbers += numbers
        if self.numbers > MOST_COMPUTED:
            raise TooLarge

    # --- layers ---------------------------------------------------------------------------------

    def called_at(
        self, use: Use, home: nn.Module, label: str, filled: Callable[[Any], Any]
    ) -> list[Held]:
        """Return what a layer gives where it is called."""
        layer = use.layer
        shown = f"layer `{printable(layer.name[:200])}`"
        with standing_at(shown):
            try:
                given, named = filled(use.arguments), filled(use.named)
                if layer.model is not None:
                    require_plain(named)
                    return self.model(layer, home, label, given)
                self.require_dtype(layer)
                return [self.called(At(layer, self, home, label, named), given)]
            except Missing as error:
                text = f"{error} in `{layer.kind}`, at {shown}"
                what = f"`{self.title}`"
                raise ImportingError(NotSayable(what=what, missing=(f"1 time: {text}",))) from None
            except Wrong as error:
                said = f"has a `{layer.kind}` that {error}, at {shown}"
                raise self.file.bad(said) from None
            except (ImportingError, TooLarge):
                raise
            except Exception as error:  # whatever torch says of sizes that don't fit
                reason = " ".join(str(error).split())[:200]
                raise self.file.bad(f"can't be computed at {shown}: {reason}") from None

    def called(self, at: At, given: Sequence[Any]) -> Held:
        """Return what a layer makes of what it is called on."""
        entry = LAYERS.get(at.layer.kind)
        if entry is None:
            raise Missing("what no layer of the language does")
        found: Held = entry(at, *given)
        at.require_all()
        return found

    def model(self, layer: Layer, home: nn.Module, label: str, given: Sequence[Any]) -> list[Held]:
        """Return what a model in another one gives."""
        flat = given[0] if len(given) == 1 and isinstance(given[0], list) else given
        model = layer.model
        assert model is not None
        if len(flat) != len(model.inputs) or not all(isinstance(one, Held) for one in flat):
            raise Wrong(f"takes {len(model.inputs)} tensors, and is called on {len(flat)}")
        if layer not in self.nets:
            module = scope_module(kind_of(label))
            attach(home, label, module)
            self.nets[layer] = Net(self, model, module)
        for ref, one in zip(model.inputs, flat, strict=True):
            require_shape(shape_of(model, ref), one.shape)
        return self.nets[layer].call(flat)

    def require_dtype(self, layer: Layer) -> None:
        """Refuse numbers of kinds that the language hasn't, and say where they are others here."""
        said = layer.config.get("dtype", "float32")
        if isinstance(said, dict):
            held = said.get("config")
            name = held.get("name") if isinstance(held, dict) else None
            source = held.get("source_name") if isinstance(held, dict) else None
            said = name if source is None else "quantized numbers"
        if said is None or said == "float32" or layer.kind == "Embedding":
            return
        if said not in KINDS:
            raise Missing(f"numbers of the kind {printable(str(said)[:40])}")
        self.note(f"Keras computes with {said}, and here it is float32")

    # --- what layers are made with (`Build`) ----------------------------------------------------

    def module(self, at: At, name: str, make: Callable[[], nn.Module]) -> tuple[nn.Module, bool]:
        key = (at.layer, name)
        found = self.modules.get(key)
        if found is not None:
            return found, False
        with torch.device("meta"):
            found = make().eval()  # in training mode norms refuse a single sample
        attach(at.home, f"{at.label}_{name}" if name else at.label, found)
        self.modules[key] = found
        return found, True

    def fill(self, module: nn.Module, name: str, source: Source) -> None:
        self.sources.append((module, name, source))

    def leave(self, variable: Variable) -> None:
        self.left[variable] = None

    def note(self, text: str) -> None:
        self.notes[text] = None

    # --- what is compared -----------------------------------------------------------------------

    def compare(self, use: Use, value: Callable[[Ref], Held]) -> None:
        """Refuse shapes that aren't what the file says of them."""
        if not self.building:
            return
        for ref, said in use.said.items():
            self.require_said(said, value(ref).shape, f"what `{printable(ref.layer)}` gives")
        reads = use.reads
        if use.number == 0 and len(use.layer.said) in (1, len(reads)):
            for ref, said in zip(reads, use.layer.said, strict=False):
                name = printable(use.layer.name)
                self.require_said(said, value(ref).shape, f"what `{name}` takes")

    def require_said(self, said: Sizes, shape: tuple[int, ...], what: str) -> None:
        """Refuse a shape that isn't the one that the file says."""
        fits = len(said) == len(shape) and all(
            one is None or one == size for one, size in zip(said[1:], shape[1:], strict=True)
        )
        if not fits:
            text = f"says that {what} is {shown(said)}, and its layers make it {shown(shape)}"
            raise self.file.bad(text)
        self.compared += 1

    @property
    def variables(self) -> dict[Variable, None]:
        """The weights that the layers have in Keras, and need."""
        return dict.fromkeys(one for *_, source in self.sources for one in source.variables)

    @property
    def count(self) -> int:
        """How many numbers there are in all weights in Keras."""
        return sum(prod(one.shape) for one in (*self.variables, *self.left))


def named(gives: Any) -> tuple[list[str], str]:
    """Return the names of outputs that stand in mappings, and which of them Keras has otherwise."""
    paths = [path for path, _ in leaves(gives)]
    nested = any(len(path) > 1 for path in paths)
    if not any(isinstance(key, str) for path in paths for key in path):
        row = "outputs are lists in a list in Keras, and here they are one"
        return [], row if nested else ""
    found = {path: path[0] for path in paths if len(path) == 1 and path[0] == valid(str(path[0]))}
    taken = {str(one) for one in found.values()}
    told: list[str] = []
    names: list[str] = []
    for path in paths:
        if path in found:
            names.append(str(found[path]))
            continue
        parts = [f"output{key + 1}" if isinstance(key, int) else key for key in path]
        names.append(fresh("_".join(parts), taken))
        where = ".".join(str(key)[:100] for key in path)
        told.append(f"`{printable(where)}` is `{names[-1]}` here")
    lost = "outputs have names in Keras that no text can give them"
    return names, f"{lost}: {few(told)}" if told else ""


def shown(shape: Sequence[int | None]) -> str:
    """Return a shape for a message, without the batch."""
    return "x".join("?" if one is None else str(one) for one in shape[1:]) or "one number"


def require_shape(said: Sizes, shape: tuple[int, ...]) -> None:
    """Refuse what a model in another takes of another shape."""
    if len(said) != len(shape) or any(
        one is not None and one != size for one, size in zip(said[1:], shape[1:], strict=True)
    ):
        raise Wrong(f"takes {shown(said)}, and is called on {shown(shape)}")


def shape_of(model: Model, ref: Ref) -> Sizes:
    """Return the shape of an input of a model, as far as the file says it."""
    config = model.layers[ref.layer].config
    for name in ("batch_shape", "batch_input_shape"):
        held = config.get(name)
        if isinstance(held, list) and held and all(map(is_open, held)):
            return tuple(held)
    held = config.get("shape") or config.get("input_shape")
    if isinstance(held, list) and all(map(is_open, held)):
        return (None, *held)
    raise Wrong("says no shape of what comes in")


def is_open(size: Any) -> bool:
    """Tell whether something is a size, or open."""
    return size is None or (type(size) is int and 0 < size < 2**31)


def order_of(model: Model, ref: Ref) -> str:
    """Return in which order an input comes in: as torch has images, channels behind the batch."""
    try:
        rank = len(shape_of(model, ref))
    except Wrong:
        return LAST
    if rank < 3 or counts_channels_first(model):
        return LAST
    if rank == 3:
        kinds = {use.layer.kind for use in model.uses if ref in use.reads}
        return FIRST if kinds and kinds <= {*SEQUENCES} else LAST
    return FIRST


def counts_channels_first(model: Model) -> bool:
    """Tell whether a model has its channels behind the batch in Keras as well."""
    return any(use.layer.config.get("data_format") == "channels_first" for use in model.uses)


def require_known(file: KerasFile, title: str) -> None:
    """Raise where there are layers without an entry.

    Raises:
        ImportingError: it lists them, most frequent first.
    """
    found: dict[str, list[Layer]] = {}

    def look(model: Model) -> None:
        for layer in dict.fromkeys(use.layer for use in model.uses):
            if layer.model is not None:
                look(layer.model)
            elif layer.kind == "Lambda":
                text = "`Lambda`, whose code would have to be run"
                found.setdefault(text, []).append(layer)
            elif layer.operation and layer.kind in LAYERS_ALONE:
                text = f"`{layer.kind}` of `keras.ops`, which is another than the layer"
                found.setdefault(text, []).append(layer)
            elif layer.kind not in LAYERS and layer.kind != "InputLayer":
                more = ", a class of one's own, of which the file holds the name alone"
                text = f"`{printable(layer.kind[:100])}`{more if layer.own else ''}"
                found.setdefault(text, []).append(layer)
            elif layer.own:
                text = (
                    f"`{printable(layer.kind[:100])}`, a class of one's own that is called like "
                    "one of Keras"
                )
                found.setdefault(text, []).append(layer)

    look(file.model)
    if not found:
        return
    order = sorted(found.items(), key=lambda pair: -len(pair[1]))
    listed = tuple(
        f"{len(layers)} time{'s' * (len(layers) > 1)}: {text}, "
        f"at layer `{printable(layers[0].name[:200])}`"
        for text, layers in order[:MOST_LISTED]
    )
    raise ImportingError(NotSayable(what=f"`{title}`", missing=listed))
