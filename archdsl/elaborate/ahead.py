"""Counts what a network comes to before it is worked out, as far as the text tells.

What is far too much is refused at once: a block that uses another twice, which uses another twice,
and so on, or a thousand networks. The rest is counted while it is made.
"""

from __future__ import annotations

from archdsl.diagnostics import ArchError, Span
from archdsl.elaborate.world import COST_OF_CALL, World
from archdsl.limits import LARGEST
from archdsl.records import Record
from archdsl.syntax import ast
from archdsl.syntax.spec_file import SpecFile


class Least(Record):
    """What a part of a spec takes at least; more than an integer holds is `LARGEST`.

    Attributes:
        exact: whether it makes exactly so many layers.
    """

    layers: int = 0
    steps: int = 0
    exact: bool = True

    def plus(self, other: Least, times: int = 1) -> Least:
        return Least(
            min(self.layers + times * other.layers, LARGEST),
            min(self.steps + times * other.steps, LARGEST),
            self.exact and other.exact,
        )


class _Part(Record):
    """What stands in a body itself, and how often it uses each name of a layer or block."""

    own: Least
    uses: dict[str, int]


# What makes no node of its own, and whose body is worked out once a turn.
BODIES = (ast.For, ast.Repeat, ast.Branch, ast.Output, ast.Group, ast.Merge, ast.Residual)
EXACT = (ast.Input, ast.Let, ast.For, ast.Repeat, ast.Output, ast.Group, ast.Flow)


class Ahead:
    """Counts parts of files. Each block is gone through once, however often it is used."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._parts: dict[int, _Part] = {}  # by declaration
        self._known: dict[int, Least] = {}

    def network(self, declaration: ast.Network, file: SpecFile) -> Least:
        """Return what a network takes at least."""
        inputs = sum(isinstance(one, ast.Input) for one in declaration.body.statements)
        return self._of(declaration, file).plus(Least(inputs))

    def costliest(self, declaration: ast.Network, file: SpecFile) -> Span:
        """Return the place of the statement of a network that makes the most layers."""
        most, place = -1, declaration.span
        for statement in declaration.body.statements:
            body = declaration.body._replace(statements=(statement,))
            part = _part(body, _bound(declaration), _plain_range(file))
            layers = self._sum(part, file).layers
            if layers > most:
                most, place = layers, statement.span
        return place

    def _of(self, declaration: ast.Network | ast.Block, file: SpecFile) -> Least:
        """Work out a declaration after all that it uses, without recursion."""
        under_way: list[tuple[ast.Network | ast.Block, SpecFile]] = [(declaration, file)]
        began: set[int] = set()
        while under_way:
            one, home = under_way[-1]
            if id(one) in self._known:
                under_way.pop()
                continue
            if id(one) not in self._parts:
                self._parts[id(one)] = _part(one.body, _bound(one), _plain_range(home))
            part = self._parts[id(one)]
            if id(one) in began:
                self._known[id(one)] = self._sum(part, home)
                under_way.pop()
                continue
            began.add(id(one))
            for name in part.uses:
                used = _block(home, name)
                # one that is under way uses itself, which is for the elaboration to say
                if used is not None and id(used[0]) not in began:
                    under_way.append(used)
        return self._known[id(declaration)]

    def _sum(self, part: _Part, file: SpecFile) -> Least:
        total = part.own
        for name, times in part.uses.items():
            used = _block(file, name)
            if used is not None:
                inside = self._known.get(id(used[0]), Least(exact=False))
                total = total.plus(inside.plus(Least(0, COST_OF_CALL)), times)
            elif file.find(name) is None and self.world.layers.get(name) is not None:
                total = total.plus(Least(1), times)
            else:
                total = total.plus(Least(exact=False))
        return total


def require_affordable(world: World, networks: list[tuple[ast.Network, SpecFile]]) -> None:
    """Refuse networks that surely take more than the limits allow, all of them together.

    Raises:
        ArchError: they do; it is placed at the worst of them.
    """
    keys = [(id(declaration), id(file)) for declaration, file in networks]
    known = world.kept.least
    if all(key in known for key in keys):
        layers, steps = (sum([known[key][at] for key in keys]) for at in (0, 1))
        if layers <= world.limits.layers and steps <= world.steps_left:
            return
    ahead = Ahead(world)
    found = [(ahead.network(*one), one) for one in networks]
    total = Least()
    for key, (least, _) in zip(keys, found, strict=True):
        known[key] = least.layers, least.steps
        total = total.plus(least)
    for limit, number, left in (
        ("layers", total.layers, world.limits.layers),
        ("steps", total.steps, world.steps_left),
    ):
        if number <= left:
            continue
        _, worst = max(found, key=lambda one: one[0].layers)
        more = "" if total.exact and limit == "layers" else " or more"
        does = "takes" if limit == "steps" else "expands to"
        all_of_them = f"its {len(found):,} networks together: " if len(found) > 1 else ""
        asks = f"{all_of_them}{does} {number:,} {limit}{more}"
        raise ArchError(world.limits.over(limit, asks, ahead.costliest(*worst), needed=number))


def _block(file: SpecFile, name: str) -> tuple[ast.Block, SpecFile] | None:
    """Return the block that a name means in a file, and the file that it is written in."""
    for _ in range(64):  # names of names
        found = file.find(name)
        if found is None:
            return None
        file, item = found
        if isinstance(item, ast.Block):
            return item, file
        if not isinstance(item, ast.BlockAlias):
            return None
        name = item.call.name.name
        if any(name == parameter.name for parameter in item.parameters or ()):
            return None
    return None


def _bound(declaration: ast.Network | ast.Block) -> set[str]:
    return {parameter.name for parameter in declaration.parameters}


def _plain_range(file: SpecFile) -> bool:
    return file.find("range") is None  # else it is a function of the file's own


def _part(body: ast.Body, bound: set[str], plain_range: bool) -> _Part:
    """Go through a body and all bodies inside it, with how often each is worked out.

    `bound` are names that stand for something else here than in the file.
    """
    steps, exact = 0, True
    uses: dict[str, int] = {}
    bound = set(bound)
    stack = [(body, 1)]
    while stack:
        body, times = stack.pop()
        steps += times * len(body.statements)
        for statement in body.statements:
            operation = statement.operation if isinstance(statement, ast.Stage) else statement
            if isinstance(operation, ast.Inline):
                operation = operation.call
            if isinstance(operation, ast.Call):
                name = operation.name.name
                uses[name] = min(uses.get(name, 0) + times, LARGEST)
                continue
            if isinstance(operation, ast.Let | ast.For):
                bound |= {target.name for target in operation.targets}
            exact = exact and isinstance(operation, EXACT)
            turns: int | None = 1
            if isinstance(operation, ast.For | ast.Repeat):
                turns = _turns(operation, plain_range)
                steps += times * (turns or 0)
            if turns is None:
                exact = False
            elif isinstance(operation, BODIES) and operation.body is not None:
                stack.append((operation.body, min(times * turns, LARGEST)))
    known = {name: times for name, times in uses.items() if name not in bound}
    return _Part(Least(0, min(steps, LARGEST), exact and len(known) == len(uses)), known)


def _turns(loop: ast.For | ast.Repeat, plain_range: bool) -> int | None:
    """Return the number of turns that stands there as it is; None if it has to be worked out."""
    node = loop.turns if isinstance(loop, ast.Repeat) else loop.source
    if isinstance(loop, ast.For):
        if isinstance(node, ast.Listing):
            return len(node.items)
        if not isinstance(node, ast.Call) or len(node.arguments) != 1:
            return None
        if node.name.name != "range" or not plain_range:
            return None
        node = node.arguments[0].value
    value = node.value if isinstance(node, ast.Literal) else None
    return max(value, 0) if type(value) is int else None
