"""Gives statements their labels: those of modules, and others where something is referred to.

A stage without a label is named by its position, as in `nn.Sequential`; where a module has that
very name it needs no label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from archdsl.importing.layers import plain
from archdsl.importing.tree import (
    Flowing,
    Input,
    Merge,
    Output,
    Own,
    Part,
    Register,
    Residual,
    Reuse,
    Stage,
    Statement,
    in_scope,
)
from archdsl.syntax.mistakes import RESERVED

WORDS = {"add": "sum", "concat": "joined", "mul": "product", "sub": "difference"}


def label(statements: list[Statement]) -> None:
    """Label the statements of a scope, and those of the scopes in it."""
    inside = list(in_scope(statements))
    taken = {one.path.split(".")[0] for one in inside if one.path}
    position = 0
    for one in inside:
        if isinstance(one, Stage | Part):
            _label_stage(one, position, taken)
            position += 1
        elif isinstance(one, Own):
            one.label = written(one.path) if one.path else fresh("table", taken)
        elif isinstance(one, Input):
            one.name = one.name or fresh("x", taken)
        elif one.named and isinstance(one, Merge | Residual | Flowing):
            word = one.word if isinstance(one, Merge) else "add"
            name = "start" if isinstance(one, Flowing) else WORDS[word]
            one.label = fresh(name, taken)
        elif one.named and isinstance(one, Reuse):
            one.label = fresh(one.path.rpartition(".")[2], taken)
        if isinstance(one, Part):
            label(one.statements)
            if one.body is not None:
                register(one.statements, one.body.module)
        if isinstance(one, Output):
            one.name = valid(one.name)


def register(statements: list[Statement], module: Any) -> None:
    """Keep the order in which a module holds its modules, where they run in another one."""
    held = [name for name, one in module.named_children() if len(one.state_dict())]
    run = list(
        dict.fromkeys(
            one.path.split(".")[0]
            for one in in_scope(statements)
            if isinstance(one, Stage | Part) and one.label and one.path
        )
    )
    run = [name for name in run if name in held]
    wanted = [name for name in held if name in run]
    last = max(
        (n for n, pair in enumerate(zip(run, wanted, strict=True)) if len({*pair}) > 1), default=-1
    )
    first = min(
        (n for n, pair in enumerate(zip(run, wanted, strict=True)) if len({*pair}) > 1), default=0
    )
    direct = {one.path for one in in_scope(statements) if isinstance(one, Stage | Part)}
    if last < 0 or not set(wanted) <= direct:
        return
    place = sum(isinstance(one, Input) for one in statements)
    # before the first that is out of order
    for number, one in enumerate(statements):
        names = {each.path for each in in_scope([one]) if isinstance(each, Stage | Part)}
        if names & {run[first]}:
            place = number
            break
    statements.insert(place, Register(labels=[written(n) for n in wanted[first:last]]))


def _label_stage(one: Stage | Part, position: int, taken: set[str]) -> None:
    if one.path == str(position):
        one.label, one.path = "", one.path
        return
    if one.path and not (isinstance(one, Stage) and _says_nothing(one)):
        one.label = written(one.path)
        return
    if one.named or str(position) in taken:
        kind = one.layer if isinstance(one, Stage) else "part"
        one.label = fresh(one.path.split(".")[-1] if one.path else kind.lower(), taken)
    one.path = one.label or str(position)


def _says_nothing(one: Stage) -> bool:
    """Tell whether the name of a module without parameters is but that of its class again."""
    if one.named or (one.node is not None and one.node.owns):
        return False
    name = re.sub(r"\d+$", "", plain(one.path.rpartition(".")[2]))
    layer = plain(one.layer)
    return layer.startswith(name) or name.startswith(layer) or name in ("act", "activation", "")


def written(path: str) -> str:
    """Write a path of labels as the language has it."""
    return ".".join(_one(part) for part in path.split("."))


def _one(part: str) -> str:
    if re.fullmatch(r"[0-9]+", part):
        return part if part == str(int(part)) else f'"{part}"'
    plain_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) and part not in RESERVED
    if plain_name:
        return part
    text = part.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("{", "{{").replace("}", "}}") + '"'


def fresh(name: str, taken: set[str]) -> str:
    """Return a name of the language that nothing has so far, and take it."""
    return fresh_in(valid(name), taken)


def fresh_in(name: str, taken: set[str]) -> str:
    """Return a name that nothing has so far, as it is or with a number, and take it."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found


def valid(name: str) -> str:
    """Return a name that the language takes, as near as may be."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name) or "x"
    if name[0].isdigit():
        name = f"_{name}"
    return f"{name}_" if name in RESERVED or name == "in" else name


def few(names: Sequence[str]) -> str:
    """List the first of some names, and say how many more there are."""
    listed = list(dict.fromkeys(names))
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return ", ".join(listed[:4]) + more
