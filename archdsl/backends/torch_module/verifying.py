"""Compares, node by node, what was worked out with what torch does.

Every node is computed on its own, by the submodule of the compiled network that stands for it,
from real tensors; shape, parameters and multiply-accumulates are compared there. In the end the
outputs must be those of the network's own forward pass, which shows that it calls the same
modules on the same tensors.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from archdsl.backends.python_source import generate
from archdsl.backends.torch_module.comparing import ParameterComparison, compare_parameters
from archdsl.backends.torch_module.devices import check_room_to_run, device_of, dtype_of
from archdsl.backends.torch_module.running import (
    BATCH,
    chosen_sizes,
    indices_of,
    named,
    random_inputs,
)
from archdsl.backends.torch_module.stepping import Steps
from archdsl.graph import CheckedGraph, Node
from archdsl.layers.base import Dtype, TorchModule
from archdsl.layers.sizes import Size, substitute

MODES = (False, True)


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What was worked out for a node, and what torch has, for one mode.

    Attributes:
        shape: of the output, with the batch; parameters: of its module.
        macs: multiply-accumulates for the whole batch; None in torch's place where
            FlopCounterMode does not look into an operator.
        dtype: the kind of numbers in the output: "float", "int", "bool" or "complex".
    """

    name: str
    training: bool
    shape: tuple[tuple[int, ...], tuple[int, ...]]
    parameters: tuple[int, int]
    macs: tuple[int, int | None]
    dtype: tuple[Dtype, Dtype]

    @property
    def agrees(self) -> bool:
        """Whether the two are the same everywhere that torch can say."""
        macs = self.macs[1] is None or self.macs[0] == self.macs[1]
        pairs = (self.shape, self.parameters, self.dtype)
        return macs and all(counted == found for counted, found in pairs)


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of comparing a network with torch.

    Attributes:
        nodes: one for each node and mode.
        parameters: names and shapes in the state_dict.
        differing: outputs whose numbers differ from those of the nodes one by one.
        sizes: the values taken for free sizes.
    """

    nodes: tuple[NodeCheck, ...]
    parameters: ParameterComparison
    differing: tuple[str, ...]
    sizes: Mapping[str, int]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differing and self.parameters.agrees and not self.disagreeing

    @property
    def disagreeing(self) -> tuple[NodeCheck, ...]:
        """The nodes for which something differs."""
        return tuple(check for check in self.nodes if not check.agrees)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Names of nodes whose multiply-accumulates torch's counter does not see."""
        return tuple(dict.fromkeys(check.name for check in self.nodes if check.macs[1] is None))


def verify(
    module: nn.Module,
    checked: CheckedGraph,
    device: str | torch.device | None = "cpu",
    dtype: str | torch.dtype | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    moved: Mapping[str, str] | None = None,
) -> Verification:
    """Compare every node with torch, in evaluation and in training mode.

    `moved` tells where modules are that are not where their node's name says, as `generate` gives
    it. The mode and the buffers of the module are left as they were.

    Raises:
        TorchError: the device isn't there or has too little memory.
    """
    place, kind = device_of(device), dtype_of(dtype)
    values = chosen_sizes(checked, sizes)
    check_room_to_run(checked, place, kind, values, BATCH, training=True)
    where = generate(checked).moved if moved is None else moved
    before, state = module.training, {k: v.clone() for k, v in module.state_dict().items()}
    checks: list[NodeCheck] = []
    differing: dict[str, None] = {}
    # which kernel computes attention hangs on whether its mask needs a gradient: here nothing does
    with torch.no_grad():
        for training in MODES:
            module.train(training)
            inputs = random_inputs(checked, place, kind, values)
            one_by_one = _Interpreter(module, checked, where, values, training)
            torch.manual_seed(0)  # what is dropped at random is to be the same below
            with indices_of(checked):
                found = one_by_one.run(inputs)
            checks += one_by_one.checks
            module.load_state_dict(state)  # in training mode statistics have moved
            torch.manual_seed(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                whole = named(checked, module(*inputs.values()), training)
            module.load_state_dict(state)
            for name, tensor in whole.items():
                if not _same(tensor, found[name]):
                    differing[name] = None
    module.train(before)
    return Verification(
        tuple(checks), compare_parameters(module, checked), tuple(differing), values
    )


def macs_of(run: Callable[[], object]) -> int:
    """Run something and return the multiply-accumulates that torch's FlopCounterMode sees in it.

    Which fused kernels for attention the counter has a formula for depends on torch's version and
    on the device, and it has none for those of recurrent layers. Without them both are matrix
    products, which every version counts. What `run` draws at random is drawn from a copy of the
    generators.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    onednn: Any = torch.backends.mkldnn
    fused, onednn.enabled = onednn.enabled, False
    try:
        with (
            torch.random.fork_rng(),
            sdpa_kernel(SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):
            run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        onednn.enabled = fused
    macs: int = counter.get_total_flops() // 2
    return macs


class _Interpreter:
    """Computes a network node by node, with the submodules of the compiled one."""

    def __init__(
        self,
        module: nn.Module,
        checked: CheckedGraph,
        moved: Mapping[str, str],
        sizes: Mapping[str, int],
        training: bool,
    ) -> None:
        self.steps = Steps(module, checked, moved)
        self.checked = checked
        self.sizes = sizes
        self.training = training
        self.checks: list[NodeCheck] = []

    def run(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the outputs by name; each tensor is freed after its last use."""
        tensors = dict(inputs)
        batch = len(next(iter(inputs.values()))) if inputs else 1
        last = self._last_uses()
        for name, node in self.checked.nodes.items():
            if name in inputs or (name in self.checked.training_only and not self.training):
                continue
            tensors[name] = self._compute(node, [tensors[read] for read in node.inputs], batch)
            for read in last.get(name, ()):
                del tensors[read]
        outputs = self.checked.outputs
        wanted = [each for each in outputs if self.training or not each.training_only]
        return {output.name: tensors[output.node] for output in wanted}

    def _last_uses(self) -> dict[str, list[str]]:
        """Return the tensors that may be freed after each node."""
        last: dict[str, str] = {}
        for name, node in self.checked.nodes.items():
            if name not in self.checked.training_only or self.training:
                last |= dict.fromkeys(node.inputs, name)
        for output in self.checked.outputs:
            last.pop(output.node, None)
        freed: dict[str, list[str]] = {}
        for name, reader in last.items():
            freed.setdefault(reader, []).append(name)
        return freed

    def _compute(self, node: Node, inputs: list[torch.Tensor], batch: int) -> torch.Tensor:
        if isinstance(node.facts.torch, TorchModule):
            # torch's counter hooks itself into what a module reads, and can't where that is a view
            # of a parameter that was taken without gradients
            inputs = [each.detach() if each._is_view() else each for each in inputs]
        run = self.steps.step(node, inputs, batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with FlopCounterMode(display=False) as counter:
                output = run()
            macs = counter.get_total_flops() // 2
            if macs != self._counted(node, batch):
                # The counter may not know a kernel. What is compared with the whole forward pass
                # is the first result, since another kernel rounds otherwise.
                macs = macs_of(run)
        self._check(node, output, macs, batch)
        # A parameter stays one: which kernel a product takes hangs on whether a factor needs a
        # gradient, even where none is computed.
        return output

    def _counted(self, node: Node, batch: int) -> int:
        """Return the multiply-accumulates of a batch; what all samples share is computed once."""
        return (batch if node.facts.batched else 1) * _known(node.facts.macs, self.sizes)

    def _check(
        self,
        node: Node,
        output: torch.Tensor,
        macs: int,
        batch: int,
    ) -> None:
        owner = self.checked.owner(node)
        shape = tuple(_known(size, self.sizes) for size in node.shape)
        counted = self._counted(node, batch)
        found: int | None = None if counted and not macs else macs
        self.checks.append(
            NodeCheck(
                node.name,
                self.training,
                ((batch, *shape) if node.facts.batched else shape, tuple(output.shape)),
                (sum(map(math.prod, _shapes(owner))), _parameters(self.steps.owned(node), owner)),
                (counted, found),
                (self.checked.dtype(node.name), dtype_kind(output.dtype)),
            )
        )


def dtype_kind(dtype: torch.dtype) -> Dtype:
    """Return the kind of numbers that a dtype of torch is one of."""
    if dtype.is_complex:
        return "complex"
    return "float" if dtype.is_floating_point else "bool" if dtype == torch.bool else "int"


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Compare two outputs; on "meta", where there are no numbers, by shape alone."""
    if one.device.type == "meta":
        return one.shape == other.shape
    if one.shape != other.shape:
        return False
    # what is no number in both is the same here, though no such number is equal to itself
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def _shapes(node: Node) -> Iterator[tuple[int, ...]]:
    for shape in node.facts.params.values():
        yield tuple(size for size in shape if isinstance(size, int))


def _parameters(own: Any, node: Node) -> int:
    """Count the parameters of a module, without those that are counted with another."""
    if isinstance(own, nn.Module):
        tied = {tie.name for tie in node.ties}
        return sum(held.numel() for name, held in own.named_parameters() if name not in tied)
    return own.numel() if isinstance(own, nn.Parameter) else 0


def _known(size: Size, sizes: Mapping[str, int]) -> int:
    value = substitute(size, sizes)
    assert isinstance(value, int), "all free sizes were given values"
    return value
