"""Finds the node of a network that a user names: by its own name, a label, a block or an output."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from archdsl.diagnostics import ArchError, Diagnostic, printable
from archdsl.graph import CheckedGraph, Node

MOST_COMPARED = 5_000  # names, since comparing takes time
LONGEST_COMPARED = 255
MOST_SHOWN = 6


class NoSuchNode(Diagnostic):
    """A name that no tensor of the network has, or that several have.

    A tensor is named as `archdsl count` names it (`Mixed_5b.branch1x1.conv`, `Mixed_5b.concat`), by
    its label (`mul { ... } as gated`), by the block or group that gives it (`Mixed_5b`), or by the
    output that it is. A block that gives several has no tensor of its own name.
    """

    code = "E0613"
    text = "{reason}"

    reason: str


def find_node(checked: CheckedGraph, name: str) -> Node:
    """Return the node that a name means.

    It is the full name of a node; else the label of a tensor, the name of a block or group that
    gives one tensor to what is around it, or the name of an output.

    Raises:
        ArchError: it means none of them, or several.
        TypeError: it is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"a layer is named by a string, such as 'layer1.0', and not by {name!r}")
    if name in checked.nodes:
        return checked.nodes[name]
    found = list(dict.fromkeys(node for other, node in _others(checked, name) if other == name))
    if len(found) == 1:
        return checked.nodes[found[0]]
    shown = printable(name, 100)
    if found:
        reason = f"`{shown}` gives several tensors of `{checked.name}`"
        raise ArchError(NoSuchNode(reason=reason, hint=f"name one: {_listed(found)}"))
    reason = f"nothing in `{checked.name}` is called `{shown}`"
    raise ArchError(NoSuchNode(reason=reason, hint=_near(checked, name)))


def _others(checked: CheckedGraph, scope: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names beside their own that nodes have, each with that of the node.

    Of the scopes only one is looked at, if one is named.
    """
    for output in checked.outputs:
        yield output.name, output.node
    for node in checked.nodes.values():
        # a merge that fills a scope has the label of that, which is named below
        if node.label and node.label != node.scope.label and not node.shares:
            yield node.scope.full_name(node.label), node.name
    if scope in checked.scopes and scope:
        yield from ((scope, end) for end in _ends(checked, scope))


def _ends(checked: CheckedGraph, scope: str) -> Iterator[str]:
    """Yield the nodes in a scope that something outside of it reads, or that are outputs.

    Where the scope is applied again (`reuse`) it is the first use that counts.
    """
    inside = f"{scope}."
    own = {
        name
        for name, node in checked.nodes.items()
        if name.startswith(inside) and not node.shares and node.inputs
    }
    read = {output.node for output in checked.outputs}
    for name, node in checked.nodes.items():
        if not name.startswith(inside) or node.shares:
            read.update(node.inputs)
    yield from (name for name in checked.nodes if name in own and name in read)


def _near(checked: CheckedGraph, name: str) -> str:
    """Say which names are like one: those that end as it does, else those nearest to it."""
    scopes = [scope for scope in checked.scopes if scope]
    known = dict.fromkeys([*scopes, *(other for other, _ in _others(checked)), *checked.nodes])
    if ending := [other for other in known if other.endswith(f".{name}")]:
        return f"did you mean {_listed(ending)}?"
    if len(name) > LONGEST_COMPARED:
        return ""
    from difflib import get_close_matches  # only where something is wrong

    compared = list(islice(known, MOST_COMPARED))
    close = get_close_matches(name, compared, 3, 0.4) or compared[:3]
    return f"did you mean {_listed(close)}? `archdsl count` lists them all"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    shown = [f"`{printable(each, 100)}`" for each in names[:MOST_SHOWN]]
    return (
        f"{', '.join(shown)}{more}"
        if more
        else " or ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)
    )
