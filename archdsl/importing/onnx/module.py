"""A module of torch that computes what the nodes of an ONNX file say.

Its submodules are the scopes that the file's names tell of, and in these the layers with the
file's weights; all else is functions of torch. It is run once on the meta device, where no number
is computed: that makes the layers, and shows whether the sizes are such as can be computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from archdsl.importing.bounds import Bounded
from archdsl.importing.errors import ImportingError, NotSayable
from archdsl.importing.naming import valid
from archdsl.importing.onnx.at import Array, At, Missing, TooLarge, require_size
from archdsl.importing.onnx.checks import require_no_more, require_outputs
from archdsl.importing.onnx.hierarchy import Leaf, Part, Step, planned
from archdsl.importing.onnx.operators import OPERATORS
from archdsl.importing.onnx.reading import BRANCHING, OnnxFile, OnnxNode, tells_apart
from archdsl.importing.places import standing_at
from archdsl.importing.scopes import attach, free_label, scope_module

MOST_LISTED = 12
MOST_COMPUTED = 2**33  # numbers in all tensors of one pass
MOST_KNOWN = 2**26  # numbers that are made of constants, or kept of them a second time
FOR_EACH = 16  # more of these for each number that the file holds


class Computed:
    """Computes the nodes of a file, and keeps the modules that are made of them.

    Attributes:
        building: whether it runs on the meta device, and makes layers where it meets them.
        batch: of what comes in, where the file has a number for it, else 0.
        now: of what comes in at present.
    """

    def __init__(
        self, file: OnnxFile, root: nn.Module, title: str, steps: Sequence[Step] = ()
    ) -> None:
        self.file, self.root, self.title = file, root, title
        require_operators(file.nodes, title)
        self.steps = steps or planned(file)
        self.readers: dict[str, list[OnnxNode]] = {}
        for node in file.nodes:
            for name in node.needs:
                self.readers.setdefault(name, []).append(node)
        self.names = {id(array): name for name, array in file.tensors.items()}
        self.values: dict[str, Any] = {}
        self.done: set[OnnxNode] = set()  # by the entry of a node before
        self.follows: set[int] = set()  # known values that follow from the sizes of what comes in
        self.layers: dict[Any, nn.Module] = {}
        self.rows: dict[int, tuple[Array, Array]] = {}
        self.nameless: set[nn.Module] = set()  # what has no name in the file
        self.parameters: dict[Any, tuple[nn.Module, str]] = {}
        self.weights: list[tuple[nn.Module, Mapping[str, Array]]] = []
        self.shapes: dict[str, tuple[int, ...]] = {}  # for the file's own batch
        self.wholes: dict[str, torch.Tensor] = {}
        self.outputs: dict[str, torch.Tensor] = {}  # of the last run that made layers
        self.building = False
        self.batch = file.batch
        self.now = self.batch
        self.numbers = 0
        self.most_known = MOST_KNOWN + FOR_EACH * file.numbers
        self.kept = 0  # numbers in layers and parameters
        self.constants = 0  # numbers in what is made of constants

    # --- running --------------------------------------------------------------------------------

    def build(self, inputs: Sequence[torch.Tensor], again: Sequence[torch.Tensor]) -> None:
        """Make the layers: run on tensors without numbers of the file's own batch, and others.

        Raises:
            ImportingError: something has no words, or can't be computed.
        """
        self.building = True
        with torch.no_grad(), Bounded(self.spend):
            self.run(inputs, keep=True)
            found = self.outputs
            self.run(again)
        require_outputs(self.file, found, self.outputs)
        self.building = False
        tied: dict[Any, torch.Tensor] = {}
        for module, weights in self.weights:
            state = {name: loaded(array, tied) for name, array in weights.items()}
            module.load_state_dict(state, strict=False, assign=True)
        self.root.requires_grad_(True)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return what the file's outputs are for some inputs."""
        return self.run(inputs)

    def run(self, inputs: Sequence[torch.Tensor], keep: bool = False) -> Any:
        """Return what the file's outputs are for some inputs."""
        self.values = dict(self.file.tensors)
        self.values.update(zip((one.name for one in self.file.inputs), inputs, strict=True))
        self.done, self.follows = set(), set()
        self.numbers = self.constants = 0
        self.now = inputs[0].shape[0]
        self.steps_of(self.root, self.steps)
        if keep:
            self.shapes = {name: tuple(one.shape) for name, one in self.values.items()}
        found = {name: self.tensor_of(name) for name in self.file.outputs}
        self.values, self.wholes = {}, {}
        self.outputs = found if self.building else {}
        if len(found) == 1:
            return found[self.file.outputs[0]]
        return found if all(map(str.isidentifier, found)) else tuple(found.values())

    def tensor_of(self, name: str) -> torch.Tensor:
        """Return an output."""
        found = self.values[name]
        if not isinstance(found, torch.Tensor):
            raise self.missing("an output that follows from nothing that comes in", name)
        return found

    def runner(self, part: Part) -> Callable[..., Any]:
        """Return the `forward` of a scope: it takes and gives what flows in and out."""
        made = nodes_in(part.steps)
        names = {name for node in made for name in node.outputs}
        reads = dict.fromkeys(name for node in made for name in node.inputs)
        part.reads = [name for name in reads if name and name not in names]
        inside = {*made}
        part.gives = [
            name
            for node in made
            for name in node.outputs
            if name in self.file.outputs or any(r not in inside for r in self.readers.get(name, ()))
        ]

        def forward(*inputs: torch.Tensor) -> Any:
            self.steps_of(part.module, part.steps)
            found = [self.values[name] for name in part.gives if name in self.values]
            flowing = [one for one in found if isinstance(one, torch.Tensor)]
            return flowing[0] if len(flowing) == 1 else tuple(flowing)

        return forward

    def steps_of(self, home: nn.Module, steps: Sequence[Step]) -> None:
        """Compute the nodes of a scope."""
        for step in steps:
            if isinstance(step, Leaf):
                if step.node not in self.done:
                    self.compute(home, step)
                continue
            if step.module is None:
                step.module = scope_module(step.kind)
                step.module.forward = self.runner(step)
                if step.nameless:
                    self.nameless.add(step.module)
                attach(home, step.label, step.module)
            given = [self.values.get(name) for name in step.reads]
            step.module(*[one for one in given if isinstance(one, torch.Tensor)])

    def compute(self, home: nn.Module, step: Leaf) -> None:
        """Compute a node."""
        node = step.node
        given = [self.values[name] if name else None for name in node.inputs]
        entry = OPERATORS[node.op]
        known = not any(isinstance(one, torch.Tensor) for one in given)
        at = At(node, self, home, step.label, known)
        with standing_at(node.shown):
            try:
                found = self.known(at, entry, given) if known else entry(at, *given)
                require_no_more(node, at.asked, self.file.opset)
                self.store(at, found)
            except Missing as error:
                raise self.missing(str(error), node.shown) from None
            except TooLarge as error:
                raise self.file.bad(f"makes {error} at {node.shown}") from None
            except ImportingError:
                raise
            except Exception as error:
                reason = (
                    f"can't be computed at {node.shown} (`{node.op}`): {reason_for(error, given)}"
                )
                raise self.file.bad(reason) from error

    def known(self, at: At, entry: Callable[..., Any], given: Sequence[Any]) -> Any:
        """Compute a node of which all is known before, unseen by whoever records."""
        node = at.node
        if node.op == "Identity":
            return given[0]
        with torch._C.DisableTorchFunction(), Bounded(self.spend_constants):
            tensors = [one if one is None else torch.from_numpy(one) for one in given]
            found = entry(at, *tensors)
            many = found if isinstance(found, tuple | list) else [found]
            arrays = [one.numpy() if isinstance(one, torch.Tensor) else one for one in many]
        if any(id(one) in self.follows for one in given):
            self.follows.update(map(id, arrays))
        return arrays

    def store(self, at: At, found: Any) -> None:
        """Keep what a node gives."""
        many = found if isinstance(found, tuple | list) else [found]
        for name, one in zip(at.gives, many, strict=False):
            require_size(one.shape)
            if name:
                self.values[name] = one
        for number, name in enumerate(at.gives[len(many) :], len(many) + 1):
            if name in self.readers or name in self.file.outputs:
                raise Missing(f"`{at.node.op}` of which output {number} is read")

    def spend(self, numbers: int) -> None:
        """Refuse to compute more of what flows in one pass than there is room for."""
        self.numbers += numbers
        if self.numbers > MOST_COMPUTED:
            raise TooLarge(f"more than {MOST_COMPUTED:,} numbers in all")

    def spend_constants(self, numbers: int) -> None:
        """Refuse to compute more of constants in one pass than a file of its size needs."""
        self.constants += numbers
        self.require_known(self.constants)

    def keep(self, weights: Mapping[str, Array]) -> None:
        """Refuse to keep more weights than a file of its size needs, or what are no numbers."""
        self.kept += sum(one.size for one in weights.values())
        self.require_known(self.kept)
        for name, one in weights.items():
            if one.dtype.kind == "f" and not bool(np.isfinite(one).all()):
                held = "NaN, which is no number" if np.isnan(one).any() else "infinity"
                raise ValueError(f"its {name} holds {held}")

    def require_known(self, numbers: int) -> None:
        if numbers > self.most_known:
            raise TooLarge(f"more than {self.most_known:,} numbers out of constants")

    def missing(self, text: str, place: str) -> ImportingError:
        """Return an error about what has no words."""
        return ImportingError(NotSayable(what=f"`{self.title}`", missing=(f"{text}, at {place}",)))

    # --- modules --------------------------------------------------------------------------------

    def layer(
        self, at: At, make: Callable[[], nn.Module], weights: Mapping[str, Array]
    ) -> nn.Module:
        """Return the module of a node."""
        own = at.node.outputs[0]
        if own not in self.layers:
            key = self.shared(at.node) or own
            if key not in self.layers:
                with torch.device("meta"):
                    module = make().eval()  # in training mode norms refuse a single sample
                require_shapes(module, weights)
                self.keep(weights)
                self.weights.append((module, weights))
                attach(at.home, at.label or at.node.op.lower(), module)
                if not at.label:
                    self.nameless.add(module)
                self.layers[key] = module
            self.layers[own] = self.layers[key]
        return self.layers[own]

    def shared(self, node: OnnxNode) -> Any:
        """Return what nodes have in common that are one layer: a matrix, or several vectors."""
        arrays = [self.file.tensors[name] for name in node.inputs if name in self.file.tensors]
        # exporters keep equal vectors of different layers once; two in a row are no chance
        uneven = [one for one in arrays if one.size > 1 and bool((one != one.flat[0]).any())]
        if not any(map(tells_apart, arrays)) and len(uneven) < 2:
            return None
        held = tuple(
            self.names[id(one)] if tells_apart(one) else (one.shape, one.tobytes())
            for one in arrays
        )
        return (node.op, held, repr(sorted(node.attributes.items(), key=lambda pair: pair[0])))

    def row(self, value: Array) -> Array:
        """Return the first row of known numbers, under their name."""
        if id(value) not in self.rows:
            self.rows[id(value)] = (value, value[:1])  # both stay, and so do their identities
            if id(value) in self.names:
                self.names[id(self.rows[id(value)][1])] = self.names[id(value)]
        return self.rows[id(value)][1]

    def parameter(self, at: At, value: Array) -> torch.Tensor:
        """Return a tensor of the network's own."""
        name = self.names.get(id(value), "")
        at.own += 1
        key = (
            (name, 0 if tells_apart(value) else id(at.home))
            if name
            else (at.node.outputs[0], at.own)
        )
        if key not in self.parameters:
            # what a number tells apart is a name that some tool made
            made_up = "::" in name or ("." not in name and re.search(r"\d", name))
            label = f"{at.node.op.lower()}_weight"
            label = name.rpartition(".")[2] if name and not made_up else label
            made = nn.Parameter(torch.empty(value.shape, device="meta"))
            label = free_label(at.home, valid(label).strip("_") or "weight")
            at.home.register_parameter(label, made)
            self.keep({label: value})
            self.weights.append((at.home, {label: value}))
            self.parameters[key] = (at.home, label)
        home, label = self.parameters[key]
        found: torch.Tensor = getattr(home, label)
        return found


OF_PYTHON = ("index out of range", "to unpack", "zip()", "object is not", "object has no")


def reason_for(error: Exception, given: Sequence[Any]) -> str:
    """Say why a node can't be computed: as torch says it, and nothing of how Python does."""
    said = " ".join(str(error).split())[:200]
    inner = isinstance(
        error,
        TypeError | KeyError | AttributeError | ArithmeticError | AssertionError | StopIteration,
    )
    if said and not inner and not any(one in said for one in OF_PYTHON):
        return said
    shapes = ["x".join(map(str, one.shape)) or "one number" for one in given if one is not None]
    return f"what it takes doesn't fit it: inputs of {', '.join(shapes) or 'nothing'}"


def loaded(array: Array, tied: dict[Any, torch.Tensor]) -> torch.Tensor:
    """Return weights as a tensor: the same one for what lies at the same place in memory.

    A matrix that is transposed for one of its layers lies where it did.
    """
    if not tells_apart(array):
        return torch.tensor(array)
    key = (array.ctypes.data, array.shape, array.strides, array.dtype)
    if key not in tied:
        kept = torch.tensor(array)
        tied[key] = nn.Parameter(kept) if kept.is_floating_point() else kept
    return tied[key]


def require_operators(nodes: Sequence[OnnxNode], title: str) -> None:
    """Raise where there are operators without an entry, or graphs in nodes but in branches.

    Raises:
        ImportingError: it lists them, most frequent first.
    """
    found: dict[str, list[OnnxNode]] = {}
    for node in nodes:
        if node.op == BRANCHING:
            continue  # in its place stands one of its branches in the end
        if node.graphs:
            found.setdefault(f"`{node.op}`, which holds graphs of its own", []).append(node)
        elif node.op not in OPERATORS:
            found.setdefault(f"`{node.op}`", []).append(node)
    if not found:
        return
    order = sorted(found.items(), key=lambda pair: -len(pair[1]))
    listed = tuple(
        f"{len(those)} time{'s' * (len(those) > 1)}: {text}, at {those[0].shown}"
        for text, those in order[:MOST_LISTED]
    )
    raise ImportingError(NotSayable(what=f"`{title}`", missing=listed))


def require_shapes(module: nn.Module, weights: Mapping[str, Array]) -> None:
    """Refuse weights that aren't of the sizes of a layer."""
    for name, tensor in module.state_dict().items():
        if name in weights and weights[name].shape != tuple(tensor.shape):
            there, wanted = weights[name].shape, tuple(tensor.shape)
            raise ValueError(f"its {name} is of {there}, where {wanted} is needed")


def nodes_in(steps: Sequence[Step]) -> list[OnnxNode]:
    """Return the nodes in steps, with those in their scopes."""
    found: list[OnnxNode] = []
    for one in steps:
        found += [one.node] if isinstance(one, Leaf) else nodes_in(one.steps)
    return found


def onnx_module(file: OnnxFile, title: str) -> tuple[nn.Module, Computed]:
    """Return a module that computes what a file does, and what it does that with.

    Raises:
        ImportingError: there are operators without an entry.
    """
    root = scope_module(title)
    computed = Computed(file, root, title)
    root.forward = computed.forward  # of a name that says nothing of what comes in
    return root, computed
