"""Numbers that follow from which turn of a loop it is: a comprehension that counts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from compiled import load, verified

from archdsl.backends.python_source import generate
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

SPECS = Path(__file__).parents[3] / "specs"
NET = """network net {{ input x: [4, 16, 16]; {body} }}
block Dropped(rate, width = 4) {{ residual {{ conv: Conv2d(width, 1); Dropout(rate) }} }}
block Stage(first, turns) {{ for i in range(turns) {{ Dropped((first + i) / 40) }} }}
"""


def module_of(graph: CheckedGraph) -> Any:
    written = generate(graph)
    space: dict[str, Any] = {"__name__": "generated"}
    exec(compile(written.text, "generated", "exec"), space)
    return space[written.network]()


# What stands in the body of a network, and what its source says.
WRITTEN = {
    "rates": (
        "body: { for i in range(4) { Dropped(0.2 * (i + 1) / 16) } }",
        ["*[Dropped(rate=0.2 * (i + 1) / 16) for i in range(4)]"],
    ),
    "layers": (
        "body: { for i in range(3) { Conv2d(4, 3, padding = 2 ** i, dilation = 2 ** i) } }",
        ["padding=2**i, dilation=2**i) for i in range(3)"],
    ),
    "from another number on": (
        "body: { for i in range(2, 6) { Dropout(1 / i) } }",
        ["*[nn.Dropout(p=1 / (i + 2)) for i in range(4)]"],
    ),
    "steps": (
        "body: { for i in range(1, 12, 3) { Dropout(i / 16) } }",
        ["*[nn.Dropout(p=(3 * i + 1) / 16) for i in range(4)]"],
    ),
    "two layers a turn": (
        "body: { for i in range(4) { Conv2d(4, 1); Dropout(i / 8) } }",
        ["for i in range(4)", "for layer in (", "nn.Dropout(p=i / 8)"],
    ),
    "every other turn is another": (
        "body: { for i in range(8) { if i % 2 == 0 { Tanh } else { Dropout(i / 8) } } }",
        ["for i in range(4)", "for layer in (nn.Tanh(), nn.Dropout(p=(2 * i + 1) / 8))"],
    ),
    "the first turn is another": (
        "body: { for i in range(5) { Dropped(i / 8); if i == 0 { Tanh } } }",
        ["Dropped(rate=0.0)", "*[Dropped(rate=(i + 1) / 8) for i in range(4)]"],
    ),
    "one after the other": (
        "body: { for i in range(3) { Dropout(i / 8) }; for i in range(3) { Dropout(i / 9) } }",
        ["[nn.Dropout(p=i / 8) for i in range(3)]", "[nn.Dropout(p=i / 9) for i in range(3)]"],
    ),
    "a loop in a loop": (
        "body: { for j in range(2) { for i in range(3) { Dropout((4 * j + i) / 9) } } }",
        ["*[nn.Dropout(p=i / 9) for i in range(3)]", "*[nn.Dropout(p=(i + 4) / 9) for i in"],
    ),
    "calls are worked out for each turn": (
        "body: { for i in range(3) { Conv2d(4, 3, padding = max(1, i), dilation = max(1, i)) } }",
        ["padding=max(1, i), dilation=max(1, i)"],
    ),
    "in a block, with other numbers": ("a: Stage(2, 3); b: Stage(4, 3)", ["Stage("]),
    "in a block, with other numbers of turns": ("a: Stage(2, 3); b: Stage(2, 5)", ["Stage("]),
    "two turns": ("body: { for i in range(2) { Dropout(i / 8) } }", ["nn.Dropout(p=0.125)"]),
    "equal turns": ("body: { for i in range(3) { Dropout(min(i, 0)) } }", ["for _ in range(3)"]),
    "labels": (
        'body: { for i in range(3) { "d{i}": Dropout(i / 8); "c{i}": Conv2d(4, 1) } }',
        ["nn.Dropout(p=0.25)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRITTEN)
def test_what_follows_from_the_turn_is_written_so(what: str, tmp_path: Path) -> None:
    body, parts = WRITTEN[what]
    text, found = verified(load(tmp_path, NET.format(body=body)))

    assert found.agrees
    for part in parts:
        assert part in " ".join(text.split()), text


@pytest.mark.parametrize(
    "network",
    [
        "convnext.arch:convnext_tiny",
        "efficientnet.arch:efficientnet_b2",
        pytest.param("efficientnet_v2.arch:efficientnet_v2_s", marks=pytest.mark.whole),
        pytest.param("swin.arch:swin_s", marks=pytest.mark.whole),
        pytest.param("mvit.arch:mvit_v1_b", marks=pytest.mark.whole),
    ],
)
def test_rates_of_shipped_networks_are_those_of_the_spec(network: str) -> None:
    graph = Spec(str(SPECS / network)).graph()
    with torch.device("meta"):
        module = module_of(graph)
    rates = [
        vars(node.layer)["p"]
        for node in graph.nodes.values()
        if type(node.layer).__name__ == "StochasticDepth"
    ]
    found = [each.p for each in module.modules() if type(each).__name__ == "StochasticDepth"]

    assert len(set(rates)) > 10
    if len(found) == len(rates):
        assert found == rates
    else:  # equal ones without a label share a module
        assert list(dict.fromkeys(found)) == list(dict.fromkeys(rates))


class Writer:
    """Writes a network with loops, and the same with all of their turns written out."""

    NUMBERS = ("i", "i + 1", "2 * i", "20 - i", "i // 2", "i % 2", "i * i", "3", "max(2, i)")

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def number(self) -> str:
        return self.random.choice(self.NUMBERS)

    def layer(self) -> str:
        number = self.number()
        return self.random.choice(
            (
                f"Dropout(({self.number()}) / 256)",
                f"Dropout(0.3 * ({self.number()}) / {self.random.randint(60, 99)})",
                f"Conv2d(4, 3, padding = 1 + ({number}), dilation = 1 + ({number}))",
                f"LeakyReLU(0.01 * ({self.number()}))",
                f"Conv2d(4 + ({self.number()}), 1)",
                "Tanh",
                f"Dropped(({self.number()}) / 256, in.channels)",
                f"if i % {self.random.randint(2, 4)} == 1 {{ Tanh }} else {{ Dropout(i / 256) }}",
            )
        )

    def bodies(self) -> tuple[str, str]:
        loops, plain = [], []
        for _ in range(self.random.randint(1, 3)):
            first, step = self.random.randint(0, 2), self.random.choice((1, 1, 2))
            turns = range(first, first + self.random.randint(2, 6) * step, step)
            stages = "; ".join(self.layer() for _ in range(self.random.randint(1, 2)))
            loops.append(f"for i in range({turns.start}, {turns.stop}, {step}) {{ {stages} }}")
            plain += [f"for i in [{i}] {{ {stages} }}" for i in turns]
        return "; ".join(loops), "; ".join(plain)


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.whole) for seed in range(12, 80))]
)
def test_a_loop_is_the_same_as_its_turns(seed: int, tmp_path: Path) -> None:
    bodies = Writer(seed).bodies()
    loop, plain = (
        module_of(load(tmp_path, NET.format(body=f"body: {{ {body} }}"))) for body in bodies
    )

    assert str(loop) == str(plain)
    assert [*loop.state_dict()] == [*plain.state_dict()]


@pytest.mark.parametrize(
    "body",
    [
        's: Conv2d(4, 1); for i in range(depths[0]) { "l{i}": Conv2d(4, 1) }',
        's: Conv2d(4, 1); for i in range(depths[0]) { "l{i}": Dropped(0.5) }',
    ],
    ids=range(2),
)
def test_an_item_of_a_list_says_how_often_a_forward_pass_turns(body: str, tmp_path: Path) -> None:
    text = NET.format(body=body).replace("network net", "network net(depths: list = [4, 5])")
    written = generate(load(tmp_path, text))
    space: dict[str, Any] = {"__name__": "generated"}
    exec(compile(written.text, "generated", "exec"), space)

    made = space[written.network]([6, 5]).eval()

    other = module_of(load(tmp_path, text.replace("[4, 5]", "[6, 5]"))).eval()
    other.load_state_dict(made.state_dict())
    image = torch.randn(2, 4, 16, 16)
    assert torch.equal(made(image), other(image))
    assert "depths: Sequence[int] = (4, 5)" in written.text
