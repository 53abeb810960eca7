"""Numbers of turns and floats of a network that its class takes: it is right for others as well."""

from __future__ import annotations

import inspect
import itertools
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archdsl.backends.python_source import generate
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

SPECS = Path(__file__).parents[3] / "specs"


def network_class(graph: CheckedGraph) -> Any:
    written = generate(graph)
    space: dict[str, Any] = {"__name__": "generated"}
    exec(compile(written.text, "generated", "exec"), space)
    return space[written.network]


def plain(graph: CheckedGraph, values: Mapping[str, object]) -> Any:
    """Return the network that the spec gives for some values, with none of them left open."""
    assert graph.again
    return network_class(replace(graph.again(values, None), again=None))()


def defaults(kind: Any) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def require_same(found: Any, expected: Any, *inputs: Any) -> None:
    """Compare names, their order, shapes, and what comes out in both modes, weights being equal."""
    states = [
        [(name, tuple(tensor.shape)) for name, tensor in module.state_dict().items()]
        for module in (found, expected)
    ]
    assert states[0] == states[1]
    if not inputs:
        return
    found.load_state_dict(expected.state_dict())
    for mode in (False, True):
        results = []
        for module in (found, expected):
            torch.manual_seed(1)
            given = [each.clone() for each in inputs]
            results.append(module.train(mode)(*given))
            for before, after in zip(inputs, given, strict=True):
                assert torch.equal(before, after), "an input was written over"
        assert torch.equal(*results)


BLOCKS = """
network net({parameters}) {{
  input image: [4, 8, 8]
  {body}
}}
block Unit(width = 4) {{ residual {{ conv: Conv2d(width, 1) -> bn: BatchNorm2d }}; ReLU }}
block Stage(turns) {{ repeat turns {{ Conv2d(4, 1); ReLU }} }}
block Stages(first, second) {{ a: Stage(first); residual {{ b: Stage(second) }} }}
block Labelled(turns) {{
  layers: {{ for i in range(turns) {{ "unit_{{i}}": Unit }} }}
  residual {{ last: Conv2d(4, 1) }}
}}
block Deep(turns, width) {{ Conv2d(width, 1); repeat turns - 1 {{ Conv2d(width, 1) }}; ReLU }}
block Rows(turns) {{ repeat turns {{ residual {{ Conv2d(4, 1) }} }} }}
block Dense(turns, growth = 2) {{
  for i in range(turns) {{ concat {{ branch {{}} branch {{ "d{{i}}": Layer(growth) }} }} }}
  norm: BatchNorm2d
  last: Conv2d(4, 1)
}}
block Layer(growth) {{ BatchNorm2d; ReLU; conv: Conv2d(growth, 1) }}
block Wider(growth) {{ concat {{ branch {{}} branch {{ conv: Conv2d(growth, 1) }} }} }}
block Wide(turns) {{ for i in range(1, turns) {{ "w{{i}}": Wider(3) }}; last: Conv2d(4, 1) }}
block Dropped(rate) {{ Conv2d(4, 1); Dropout(rate) }}
block Named(name, act: block = ReLU) {{ if name == "q1" {{ act }} else {{ Conv2d(4, 1) }} }}
"""
GROWING = 'for i in range(n) { concat { branch {} branch { "c{i}": Conv2d(2, 1) } } }'
# Parameters, a body, and what the class takes with the least that each may be.
TAKEN = [
    ("n = 3", "body: { repeat n { Conv2d(4, 1) } }", {"n": 1}),
    ("n = 3", "repeat n { Conv2d(4, 1) }", {"n": 1}),
    ("n = 2", "body: { repeat n { Conv2d(4, 1); ReLU } }", {"n": 1}),
    ("n = 1", "body: { repeat n { Conv2d(4, 1); ReLU } }", {"n": 1}),
    ("n = 3", "body: { repeat n { Unit } }; Tanh", {"n": 1}),
    ("n = 3", 'body: { for i in range(n) { "c{i + 1}": Conv2d(4, 1) } }', {"n": 1}),
    ("n = 3", 'body: { for i in range(1, n) { "c{i}": Unit }; last: Unit }', {"n": 1}),
    ("n = 3", "body: { Conv2d(4, 3, padding = 1); repeat 2 * n - 1 { Unit } }", {"n": 1}),
    ("n = 4", "body: { Conv2d(8, 1); repeat n - 2 { Unit(8) }; Conv2d(4, 1) }", {"n": 2}),
    ("n = 2", "Conv2d(8 * n, 1); body: { repeat n { Conv2d(8 * n, 1) } }", {"n": 1}),
    ("n = 2, m = 2", "body: { repeat n { Stage(m) } }", {"n": 1, "m": 1}),
    ("n = 2, m = 3", "a: Stage(n); b: Stage(m)", {"n": 1, "m": 1}),
    ("n = 2", "a: Stage(n); b: Stage(2); c: Stage(n + 1)", {"n": 1}),
    ("n = 2, m = 3", "a: Stages(n, m); b: Stages(m, 1)", {"n": 1, "m": 1}),
    ("n = 2", "a: Stages(n, n); b: Stages(2 * n, 4)", {"n": 1}),
    ("n = 3", "a: Labelled(n); b: Labelled(2)", {"n": 1}),
    ("n = 3, width = 6", "a: Deep(n, width); b: Deep(n, 5)", {"n": 1, "width": 1}),
    ("n: list = [2, 3]", "for d in n { { repeat d { Unit } } }", {"n": 1}),
    ("n: list = [1, 2]", "a: Stage(n[0]); b: Stages(n[1], n[0])", {"n": 1}),
    ("n: list = [2, 2]", 'for i in range(2) { "l{i}": { Conv2d(4 * (i + 1), 1); '
     "repeat n[i] - 1 { Unit(4 * (i + 1)) } } }", {"n": 1}),
    ("n = 3, last = 5", "body: { repeat n { Unit } }; Conv2d(last, 1)", {"n": 1, "last": 1}),
    ("n = 3, m = n + 1", "body: { repeat n { Unit }; repeat m { Stage(2) } }", {"n": 1}),
    ("n = 2, unused = 3", "g: { Stages(2 * n, 2) }", {"n": 1}),
    ("n = 5", "Rows(n)", {"n": 1}),
    ("n = 4, m = 6", "a: Rows(n); b: Rows(m); c: Rows(2 * n + 1); Rows(4)", {"n": 1, "m": 1}),
    ("n = 5", 'body: { repeat n { residual { Unit } } }; ReLU', {"n": 1}),
    # what flows grows evenly, so that what comes behind knows how large it is
    ("n = 5", "a: Dense(n)", {"n": 1}),
    ("n = 5, growth = 3", "a: Dense(n, growth)", {"n": 1, "growth": 1}),
    ("n: list = [4, 6]", "for d in n { { Dense(d) } }; Conv2d(8, 1)", {"n": 1}),
    ("n = 4, m = 5", "a: Dense(n); b: Dense(m); c: Dense(2 * n - 3)", {"n": 2, "m": 1}),
    ("n = 5", "a: Wide(n)", {"n": 2}),
    ("n = 5", "body: { " + GROWING + "; last: Conv2d(floor(0.5 * in.channels), 1) }", {"n": 1}),
    # without a turn the activation would write over the input
    ("n = 3", "body: { repeat n - 1 { Unit } }; ReLU", {"n": 2}),
]  # fmt: skip
LEFT = [
    ("n = 3", 'repeat n { Conv2d(4, 1) }; add { branch {} branch { c: Conv2d(4, 1) } }', "numbers"),
    ("n = 3", 'for i in range(n) { "c{i}": Unit }; "c{n}": Conv2d(4, 1)', "a label after it"),
    ("n = 3", 'body: { for i in range(n) { "c{n - i}": Conv2d(4, 1) } }', "labels from it"),
    ("n = 3", 'body: { for i in range(n) { "c{2 * i}": Conv2d(4, 1) } }', "labels with steps"),
    ("n = 3", "body: { for i in range(n) { if i == 20 { Tanh }; Conv2d(4, 1) } }", "which turn"),
    ("n = 3", "body: { for i in range(n) { Conv2d(4 if i < 9 else 4, 1) } }", "which turn, equal"),
    ("n = 3", "body: { repeat n { Conv2d(4, 1) } }; if n > 7 { Tanh }", "a decision"),
    ("n = 3", "body: { repeat n { Conv2d(4, 1) }; Dropout(0.1 * n) }", "a float"),
    ("n = 3", 'body: { for i in range(n) { Named("q{i}") } }', "a text of the turn"),
    ("n = 3", "body: { for i in range(n) { Conv2d(4, 1, dilation = i + 1) } }", "numbers of turns"),
    ("n = 3", "body: { for i in range(0, n, 2) { Conv2d(4, 1) } }", "steps"),
    ("n = 3", "body: { for i in [j for j in range(n)] { Conv2d(4, 1) } }", "a list"),
    ("n = 3", "body: { repeat n { Conv2d(8, 1) } }", "the first turn takes less"),
    ("n = 2", "body: { repeat n { MaxPool2d(2); Conv2d(4, 1) } }", "it becomes smaller"),
    ("n = 2", "body: { repeat n { concat { branch {} branch { Conv2d(2, 1) } } } }", "two turns"),
    ("n = 1", "a: Dense(n)", "a single turn"),
    ("n = 5", 'for i in range(n) { "c{i}": Conv2d(2 * in.channels, 1) }', "it doubles"),
    ("n = 5", 'for i in range(n) { "c{i}": Conv2d(in.channels + i, 1) }', "it grows by more"),
    ("n = 5", 'for i in range(n) { "c{i}": Conv2d(in.channels + max(2, i - 20), 1) }', "later on"),
    ("n = 5", 'for i in range(n) { concat { branch {} branch { "c{i}": Conv2d(2, 1) } }; '
     "if in.channels > 90 { Tanh } }", "a decision by what grows"),
    ("n = 5", 'for i in range(n) { "c{i}": Conv2d(in.channels + in.channels // 90 + 2, 1) }',
     "by more later"),
    ("n = 5", GROWING + "; add { branch {} branch { Conv2d(14, 1) } }", "must equal a number"),
    ("n = 5", GROWING + "; Conv2d(4, 1); output last\noutput y { from c1 }",
     "a turn that is read elsewhere"),
    ("n = 5", GROWING + "; Conv2d(4, 1); output last\noutput y { from c0 }",
     "the first turn is read elsewhere"),
    ("n = 5", GROWING + "; Conv2d(4, 1); output last\noutput y { from c4 }",
     "the last turn by its number"),
    ("n = 2", "concat { repeat n { branch { Conv2d(2, 1) } } }", "branches"),
    ("n = 2", 'for i in range(n) { "c{i}": Conv2d(4, 1) }; output last\noutput y { from c1 }',
     "a turn that is read elsewhere"),
    ("n = 4", "body: { repeat 5 - n { Conv2d(4, 1) } }", "fewer turns for more"),
    ("n = 4", "body: { repeat n // 2 { Conv2d(4, 1) } }", "not evenly"),
    ("n = 2, unused = 3", "Conv2d(4 * n, 1); Conv2d(4, 1); Rows(n)", "no list, and a number too"),
    ("n = 2, m = 3", "body: { repeat n * m { Conv2d(4, 1) } }", "a product"),
    ("n = 0", "Conv2d(4, 1); body: { repeat n { Unit }; Tanh }", "no turn to see"),
    ("n = 2", "body: { repeat n { repeat n { Conv2d(4, 1) }; Tanh } }", "a loop in a loop"),
]  # fmt: skip


def graph_of(folder: Path, parameters: str, body: str) -> CheckedGraph:
    path = folder / "net.arch"
    path.write_text(BLOCKS.format(parameters=parameters, body=body))
    return Spec(str(path)).graph()


def others(usual: Any, least: int) -> Iterator[Any]:
    """Yield other values of a parameter, from the least that it may be."""
    if isinstance(usual, tuple):
        for value in range(least, least + 4):
            yield tuple(value + 2 * at % 3 for at in range(len(usual)))
        yield (least,) * len(usual)
    else:
        yield from (least, least + 1, least + 2, least + 6)


@pytest.mark.parametrize(("parameters", "body", "least"), TAKEN)
def test_the_class_takes_how_often_loops_turn(
    parameters: str, body: str, least: Mapping[str, int], tmp_path: Path
) -> None:
    graph = graph_of(tmp_path, parameters, body)
    kind = network_class(graph)
    image = torch.randn(2, 4, 8, 8)

    assert defaults(kind).keys() == least.keys()
    require_same(kind(), plain(graph, {}), image)
    for name, number in least.items():
        for value in others(defaults(kind)[name], number):
            require_same(kind(**{name: value}), plain(graph, {name: value}), image)


@pytest.mark.parametrize(("parameters", "body", "why"), LEFT)
def test_the_class_takes_nothing_of_which_that_is_not_known(
    parameters: str, body: str, why: str, tmp_path: Path
) -> None:
    graph = graph_of(tmp_path, parameters, body)

    assert defaults(network_class(graph)) == {}, why


# Floats, a body, and the floats that the class takes: those that are handed on to layers.
FLOATS = [
    ("p = 0.1", "Conv2d(4, 1); Dropout(p)", {"p"}),
    ("p = 0.5", "Conv2d(4, 1); Dropout(p)", {"p"}),  # which is what torch takes by itself
    ("p = 0.5", "a: Dropped(p); b: Dropped(0.5); c: Dropped(rate = p)", {"p"}),
    ("p = 0.1, q = 0.1", "a: Dropped(p); b: Dropped(q); Dropout(0.1)", {"p", "q"}),
    ("p = 0.3, n = 2", "body: { repeat n { Dropped(p) } }", {"p", "n"}),
    ("p: float = 0.2", "BatchNorm2d(eps = p); Conv2d(4, 1)", {"p"}),
    ("p = 0.2", "Conv2d(4, 1); inline Dropped(p); residual { LeakyReLU(p); Conv2d(4, 1) }", {"p"}),
    ("p = 0.2", "Conv2d(4, 1); if p > 0.9 { Tanh }; Dropout(p)", set()),
    ("p = 0.2", "Conv2d(4, 1); Dropout(2 * p)", set()),
    ("p = 0.2", "Conv2d(4, 1); Dropout(p); Dropout(sqrt(p) / 4)", set()),
    ("p = 0.2", "Conv2d(4 if p in [0.9] else 5, 1); Dropout(p)", set()),
    ("p = 0.2", "Conv2d(4, 1); residual when max(p, 0.5) > 0.6 { Tanh }; Dropout(p)", set()),
    ("p = 0.2", 'Named("{p}"); Dropout(p)', set()),
    ("p = 0.2", "let q = [p, 0.9]; Conv2d(4, 1); if q[0] == q[1] { Tanh }; Dropout(p)", set()),
    ("p = 0.2", "Conv2d(4, 1); if Dropout(p) == Dropout(0.9) { Tanh }; Dropout(p)", set()),
    ("p = 2.0", "Conv2d(4, 1); Upsample(scale_factor = p)", set()),
    ("p = 0.2", "Conv2d(4, 1); Scale(p)", set()),
    ("p = 0.2", "x: in; parameter w: [4, 1, 1] = p; from x; mul { branch {} branch { from w } }; "
     "Dropout(p)", set()),
    ("p = 9.5", "x: in; constant w: [4, 1, 1] = [min(i, p) for i, j, k]; from x; "
     "add { branch {} branch { from w } }; LeakyReLU(p)", set()),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "body", "names"), FLOATS)
def test_the_class_takes_floats_that_are_handed_on(
    parameters: str, body: str, names: set[str], tmp_path: Path
) -> None:
    graph = graph_of(tmp_path, parameters, body)
    kind = network_class(graph)
    image = torch.randn(2, 4, 8, 8)

    assert defaults(kind).keys() == names
    for name in names - {"n"}:
        for value in (0.0, 0.1, 0.5, 0.75):
            found = kind(**{name: value})
            if value or "eps" not in body:
                expected = plain(graph, {name: value})
                assert str(found) == str(expected)
                require_same(found, expected, image)


def test_sizes_may_be_free_beside_what_the_class_takes(tmp_path: Path) -> None:
    spec = BLOCKS.replace("[4, 8, 8]", "[4, H, W]").format(
        parameters="n = 2, m = 3, p = 0.1",
        body="a: Stages(n, m); Conv2d(8, 3, padding = 1); b: { repeat m { Unit(8) } }; Dropout(p)",
    )
    (tmp_path / "net.arch").write_text(spec)
    graph = Spec(str(tmp_path / "net.arch")).graph()
    kind, image = network_class(graph), torch.randn(2, 4, 7, 9)

    assert defaults(kind).keys() == {"n", "m", "p"}
    for values in ({"n": 1}, {"m": 1}, {"m": 5}, {"p": 0.9}):
        require_same(kind(**values), plain(graph, values), image)


def test_numbers_below_the_least_and_lists_of_other_lengths_are_refused(tmp_path: Path) -> None:
    body = (
        "for d in n { { Conv2d(4, 3, padding = 1); repeat d - 1 { Unit } } }; { repeat m { Unit } }"
    )
    kind = network_class(graph_of(tmp_path, "n: list = [2, 3], m = 2", body))

    kind(n=[1, 1], m=1)
    with pytest.raises(ValueError, match="every item of n must be at least 1"):
        kind(n=[2, 0])
    with pytest.raises(ValueError, match="n must have 2 items"):
        kind(n=[2, 1, 1])
    with pytest.raises(ValueError, match="m must be at least 1"):
        kind(m=0)


def test_other_parameters_stay_open_where_a_count_can_not(tmp_path: Path) -> None:
    body = (
        'Conv2d(width, 1); body: { repeat n { Unit(width) } }; for i in range(m) { "c{i}": Tanh }'
    )
    kind = network_class(graph_of(tmp_path, "n = 2, m = 2, width = 4", f'{body}; "c{{m}}": ReLU'))

    assert defaults(kind).keys() == {"n", "width"}


def test_a_stage_reads_as_it_does_by_hand() -> None:
    text = generate(Spec(f"{SPECS / 'resnet.arch'}:resnet34").graph()).text

    assert "*[BasicBlock(64, 64) for _ in range(depths[0])]" in text
    assert "*[BasicBlock(128, 128) for _ in range(depths[1] - 1)]" in text


# A network of each kind that has such parameters, with other values for them.
SHIPPED = [
    ("resnet.arch:resnet18_a", {"depths": [(1, 1, 1, 1), (3, 2, 1, 2)]}),
    ("resnet_cifar.arch:resnet20", {"n": [1, 2, 6]}),
    ("gpt2.arch:gpt2", {"layers": [2]}),
    ("densenet.arch:densenet121", {"depths": [(1, 1, 1, 1), (2, 5, 1, 3)], "growth": [12]}),
]
MORE_SHIPPED = [
    ("resnet.arch:resnet50", {"depths": [(1, 2, 1, 3), (4, 1, 2, 1)]}),
    ("resnet.arch:plain34", {"depths": [(1, 1, 2, 1)]}),
    ("resnext.arch:resnext50_32x4d", {"depths": [(1, 2, 1, 2)]}),
    ("deeplabv3.arch:deeplabv3_resnet50", {"depths": [(1, 1, 2, 3)]}),
    ("vit.arch:vit_b_16", {"depth": [1, 2, 13]}),
    ("bert.arch:bert_base", {"layers": [1, 3]}),
    ("densenet.arch:densenet161", {"depths": [(6, 12, 24, 16), (1, 2, 3, 7)]}),
]


@pytest.mark.parametrize(
    ("spec", "values"),
    [*SHIPPED, *(pytest.param(*each, marks=pytest.mark.whole) for each in MORE_SHIPPED)],
)
def test_shipped_networks_take_their_depth(spec: str, values: Mapping[str, list[Any]]) -> None:
    graph = Spec(str(SPECS / spec)).graph()
    with torch.device("meta"):
        kind = network_class(graph)

        assert values.keys() <= defaults(kind).keys()
        for name, each in values.items():
            for value in each:
                require_same(kind(**{name: value}), plain(graph, {name: value}))


def test_a_shipped_network_of_another_depth_computes_what_the_spec_says() -> None:
    graph = Spec(f"{SPECS / 'resnet_cifar.arch'}:resnet20").graph()
    image = torch.randn(2, 3, 32, 32)

    for n in (1, 4):
        require_same(network_class(graph)(n=n), plain(graph, {"n": n}), image)


def least_of(kind: Any, name: str) -> int:
    """Return the first value that a class takes."""
    for value in range(5):
        with suppress(ValueError):
            kind(**{name: value})
            return value
    raise AssertionError(name)


class Writer:
    """Writes random networks whose loops turn by parameters, some in ways no class can take."""

    STAGES = (
        "Conv2d(4, 1)", "Unit", "ReLU", "BatchNorm2d", "Stage(2)", "Stage({count})", "Tanh",
        "Labelled({count})", "residual {{ Conv2d(4, 1) }}", "Stages({count}, 2)", "Dropout(0.1)",
        "{{ repeat {count} {{ Conv2d(4, 1) }}; Tanh }}", "Deep({count}, 4)", "Dense({count})",
        "Wide({count})", "Rows({count})",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.labels = itertools.count()

    def stage(self) -> str:
        count = self.random.choice(["n", "m", "n + 1", "m - 1", "2 * n", "3", "n + m"])
        text = self.random.choice(self.STAGES).format(count=count)
        label = f"s{next(self.labels)}: " if self.random.random() < 0.3 else ""
        return text if text.startswith("residual") else label + text

    def loop(self) -> str:
        count = self.random.choice(["n", "m", "n - 1", "m + 2"])
        stages = [self.random.choice(self.STAGES).format(count="2") for _ in range(2)]
        inner = "; ".join(stages[: self.random.randint(1, 2)])
        if self.random.random() < 0.5:
            return f"repeat {count} {{ {inner} }}"
        label = f"l{next(self.labels)}_"
        return f'for i in range({count}) {{ "{label}{{i}}": {{ {inner} }} }}'

    def body(self) -> str:
        parts: list[str] = []
        for _ in range(self.random.randint(1, 3)):
            inside = [self.random.choice([self.stage, self.loop])() for _ in range(3)]
            inside = inside[: self.random.randint(1, 3)]
            grouped = f"g{next(self.labels)}: {{ {'; '.join(inside)} }}"
            parts.append(grouped if self.random.random() < 0.7 else "; ".join(inside))
        return "; ".join(parts)


@pytest.mark.parametrize(
    "seed", [*range(10), *(pytest.param(seed, marks=pytest.mark.whole) for seed in range(10, 60))]
)
@pytest.mark.parametrize("usual", ["n = 2, m = 3", "n = 5, m = 4"])
def test_random_networks_are_right_for_all_counts_that_they_take(
    usual: str, seed: int, tmp_path: Path
) -> None:
    try:
        graph = graph_of(tmp_path, usual, Writer(seed).body())
    except ArchError:
        pytest.skip("no network")
    kind, image = network_class(graph), torch.randn(2, 4, 8, 8)

    for name in defaults(kind):
        for value in (1, 2, 5):
            if value >= least_of(kind, name):
                require_same(kind(**{name: value}), plain(graph, {name: value}), image)
