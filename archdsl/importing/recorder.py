"""Records a forward pass: the stack of modules, and the functions of torch called in them."""

from __future__ import annotations

import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.autograd.function import Function
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils.hooks import RemovableHandle

from archdsl.importing.places import HERE, TORCH, standing
from archdsl.importing.record import Call, Value, tensors
from archdsl.importing.views import Memories

# Of what these functions give nothing is computed.
QUESTIONS = {
    "size", "dim", "ndimension", "numel", "is_floating_point", "is_contiguous",
    "stride", "storage_offset", "get_device", "element_size", "__len__", "is_complex", "__repr__",
    "__hash__", "data_ptr", "requires_grad_", "nelement", "untyped_storage", "is_inference",
}  # fmt: skip

ATTRIBUTES = {"T", "mT", "data", "real", "imag", "H", "mH"}  # that are tensors

# These take of a tensor nothing but its shape, type and device.
LIKE = {
    "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full",
    "new_tensor",
}  # fmt: skip

# These take a whole number that is a tensor as one; what others take for a size or a place is read.
OF_TENSORS = {
    "add", "iadd", "radd", "sub", "isub", "rsub", "subtract", "mul", "imul", "rmul", "multiply",
    "div", "idiv", "rdiv", "truediv", "itruediv", "rtruediv", "true_divide", "divide", "floordiv",
    "rfloordiv", "floor_divide", "mod", "rmod", "remainder", "fmod", "pow", "rpow", "eq", "ne",
    "lt", "le", "gt", "ge", "greater", "greater_equal", "less", "less_equal", "not_equal", "and",
    "or", "xor", "rand", "ror", "rxor", "logical_and", "logical_or", "logical_xor", "bitwise_and",
    "bitwise_or", "bitwise_xor", "where", "masked_fill", "maximum", "minimum", "max", "min",
    "clamp", "clip", "clamp_min", "clamp_max", "stack", "copy", "getitem", "setitem", "set",
    "type_as", "to", "lerp", "addcmul", "addcdiv", "isin", "searchsorted", "bucketize", "fill",
    "view_as", "reshape_as", "expand_as", "broadcast_tensors", "meshgrid", "atan2", "einsum",
}  # fmt: skip
# These have the name of what writes into a tensor, and change no number of it.
NO_WRITES = {
    "__index__", "__int__", "__invert__", "__iter__", "squeeze_", "unsqueeze_", "transpose_", "t_",
    "swapaxes_", "swapdims_", "detach_", "rename_", "resize_", "set_", "as_strided_",
}  # fmt: skip
FILLS = {"fill_", "zero_"}  # These leave nothing of what was there.
# What says itself what gradients are: recorded in the place of functions, and of no effect here.
OWN_GRADIENTS = {"register_hook", "autograd.Function"}
KEPT = "_archdsl_kept"
EMPTY = {"empty", "empty_like", "new_empty"}
MOST_NUMBERS = 4_000_000  # of constants that are made on the CPU besides
RANDOM = (
    "rand", "bernoulli", "normal", "uniform", "dropout", "multinomial", "poisson", "exponential",
)  # fmt: skip


class ReadsNumbers(Exception):
    """The module asks what numbers a tensor holds, so that its way depends on them."""


class Recorder(TorchFunctionMode):
    """Records what is called while it is entered.

    `as_layer` says how a module is written where it is a layer; what such a module calls in turn
    isn't recorded.
    """

    def __init__(
        self,
        module: nn.Module,
        as_layer: Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Any],
        costs: Any = None,
    ) -> None:
        super().__init__()
        self.as_layer, self.costs = as_layer, costs
        self.paths: dict[int, str] = {id(one): path for path, one in module.named_modules()}
        self.inside: dict[int, dict[int, str]] = {}  # the same for those in one of them
        self.root = Call("", type(module).__name__, module, None, (), {})
        self.stack = [self.root]
        self.silent = 0
        self.gradients = True  # whether the module, which is run without any, would have them
        self.count = 0
        # tensors are not kept alive for this: a new one may have the number of one that is gone
        self.known: dict[int, tuple[Any, Value]] = {}
        self.empty: set[Value] = set()  # that hold no numbers until all are written at once
        self.memories = Memories(self.says, self.constant)
        self.held: list[Any] = []  # but those that weak references don't reach
        for one in module.modules():  # tensors that are no buffers, but there before
            for held in vars(one).values():
                for tensor in flat(held):
                    value = self.value(tensor)
                    value.fixed = not hasattr(tensor, KEPT)
        stored = module.state_dict()
        for kind in (module.named_parameters(), module.named_buffers()):
            for name, tensor in kind:
                value = self.value(tensor)
                value.tensor = tensor
                value.fixed = name not in stored
                value.own = name if name in stored else ""

    def value(self, tensor: torch.Tensor, fresh: bool = False) -> Value:
        """Return what stands for a tensor; a new one if it was just computed."""
        if not fresh and (found := self.known.get(id(tensor))) and found[0]() is tensor:
            self.silent += 1  # what is asked of places in memory is none of the module
            try:
                written = self.memories.anew(tensor)
            finally:
                self.silent -= 1
            if written is None:
                return found[1]
            self.known[id(tensor)] = (found[0], written)
            return written
        self.count += 1
        value = Value(self.count, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        if not fresh:
            value.tensor = tensor  # there before, or made where nobody saw it
        self.known[id(tensor)] = (weakref.ref(tensor), value)
        self.memories.place(tensor, value)
        return value

    def constant(self, tensor: torch.Tensor) -> Value:
        """Return a value for what is always the same, and came to be by being written over."""
        self.count += 1
        value = Value(self.count, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        value.fixed, value.made, value.tensor = True, True, tensor.detach().clone()
        return value

    def says(
        self, name: str, function: Any, given: tuple[Any, ...], shape: tuple[int, ...], place: str
    ) -> Value:
        """Record a function that the module doesn't call, but which says what it does."""
        above = self.stack[-1]
        call = Call(above.path, name, None, function, given, {}, place=place or user_place())
        call.training, call.stopped = above.training, self.stopped
        values = [*tensors(given)]
        call.fixed = all(value.fixed and value.tensor is not None for value in values)
        if call.fixed:
            held = [one.tensor if isinstance(one, Value) else one for one in given]
            call.result = self.constant(function(*held))
        else:
            self.count += 1
            call.result = Value(self.count, shape, values[0].dtype)
        above.inside.append(call)
        value: Value = call.result
        return value

    def wrote(self, tensor: Any, since: int | None = None) -> None:
        """Note that a tensor was written over, unless that is known not to be so.

        `since` is how often it had been before the function was called that may have done it.
        """
        if isinstance(tensor, torch.Tensor) and (since is None or since != changes(tensor)):
            self.memories.wrote(tensor, self.value(tensor), user_place())

    def path_of(self, module: nn.Module, above: Call) -> str:
        """Return the name of a module: of several the one in the module that calls it."""
        holder: nn.Module = above.module
        if id(holder) not in self.inside:
            self.inside[id(holder)] = {id(one): path for path, one in holder.named_modules()}
        path = self.inside[id(holder)].get(id(module))
        if not path:
            return self.paths[id(module)]
        return f"{above.path}.{path}" if above.path else path

    def values(self, held: Any, fresh: bool = False) -> Any:
        """Return the same with a `Value` in the place of each tensor."""
        if isinstance(held, torch.Tensor):
            return self.value(held, fresh)
        if isinstance(held, dict) or (hasattr(held, "items") and hasattr(held, "keys")):
            return {key: self.values(one, fresh) for key, one in held.items()}
        if isinstance(held, tuple) and hasattr(held, "_fields"):
            pairs = zip(held._fields, held, strict=True)
            return {name: self.values(one, fresh) for name, one in pairs if one is not None}
        if isinstance(held, list | tuple) and not isinstance(held, torch.Size):
            return type(held)([self.values(one, fresh) for one in held])
        return held

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", str(function))
        if name == "_set_grad_enabled":
            self.gradients = bool(args[0])
            return None
        if self.silent:
            return function(*args, **kwargs)
        if name == "__get__":
            name = getattr(getattr(function, "__self__", None), "__name__", "")
            if name == "requires_grad" and self.computed(args[0]):
                return self.gradients
            if name not in ATTRIBUTES:
                return function(*args, **kwargs)
        if name == "register_hook":
            self.own_gradients(name, args[:1])
            return no_hook()
        if name in QUESTIONS:
            return function(*args, **kwargs)
        above = self.stack[-1]
        call = Call(above.path, name, None, function, *self.values((args, kwargs)))
        call.place = user_place()
        call.training, call.stopped = above.training, self.stopped
        self.read_as_numbers(call, args, kwargs)
        if name == "copy_" and call.arguments[0] in self.empty and alike(args):
            call.name, call.function, call.arguments = "clone", torch.clone, call.arguments[1:2]
        fixed = self.is_fixed(call)
        known = self.numbers(function, args, kwargs) if fixed else None
        if known is not None and not has_tensor(known):
            return known  # that it is asked for changes nothing: it is always the same
        since = changes(args[0]) if args and isinstance(args[0], torch.Tensor) else 0
        result = function(*args, **kwargs)
        if self.costs is not None:
            call.costs = self.costs.take()
        if fixed:
            self.keep(call, args, result)
            if isinstance(known, torch.Tensor) and isinstance(result, torch.Tensor):
                self.value(result).tensor = known
        elif name == "__setitem__":
            call.result = self.value(args[0], fresh=True)
        elif name == "__set__" or has_tensor(result) or not has_tensor((args, kwargs)):
            call.result = self.values(result, fresh=True)
        else:
            call.result = result  # a number, say: whoever uses it can't be followed
        if name in EMPTY and isinstance(call.result, Value):
            self.empty.add(call.result)
        above.inside.append(call)
        if writes(name):
            self.wrote(args[0])
        elif kwargs.get("out") is not None:
            self.wrote(kwargs["out"])
        elif args and result is args[0]:
            self.wrote(result, since)
        return result

    def numbers(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Return what a function of constants gives, also where these are on the meta device.

        There they hold no numbers, so that they are made on the CPU besides; None if that can't be.
        """
        name = getattr(function, "__name__", "")
        if name in FILLS and args[0].is_meta:
            blank = torch.empty(args[0].shape, dtype=args[0].dtype, device="cpu")
            return function(blank, *args[1:], **kwargs)
        given = [*flat((args, kwargs))]
        if name.startswith("__set") or any(self.value(one).tensor is None for one in given):
            return None
        makes = function in _device_constructors()
        if not any(one.is_meta for one in given) and not (makes and self.on_meta(kwargs)):
            return None
        if any(self.value(one).tensor.is_meta for one in given):
            return None
        if sum(one.numel() for one in given) > MOST_NUMBERS:
            return None
        there = {key: self.beside(one) for key, one in kwargs.items()}
        if makes:
            there["device"] = "cpu"
        try:
            return function(*[self.beside(one) for one in args], **there)
        except (RuntimeError, TypeError, ValueError):
            return None

    @staticmethod
    def on_meta(kwargs: dict[str, Any]) -> bool:
        """Tell whether a function makes a tensor on the meta device."""
        device = kwargs.get("device")
        return torch.device(torch.get_default_device() if device is None else device).type == "meta"

    def beside(self, held: Any) -> Any:
        """Return the same with the numbers of constants in the place of tensors without any."""
        if isinstance(held, torch.Tensor):
            return self.value(held).tensor.clone()
        if isinstance(held, torch.device) or (isinstance(held, str) and held == "meta"):
            return torch.device("cpu") if str(held) == "meta" else held
        if isinstance(held, list | tuple) and not isinstance(held, torch.Size):
            return type(held)([self.beside(one) for one in held])
        return held

    def mark_kept(self, module: nn.Module) -> None:
        """Mark what a module computed and keeps: in the next pass it is no constant."""
        for one in module.modules():
            for tensor in flat([*vars(one).values()]):
                if not self.value(tensor).held:
                    setattr(tensor, KEPT, True)

    @property
    def stopped(self) -> bool:
        """Whether the module lets no gradients through what it does now."""
        return not self.gradients or torch.is_inference_mode_enabled()

    def has_gradients(self) -> bool:
        """Answer for torch: what is asked within a function of torch itself is so as it is."""
        return self.gradients and torch._C._len_torch_function_stack() > 0

    def computed(self, tensor: torch.Tensor) -> bool:
        """Tell whether a tensor would have gradients: floats that follow from others."""
        value = self.value(tensor)
        held = value.held or value.tensor is not None or value.input is not None
        return not held and tensor.is_floating_point()

    def own_gradients(self, name: str, args: tuple[Any, ...]) -> None:
        """Record that a module says itself what the gradients of tensors are."""
        call = Call(self.stack[-1].path, name, None, None, self.values(args), {})
        call.place = user_place()
        self.stack[-1].inside.append(call)

    def read_as_numbers(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Record that tensors are read which a function takes for sizes or places."""
        found = [*in_slices(args)]
        if call.name.strip("_") not in OF_TENSORS:
            given = [*flat((args[1:], kwargs))]
            found += [one for one in given if not one.dim() and not one.is_floating_point()]
        for tensor in found:
            if not (value := self.value(tensor)).fixed:
                read = Call(call.path, "__index__", None, call.function, (value,), {})
                read.place = call.place
                self.stack[-1].inside.append(read)

    def is_fixed(self, call: Call) -> bool:
        """Tell whether a function gives the same in every forward pass."""
        if draws(call.name) or "empty" in call.name:
            return False
        given = call.values_in()
        if call.name in FILLS and given[0].own:
            return False
        if call.name in LIKE | FILLS:
            given = given[1:]
        return all(value.fixed for value in given)

    def keep(self, call: Call, args: tuple[Any, ...], result: Any) -> None:
        """Keep the numbers of what is always the same."""
        changed = args[:1] if call.name in ("__setitem__", "__set__") else ()
        for one in flat((result, changed)):
            value = self.value(one, fresh=True)
            value.fixed, value.made, value.tensor = True, True, one.detach().clone()
        call.fixed, call.result = True, self.values(changed[0] if changed else result)

    def called(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], run: Any
    ) -> Any:
        """Record a call of a module."""
        if self.silent or id(module) not in self.paths:
            return run(module, *args, **kwargs)
        above = self.stack[-1]
        path = self.path_of(module, above)
        call = Call(path, type(module).__name__, module, None, *self.values((args, kwargs)))
        call.place, call.training, call.stopped = user_place(), module.training, self.stopped
        if above is self.root and module is self.root.module:
            call = self.root
            call.arguments, call.named = self.values((args, kwargs))
            call.training = module.training
        else:
            above.inside.append(call)
        self.silent += 1  # layers are tried out for this
        try:
            call.layer = self.as_layer(module, args, kwargs)
        finally:
            self.silent -= 1
            if self.costs is not None:
                self.costs.take()
        if call.layer is not None:
            self.silent += 1
            first = next(flat((args, kwargs)), None)
            since = 0 if first is None else changes(first)
            try:
                result = run(module, *args, **kwargs)
            finally:
                self.silent -= 1
            if self.costs is not None:
                call.costs = self.costs.take()
            call.result = self.values(result, fresh=True)
            if result is first:
                self.wrote(result, since)
            return result
        self.stack.append(call)
        try:
            result = run(module, *args, **kwargs)
            call.result = self.values(result)
        finally:
            self.stack.pop()
        return result


def alike(tensors: tuple[Any, ...]) -> bool:
    """Tell whether the second of two tensors may stand for the first, which it is written into."""
    one, other = tensors[0], tensors[1]
    return isinstance(other, torch.Tensor) and (one.shape, one.dtype) == (other.shape, other.dtype)


def writes(name: str) -> bool:
    """Tell whether a function writes into the first tensor that it is given, by its name."""
    if name in NO_WRITES:
        return False
    if name.endswith("__"):
        return name == "__setitem__" or name.startswith("__i")
    return name.endswith("_")


def changes(tensor: torch.Tensor) -> int | None:
    """Return how often a tensor was written over; None where torch doesn't count."""
    return None if tensor.is_inference() else tensor._version


def no_hook() -> RemovableHandle:
    """Return the handle of a hook that is never run: there are no gradients."""
    return RemovableHandle(OrderedDict())


def draws(name: str) -> bool:
    """Tell whether a function gives random numbers."""
    return any(word in name.strip("_") for word in RANDOM)


def has_tensor(held: Any) -> bool:
    """Tell whether there is a tensor in lists, tuples and mappings."""
    return any(True for _ in flat(held))


def flat(held: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in lists, tuples and mappings."""
    if isinstance(held, torch.Tensor):
        yield held
    elif isinstance(held, dict):
        yield from flat([*held.values()])
    elif isinstance(held, list | tuple) and not isinstance(held, torch.Size):
        for one in held:
            yield from flat(one)


def in_slices(held: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in slices, in lists and tuples."""
    if isinstance(held, slice):
        yield from flat([held.start, held.stop, held.step])
    elif isinstance(held, list | tuple) and not isinstance(held, torch.Size):
        for one in held:
            yield from in_slices(one)


def user_place() -> str:
    """Return file and line of the code that called torch, which is the user's."""
    if place := standing():
        return place
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((TORCH, HERE)):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


@contextmanager
def intercepted(recorder: Recorder) -> Iterator[None]:
    """Let a recorder see every call of a module, and put back what was there afterwards."""
    original = nn.Module.__call__

    def called(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return recorder.called(module, args, kwargs, original)

    own = Function.__dict__["apply"]

    def applied(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
        if not recorder.silent and not cls.__module__.startswith("torch."):
            recorder.own_gradients("autograd.Function", args)
        return own.__get__(None, cls)(*args, **kwargs)

    with (
        replaced("__call__", called),
        replaced("apply", classmethod(applied), Function),
        replaced("is_grad_enabled", recorder.has_gradients, torch),
    ):
        yield


@contextmanager
def replaced(name: str, method: Any, of: Any = nn.Module) -> Iterator[None]:
    """Put a method into the place of one of `nn.Module`, and that one back afterwards."""
    original = vars(of)[name]
    setattr(of, name, method)
    try:
        yield
    finally:
        setattr(of, name, original)


def record(
    module: nn.Module,
    inputs: Sequence[torch.Tensor],
    as_layer: Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Any],
    costs: Any = None,
) -> tuple[Call, Any]:
    """Run a module once and return what was called, and what came out.

    `costs` lists what operators compute, which each call has then.
    """
    recorder = Recorder(module, as_layer, costs)
    inputs = [tensor.clone() for tensor in inputs]  # which the module may write over
    for number, tensor in enumerate(inputs):
        value = recorder.value(tensor, fresh=True)
        value.input = number
    with torch.no_grad(), intercepted(recorder), recorder, costs or nullcontext():
        output = module(*inputs)
    recorder.mark_kept(module)
    return recorder.root, output
