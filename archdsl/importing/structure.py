"""Writes bodies as statements: which merges open which branches, and what is reached by name.

Of the tensors that a merge joins, the nearest one that all of them come of (their common dominator
in the graph of the body) is what its branches start with. What is needed a second time, from
elsewhere, is reached by the name of the statement that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from archdsl.importing.bodies import Body, Node, gives, reads
from archdsl.importing.making import NOWHERE, Unsayable, numbers_of
from archdsl.importing.naming import fresh
from archdsl.importing.numbers import by_place, finite, number, of_tensor
from archdsl.importing.record import Value
from archdsl.importing.sharing import references, settle
from archdsl.importing.tree import (
    Flowing,
    From,
    Input,
    Merge,
    Output,
    Own,
    Part,
    Reference,
    Residual,
    Stage,
    Statement,
    Weight,
    everything,
)


class Structure:
    """Turns one body, with those in it, into statements."""

    def __init__(
        self, body: Body, scope: Structure | None = None, training: Any = (), batch: int = 0
    ) -> None:
        self.body, self.batch = body, batch
        self.root: Structure = scope.root if scope else self
        self.training: set[Value] = set(training)
        self.producer: dict[Value, Node | Body] = {
            value: item for item in body.items for value in gives(item)
        }
        self.made: dict[Value, Reference] = {}
        self.head: list[Statement] = []
        self.pending: dict[Value | None, list[Value]] = {}
        self.dominators()

    # --- dominators -----------------------------------------------------------------------------

    def dominators(self) -> None:
        """Find for each value the nearest one that all ways to it go through."""
        inputs = [value for value in self.body.inputs if not value.held]
        self.above: dict[Value, Value | None] = dict.fromkeys(inputs)
        self.depth: dict[Value | None, int] = {None: 0} | dict.fromkeys(inputs, 1)
        for item in self.body.items:
            known = [value for value in reads(item) if value in self.depth]
            if not known:
                continue  # of parameters alone: it is made where it is needed
            joint = self.joint(known)
            for value in gives(item):
                self.above[value] = joint
                self.depth[value] = self.depth[joint] + 1

    def joint(self, values: Iterable[Value]) -> Value | None:
        """Return the nearest value that all of some come of; None if there is none."""
        found, *others = values
        joint: Value | None = found
        for other in others:
            one: Value | None = other
            while one is not joint:
                if self.depth[one] >= self.depth[joint]:
                    one = self.above[one] if one is not None else None
                else:
                    joint = self.above[joint] if joint is not None else None
        return joint

    # --- statements -----------------------------------------------------------------------------

    def statements(self) -> list[Statement]:
        """Return the statements of the body."""
        body = self.body
        flow: Value | None = None
        if len(body.inputs) == 1:
            flow = body.inputs[0]
        elif body.inputs:
            for value in body.inputs:
                if value not in self.made:
                    one = Input(name="", named=True)
                    self.head.append(one)
                    self.made[value] = Reference(one)
        if self.root is not self:  # what flows at the end is what was made last
            made = [value for item in body.items for value in gives(item)]
            body.outputs.sort(key=made.index, reverse=True)
        main, *others = body.outputs
        spine = self.way(main)
        last: list[Value | None] = []
        for value in others:
            at: Value | None = value
            while at is not None and at not in spine:
                at = self.above.get(at)
            # they come in the order in which the module gives them; what starts nowhere comes last
            if self.root is self and not (value in self.training and value in body.names):
                if last and (last[0] is None or self.before(at, last[0])):
                    at = last[0]
                last = [at]
            self.pending.setdefault(at, []).append(value)
        found = self.compute(main, flow, top=True)
        for value in self.pending.pop(None, []):
            found.append(self.side(value, main))
        name = body.names.get(main, "main" if others else "")
        if name and self.root is self:
            found.append(Output(name=name))
        elif found and isinstance(found[-1], Output) and found[-1].statements is not None:
            found += self.reach(main)  # a block that ends with an output at its side has no other
        return [*self.head, *found]

    def before(self, one: Value | None, other: Value) -> bool:
        """Tell whether a value flows before another one, on the same way."""
        return one is not None and self.depth[one] < self.depth[other]

    def network(self, names: Mapping[int, str]) -> list[Statement]:
        """Return the statements of the whole network, whose inputs have names."""
        for value in self.body.inputs:
            if value.input is None:
                raise Unsayable(NOWHERE)
            one = Input(name=names[value.input], named=True)
            self.made[value] = Reference(one)
        found = [one for one in self.statements() if not isinstance(one, Input)]
        settle(found, self.body)
        return found

    def way(self, main: Value) -> set[Value]:
        """Return the values that flow one after the other on the way to an output."""
        found = {main}
        at: Value | None = main
        while at is not None:
            found.add(at)
            item = self.producer.get(at)
            at = None if item is None else self.base(item)
        return found

    def side(self, value: Value, flow: Value | None) -> Statement:
        """Return the statement of a further output."""
        name = self.output_name(value)
        if value is flow:
            return Output(name=name, training=value in self.training)
        inner = self.compute(value, flow)
        one = Output(name=name, statements=inner, training=value in self.training)
        made = self.made.get(value)
        if made is not None and isinstance(made.to, Merge | Residual | Flowing):
            self.made[value] = Reference(one)  # whose name reaches further than theirs
        return one

    def output_name(self, value: Value) -> str:
        """Return the name of an output of this body."""
        body = self.body
        if value in body.names:
            return body.names[value]
        taken = {*body.names.values(), *(name for name, _ in body.module.named_children())}
        body.names[value] = fresh(f"output{body.outputs.index(value) + 1}", taken)
        return body.names[value]

    def base(self, item: Node | Body) -> Value | None:
        """Return the value with which the way to an item goes on upwards."""
        known = [value for value in reads(item) if value in self.depth]
        return self.joint(known) if known else None

    def compute(self, target: Value, flow: Value | None, top: bool = False) -> list[Statement]:
        """Return statements after which a value flows, where `flow` does before."""
        spine: list[tuple[Node | Body, Value]] = []
        start: Value | None = target
        while start is not None and start is not flow and start not in self.made and not start.held:
            item = self.producer.get(start)
            if item is None:
                break
            spine.append((item, start))
            start = self.base(item)
        found: list[Statement] = []
        if start is not None and start is not flow:
            found += self.reach(start)
            flow = start
        if top:
            self.after(flow, found)
        for item, value in reversed(spine):
            if value in self.made:  # made on the way to another
                if value is not flow:
                    found += self.reach(value)
                    flow = value
                if top:
                    self.after(flow, found)
                continue
            found += self.item(item, flow)
            flow = value
            if isinstance(item, Body) and value is not item.outputs[0]:
                found += self.reach(value)
            if top:
                self.after(flow, found)
        return found

    def after(self, flow: Value | None, found: list[Statement]) -> None:
        """Add the outputs that start where the flow is."""
        for value in self.pending.pop(flow, []):
            found.append(self.side(value, flow))

    def reach(self, value: Value) -> list[Statement]:
        """Return a statement that goes on from a value by its name."""
        found: list[Statement] = []
        if value.held and value not in self.made:
            found.append(self.own(value))
        return [*found, From(references=[self.reference(value)])]

    def reference(self, value: Value) -> Reference:
        """Return the name of a value, and see to it that it has one."""
        if value not in self.made:
            if self.body.inputs != [value]:
                raise Unsayable("a tensor that comes from where no name reaches")
            # what comes in has no name before something asks for it
            one = Flowing(named=True)
            self.head.append(one)
            self.made[value] = Reference(one)
        found = self.made[value]
        found.to.named = True
        return found

    def own(self, value: Value) -> Own:
        """Declare a parameter, a buffer or a constant."""
        if value.fixed:
            return self.constant(value)
        prefix = f"{self.body.path}." if self.body.path else ""
        if not value.own.startswith(prefix):
            raise Unsayable(f"`{value.own}`, a parameter that another module holds")
        batched = value.shape[:1] == (1,) and len(value.shape) > 1 and not value.alone
        learned = bool(getattr(value.tensor, "requires_grad", False))
        learned = learned or type(value.tensor).__name__ == "Parameter"
        first = first_values(value.tensor, learned)
        one = Own(
            path=value.own[len(prefix) :],
            named=True,
            differs=not learned and first_differs(value.tensor, first),
            word="parameter" if learned else "buffer",
            shape=tuple(value.shape[1:] if batched else value.shape),
            batched=batched,
            value=first,
        )
        self.made[value] = Reference(one)
        return one

    def constant(self, value: Value) -> Own:
        """Declare what is the same in every forward pass."""
        tensor = numbers_of(value)
        batched = len(value.shape) > 1 and value.shape[0] in (1, self.root.batch)
        batched = batched and not value.alone and bool((tensor == tensor[:1]).all())
        whole = tensor[0] if batched else tensor
        text = of_tensor(whole)
        if text is None:
            raise Unsayable(
                f"a constant of {tensor.numel()} numbers that follow no formula found"
                if not bool(torch.isnan(tensor).any())
                else "a constant that holds NaN"
            )
        one = Own(
            path="",
            named=True,
            word="constant",
            infinite=bool(torch.isinf(whole).any()),
            shape=tuple(whole.shape),
            batched=batched,
            value=text,
        )
        self.made[value] = Reference(one)
        return one

    def item(self, item: Node | Body, flow: Value | None) -> list[Statement]:
        """Return the statements of one item, all of whose inputs come of what flows."""
        if isinstance(item, Node) and item.merges:
            return self.merge(item, flow)
        found: list[Statement] = []
        inputs = list(item.inputs)
        for value in item.weights.values() if isinstance(item, Node) else ():
            if value not in self.made and value.held:
                found.append(self.own(value))
            elif value not in self.made:
                found += self.compute(value, flow)
                flow = value
        if inputs and inputs != [flow]:
            for value in inputs:
                if value is not flow and value not in self.made:
                    if value.held:
                        found.append(self.own(value))
                    else:
                        found += self.compute(value, flow)
                        flow = value
            if inputs != [flow]:
                found.append(From(references=[self.reference(value) for value in inputs]))
        found.append(self.stage(item))
        return found

    def stage(self, item: Node | Body) -> Statement:
        """Return the statement of a layer or a body."""
        one: Statement
        path = self.relative(item.path) if item.path else ""
        if isinstance(item, Node):
            one = Stage(path="" if item.again and not item.owns else path, layer=item.use.layer)
            one.arguments, one.node = dict(item.use.arguments), item
            for name, value in item.weights.items():
                one.arguments[name] = Weight(self.reference(value))
        else:
            inner = Structure(item, self)
            one = Part(path=path, body=item, takes=tuple(item.inputs))
            one.statements = inner.statements()
        if isinstance(item, Node):
            self.made[item.output] = Reference(one)
        else:
            for number, value in enumerate(item.outputs):
                name = "" if number == 0 else Structure.output_name_of(item, value)
                self.made[value] = Reference(one, name)
        return one

    @staticmethod
    def output_name_of(body: Body, value: Value) -> str:
        """Return the name that a further output of a body has."""
        return body.names[value]

    def relative(self, path: str) -> str:
        """Return how a module is called in this body."""
        prefix = f"{self.body.path}." if self.body.path else ""
        if not path.startswith(prefix):
            raise Unsayable(f"`{path}`, a module that another module holds")
        return path[len(prefix) :]

    def merge(self, node: Node, flow: Value | None) -> list[Statement]:
        """Return a merge with its branches, after the parameters that these only read."""
        branches = [self.compute(value, flow) for value in node.inputs]
        declared = [one for branch in branches for one in branch if isinstance(one, Own)]
        branches = [[one for one in branch if one not in declared] for branch in branches]
        one: Statement
        lengths = [weight(branch) for branch in branches]
        computes = any(isinstance(one, Stage | Part) for branch in branches for one in branch)
        uneven = len(branches) == 2 and min(lengths) * 2 <= max(lengths)
        main = lengths.index(max(lengths))
        # what is written first can't refer to what comes after it
        ahead = main == 1 and refers(branches[1], branches[0])
        if node.use.layer == "add" and computes and uneven and not ahead:
            one = Residual(statements=branches[main], shortcut=branches[1 - main], node=node)
        else:
            one = Merge(word=node.use.layer, arguments=dict(node.use.arguments), node=node)
            one.branches = branches
        self.made[node.output] = Reference(one)
        return [*declared, one]


def refers(statements: list[Statement], to: list[Statement]) -> bool:
    """Tell whether statements go on from something that others make."""
    there = set(everything(to))
    return any(reference.to in there for reference in references(statements))


def weight(statements: list[Statement]) -> int:
    """Return about how much is computed in statements."""
    return sum(
        len(list(one.body.nodes())) if isinstance(one, Part) and one.body else 1
        for one in statements
    )


def first_differs(tensor: Any, text: str) -> bool:
    """Tell whether what is written for a buffer isn't what it holds."""
    if text.startswith("normal("):
        return True
    if tensor is None or tensor.is_meta:
        return False
    return not bool(tensor.isfinite().all()) or (text in ("0", "false") and bool(tensor.any()))


MOST_VALUES = 256  # of a buffer that are written; of a larger one its spread


def first_values(tensor: Any, learned: bool) -> str:
    """Say what a tensor holds at first: a number, its numbers, or how they are spread.

    A buffer is not learned, so its numbers count; weights bring those of a large one.
    """
    if tensor is None or tensor.is_meta or tensor.numel() == 0:
        return ""
    known = tensor[tensor.isfinite()].detach()
    tensor = finite(tensor.detach())
    if not learned and (tensor.numel() <= MOST_VALUES or not tensor.is_floating_point()):
        return of_tensor(tensor) or ("false" if tensor.dtype is torch.bool else "0")
    first = float(tensor.flatten()[0])
    if bool((tensor == first).all()):
        return "" if first == 0 else number(tensor.flatten()[0])
    if not learned and (text := by_place(tensor)):
        return text
    std = float(known.std()) if len(known) > 1 else 0.0
    return f"normal(std = {number(torch.tensor(round(std, 2) or std))})"
