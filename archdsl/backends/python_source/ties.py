"""Parameters of modules that are those of others: `self.head.weight = self.embed.weight`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from archdsl.backends.python_source.forms import Shaped, path_to
from archdsl.backends.python_source.names import is_attribute, quoted
from archdsl.graph import CheckedGraph

# The module that has a parameter of another, the name of that, then the same of what it is; by
# their names from the class on.
Tie = tuple[str, str, str, str]
PLAIN = re.compile(r"self(\.\w+)*")


def ties_by_class(
    checked: CheckedGraph, everything: Mapping[str, Shaped]
) -> dict[str, tuple[Tie, ...]]:
    """Return the ties of each class, by the scope that it is made for: the nearest around both."""
    found: dict[str, tuple[Tie, ...]] = {}
    for node in checked.nodes.values():
        for tie in node.ties:
            scope = _around(node.name, tie.owner)
            while scope not in everything or everything[scope].form.inline:
                scope = scope.rpartition(".")[0]
            start = len(scope) + 1 if scope else 0
            one = (node.name[start:], tie.name, tie.owner[start:], tie.of)
            found[scope] = (*found.get(scope, ()), one)
    return found


def _around(name: str, other: str) -> str:
    """Return the name of the innermost scope around two nodes."""
    scope = name.rpartition(".")[0]
    while scope and not other.startswith(f"{scope}."):
        scope = scope.rpartition(".")[0]
    return scope


def written_ties(shaped: Shaped, ties: Sequence[Tie], looped: bool) -> Iterator[str]:
    """Yield the statements that tie; `looped` says whether a loop makes some of the members."""
    for target, name, owner, of in ties:
        module = path_to(shaped, target)
        if looped or not PLAIN.fullmatch(module):
            module = f"self.get_submodule({quoted(_real(shaped, target))})"
        source = path_to(shaped, owner)
        plain = PLAIN.fullmatch(source) and not looped and (not of or is_attribute(of))
        if plain:
            value = f"{source}.{of}" if of else source
        else:
            path = _real(shaped, owner)
            value = f"self.get_parameter({quoted(f'{path}.{of}' if of else path)})"
        yield f"{module}.{name} = {value}"


def _real(shaped: Shaped, name: str) -> str:
    """Return the name of a module below a class as torch has it."""
    parts: list[str] = []
    for label in name.split("."):
        listed = shaped.positional and shaped.form.inline
        parts.append(label if listed else shaped.members.get(label, label))
        shaped = shaped.inner.get(label, shaped)
    return ".".join(parts)
