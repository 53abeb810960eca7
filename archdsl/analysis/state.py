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
        learned = list(in_state(node, node.facts.params).items())
        for tie in node.ties:  # torch has it under both names
            learned.insert(tie.place, (f"{node.name}.{tie.name}", found_at[tie.path]))
        for key, shape in learned:
            module, name = _home(root, key)
            module.parameters[name] = shape
        found_at |= learned
        for key, shape in in_state(node, node.facts.buffers).items():
            module, name = _home(root, key)
            module.buffers[name] = shape
    found: dict[str, Shape] = {}
    waiting = [("", root)]
    while waiting:
        name, module = waiting.pop()
        order = {label: at for at, label in enumerate(checked.registered.get(name, ()))}
        prefix = f"{name}." if name else ""

        def place(label: str, order: dict[str, int] = order) -> int:
            return order.get(label, len(order))

        # the order of `nn.Module.state_dict`
        for own in (module.parameters, module.buffers):
            # sorting keeps the order of those for which nothing was registered
            found |= {prefix + label: own[label] for label in sorted(own, key=place)}
        inner = sorted(module.inner, key=place)
        waiting += [(prefix + label, module.inner[label]) for label in reversed(inner)]
    return found


def _home(root: _Module, path: str) -> tuple[_Module, str]:
    """Return the module that owns a tensor, and the tensor's name in it."""
    *modules, name = path.split(".")
    for label in modules:
        root = root.inner.setdefault(label, _Module())
    return root, name
