"""Finds the layer of the language that a module or a function of torch is.

Nothing here names a layer. What each becomes in torch stands in its declaration (`Facts.torch`);
that is read the other way round: arguments are taken from the module where they have the same
names, the layer that comes of them is made, and it is the right one if torch's module of it equals
the one that was given in all that it shows.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import nn

from archdsl.layers.base import (
    Kind,
    Layer,
    Shapes,
    TorchFunction,
    TorchModule,
    construct,
    squeeze,
)
from archdsl.layers.registry import Registry

# Of these a module shows nothing that a call depends on, or they are the compiler's choice.
HIDDEN = {"training", "inplace", "return_indices", "device", "dtype", "name", "batch_first"}
MOST_TRIALS = 300


@dataclass
class Use:
    """A use of a layer: its name, and the arguments that differ from its defaults."""

    layer: str
    arguments: dict[str, Any] = field(default_factory=dict)


def squeezed(layer: type[Layer], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with one number for a list of equal ones, where the layer takes it so."""
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        short = squeeze(value)
        one = layer.model_fields[name]
        try:
            found[name] = short if one.check(short) == one.check(value) else value
        except ValueError:
            found[name] = value
    return found


@cache
def layers_by_torch_name() -> Mapping[str, tuple[str, ...]]:
    """Return the names of layers by what torch calls the class or function that they become.

    Names are in small letters without underscores: `conv2d` is `nn.Conv2d` and `F.conv2d`.
    """
    found: dict[str, list[str]] = {}
    for name, kind in Registry().items():
        for torch_name in _torch_names(kind):
            found.setdefault(plain(torch_name), []).append(name)
        if plain(name) not in found or name not in found[plain(name)]:
            found.setdefault(plain(name), []).append(name)
    return {name: tuple(dict.fromkeys(kinds)) for name, kinds in found.items()}


def plain(name: str) -> str:
    """Return a name of torch as classes and functions share it."""
    return name.replace("_", "").lower()


def _torch_names(kind: type[Layer]) -> Iterator[str]:
    """Yield what the examples of a layer become in torch."""
    for example in kind.examples:
        made = construct(kind, example.arguments).infer(example.inputs).torch
        if isinstance(made, TorchModule):
            yield made.target.rpartition(".")[2]
        elif isinstance(made, TorchFunction):
            yield function_name(made.expression)


@cache
def function_name(expression: str) -> str:
    """Return the function that an expression of torch calls last: `permute` of `{0}.permute(0)`.

    Of an operator it is the method that does the same: `mul`, `getitem`.
    """
    text = expression.replace("{inputs}", "x").replace("{", "x").replace("}", "")
    tree = ast.parse(text, mode="eval").body
    if isinstance(tree, ast.Call):
        return ast.unparse(tree.func).rpartition(".")[2]
    if isinstance(tree, ast.Subscript):
        return "getitem"
    return "mul" if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult) else ""


def kinds_of(name: str) -> list[type[Layer]]:
    """Return the layers that torch calls by a name."""
    registry = Registry()
    return [registry[one] for one in layers_by_torch_name().get(plain(name), ())]


# --- modules ------------------------------------------------------------------------------------

_modules: dict[Any, Use | None] = {}


def layer_of_module(module: nn.Module, inputs: Shapes) -> Use | None:
    """Return the layer that a module is, or None if it is none of the language.

    Args:
        module: the module.
        inputs: shapes of the tensors that it takes, without batch.
    """
    for kind in type(module).__mro__:
        if kind in (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict, object):
            return None
        if "forward" in vars(type(module)) and kind is not type(module):
            return None  # it does something else than the class that it comes of
        for layer in kinds_of(kind.__name__):
            if kind.__name__ not in (layer.torch_name(), layer.__name__):
                continue
            key = (type(module), layer.__name__, inputs, _seen(module))
            if key not in _modules:
                _modules[key] = _solve(layer, module, inputs)
            if (found := _modules[key]) is not None:
                return found
    return None


def _seen(module: nn.Module) -> str:
    """Return all that a module shows of itself and of what is in it, as text."""
    own = sorted((name, repr(value)) for name, value in shown(module).items())
    return repr([own, tensor_shapes(module), [_seen(child) for child in module.children()]])


def shown(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module that say how it computes."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in HIDDEN and not callable(value)
    }


def tensor_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what a module keeps in its state_dict, by name."""
    return {name: tuple(one.shape) for name, one in module.state_dict().items()}


def _solve(layer: type[Layer], module: nn.Module, inputs: Shapes) -> Use | None:
    """Find the arguments with which a layer becomes a module that equals one."""
    found: dict[str, Any] = {}
    open_fields: dict[str, list[Any]] = {}
    for name, one in layer.model_fields.items():
        value = getattr(module, name, _NOTHING)
        if isinstance(value, list):
            value = tuple(value)
        if isinstance(value, torch.Tensor):
            value = True
        elif value is None and name == "bias":
            value = False
        try:
            found[name] = one.check(value)
        except ValueError:
            open_fields[name] = _trials(one)
    for trial in _combinations(open_fields):
        arguments = found | trial
        if _becomes(layer, arguments, module, inputs):
            least = _least(layer, arguments, module, inputs)
            return Use(layer.__name__, squeezed(layer, least))
    return None


_NOTHING = object()


def _trials(one: Any) -> list[Any]:
    """Return values to try for an argument that the module has no attribute for."""
    trials = [] if one.is_required() else [one.default]
    for kind in one.metadata:
        if isinstance(kind, Kind):
            trials += [*kind.samples, *range(1, 5)]
    found: list[Any] = []
    for trial in trials:
        try:
            checked = one.check(trial)
        except ValueError:
            continue
        if checked not in found:
            found.append(checked)
    return found


def _combinations(open_fields: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    count = 0
    for values in product(*open_fields.values()):
        if (count := count + 1) > MOST_TRIALS:
            return
        yield dict(zip(open_fields, values, strict=True))


def _least(
    layer: type[Layer], arguments: Mapping[str, Any], module: nn.Module, inputs: Shapes
) -> dict[str, Any]:
    """Leave out every argument without which the same comes out."""
    kept = {
        name: value
        for name, value in arguments.items()
        if layer.model_fields[name].is_required() or value != layer.model_fields[name].default
    }
    for name in [*kept]:
        fewer = {other: value for other, value in kept.items() if other != name}
        if not layer.model_fields[name].is_required() and _becomes(layer, fewer, module, inputs):
            kept = fewer
    return kept


def _becomes(
    layer: type[Layer], arguments: Mapping[str, Any], module: nn.Module, inputs: Shapes
) -> bool:
    """Tell whether a layer with some arguments becomes a module that equals one."""
    try:
        one = construct(layer, arguments)
        facts = one.infer(inputs)
    except ValueError:
        return False
    expected = {**facts.params, **facts.buffers}
    given = tensor_shapes(module)
    if {name: tuple(shape) for name, shape in expected.items()} != given:
        return False
    made = facts.torch
    if isinstance(made, TorchFunction) and made.module is not None:
        made = made.module
    if not isinstance(made, TorchModule):
        return False
    if made.source:
        return _agrees_by_name(made, one, module)
    holder, _, name = made.target.rpartition(".")
    # whoever made the module has imported what its class stands in
    target = getattr(nn if holder == "nn" else sys.modules.get(holder), name, None)
    if target is None:
        return False
    with torch.device("meta"):
        try:
            reference = target(*made.positional, **made.keywords)
        except (TypeError, ValueError, RuntimeError):
            return False
    ours, theirs = shown(reference), shown(module)
    return all(name in theirs and _same(value, theirs[name]) for name, value in ours.items())


def _agrees_by_name(made: TorchModule, layer: Layer, module: nn.Module) -> bool:
    """Compare what torch lacks: a module of the same class name with the same attributes.

    Whether it computes the same is found when outputs are compared.
    """
    theirs = {plain(name): value for name, value in shown(module).items()}
    for name, value in vars(layer).items():
        held = theirs.get(plain(name), _NOTHING)
        if held is not _NOTHING and not isinstance(held, torch.Tensor) and not _same(value, held):
            return False
    return type(module).__name__ == made.target


def _same(ours: Any, theirs: Any) -> bool:
    """Tell whether two attributes mean the same; one number stands for several equal ones.

    Of two lists neither is that number: a normalization over two axes isn't one over the last.
    """
    if isinstance(ours, torch.Tensor) or isinstance(theirs, torch.Tensor):
        return isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor)
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return tuple(ours) == tuple(theirs)
    return bool(squeeze(ours) == squeeze(theirs))
