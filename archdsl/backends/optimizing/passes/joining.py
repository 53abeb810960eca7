"""A convolution, what is added to its result and the activation behind it become one operation.

oneDNN, which computes convolutions on a CPU, does all of it while a number is still in a register.
Torch has such operations for its own compiler, and no layer for them; `FUSED` is one.
"""

from __future__ import annotations

from dataclasses import replace

from archdsl.backends.optimizing.program import Edit, Program, added_up
from archdsl.graph import Node
from archdsl.layers.base import TorchModule

FUSED = '''\
class FusedConv2d(nn.Conv2d):
    """A convolution, what is added to it and an activation: one operation of oneDNN on a CPU.

    For inference. The weights are laid out for it when it first runs, and again after
    `load_state_dict`, `eval` and every change that torch keeps count of: not after one through
    `.data` or under `inference_mode`. Where the operation can't be used, as on other devices, with
    gradients or under autocast, it is computed step by step.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        activation: str = "none",
        numbers: tuple[float, ...] = (),
        algorithm: str = "",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        self.activation, self.numbers, self.algorithm = activation, numbers, algorithm
        self.packed: torch.Tensor | None = None
        self.packed_of: tuple[int, int] | None = None

    def forward(self, input: torch.Tensor, added: torch.Tensor | None = None) -> torch.Tensor:
        if not self.is_fused(input):
            output = super().forward(input)
            return self.activated(output if added is None else output + added)
        weight, operation = self.laid_out(input), torch.ops.mkldnn._convolution_pointwise
        how = (self.padding, self.stride, self.dilation, self.groups)
        behind = (list(self.numbers), self.algorithm)
        if added is None:
            result: torch.Tensor = operation(
                input, weight, self.bias, *how, self.activation, *behind
            )
            return result
        activation = None if self.activation == "none" else self.activation
        result = operation.binary(
            input, added, weight, self.bias, *how, "add", None, activation, *behind
        )
        return result

    def is_fused(self, input: torch.Tensor) -> bool:
        """Tell whether oneDNN is to compute it."""
        return (
            input.device.type == "cpu"
            and input.dim() == 4
            and input.dtype == self.weight.dtype
            and input.dtype in (torch.float32, torch.bfloat16)
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and torch._C._get_tracing_state() is None
            and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        )

    def laid_out(self, input: torch.Tensor) -> torch.Tensor:
        """Return the weights as oneDNN wants them, laid out anew where they have changed."""
        version = 0 if self.weight.is_inference() else self.weight._version
        now = (self.weight.data_ptr(), version)
        if self.packed is None or self.packed_of != now:
            how = (self.padding, self.stride, self.dilation, self.groups)
            packed: torch.Tensor = torch.ops.aten.mkldnn_reorder_conv2d_weight(
                self.weight.to_mkldnn(), *how, list(input.shape)
            )
            self.packed, self.packed_of = packed, now
        return self.packed

    def train(self, mode: bool = True) -> "FusedConv2d":
        self.packed = None
        super().train(mode)
        return self

    def _load_from_state_dict(self, *args: object, **keywords: object) -> None:
        super()._load_from_state_dict(*args, **keywords)
        self.packed = None

    def __getstate__(self) -> dict[str, object]:
        # weights that are laid out can neither be copied nor kept
        return self.__dict__ | {"packed": None}

    def activated(self, output: torch.Tensor) -> torch.Tensor:
        """Return what the activation makes of the result."""
        if self.activation == "none":
            return output
        if self.activation == "gelu":
            return F.gelu(output, approximate=self.algorithm)
        if self.activation == "swish":
            return F.silu(output)
        function = getattr(F, self.activation)
        result: torch.Tensor = function(output, *self.numbers)
        return result
'''


def joining(program: Program) -> Program:
    """Join what follows a two-dimensional convolution with it, where nothing else reads it."""
    edit = Edit(program)
    for node in program.checked.nodes.values():
        if node.name in edit.nodes and _is_plain(edit, node):
            _join(edit, node)
    return edit.result()


def _is_plain(edit: Edit, node: Node) -> bool:
    """Tell whether a node is a convolution that oneDNN computes as torch would."""
    torch = node.facts.torch
    if not isinstance(torch, TorchModule) or torch.target != "nn.Conv2d":
        return False
    padding = torch.keywords.get("padding", 0)
    mode = torch.keywords.get("padding_mode", "zeros")
    return edit.is_alone(node) and not isinstance(padding, str) and mode == "zeros"


def _join(edit: Edit, node: Node) -> None:
    """Join what follows a convolution with it: an addition, an activation, or both, or nothing."""
    joined = [node]

    added: tuple[str, ...] = ()
    other = node.facts.other
    torch = node.facts.torch
    assert isinstance(torch, TorchModule)
    # to the result of groups torch can't add in bfloat16
    if (sum_ := edit.reader(node)) and "groups" not in torch.keywords and _adds_alike(edit, sum_):
        added = tuple([name for name in sum_.inputs if name != node.name])
        joined.append(sum_)
    activation: tuple[str, tuple[float, ...], str] = ("none", (), "")
    function = edit.reader(joined[-1])
    known = function.layer.onednn() if function else None
    if function and known and (not added or known[0] == "relu"):  # no other behind an addition
        activation = known
        joined.append(function)
    names = ("activation", "numbers", "algorithm")
    given = {name: value for name, value in zip(names, activation, strict=True) if value}
    if not activation[1]:
        given.pop("numbers", None)
    if activation[0] == "none":
        given = {}
    for each in joined[1:]:
        other = added_up(other, each.facts.other)
        edit.drop(each.name, node.name)
    facts = node.facts._replace(
        torch=torch._replace(
            target="FusedConv2d", keywords={**torch.keywords, **given}, source=FUSED
        ),
        other=other,
    )
    edit.put(replace(node, inputs=(*node.inputs, *added), facts=facts), at=joined[-1].name)


def _adds_alike(edit: Edit, node: Node) -> bool:
    """Tell whether a node adds two tensors of one shape."""
    shapes = {edit.nodes[edit.stands_for(name)].shape for name in node.inputs}
    batched = all(edit.nodes[edit.stands_for(name)].facts.batched for name in node.inputs)
    two = len({*node.inputs}) == len(node.inputs) == 2
    return node.layer.word == "add" and two and len(shapes) == 1 and batched
