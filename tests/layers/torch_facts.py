"""Turns what a layer says about torch, which is text, into something that runs."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from archdsl.layers.base import Dtype, Facts, Layer, Shape, Shapes, Torch, TorchModule, TorchTensor

ENVIRONMENT = {"torch": torch, "nn": nn, "F": functional, "math": math}
TORCH: Mapping[Dtype, torch.dtype] = {
    "bool": torch.bool,
    "int": torch.int64,
    "float": torch.float32,
    "complex": torch.complex64,
}
# A layer that is accepted must run in each of these: batch size, training.
MOST_INPUTS = 4  # of a layer, of which some hold other kinds of numbers than the rest
MODES = ((2, False), (2, True), (1, False))


class Tensors(NamedTuple):
    """Names and shapes of the parameters and buffers of a module."""

    params: Mapping[str, Shape]
    buffers: Mapping[str, Shape]


@contextmanager
def as_described(module: nn.Module) -> Iterator[None]:
    """Compute an LSTM without oneDNN, which keeps a workspace for a whole sequence.

    How large that is hangs on the version of oneDNN and on the processor.
    """
    enabled = torch.backends.mkldnn.enabled
    if any(isinstance(one, nn.LSTM) for one in module.modules()):
        torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = enabled


class Built(nn.Module):
    """A module that owns and computes what `torch` says."""

    def __init__(self, torch_facts: Torch) -> None:
        super().__init__()
        self.names = dict(ENVIRONMENT)
        self.text = ""
        if isinstance(torch_facts, TorchModule):
            self.text = torch_facts.call
            exec(torch_facts.source, self.names)
            arguments = [repr(value) for value in torch_facts.positional]
            arguments += [f"{name}={value!r}" for name, value in torch_facts.keywords.items()]
            target = find(torch_facts.target, self.names)
            self.own = eval(f"target({', '.join(arguments)})", self.names | {"target": target})
        elif isinstance(torch_facts, TorchTensor):
            self.text = torch_facts.call
            self.own = eval(torch_facts.value, self.names)
        else:
            self.text = torch_facts.expression

    def forward(self, *inputs: Tensor) -> Tensor:
        names = [f"x{number}" for number in range(len(inputs))]
        words = dict.fromkeys(("module", "tensor"), "own") | {
            "inputs": ", ".join(names),
            "batch": str(len(inputs[0]) if inputs and inputs[0].dim() else 1),
        }
        given = dict(zip(names, inputs, strict=True))
        if hasattr(self, "own"):
            given["own"] = self.own
        return eval(self.text.format(*names, **words), self.names | given)

    def tensors(self) -> Tensors:
        """Return what stands in its state_dict."""
        if not isinstance(getattr(self, "own", None), nn.Module):
            return Tensors({}, {})
        params = {name: tuple(param.shape) for name, param in self.own.named_parameters()}
        state = {name: tuple(held.shape) for name, held in self.own.state_dict().items()}
        return Tensors(params, {name: state[name] for name in state if name not in params})


def is_lacking(made: Torch) -> bool:
    """Tell whether the installed torch lacks an argument that later versions have (E0611)."""
    if not isinstance(made, TorchModule) or not hasattr(nn, made.target.removeprefix("nn.")):
        return False
    known = inspect.signature(getattr(nn, made.target.removeprefix("nn."))).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in known.values())
    return not takes_any and not made.keywords.keys() <= known.keys()


def find(target: str, names: Mapping[str, Any]) -> Any:
    """Return the class that a `TorchModule.target` names."""
    head, _, rest = target.partition(".")
    if head in names:
        found = names[head]
        for part in rest.split(".") if rest else ():
            found = getattr(found, part)
        return found
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


def usual(kind: type[Layer]) -> Dtype | tuple[Dtype, ...]:
    """Return what the inputs of a layer hold, unless they are made to hold something else."""
    held: Dtype = "float" if "float" in kind.takes else next(iter(kind.takes))
    if kind.wants:
        return tuple(kind.wants.get(at, held) for at in range(MOST_INPUTS))
    return held


def learns(layer: Layer, shapes: Shapes) -> bool:
    """Tell whether what a layer gives are floats, of which gradients are worked out."""
    held = usual(type(layer))
    each = (held,) * len(shapes) if isinstance(held, str) else held[: len(shapes)]
    return layer.dtype(each) == "float"


def tensors(shapes: Shapes, held: Dtype | Sequence[Dtype], batch: int = 2) -> list[Tensor]:
    """Return random inputs; integers are all 0, the one index that every table has."""
    return [made((batch, *shape), one) for shape, one in each_of(shapes, held)]


def each_of(shapes: Shapes, held: Dtype | Sequence[Dtype]) -> Iterator[tuple[Shape, Dtype]]:
    """Yield the shapes of inputs with what each holds."""
    return zip(shapes, [held] * len(shapes) if isinstance(held, str) else held, strict=False)


def made(shape: Iterable[Any], held: Dtype) -> Tensor:
    """Return random floats, integers that are 0, or booleans that are true."""
    if held in ("float", "complex"):
        return torch.randn(tuple(shape), dtype=TORCH[held])
    return torch.full(tuple(shape), held == "bool", dtype=TORCH[held])


def outputs(
    module: nn.Module, shapes: Shapes, held: Dtype | Sequence[Dtype]
) -> Iterator[tuple[int, Tensor]]:
    """Yield the output in each mode, with its batch size."""
    for batch, training in MODES:
        module.train(training)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield batch, module(*tensors(shapes, held, batch))


def difference(facts: Facts, shapes: Shapes, held: Dtype | Sequence[Dtype]) -> str:
    """Say in which way torch disagrees with the facts; nothing if it agrees."""
    try:
        module = Built(facts.torch)
        found = [(batch, tuple(out.shape)) for batch, out in outputs(module, shapes, held)]
    except Exception as error:
        return f"torch refuses: {error}"
    if wrong := [shape for batch, shape in found if shape != (batch, *facts.output)]:
        return f"shape {facts.output}, in torch {wrong[0][1:]}"
    if module.tensors() != (facts.params, facts.buffers):
        return f"holds {facts.params} and {facts.buffers}, in torch {module.tensors()}"
    return ""


def torch_class(kind: type[Layer]) -> type[nn.Module] | None:
    """Return the class of torch.nn that a layer is named after, if there is one."""
    found = getattr(nn, kind.__name__, None)
    return found if isinstance(found, type) and issubclass(found, nn.Module) else None


def from_input(kind: type[Layer], module: TorchModule) -> dict[str, object]:
    """Return the arguments of a module that follow from the layer's input, by name."""
    signature = inspect.signature(find(module.target, ENVIRONMENT))
    bound = signature.bind_partial(*module.positional, **module.keywords).arguments
    return {name: bound[name] for name in bound if name not in kind.model_fields}


def refuses(
    kind: type[Layer], example: Torch, arguments: Mapping[str, object], shapes: Shapes
) -> bool | None:
    """Tell whether torch refuses arguments in some mode, or makes a tensor without any number.

    None where it can't be asked: torch has no such module, or no such argument.
    """
    target = torch_class(kind)
    if target is None or not isinstance(example, TorchModule) or example.source:
        return None
    derived = from_input(kind, example)
    if not derived.keys() | arguments.keys() <= inspect.signature(target).parameters.keys():
        return None
    module = Built(TorchModule("nn.Identity", call=example.call))
    try:
        module.own = target(**derived, **arguments)
        return any(not output.numel() for _, output in outputs(module, shapes, usual(kind)))
    except Exception:
        return True
