"""Says layers of windows and heads, whose batch is joined with other axes, where it is alone.

A layer of the language takes samples, and so a window can't be one. But what does the same at each
place does it to the windows of a sample one beside the other; what pools each channel by itself
takes the channels of all windows as its own; and so does a convolution, in as many groups more, and
with its weights once for each window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from archdsl.importing.bodies import Node
from archdsl.importing.forms import Form, canonical
from archdsl.importing.layers import Use
from archdsl.importing.making import (
    MOVED,
    SIZES,
    Making,
    Unsayable,
    bound,
    kinds_by,
    same_facts,
    tidy,
)
from archdsl.importing.record import Call, Value, tensors
from archdsl.layers.base import POINTWISE, Facts, Layer, Window, construct
from archdsl.layers.registry import Registry

EACH_CHANNEL = (
    "pooling",
    "padding",
    "dropout",
)  # families of layers that look at each channel by itself
PLACE = Window(1)
OTHER = 1009  # places more along an axis: nothing else of a layer has such a size
PADDINGS = {"reflect": "reflection", "replicate": "replication", "circular": "circular"}


class Applied(NamedTuple):
    """How a module that is a layer is applied: as which, to what, and what comes out.

    Attributes:
        weights: its parameters, where they are not used as they stand.
    """

    use: Use
    inputs: list[Value]
    output: Value
    weights: Mapping[str, Value] = {}


class Windows(Making):
    """Modules that are layers, wherever the batch is.

    Attributes:
        stored: parameters of modules that are not used as they stand, by name.
        later: what comes out of a layer, and what it is reshaped to.
        in_front: for what a function gives where other axes are in front of those that it counts:
            what it was given.
    """

    def __init__(self, batch: int) -> None:
        super().__init__(batch)
        self.stored: dict[str, Value] = {}
        self.later: list[tuple[Value, Value]] = []
        self.in_front: dict[Value, Value] = {}

    def finish(self) -> list[Node]:
        """Return what comes after a layer that was applied to all windows."""
        self.nodes = []
        self.reshape_later()
        return self.nodes

    def reshape_later(self) -> None:
        """Say the shapes of what came out of layers that were applied to all windows."""
        for made, base in self.later:
            self.reshape_stage(made, base)
        self.later = []

    def as_layer(
        self, call: Call, name: str, arguments: list[Any], named: Mapping[str, Any]
    ) -> None:
        """Find the layer that does what a function does, to each window where it is no sample."""
        try:
            super().as_layer(call, name, arguments, named)
        except Unsayable:
            given = bound(call.function, arguments, named)
            inputs = [*tensors([*given.values()])]
            if len(inputs) != 1 or inputs[0] not in self.forms or len(call.values_out()) != 1:
                raise
            if not self.to_windows(name, given, inputs[0], call.values_out()[0]):
                raise

    def moved(
        self, given: Mapping[str, Any], inputs: Sequence[Value], result: Any
    ) -> tuple[dict[str, Any], list[Value], Value]:
        found = super().moved(given, inputs, result)
        if len(inputs) == 1 and given.get("dim") is None and SIZES not in given:
            self.in_front[found[2]] = inputs[0]
        return found

    def is_layer(
        self,
        kind: type[Layer],
        given: Mapping[str, Any],
        own: Mapping[str, Value],
        inputs: Sequence[Value],
        result: Value,
        computed: bool = False,
    ) -> bool:
        if not super().is_layer(kind, given, own, inputs, result, computed):
            return False
        before = self.in_front.get(result)
        use = self.nodes[-1].use
        if before is None or same_in_front(construct(kind, use.arguments), before, inputs[0]):
            return True
        self.nodes.pop()
        return False

    def to_windows(self, name: str, given: Mapping[str, Any], value: Value, result: Value) -> bool:
        """Apply a function without parameters to all windows of a sample, and tell whether."""
        for kind in kinds_by(name):
            for fields in self.candidates(kind, given, {}, [value]):
                try:
                    layer = construct(kind, fields)
                    facts = layer.infer((value.shape[1:],))
                except ValueError:
                    continue
                if facts.params or facts.buffers or tuple(facts.output) != result.shape[1:]:
                    continue
                use = Use(kind.__name__, tidy(kind, fields))
                found = self.of_windows(use, layer, facts, value, result)
                if found is not None:
                    node = Node(found.use, found.inputs, found.output, place=self.place)
                    self.nodes.append(node)
                    self.reshape_later()
                    return True
        return False

    def of_module(
        self, use: Use, module: Any, path: str, inputs: Sequence[Value], result: Value
    ) -> Applied:
        """Return how a module that is a layer is applied where the batch leads.

        Raises:
            Unsayable: it can't be.
        """
        if not any(value in self.forms for value in inputs):
            return Applied(use, [*inputs], result)
        kind = Registry()[use.layer]
        layer = construct(kind, use.arguments)
        use, layer = counted_from_behind(use, layer, inputs[0])
        facts = layer.infer(tuple(value.shape[1:] for value in inputs))
        if len(inputs) == 1 and len(result.shape) == 2:  # rows of channels: a sequence is as well
            form = self.settled(inputs[0])
            base = form.base
            rows = form.groups == ((0, 1), (2,))
            if rows and not same_facts(layer, base, base.shape, facts.params):
                turned = self.fresh([base.shape[at] for at in (0, 2, 1)], base.dtype)
                made = self.fresh(turned.shape, result.dtype)
                if same_facts(layer, turned, made.shape, facts.params):
                    self.stage("permute", [base], turned, dims=(0, 2, 1))
                    self.forms[result] = Form(made, ((0, 2), (1,)))
                    return Applied(use, [turned], made)
        if len(inputs) == 1 and len(result.shape) > 2:
            found = self.of_windows(use, layer, facts, inputs[0], result, module, path)
            if found is not None:
                return found
        bases, made = self.alike(inputs, result)
        if len(bases) > 1 or not same_facts(layer, bases[0], made.shape, facts.params):
            raise Unsayable(f"`{use.layer}` on what has other axes joined with the batch")
        follows = getattr(module, "batch_first", None) is not None  # what came before: in order
        if not follows and not same_in_front(layer, inputs[0], bases[0]):
            raise Unsayable(f"`{use.layer}` on what has other axes joined with the batch")
        return Applied(use, bases, made)

    def of_windows(
        self,
        use: Use,
        layer: Layer,
        facts: Facts,
        value: Value,
        result: Value,
        module: Any = None,
        path: str = "",
    ) -> Applied | None:
        """Return how a layer is applied to all windows of a sample at once, or None."""
        form = self.form(value)
        lead, *rest = form.groups
        others = tuple(axis for axis in lead if axis != 0)
        if 0 not in lead or not others or len(rest) < 2:
            return None
        settled = self.fresh(canonical(form)[1], value.dtype)
        if takes(layer, settled, facts) and same_in_front(layer, value, settled):
            return None  # as it does what it does to each number, or to each row
        times = prod(form.base.shape[axis] for axis in others)
        one_place = facts.windows == POINTWISE or (
            isinstance(facts.windows, tuple) and {*facts.windows} == {PLACE}
        )
        if one_place and not any(layer.noise(value.shape)) and value.shape[2:] == result.shape[2:]:
            channels, places, *more = rest
            groups = ((0,), channels, (*others, *places), *more)
            given = self.led(form, groups, value.dtype)
            wide = (result.shape[1], times * result.shape[2], *result.shape[3:])
            if not same_facts(layer, given, (self.batch, *wide), facts.params):
                return None
            made = self.fresh((self.batch, *wide), result.dtype)
            self.led_back(form, made, 2, result)
            return Applied(use, [given], made)
        weights: dict[str, Value] = {}
        kind, arguments = type(layer), use.arguments
        sides: Sequence[int] = ()
        if facts.params:
            if not {"groups", "out_channels"} <= kind.model_fields.keys() or facts.buffers:
                return None
            named = {name: getattr(layer, name) for name in kind.model_fields}
            named["groups"] *= times
            named["out_channels"] *= times
            mode = PADDINGS.get(named.get("padding_mode", ""))
            if mode and layer.functional() is None:
                # weights that are computed go with padding by zeros alone: it is a stage of its own
                sides = module._reversed_padding_repeated_twice
                named |= {"padding_mode": "zeros", "padding": 0}
            if construct(kind, named).functional() is None:
                return None
            arguments = tidy(kind, named)
        elif kind.family not in EACH_CHANNEL:
            return None
        channels, *more = rest
        given = self.led(form, ((0,), (*others, *channels), *more), value.dtype)
        if prod(layer.noise(given.shape)) != prod(layer.noise(value.shape)):
            return None  # it draws for each sample
        if any(sides):
            before = given
            image = [
                size + sides[-2 - 2 * at] + sides[-1 - 2 * at]
                for at, size in enumerate(before.shape[2:])
            ]
            given = self.fresh((*before.shape[:2], *image), before.dtype)
            self.stage(f"{mode}pad{len(image)}d", [before], given, padding=tuple(sides))
        made = self.fresh((self.batch, times * result.shape[1], *result.shape[2:]), result.dtype)
        for name, one in module.named_parameters() if facts.params else ():
            own = self.parameter(f"{path}.{name}", one)
            weights[name] = self.fresh((times * own.shape[0], *own.shape[1:]), own.dtype)
            counts = (times, *(1 for _ in own.shape[1:]))
            self.stage("repeat", [own], weights[name], repeats=counts)
            own.alone = True
            self.alone.add(weights[name])
        self.led_back(form, made, 1, result)
        return Applied(Use(use.layer, dict(arguments)), [given], made, weights)

    def on_grid_sample(
        self,
        call: Call,
        image: Value,
        grid: Value,
        mode: str = "bilinear",
        padding_mode: str = "zeros",
        align_corners: bool | None = None,
    ) -> None:
        """Say the places of a grid that are read in an image, or in each window of it."""
        how = {"mode": mode, "padding_mode": padding_mode, "align_corners": bool(align_corners)}
        if image not in self.forms and grid not in self.forms:
            self.stage(call.name, [image, grid], self.whole(call.result), **how)
            return
        forms = [self.settled(one) for one in (image, grid)]
        one, other = [form.groups for form in forms]
        lead = one[0]
        shape = (*forms[0].base.shape[: len(lead) + 1], *call.result.shape[2:])
        groups = (lead, *((axis,) for axis in range(len(lead), len(shape))))
        axes = [len(form.base.shape) for form in forms]
        sizes = [form.base.shape[: len(lead)] for form in forms]
        if {one, other} != {groups} or {*axes} != {len(shape)} or sizes[0] != sizes[1]:
            raise Unsayable(MOVED)
        made = self.fresh(shape, image.dtype)
        self.stage(call.name, [form.base for form in forms], made, **how)
        self.forms[call.result] = Form(made, groups)

    def parameter(self, name: str, tensor: Any) -> Value:
        """Return what stands for a parameter of a module."""
        if name not in self.stored:
            dtype = str(tensor.dtype).removeprefix("torch.")
            self.number -= 1
            value = Value(self.number, tuple(tensor.shape), dtype)
            value.own, value.tensor = name, tensor
            self.stored[name] = value
        return self.stored[name]

    def led(self, form: Form, groups: tuple[tuple[int, ...], ...], dtype: str) -> Value:
        """Return the numbers of a form with the batch first and the axes of its base as given."""
        sizes = form.base.shape
        value = self.fresh([prod(sizes[axis] for axis in group) for group in groups], dtype)
        self.become_form(value, Form(form.base, groups))
        return self.find(value)

    def led_back(self, form: Form, made: Value, axis: int, result: Value) -> None:
        """Say a result of which the axes that were joined with the batch begin another axis."""
        lead = form.groups[0]
        sizes = [form.base.shape[one] for one in lead if one != 0]
        inner = made.shape[axis] // prod(sizes)
        shape = (*made.shape[:axis], *sizes, inner, *made.shape[axis + 1 :])
        base = self.fresh(shape, made.dtype)
        self.later.append((made, base))
        count = iter(range(axis, axis + len(sizes)))
        first = tuple(0 if one == 0 else next(count) for one in lead)
        left = [(one,) for one in range(1, len(shape)) if one not in first]
        self.forms[result] = Form(base, (first, *left))


def takes(layer: Layer, value: Value, facts: Facts) -> bool:
    """Tell whether a layer with the same parameters takes a tensor with more axes."""
    try:
        return bool(layer.infer((value.shape[1:],)).params == facts.params)
    except ValueError:
        return False


def counted_from_behind(use: Use, layer: Layer, value: Value) -> tuple[Use, Layer]:
    """Return a layer of which the axis that it works along is counted from the last one."""
    dim = getattr(layer, "dim", None)
    if not isinstance(dim, int) or dim < 0:
        return use, layer
    arguments = {**use.arguments, "dim": dim - len(value.shape)}
    return Use(use.layer, arguments), construct(type(layer), arguments)


def same_in_front(layer: Layer, value: Value, base: Value) -> bool:
    """Tell whether a layer does the same at each place of the axes that were joined with the batch.

    Those are channels for it if its parameters follow them, or if one draws on another.
    """
    if prod(layer.noise(value.shape)) != prod(layer.noise(base.shape)):
        return False
    dim = getattr(layer, "dim", None)
    if isinstance(dim, int):
        return dim < 0 and -dim < len(value.shape)
    try:
        plain = layer.infer((value.shape[1:],))  # one of another number of axes sums over them
        facts = layer.infer((base.shape[1:],))
        more = layer.infer(((base.shape[1] + OTHER, *base.shape[2:]),))
    except ValueError:
        return False
    return facts.apart and plain.params == facts.params == more.params
