"""What is told ahead of a network is a lower bound: no spec is refused that the limits allow."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archdsl import ArchError, Limits
from archdsl.elaborate.ahead import Ahead
from archdsl.elaborate.network import bodies
from archdsl.elaborate.world import World
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

BLOCKS = ["A", "B", "C", "D"]
CONDITIONS = ["true", "false", "in.features == 4"]


@st.composite
def statements(draw: st.DrawFn, usable: list[str], depth: int = 0) -> str:
    """Write statements that leave the shape of what flows as it is."""
    kinds = ["layer", "layer", "use", "inline", "let"]
    if depth < 3:
        kinds += ["group", "repeat", "range", "listed", "held", "if", "add", "residual", "aside"]
    lines: list[str] = []

    def inner() -> str:
        return draw(statements(usable, depth + 1))

    for number in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(kinds))
        name = f"{chr(97 + depth)}{number}{draw(st.integers(0, 10**6))}"
        turns = draw(st.integers(0, 3))
        if kind == "use":
            lines.append(draw(st.sampled_from(usable)))
        elif kind == "inline":  # of a block, and no layer
            blocks = [one for one in usable if not one.startswith(("F", "H", "I"))]
            lines.append(f"inline {draw(st.sampled_from(blocks))}")
        elif kind == "let":
            lines.append(f"let {name} = [ReLU, Tanh][{turns % 2}]; {name}")
        elif kind == "group":
            lines.append(f"{{ {inner()} }}")
        elif kind == "repeat":
            lines.append(f"repeat {draw(st.sampled_from([turns, f'1 + {turns}']))} {{ {inner()} }}")
        elif kind == "range":
            lines.append(f"for {name} in range({turns}) {{ {inner()} }}")
        elif kind == "listed":
            lines.append(f"for {name} in {list(range(turns))} {{ {inner()} }}")
        elif kind == "held":  # a name that is a block elsewhere
            lines.append(f"for E in [ReLU, Tanh] {{ E; {inner()} }}")
        elif kind == "if":
            condition = draw(st.sampled_from(CONDITIONS))
            lines.append(f"if {condition} {{ {inner()} }} else {{ {inner()} }}")
        elif kind == "add":
            lines.append(f"add {{ branch {{ {inner()} }} branch {{}} }}")
        elif kind == "residual":
            when = draw(st.sampled_from(["", *(f"when {one} " for one in CONDITIONS)]))
            shortcut = draw(st.sampled_from(["", f" shortcut {{ {inner()} }}"]))
            lines.append(f"residual {when}{{ {inner()} }}{shortcut}")
        elif kind == "aside":
            lines.append(f"output {name} {{ {inner()} }}" if depth == 0 else "ReLU")
        else:
            lines.append("ReLU")
    return "; ".join(lines)


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Write blocks that use those after them, in ways that hide what a name means."""
    items = [
        "block E { repeat 50 { ReLU } }",
        "block F(G) = G",
        "block H(E) = E",
        "block I = F(ReLU)",
    ]
    usable = ["E", "F(Tanh)", "F(E)", "H(Tanh)", "I", "J(Tanh)", "K"]
    items += ["block J(E) { E -> ReLU }", "block K(E = ReLU) { E }"]
    for name in reversed(BLOCKS):
        items.append(f"block {name} {{ {draw(statements(usable))} }}")
        usable = [*usable, name]
    items.append(f"network net {{ input x: [4]; {draw(statements(usable))}; ReLU }}")
    return "\n".join(items)


@given(text=specs())
def test_what_is_told_ahead_is_a_lower_bound(text: str) -> None:
    limits = Limits()
    with TemporaryDirectory() as folder:
        path = Path(folder, "net.arch")
        path.write_text(text)
        spec = Spec(str(path), limits=limits)
    with suppress(ArchError):  # what nothing uses
        check_bounds(spec, spec.graph("net"), text)


def check_bounds(spec: Spec, graph: CheckedGraph, text: str) -> None:
    limits = spec.limits
    world = World(spec.layers, limits)
    (network,) = bodies(spec.file, ["net"])
    least = Ahead(world).network(*network)

    assert least.steps <= spec.steps
    assert least.layers <= len(graph.nodes)
    assert not least.exact or least.layers == len(graph.nodes)

    tight = limits._replace(layers=len(graph.nodes), steps=spec.steps)
    with TemporaryDirectory() as folder:
        path = Path(folder, "net.arch")
        path.write_text(text)
        assert len(Spec(str(path), limits=tight).graph("net").nodes) == len(graph.nodes)


@pytest.mark.parametrize(
    "use",
    [
        "block F(G, n) = G(n)\nnetwork net { input x: [4]; F(Linear, 3) }",
        "block F(G) = G\nblock H(n) = F(G = Linear(n))\nnetwork net { input x: [4]; H(3) }",
        "block F(G, n) { G(n) }\nnetwork net { input x: [4]; F(Linear, 3) }",
        "network net(G: block = Linear) { input x: [4]; G(3) }",
        "network net { input x: [4]; for G in [Linear] { G(3) } }",
    ],
)
def test_a_parameter_hides_the_block_of_its_name(use: str, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(f"block G(n) {{ repeat 150000 {{ repeat 100 {{ ReLU }} }} }}\n{use}")

    assert len(Spec(str(path)).graph("net").nodes) == 2
