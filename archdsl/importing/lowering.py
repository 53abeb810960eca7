"""Turns recorded calls into bodies: what each module computes, in stages of the language."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from torch import nn

from archdsl.importing.bodies import Body, Node, reads
from archdsl.importing.forms import Form
from archdsl.importing.functions import SAME, SPREADING, Functions
from archdsl.importing.layers import Use, layer_of_module
from archdsl.importing.making import COUNTER, NOWHERE, Unsayable
from archdsl.importing.naming import few, fresh
from archdsl.importing.numbers import MOST_LISTED, of_tensor
from archdsl.importing.record import Call, Value, swapped, tensors
from archdsl.importing.recorder import OWN_GRADIENTS, draws
from archdsl.importing.windows import Applied
from archdsl.layers.registry import Registry


def as_layer(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Use | None:
    """Return the layer that a module is for what it is called with, or None."""
    given = [one for one in (*args, *kwargs.values()) if one is not None]
    inputs = [one for one in given if hasattr(one, "shape") and hasattr(one, "dtype")]
    if not inputs or any(not hasattr(one, "shape") for one in args):
        return None
    if any(isinstance(one, list | tuple | dict) for one in given):
        return None
    while len(inputs) > 1 and inputs[-1] is inputs[-2]:
        inputs.pop()
    return layer_of_module(module, tuple(tuple(one.shape[1:]) for one in inputs))


ATTENTION = "scaled_dot_product_attention"


class Lowering:
    """Turns one recorded pass into a body.

    Attributes:
        lost: what was asked of tensors that nobody can follow, as pairs of text and place.
        cut: places where gradients stop, which a spec doesn't say.
        own: places where the module says itself what gradients are.
    """

    def __init__(self, root: Call, output: Any, batch: int) -> None:
        self.functions = Functions(batch)
        self.lost: list[tuple[str, str]] = []
        self.cut: dict[str, None] = {}
        self.own: dict[str, None] = {}
        self.seen: set[str] = set()  # modules that are layers, and others
        self.entered: set[str] = set()
        self.owners: dict[int, str] = {}  # by the numbers of parameters: their first names
        self.drawn: set[Value] = set()  # at random
        self.empty: set[Value] = set()  # of tensors that were made without numbers
        self.whose = self.functions.whose
        self.computed: set[Value] = set()  # of what follows from the inputs
        self.shared = self.functions.alone  # of what follows from parameters and buffers alone
        self.computed.update(value for value in root.values_in() if value.input is not None)
        self.root = self.body(root) if root.layer is None else self.alone(root)
        self.link(root)

    def alone(self, call: Call) -> Body:
        """Return the body of a module that is a layer by itself."""
        body = Body("", call.name, call.module, place=call.place)
        self.item(body, call)
        body.given, body.gives = call.values_in(), named_outputs(call.result)
        return body

    def body(self, call: Call) -> Body:
        """Return the body of a call."""
        body = Body(call.path, call.name, call.module, place=call.place)
        body.again = call.path in self.entered
        self.entered.add(call.path)
        for inner in call.inside:
            self.item(body, inner)
        find = self.functions.find
        body.given = list(dict.fromkeys(map(find, call.values_in())))
        body.gives = [(name, find(value)) for name, value in named_outputs(call.result)]
        return body

    def item(self, body: Body, call: Call) -> None:
        """Add what a call becomes to a body."""
        if call.module is None:
            self.function(body, call)
        elif call.layer is not None:
            self.layer(body, call)
        else:
            inner = self.body(call)
            if not inner.items:
                return
            if self.is_layer_with_more(inner):
                body.items += map(beside, inner.items)
            else:
                body.items.append(inner)

    def is_layer_with_more(self, body: Body) -> bool:
        """Tell whether a module's own parameters belong to a function that it calls.

        What else it does stands beside that layer then, since nothing can stand in a layer.
        """
        own = [item for item in body.items if isinstance(item, Node) and item.owns]
        return any(item.path == body.path for item in own)

    def layer(self, body: Body, call: Call) -> None:
        """Add a module that is a layer."""
        find = self.functions.find
        if self.has_no_gradients(call):
            self.cut[call.place] = None
        self.each_sample(body, call)
        inputs = [find(value) for value in call.values_in()]
        while len(inputs) > 1 and inputs[-1] is inputs[-2]:
            inputs.pop()
        results = call.values_out()
        if call.name == "Identity":
            self.functions.become(results[0], inputs[0])
            return
        owns = bool(call.module.state_dict())
        self.functions.nodes, self.functions.place = [], call.place
        self.functions.sharing = False  # as it may be since the function before
        missing, first = "", results[0]
        applied = Applied(call.layer, inputs, first)
        try:
            if call.module._forward_hooks or call.module._forward_pre_hooks:
                raise Unsayable(f"`{call.name}` with hooks")
            self.require_order(call, inputs)
            applied = self.functions.of_module(call.layer, call.module, call.path, inputs, first)
        except Unsayable as error:
            missing = str(error)
            applied = Applied(call.layer, self.bases(inputs), first)
            self.functions.forms.pop(first, None)
        inputs = applied.inputs
        path, owns = ("", False) if applied.weights else (call.path, owns)
        nodes = [Node(applied.use, inputs, applied.output, path, place=call.place, owns=owns)]
        nodes[0].weights = dict(applied.weights)
        nodes += [self.further(call, inputs, number) for number in range(1, len(results))]
        for node in nodes:
            node.missing = node.missing or missing
            node.again = bool(node.path) and call.path in self.seen
            node.ties = self.ties(call) if node.path else {}
            if node.ties and any(True for _ in call.module.buffers()):
                node.missing = f"`{call.name}` with statistics that stand under several names"
            node.costs = call.costs
        self.seen.add(call.path)
        added = [*self.functions.nodes, *nodes, *self.functions.finish()]
        body.items += added
        if any(map(self.follows, map(find, call.values_in()))):
            self.computed.update(results)
            self.computed.update(one.output for one in added)
            return
        self.shared.update(results)
        for value in inputs:
            value.alone = value.held

    def require_order(self, call: Call, inputs: list[Value]) -> None:
        """Refuse sequences whose batch isn't where a module takes it to be."""
        first = getattr(call.module, "batch_first", None)
        for value in inputs:
            form = self.functions.form(value)
            if first is not None and form.leads is not first:
                where = "first" if first else "second"
                raise Unsayable(f"`{call.name}`, which takes the batch to be the {where} axis")

    def further(self, call: Call, inputs: list[Value], number: int) -> Node:
        """Return a node for another result of a module: the last states of a recurrent one."""
        result = call.values_out()[number]
        kind = Registry()[call.layer.layer]
        if "gives" not in kind.model_fields:
            return Node(
                call.layer, inputs, result, missing=f"what `{call.name}` gives besides",
                place=call.place,
            )  # fmt: skip
        use = Use(call.layer.layer, {**call.layer.arguments, "gives": ("h_n", "c_n")[number - 1]})
        layers, batch, *rest = result.shape
        made = self.functions.fresh((batch, layers, *rest), result.dtype)
        self.functions.forms[result] = Form(made, ((1,), (0,), (2,)))
        return Node(use, inputs, made, call.path, place=call.place, owns=True)

    def ties(self, call: Call) -> dict[str, str]:
        """Return which parameters of a layer are those of one that was called before."""
        found: dict[str, str] = {}
        for name, one in call.module.named_parameters():
            path = f"{call.path}.{name}"
            before = self.owners.setdefault(id(one), path)
            if before != path:
                found[name] = before
        return found

    def function(self, body: Body, call: Call) -> None:
        """Add what a function becomes."""
        if call.fixed:
            self.constant(body, call)
            return
        find = self.functions.find
        self.each_sample(body, call)
        given, results = [*map(find, call.values_in())], call.values_out()
        follows = any(map(self.follows, given))
        sharing = not follows and any(value.own or value in self.shared for value in given)
        if call.name in OWN_GRADIENTS:
            if follows or sharing:
                self.own[call.place] = None
            return
        if not results:
            self.read(call, given, follows)
            return
        if sharing:
            self.whose.update((value, self.owners_of(given)) for value in results)
        if any(value.own.endswith(COUNTER) for value in given):
            self.shared.update(results)
            return
        stops = call.name.strip("_") in ("detach", "data")
        if (follows or sharing) and (stops or self.has_no_gradients(call)):
            self.cut[call.place] = None
        if not follows and not sharing:
            self.functions.draw(call)
            if draws(call.name) or any(value in self.drawn for value in given):
                self.drawn.update(results)
            elif "empty" in call.name:
                self.empty.update(results)
            return
        (self.shared if sharing else self.computed).update(results)
        try:
            known = self.computed | self.shared
            noise = self.functions.noise
            loose = [v for v in given if v not in known and not v.held and v not in noise]
            if loose:
                raise Unsayable(self.loose(loose))
            if call.name.endswith("_") and not call.name.endswith("__") and given[0].own:
                raise Unsayable("a tensor that is written over in part or for good")
            nodes = self.functions.of(call, sharing)
            nodes = [*nodes, *self.forgotten(call, given, nodes)]
            if nodes and sharing:
                for value in given:
                    value.alone = value.held
        except Unsayable as error:
            nodes = [self.missing(call, str(error), given, value) for value in results]
        except (TypeError, ValueError, IndexError, KeyError, AttributeError):
            text = f"`{call.name}` as it is used here"
            nodes = [self.missing(call, text, given, value) for value in results]
        for node in nodes:
            node.costs = call.costs
            node.again = bool(node.path) and node.path in self.seen
            if node.path:
                self.seen.add(node.path)
            (self.shared if sharing else self.computed).add(node.output)
        body.items += nodes

    @staticmethod
    def has_no_gradients(call: Call) -> bool:
        """Tell whether what a call computes would have gradients, but for `torch.no_grad()`."""
        kept = call.name.endswith("_") and any(value.own for value in call.values_in()[:1])
        return call.stopped and not kept and any("float" in one.dtype for one in call.values_out())

    def read(self, call: Call, given: list[Value], follows: bool) -> None:
        """Note numbers that are read out of tensors: what becomes of them can't be followed."""
        if follows:
            self.lost.append((f"reads the numbers of a tensor (`{call.name}`)", call.place))
        elif any(value in self.drawn for value in given):
            self.lost.append((f"reads random numbers (`{call.name}`)", call.place))
        elif owners := self.owners_of(given):
            names = few([f"`{name}`" for name in owners])
            text = (
                f"the numbers of {names} are read (`{call.name}`), and would stand in the text "
                f"whatever the weights are"
            )
            self.lost.append((text, call.place))

    def owners_of(self, values: list[Value]) -> tuple[str, ...]:
        """Return the names of the parameters and buffers that values are, or follow from."""
        names = [(one.own,) if one.own else self.whose.get(one, ()) for one in values]
        return tuple(dict.fromkeys(name for some in names for name in some))

    def each_sample(self, body: Body, call: Call) -> None:
        """Say for each sample what is spread over them, where a call counts its axes."""
        functions, given = self.functions, call.values_in()
        spread = [one for one in map(functions.spread_before, given) if one is not None]
        name = call.name.strip("_")
        if not spread:
            return
        if name in SAME and call.module is None:
            functions.over.update((value, functions.over[spread[0]]) for value in call.values_out())
            return
        mixed = any(self.follows(functions.find(value)) for value in given)
        for value in dict.fromkeys(spread):
            before = functions.find(value)
            kept = mixed and (bool(before.own) or name in SPREADING)
            if name == ATTENTION and value in given[:3]:
                kept = False  # of queries, keys and values it takes none that all share
            if not kept and "float" in before.dtype:
                added = functions.each_sample(value)
                self.shared.update(one.output for one in added[:-1])
                self.computed.add(added[-1].output)
                body.items += added

    def follows(self, value: Value) -> bool:
        """Tell whether a tensor has numbers for each sample: it follows from what comes in."""
        return value in self.computed or self.functions.is_each(value)

    def constant(self, body: Body, call: Call) -> None:
        """Say how a constant is made that is too large to be listed, and follows no formula."""
        if self.of_samples(body, call):
            return
        large = [value for value in call.values_out() if not self.is_written(value)]
        if not large:
            return
        with suppress(Unsayable, TypeError, ValueError, IndexError, KeyError, AttributeError):
            for node in self.functions.of(call, sharing=True):
                self.shared.add(node.output)
                body.items.append(node)
            made = {node.output for node in self.functions.nodes}
            for value in large:
                if value in made or value in self.functions.alias:
                    value.fixed = False
                    self.shared.add(value)

    def of_samples(self, body: Body, call: Call) -> bool:
        """Say what is made of a constant for each sample and is none itself, and tell whether.

        So it is where the batch is joined with other axes, as the places of all windows are.
        """
        functions, results = self.functions, call.values_out()
        given = [*map(functions.find, call.values_in())]
        if not any(map(self.follows, given)) or not all(value.fixed for value in results):
            return False
        if all(functions.is_each(value) and self.is_written(value) for value in results):
            return False
        made = {value: functions.fresh(value.shape, value.dtype) for value in results}
        own = replace(call, fixed=False, result=swapped(call.result, made))
        try:
            nodes = functions.of(own)
        except (Unsayable, TypeError, ValueError, IndexError, KeyError, AttributeError):
            return False
        for value, one in made.items():
            functions.become(value, one)
        self.computed.update(made.values())
        self.computed.update(node.output for node in nodes)
        body.items += nodes
        return True

    @staticmethod
    def is_written(value: Value) -> bool:
        """Tell whether a constant can be written with its numbers, or by a formula."""
        small = value.tensor.is_meta or value.tensor.numel() <= MOST_LISTED
        return small or of_tensor(value.tensor) is not None

    def bases(self, values: list[Value]) -> list[Value]:
        """Return for values whose batch isn't the first axis those of which they are made."""
        forms = self.functions.forms
        return [forms[value].base if value in forms else value for value in values]

    def forgotten(self, call: Call, given: list[Value], nodes: list[Node]) -> list[Node]:
        """Return a node for each result that nothing said: what uses it would lack its source."""
        made = {node.output for node in nodes}
        held = self.functions
        known = (made, held.alias, held.forms, held.noise, held.even, held.blank)
        text = f"`{call.name}` as it is used here"
        return [
            self.missing(call, text, given, value)
            for value in call.values_out()
            if not any(value in ones for ones in known)
        ]

    def missing(self, call: Call, text: str, given: list[Value], result: Value) -> Node:
        """Return a node for what can't be said."""
        self.functions.forms.pop(result, None)
        self.functions.alias.pop(result, None)
        use = Use(call.name.strip("_"))
        return Node(
            use, self.bases(given), result, missing=text, place=call.place, costs=call.costs
        )

    def link(self, root: Call) -> None:
        """Leave out what no output needs, and say of each body what comes in and goes out."""
        find = self.functions.find
        outputs = [find(value) for _, value in named_outputs(root.result)]
        self.outputs = outputs
        for value in outputs:
            if value in self.functions.forms:
                self.lost.append(("an output whose first axis isn't the batch", root.place))
        # what evaluation gives unchanged, training may have dropped numbers of
        if root.training and any(value.input is not None for value in outputs):
            self.lost.append(("an output that gives what came in", root.place))
        elif root.training and len(set(outputs)) < len(outputs):
            self.lost.append(("an output that is given twice", root.place))
        needed = set(outputs)
        self.prune(self.root, needed)
        self.require_whence(root)
        self.require_apart()
        given: dict[str, str] = {}
        for node in self.root.nodes():
            if "gives" in node.use.arguments or node.path in given:
                what = node.use.arguments.get("gives", "output")
                if given.setdefault(node.path, what) != what:
                    node.missing = f"`{node.use.layer}` of which several results are used"
            elif node.path and node.owns:
                given[node.path] = "output"
        self.io(self.root, set(outputs))

    def require_whence(self, root: Call) -> None:
        """Refuse tensors that outputs need and nothing gives: none may stand for another."""
        known = {node.output for node in self.root.nodes()}
        known.update(value for value in self.computed if value.input is not None)

        def unknown(values: list[Value]) -> bool:
            return any(value not in known and not value.held for value in values)

        for node in self.root.nodes():
            if not node.missing and unknown(reads(node)):
                self.lost.append((self.loose(reads(node)), node.place))
        if unknown(self.outputs):
            self.lost.append((NOWHERE, root.place))

    def require_apart(self) -> None:
        """Refuse parameters of a layer that something beside it takes too."""
        layers = {node.path for node in self.root.nodes() if node.path and node.owns}
        for node in self.root.nodes():
            for value in reads(node):
                home = value.own.rpartition(".")[0]
                if home in layers and home != node.path and not node.missing:
                    node.missing = f"`{value.own}`, which the layer `{home}` has, used beside it"

    def loose(self, values: list[Value]) -> str:
        """Say what values are of which one has numbers that nothing gives."""
        if any(value in self.drawn or value in self.functions.noise for value in values):
            return "random numbers"
        if any(value in self.empty for value in values):
            return "a tensor made by `empty`, which holds no numbers at first (`zeros` does)"
        return NOWHERE

    def prune(self, body: Body, needed: set[Value]) -> None:
        """Leave out of a body what nothing needs, and add to `needed` what its items read."""
        kept: list[Node | Body] = []
        for item in reversed(body.items):
            if isinstance(item, Node):
                find = self.functions.find
                item.inputs = [find(value) for value in item.inputs]
                item.weights = {name: find(value) for name, value in item.weights.items()}
                if item.output in needed:
                    needed.update(reads(item))
                    kept.append(item)
            else:
                self.prune(item, needed)
                if item.items:
                    kept.append(item)
        body.items = kept[::-1]

    def io(self, body: Body, used_outside: set[Value]) -> None:
        """Work out what a body takes and gives, where it is known what is used around it."""
        made: dict[Value, None] = {}
        for node in body.nodes():
            made[node.output] = None
        read: dict[Value, None] = {}
        for node in body.nodes():
            for value in reads(node):
                outer = not value.fixed and not (value.own and held_by(value.own, body.path))
                if value not in made and outer:
                    read[value] = None
        order = [value for value in body.given if value in read]
        body.inputs = [*order, *(value for value in read if value not in order)]
        returned = [value for _, value in body.gives if value in made and value in used_outside]
        rest = [v for v in made if v in used_outside and v not in returned]
        body.outputs = list(dict.fromkeys([*returned, *rest]))
        # a name that is that of a stage too would lead to either
        taken = set() if body is self.root else {name for name, _ in body.module.named_children()}
        named = {value: name for name, value in body.gives if name}
        body.names = {value: fresh(name, taken) for value, name in named.items()}
        for number, item in enumerate(body.items):
            if isinstance(item, Body):
                around = set(used_outside)
                for other, beside in enumerate(body.items):
                    if other != number:
                        nodes = [beside] if isinstance(beside, Node) else beside.nodes()
                        for node in nodes:
                            around.update(reads(node))
                self.io(item, around)


def held_by(name: str, path: str) -> bool:
    """Tell whether a parameter stands in a module."""
    return not path or name.startswith(f"{path}.")


def beside(item: Node | Body) -> Node | Body:
    """Return what stands in a layer as it is beside it, where the names in the layer say nothing.

    A layer that has parameters stays, since they are stored under its name.
    """
    if isinstance(item, Body):
        if not any(node.owns for node in item.nodes()):
            item.path = ""
            item.items = [*map(beside, item.items)]
    elif not item.owns:
        item.path = ""
    return item


def named_outputs(result: Any) -> list[tuple[str, Value]]:
    """Return what a module gives, with names where it gives them."""
    if isinstance(result, dict):
        found: list[tuple[str, Value]] = []
        for name, value in result.items():
            values = list(tensors(value))
            for number, one in enumerate(values):
                found.append((f"{name}{number}" if len(values) > 1 else str(name), one))
        return found
    return [("", value) for value in tensors(result)]
