"""Makes nodes of layers that are found by the function of torch that they become."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from math import isfinite, prod
from typing import Any

from archdsl.importing.bodies import Node
from archdsl.importing.forms import Form, Groups, canonical, cut, plain
from archdsl.importing.layers import Use, kinds_of, squeezed
from archdsl.importing.record import Call, Value, tensors
from archdsl.layers.base import ArgumentErrors, Layer, construct
from archdsl.limits import Limits

# Arguments that say how torch is to compute, and not what.
HOW = {
    "inplace", "training", "return_indices", "_stacklevel", "dtype", "out", "momentum",
    "use_input_stats", "half_to_float",
}  # fmt: skip
SIZES = "normalized_shape"  # as many as there are axes, the last ones, that are normalized
MOST_TRIALS = 400
COUNTER = "num_batches_tracked"  # which batch normalization counts by itself


# The arguments after the first of functions that don't show how theirs are called.
CONVOLUTION = ("weight", "bias", "stride", "padding")
POSITIONS = {
    "conv": (*CONVOLUTION, "dilation", "groups"),
    "conv_transpose": (*CONVOLUTION, "output_padding", "groups", "dilation"),
    "linear": ("weight", "bias"),
    "prelu": ("weight",),
}

NOWHERE = "a tensor of which nobody saw whence"
MOVED = "what moves the batch from the first axis to another, or joins it with others"


class Unsayable(Exception):
    """The language has no words for something; the text says for what."""


def numbers_of(value: Value) -> Any:
    """Return the tensor of what is always the same.

    Raises:
        Unsayable: it holds no numbers.
    """
    if value.tensor is None or value.tensor.is_meta:
        raise Unsayable("a constant of which the meta device holds no numbers")
    return value.tensor


class Making:
    """Nodes that one call after the other becomes, and which values are others under another name.

    Attributes:
        batch: how many samples were given.
        alias: for a value that is another one: which.
        forms: of values whose first axis isn't the batch alone.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.alias: dict[Value, Value] = {}
        self.forms: dict[Value, Form] = {}
        self.steady: set[Value] = set()  # whose form has its axes in order
        # of what has its axes in another order, but the batch first
        self.ordered: dict[Value, Form] = {}
        self.number = 0
        self.nodes: list[Node] = []
        self.place = ""
        self.blank: set[Value] = set()  # tensors that were made and hold nothing yet
        self.noise: dict[Value, tuple[float, bool]] = {}  # the share of ones, and whether scaled
        self.sharing = False  # whether nothing that comes in takes part
        self.alone: set[Value] = set()  # what follows from parameters alone, and has no batch
        self.whose: dict[Value, tuple[str, ...]] = {}  # of what parameters and buffers it follows
        self.for_each: dict[Value, bool] = {}  # of constants whether they were made for each sample

    def find(self, value: Value) -> Value:
        """Return the value that another name of it stands for."""
        while value in self.alias:
            value = self.alias[value]
        return value

    def fresh(self, shape: Sequence[int], dtype: str) -> Value:
        """Return a value between two stages."""
        self.number -= 1
        return Value(self.number, tuple(shape), dtype)

    def become(self, result: Value, value: Value) -> None:
        """Let a result be a value that is there already."""
        self.alias[result] = value

    def stage(
        self, function: str, inputs: Sequence[Value], output: Value, /, **arguments: Any
    ) -> None:
        """Add the layer that becomes a function of torch, with some arguments."""
        if any(isinstance(one, float) and not isfinite(one) for one in arguments.values()):
            raise Unsayable(f"`{function}` with infinity or NaN: the language has finite numbers")
        for kind in kinds_of(function):
            if arguments.keys() <= kind.model_fields.keys() and all(
                name in arguments or not one.is_required()
                for name, one in kind.model_fields.items()
            ):
                try:
                    construct(kind, arguments)
                except ArgumentErrors:  # another layer of that function takes such arguments
                    continue
                use = Use(kind.__name__, tidy(kind, arguments))
                self.nodes.append(Node(use, [*inputs], output, place=self.place))
                return
        raise Unsayable(f"`{function}`")

    def each(self, function: str, inputs: Sequence[Value], result: Value, /, **how: Any) -> None:
        """Add a layer that does the same to each number, wherever the batch is."""
        bases, made = self.alike(inputs, result)
        for one in bases:
            one.alone = one.alone or (bool(one.own) and len(bases) > 1)
        self.stage(function, bases, made, **how)

    def merge(self, word: str, inputs: Sequence[Value], output: Value, **arguments: Any) -> None:
        """Add a merge."""
        use = Use(word, arguments)
        self.nodes.append(Node(use, [*inputs], output, merges=True, place=self.place))

    def is_shared(self, value: Value) -> bool:
        """Tell whether a tensor is the same for all samples, and isn't there for each of them."""
        return (value.held and not self.is_each(value)) or value in self.alone

    def is_each(self, value: Value) -> bool:
        """Tell whether a constant was made for each sample, as are the places of its tokens.

        It begins with as many equal parts as there are samples, and the module didn't hold it.
        """
        if not value.fixed or len(value.shape) < 2 or value.shape[0] != self.batch:
            return False
        if value not in self.for_each:
            tensor = value.tensor
            known = value.made and tensor is not None
            self.for_each[value] = known and (tensor.is_meta or bool((tensor == tensor[:1]).all()))
        return self.for_each[value]

    def one_number(self, value: Any, other: Any) -> Any:
        """Return the number that a constant has for every sample where it has no axis besides.

        As `other` has none either, that axis can't be one of each sample.
        """
        if not isinstance(value, Value) or not isinstance(other, Value) or self.sharing:
            return value
        alike = value.made and value.shape == other.shape == (self.batch,)
        if not alike or self.is_shared(other):
            return value
        tensor = numbers_of(value)
        return tensor[0].item() if bool((tensor == tensor[0]).all()) else value

    def batched(self, value: Value) -> Value:
        """Return a value whose first axis is the batch, or refuse it."""
        if value in self.forms:
            raise Unsayable(MOVED)
        return value

    def whole(self, result: Any) -> Value:
        """Return a result that is one tensor with the batch as its first axis."""
        if not isinstance(result, Value):
            raise Unsayable("a function that gives several tensors")
        if self.sharing:
            return result  # of parameters alone: it has no batch
        if not result.shape or result.shape[0] != self.batch:
            raise Unsayable("what changes or drops the batch axis")
        return result

    # --- tensors whose first axis isn't the batch -----------------------------------------------

    def form(self, value: Value) -> Form:
        """Return how a value follows from one whose first axis is the batch."""
        return self.forms.get(value) or plain(value)

    def become_form(self, result: Value, form: Form) -> None:
        """Say a result by its form: by stages where the batch leads, else what uses it does."""
        base, groups = form
        straight = tuple(axis for group in groups for axis in group)
        single = all(len(group) == 1 for group in groups)
        if not form.leads:
            self.forms[result] = form
            return
        if straight == tuple(range(len(base.shape))):
            if single:
                self.become(result, base)
            else:
                self.reshape_stage(base, result)
            return
        order = (*straight, *(a for a in range(len(base.shape)) if a not in straight))
        turned = result if single else self.fresh([base.shape[a] for a in order], base.dtype)
        self.stage("permute", [base], turned, dims=order)
        self.ordered[turned] = Form(base, tuple((axis,) for axis in order))
        if not single:
            self.reshape_stage(turned, result)

    def reshape_stage(self, value: Value, result: Value) -> None:
        """Say a change of shape: as a flattening where it is one."""
        before, after = value.shape, result.shape
        for start in range(1, len(before)):
            for end in range(len(before) - 1, start, -1):
                flat = (*before[:start], prod(before[start : end + 1]), *before[end + 1 :])
                if flat == after:
                    last = {} if end == len(before) - 1 else {"end_dim": end}
                    self.stage("flatten", [value], result, start_dim=start, **last)
                    return
        self.stage("reshape", [value], result, shape=tuple(after[1:]))

    def recut(self, result: Value, form: Form) -> None:
        """Say the numbers of a form in another shape."""
        found = cut(form, result.shape)
        if found is not None and len(found[0]) - 1 > Limits().dimensions:
            # axes that lie apart count each, and those that were put together don't
            form = self.put_in_order(form)
            found = cut(form, result.shape)
        if found is None:
            raise Unsayable("what changes or drops the batch axis")
        shape, groups = found
        base = form.base
        if shape != base.shape:
            whole = Form(base, groups)
            if whole.leads and whole.flat == tuple(range(len(shape))):
                self.reshape_stage(base, result)
                return
            base = self.fresh(shape, base.dtype)
            self.reshape_stage(form.base, base)
        self.become_form(result, Form(base, groups))

    def settled(self, value: Value) -> Form:
        """Return a form whose base has the axes in the tensor's own order, but the batch first."""
        form = self.form(value)
        if value in self.steady:
            return form
        form = self.put_in_order(form)
        if value in self.forms:
            self.forms[value] = form
            self.steady.add(value)
        return form

    def put_in_order(self, form: Form) -> Form:
        """Return a form of the same tensor whose base has the axes in order, but the batch first.

        Axes that are joined are one there.
        """
        order, shape, groups = canonical(form)
        base = form.base
        if order != tuple(range(len(order))):
            turned = self.fresh([base.shape[axis] for axis in order], base.dtype)
            self.stage("permute", [base], turned, dims=order)
            base = turned
        if shape != base.shape:
            made = self.fresh(shape, base.dtype)
            self.reshape_stage(base, made)
            base = made
        return Form(base, groups)

    def alike(self, values: Sequence[Value], result: Value) -> tuple[list[Value], Value]:
        """Return tensors, and what becomes of them, in which the batch leads.

        What does the same to each place of the leading axes, or to each number, does it to these.

        Raises:
            Unsayable: their batches lie apart.
        """
        if self.sharing or not any(value in self.forms for value in values):
            for value in values if not self.sharing else ():
                self.require_same_for_all(value, len(result.shape))
            return [*values], self.whole(result)
        forms = [None if self.is_shared(v) else self.settled(v) for v in values]
        known = [form for form in forms if form is not None]
        rank = max(len(form.groups) for form in known)
        groups = next(form.groups for form in known if len(form.groups) == rank)
        if any(form.groups != groups for form in known) or len(result.shape) != rank:
            raise Unsayable(MOVED)
        place = next(axis for axis, group in enumerate(groups) if 0 in group)
        for value, form in zip(values, forms, strict=True):
            if (
                form is None
                and len(value.shape) >= rank - place
                and max(value.shape[: len(value.shape) - (rank - place) + 1], default=1) > 1
            ):
                raise Unsayable(MOVED)  # numbers of its own for each sample
        whole = known[0].base.shape
        inner = [*whole]
        for axis, group in enumerate(groups):
            if len(group) == 1 and group != (0,):
                inner[group[0]] = result.shape[axis]
            elif prod(whole[one] for one in group) != result.shape[axis]:
                raise Unsayable(MOVED)
        made = self.fresh(inner, result.dtype)
        self.forms[result] = Form(made, groups)
        for value, form in zip(values, forms, strict=True):
            # with a leading 1 it would be one of each sample, of which the base has other axes
            apart = bool(value.own) or (value.fixed and len(value.shape) != len(whole))
            value.alone = value.alone or (form is None and apart)
        bases = [v if f is None else f.base for v, f in zip(values, forms, strict=True)]
        return bases, made

    def require_same_for_all(self, value: Value, rank: int) -> None:
        """Refuse a tensor that no input changes, and that has other numbers for each sample."""
        if not self.is_shared(value) or len(value.shape) < rank or value.shape[0] == 1:
            return
        if value.fixed:
            tensor = numbers_of(value)
            if value.shape[0] == self.batch and bool((tensor == tensor[:1]).all()):
                return
        if not value.fixed:
            what = f"`{value.own}`" if value.own else "a tensor that is computed of parameters"
            raise Unsayable(f"{what}, in the place of one with a row for each sample")
        raise Unsayable("a tensor of the module with other numbers for each sample")

    # --- layers ---------------------------------------------------------------------------------

    def as_layer(
        self, call: Call, name: str, arguments: list[Any], named: Mapping[str, Any]
    ) -> None:
        """Find the layer that does what a function does, with the parameters that it is given."""
        given = bound(call.function, arguments, named)
        result = call.result
        if isinstance(result, dict | list | tuple):
            result = next(tensors(result), None)
        kinds = kinds_by(name)
        if not kinds:
            raise Unsayable(f"`{name}`")
        if self.sharing:
            self.of_parameters(name, kinds, given, self.whole(result))
            return
        inputs = [*tensors([*given.values()])]
        owned = {key: one for key, one in given.items() if isinstance(one, Value) and one.own}
        if any(one in self.forms for one in inputs):
            given, moved, made = self.moved(given, [one for one in inputs if not one.own], result)
        else:
            moved, made = [one for one in inputs if not one.own], self.whole(result)
        # what the network itself holds belongs to no layer of it
        of_layer = bool(owned) and all("." in one.own for one in owned.values())
        given_weights = {
            key: one
            for key in ("weight", "bias")
            if isinstance(one := given.get(key), Value) and self.is_shared(one)
        }
        if any(not one.own for one in given_weights.values()):
            rest = [one for one in moved if one not in given_weights.values()]
            if any(self.is_layer(k, given, given_weights, rest, made, True) for k in kinds):
                return
        ways = [(owned, moved)] if of_layer else []
        for own, taken in [*ways, ({}, inputs if owned else moved)]:
            if any(self.is_layer(kind, given, own, taken, made) for kind in kinds):
                return
        raise Unsayable(f"`{name}` as it is used here")

    def is_layer(
        self,
        kind: type[Layer],
        given: Mapping[str, Any],
        own: Mapping[str, Value],
        inputs: Sequence[Value],
        result: Value,
        computed: bool = False,
    ) -> bool:
        """Add a layer if it does with some arguments what a function does, and tell whether.

        `own` are its parameters by the arguments of the function; `computed` tells that they are
        no module's.
        """
        batched = [not self.is_shared(one) for one in inputs]
        shapes = tuple(
            tuple(one.shape[1:] if has else one.shape)
            for one, has in zip(inputs, batched, strict=True)
        )
        prefixes = {one.own.rpartition(".")[0] for one in own.values() if not computed}
        if len(prefixes) > 1:
            raise Unsayable("a function with parameters of several modules")
        names = {
            key if computed else one.own.rpartition(".")[2]: one.shape for key, one in own.items()
        }
        for fields in self.candidates(kind, given, own, inputs):
            try:
                layer = construct(kind, fields)
                if all(batched):
                    facts = layer.infer(shapes)
                else:
                    facts = layer.infer_shared(shapes, batched)
            except ValueError:
                continue
            if tuple(facts.output) != result.shape[1:] or not facts.batched:
                continue
            ours = {**facts.params, **facts.buffers}
            if {k: tuple(v) for k, v in ours.items() if k != COUNTER} != names:
                continue
            use = Use(kind.__name__, tidy(kind, fields))
            prefix = next(iter(prefixes), "")
            for one, has in zip(inputs, batched, strict=True):
                one.alone = one.alone or (bool(one.own) and not has)
            node = Node(use, [*inputs], result, prefix, place=self.place, owns=bool(prefix))
            if computed:
                node.weights = dict(own)
                for one in own.values():
                    one.alone = bool(one.own)
            self.nodes.append(node)
            return True
        return False

    def on_deform_conv2d(
        self, call: Call, image: Any, weight: Any, offset: Any, mask: Any, bias: Any, *how: Any
    ) -> None:
        """Say torchvision's operator, which gets zeros where there is no mask and no bias."""
        *pairs, groups, _, masked = how
        stride, padding, dilation = (tuple(pairs[at : at + 2]) for at in (0, 2, 4))
        given = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        own = {"weight": weight}
        if not bias.fixed or bool(numbers_of(bias).any()):
            own["bias"] = bias
        inputs = [*map(self.batched, [image, offset, mask][: 2 + masked])]
        # what is computed, or the network itself holds, belongs to no layer of it
        inside = all("." in one.own for one in own.values())
        for kind in kinds_of(call.name) if inside else ():
            if self.is_layer(kind, {**given, **own}, own, inputs, self.whole(call.result)):
                return
        raise Unsayable(f"`{call.name}` with weights that belong to no module")

    def moved(
        self, given: Mapping[str, Any], inputs: Sequence[Value], result: Any
    ) -> tuple[dict[str, Any], list[Value], Value]:
        """Return arguments, inputs and result of a function where the batch leads in all of them.

        Axes that are named are those of what leads then.
        """
        if not isinstance(result, Value):
            raise Unsayable("a function that gives several tensors")
        rank, listed = len(inputs[0].shape), given.get("dim")
        many = isinstance(listed, list | tuple)
        dims: list[int] = [] if listed is None else [*listed] if many else [listed]
        dims = [one % rank for one in dims]
        if rank == len(result.shape):
            bases, made = self.alike(inputs, result)
            groups = self.forms[result].groups
        elif len(inputs) == 1 and len(result.shape) == rank - len(dims):
            form = self.settled(inputs[0])
            bases, groups = [form.base], form.groups
            gone = {axis for dim in dims for axis in groups[dim]}
            made = self.fresh(
                [size for at, size in enumerate(form.base.shape) if at not in gone], result.dtype
            )
            left = without(tuple(g for at, g in enumerate(groups) if at not in dims), gone)
            self.become_form(result, Form(made, left))
        else:
            raise Unsayable(MOVED)
        if any(len(groups[dim]) != 1 or groups[dim] == (0,) for dim in dims):
            raise Unsayable(MOVED)
        last = len(given.get(SIZES, ()))
        whole = len(bases[0].shape)
        if last and groups[-last:] != tuple((axis,) for axis in range(whole - last, whole)):
            raise Unsayable(MOVED)  # the axes that are normalized aren't the last there
        axes = [groups[dim][0] for dim in dims]
        if listed is None:
            return dict(given), bases, made
        return {**given, "dim": axes if many else axes[0]}, bases, made

    def of_parameters(
        self, name: str, kinds: Sequence[type[Layer]], given: Mapping[str, Any], result: Value
    ) -> None:
        """Say a function of parameters alone, which has no batch."""
        inputs = [*tensors([*given.values()])]
        shapes = tuple(one.shape for one in inputs)
        for kind in kinds:
            for fields in self.candidates(kind, given, {}, inputs):
                try:
                    facts = construct(kind, fields).infer_shared(shapes, [False] * len(inputs))
                except ValueError:
                    continue
                if tuple(facts.output) == result.shape and not facts.params and not facts.batched:
                    use = Use(kind.__name__, tidy(kind, fields))
                    self.nodes.append(Node(use, inputs, result, place=self.place))
                    return
        raise Unsayable(f"`{name}` of parameters")

    def candidates(
        self, kind: type[Layer], given: Mapping[str, Any], own: Mapping[str, Value], inputs: Any
    ) -> Any:
        """Yield arguments for a layer: those given by name, and for others what sizes suggest."""
        fields: dict[str, Any] = {}
        unknown: dict[str, list[Any]] = {}
        weights = [size for value in own.values() for size in value.shape]
        kernels = [tuple(value.shape[2:]) for value in own.values() if len(value.shape) > 2]
        surplus = [
            name
            for name, value in given.items()
            if name not in kind.model_fields
            and not isinstance(value, Value)
            and name not in HOW
            and name not in (SIZES, "num_groups")
            and not (isinstance(value, list) and any(True for _ in tensors(value)))
            and value not in (None, False)
        ]
        if surplus:
            return
        for name, one in kind.model_fields.items():
            value = given.get(name)
            if isinstance(value, list):
                value = tuple(value)
            if name == "bias":
                value = isinstance(given.get("bias"), Value)
            if name in given or name == "bias":
                try:
                    fields[name] = one.check(value)
                    continue
                except ValueError:
                    pass
            trials = [] if one.is_required() else [one.default]
            trials += [*weights, *kernels, *(v for v in given.values() if isinstance(v, int))]
            if not one.is_required() and isinstance(one.default, bool):
                trials = [one.default, not one.default]
            elif name == "axes" and SIZES in given:
                # not by the weights' shape: a normalization may have none
                trials = [len(given[SIZES])]
            elif not one.is_required() and name != "num_parameters":
                trials = [one.default]
            found: list[Any] = []
            for trial in trials:
                try:
                    checked = one.check(trial)
                except ValueError:
                    continue
                if checked not in found:
                    found.append(checked)
            unknown[name] = found
        for number, values in enumerate(product(*unknown.values())):
            if number > MOST_TRIALS:
                return
            yield fields | dict(zip(unknown, values, strict=True))


def kinds_by(name: str) -> list[type[Layer]]:
    """Return the layers that a function may be, one of each number of axes where it says none."""
    return kinds_of(name) or [kind for axes in (1, 2, 3) for kind in kinds_of(f"{name}{axes}d")]


def same_facts(layer: Layer, value: Value, shape: Sequence[int], params: Mapping[str, Any]) -> bool:
    """Tell whether a layer gives a shape, with parameters of some shapes."""
    try:
        facts = layer.infer((value.shape[1:],))
    except ValueError:
        return False
    return (1, *facts.output)[1:] == tuple(shape[1:]) and facts.params == params


def without(groups: Groups, gone: Collection[int]) -> Groups:
    """Return groups of axes of which some are gone."""
    return tuple(
        tuple(axis - sum(one < axis for one in gone) for axis in group if axis not in gone)
        for group in groups
    )


def tidy(kind: type[Layer], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that differ from a layer's defaults, as the layer takes them."""
    try:
        made = construct(kind, arguments)
    except (ValueError, TypeError) as error:
        raise Unsayable(f"{kind.__name__}: {error}") from None
    kept: dict[str, Any] = {
        name: getattr(made, name)
        for name, one in kind.model_fields.items()
        if one.is_required() or getattr(made, name) != one.default
    }
    return squeezed(kind, kept)


def bound(function: Any, arguments: list[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name; of a function that shows none by position."""
    try:
        names = list(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        names = []
    name = re.sub(r"\dd$", "", getattr(function, "__name__", ""))
    if names[:1] in ([], ["args"], ["self"]) and name in POSITIONS:
        names = ["input", *POSITIONS[name]]
    elif not names or names[0] in ("args", "self"):
        layers = kinds_of(getattr(function, "__name__", ""))
        names = ["input", *(layers[0].model_fields if layers else ())]
    pairs: dict[str, Any] = {}
    for number, value in enumerate(arguments):
        pairs[names[number] if number < len(names) else f"argument{number}"] = value
    return pairs | dict(named)
