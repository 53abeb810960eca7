"""What a network gives: a tensor, or a named tuple with the main output first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archdsl.backends.formulas import Formulas
from archdsl.backends.python_source.arguments import Opened
from archdsl.backends.python_source.errors import CompileError, NothingToEvaluate
from archdsl.backends.python_source.layout import docstring, statement
from archdsl.backends.python_source.names import prose, unique, variable
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import DTYPES, Shape

MAIN = "output"
TUPLE_ATTRIBUTES = frozenset({"count", "index"})


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a network, the main output first.

    Attributes:
        names: safe names, one each.
        nodes: which nodes give them.
        unnamed: nodes whose output has no name of its own in the spec.
        training_only: for each whether it is there in training mode only.
        network: name of the network's class.
        formulas: writes the shapes of what goes in and out.
        opened: the parameters that the class takes, in which shapes are written.
        evaluation, training: names of the tuples that it gives in either mode, or "" for none.
    """

    names: tuple[str, ...]
    nodes: tuple[str, ...]
    unnamed: frozenset[str]
    training_only: tuple[bool, ...]
    network: str
    formulas: Formulas
    opened: Opened
    evaluation: str
    training: str

    @property
    def reserved(self) -> set[str]:
        """Names that no variable may have."""
        return {self.evaluation, self.training, self.network} - {""}

    @property
    def annotation(self) -> str:
        """The type of the result."""
        kinds = dict.fromkeys([self.evaluation or "torch.Tensor", self.training or "torch.Tensor"])
        return " | ".join(kinds)

    def returns(self, names: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Yield the return statements for the variables of the outputs, with their depth."""
        if any(self.training_only):
            yield 0, "if self.training:"
            yield 1, f"return {_tuple(self.training, names)}"
        always = [name for name, only in zip(names, self.training_only, strict=True) if not only]
        yield 0, f"return {_tuple(self.evaluation, always)}"

    def classes(self) -> Iterator[list[str]]:
        """Yield the lines of each named tuple."""
        if self.evaluation:
            mode = " in evaluation mode" if self.training != self.evaluation else ""
            fields = [n for n, only in zip(self.names, self.training_only, strict=True) if not only]
            yield self._class(self.evaluation, fields, mode)
        if self.training and self.training != self.evaluation:
            yield self._class(self.training, self.names, " in training mode")

    def _class(self, name: str, fields: Sequence[str], mode: str) -> list[str]:
        return [
            f"class {name}(NamedTuple):",
            *docstring(f"What `{self.network}` gives{mode}.", 1),
            "",
            *(line for field in fields for line in statement(f"{field}: torch.Tensor", 1)),
        ]

    def described(self, checked: CheckedGraph) -> Iterator[str]:
        """Yield what comes in and what goes out, for the docstring of the network."""
        inputs = [f"{name} ({self.held(checked, name)})" for name in checked.inputs]
        values = [f"{name} = {value}" for name, value in self.opened.values.items()]
        conditions = _listed([*filter(None, [self.formulas.condition]), *values])
        known = f" Shapes are written for {conditions}." if conditions else ""
        yield f"Takes {', '.join(inputs)}; N is the size of the batch.{known}"
        rows = zip(self.names, self.nodes, self.training_only, strict=True)
        gives = [
            f"{name} ({self.held(checked, node)}){' in training mode' * only}"
            for name, node, only in rows
        ]
        yield f"Gives {', '.join(gives)}."

    def held(self, checked: CheckedGraph, name: str) -> str:
        """Say what a tensor is: `N x 64 x H/2 x W/2`, `N x 8 integers`, less a word on floats."""
        dtype = checked.dtype(name)
        return self.shape(checked.nodes[name]) + ("" if dtype == "float" else f" {DTYPES[dtype]}")

    def sizes(self, node: Node) -> Shape:
        """Return the shape of what a node gives, in parameters of the network's class."""
        return self.opened.shapes.get(node.name, node.shape)

    def shape(self, node: Node) -> str:
        """Write the shape of what a node gives, with the batch if it has one."""
        parts = ["N"] if node.facts.batched else []
        parts += [self.formulas.shape(self.sizes(node))] if node.shape else []
        return prose(" x ".join(parts) or "a single number")


def _listed(parts: Sequence[str]) -> str:
    *others, last = ["", *parts]
    return " and ".join(filter(None, [", ".join(others[1:]), last]))


def _tuple(name: str, values: Sequence[str]) -> str:
    return f"{name}({', '.join(values)})" if name else values[0]


def outputs_of(checked: CheckedGraph, network: str, formulas: Formulas, opened: Opened) -> Outputs:
    """Return the outputs of a network whose class has that name.

    Raises:
        CompileError: there is none in evaluation mode.
    """
    names: dict[str, None] = {}
    for output in checked.outputs:
        name = variable(output.name) or MAIN
        names[unique(f"{name}_" if name in TUPLE_ATTRIBUTES else name, names)] = None
    training_only = tuple(output.training_only for output in checked.outputs)
    if all(training_only):
        raise CompileError(NothingToEvaluate(checked.span, name=checked.name))
    evaluation = f"{network}Outputs" if training_only.count(False) > 1 else ""
    training = evaluation
    if any(training_only):
        training = f"{network}TrainingOutputs" if evaluation else f"{network}Outputs"
    return Outputs(
        tuple(names),
        tuple(output.node for output in checked.outputs),
        frozenset(output.node for output in checked.outputs if output.name in ("", MAIN)),
        training_only,
        network,
        formulas,
        opened,
        evaluation,
        training,
    )
