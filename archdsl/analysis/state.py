"""What torch keeps of a network: the names and shapes of its state_dict, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from archdsl.analysis.cost import in_state
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Shape


@dataclass(eq=False, slots=True)
class _Module:
    """A module with what it owns itself, and those within it."""

    parameters: dict[str, Shape] = field(default_factory=dict)
    buffers: dict[str, Shape] = field(default_factory=dict)
    inner: dict[str, _Module] = field(default_factory=dict)


def state_dict(checked: CheckedGraph) -> dict[str, Shape]:
    """Return the shape of every parameter and buffer by its name, in the order of torch.

    A module's own parameters come first, then its buffers, then what is within it. Modules stand in
    the order in which the spec registers them, which is that of their first stages where no
    `register` says otherwise.
    """
    root = _Module()
    found_at: dict[str, Shape] = {}  # parameters so far: what is tied comes after what it is
    for node in checked.nodes.values():
        if node.shares or not (node.facts.params or node.facts.buffers or node.ties):
            continue
        path = node.name.split(".")
        module = root
        # a tensor of the network's own is no module, so its name is that of the tensor
        for part in path[:-1] if "" in node.facts.params or "" in node.facts.buffers else path:
            module = module.inner.setdefault(part, _Module())
        learned = list(in_state(node, node.facts.params).items())
        for tie in node.ties:  # torch has it under both names
            learned.insert(tie.place, (f"{node.name}.{tie.name}", found_at[tie.path]))
        module.parameters |= learned
        found_at |= learned
        module.buffers |= in_state(node, node.facts.buffers)
    found: dict[str, Shape] = {}
    waiting = [("", root)]
    while waiting:
        name, module = waiting.pop()
        order = {label: at for at, label in enumerate(checked.registered.get(name, ()))}
        prefix = f"{name}." if name else ""

        def place(label: str, order: dict[str, int] = order) -> int:
            return order.get(label.rpartition(".")[2], len(order))

        # the order of `nn.Module.state_dict`
        for own in (module.parameters, module.buffers):
            found |= {key: own[key] for key in sorted(own, key=place)}
        inner = sorted(module.inner, key=place)
        waiting += [(prefix + label, module.inner[label]) for label in reversed(inner)]
    return found
