"""What is worked out once for all alike uses is what each would have come to by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from generators import ArchSpec, arch_specs
from hypothesis import given, settings

import archdsl
from archdsl.elaborate.flat import _Naming
from archdsl.graph import CheckedGraph
from archdsl.layers.traced import bare
from archdsl.pipeline import Spec

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.arch"))

UNIT = """
block Unit(width = 8, kernel = 3) {
  conv: Conv2d(width, kernel, padding = kernel // 2)
  ReLU
}
"""
TWO = """
block Two {
  input left
  input right
  from left -> conv: Conv2d(4, 1)
  output low
  add { branch { from left }  branch { from right } }
}
"""
BODIES = {
    "repeats": "repeat 7 { Unit }",
    "repeats of stages": "repeat 9 { Conv2d(3, 3, padding = 1); ReLU }",
    "repeats that shrink": "repeat 4 { MaxPool2d(2); Conv2d(3, 3, padding = 1) }",
    "nested repeats": "repeat 5 { repeat 4 { Unit(3); ReLU }; Tanh }",
    "groups in repeats": "repeat 6 { { a: Conv2d(3, 1); { ReLU } } }",
    "merges in repeats": (
        "repeat 6 { residual { Conv2d(3, 1) -> { ReLU } }; concat { branch {} } }"
    ),
    "inline in repeats": "repeat 6 { inline Unit2 }",
    "nothing in repeats": "repeat 6 { }; repeat 6 { let a = 2 }; ReLU",
    "a flow that is kept": "x: in; repeat 6 { from x }; ReLU",
    "a label from before": (
        "x: in; repeat 6 { Conv2d(3, 1); add { branch {} branch { from x } } }"
    ),
    "a position in a turn": ('ReLU; repeat 6 { Tanh; add { branch { from "1" } branch {} } }'),
    "a position behind turns": (
        'repeat 8 { Unit(3) }; t: Tanh; from "5"; ReLU; '
        'add { branch {} branch { from t } branch { from "6".conv } branch { from "7" } }'
    ),
    "reuse of a turn": 'repeat 8 { Unit(3) }; reuse "6"; reuse "2".conv',
    "a register before": "register late; repeat 5 { Unit(3) }; late: Conv2d(3, 1)",
    "a register behind": (
        "repeat 5 { Unit(3) }; register late; Tanh; late: Conv2d(3, 1); repeat 6 { Unit(3) }"
    ),
    "two of the same": (
        "x: in; from x, x; a: Two; from x, x; b: Two; from a, b; c: Two; "
        "concat { branch {} branch { from a.low } branch { from b.low } branch { from c.low } }"
    ),
    "labels inside": (
        "a: Unit(3); b: Unit(3); from b.conv; c: Unit(3); "
        "add { branch {} branch { from a.conv } branch { from b } }"
    ),
    "reuse inside": "a: Unit(3); b: Unit(3); reuse b; reuse a.conv; reuse b.conv",
    "dotted labels": (
        "a.b.c: Unit(3); a.b.d: Unit(3); a.e: { u: Unit(3) -> Unit(3) }; a.b.f: Conv2d(3, 1)"
    ),
    "in a loop": 'for i in range(5) { "l{i}": Unit(3); if i > 2 { Unit(4) } }',
    "kinds of values": (
        "Any(1); Any(1.0); Any(true); Any(none); Any([1]); Any([1, [2]]); Any(ReLU); "
        "Any(Conv2d(3, 1)); Any(Conv2d(3, 3, padding = 1))"
    ),
    "two inputs": (
        "x: in; Conv2d(5, 1) -> y: in; from x, y; a: Many; from y, a; b: Many; "
        "from a, b, y; c: Many; from c; d: Many"
    ),
}
MORE = """
block Any(value) { if value == 1 { ReLU } else { Tanh }; Conv2d(3, 1) }
block Unit2 { Conv2d(3, 1); ReLU; Unit(3) }
block Many {
  input maps[]
  concat { for i in range(len(maps)) { branch { from maps[i] } } }
  Conv2d(len(maps), 1)
}
"""


def assert_same(shared: CheckedGraph, apart: CheckedGraph) -> None:
    """Compare all that there is of two graphs; numbers of one know how they came about."""
    assert [*shared.nodes] == [*apart.nodes]
    for one, other in zip(shared.nodes.values(), apart.nodes.values(), strict=True):
        assert (one.label, one.inputs, one.shares, one.span, one.trail, one.type) == (
            other.label, other.inputs, other.shares, other.span, other.trail, other.type
        )  # fmt: skip
        assert one.scope.name == other.scope.name
        assert bare(one.shape) == bare(other.shape)
        assert [*map(bare, one.facts.params.values())] == [*map(bare, other.facts.params.values())]
        assert one.facts.batched == other.facts.batched
    assert [*shared.scopes] == [*apart.scopes]
    for scope, same in zip(shared.scopes.values(), apart.scopes.values(), strict=True):
        assert (scope.name, scope.block, scope.span, scope.description, scope.inputs) == (
            same.name, same.block, same.span, same.description, same.inputs
        )  # fmt: skip
        assert (scope.parent and scope.parent.name) == (same.parent and same.parent.name)
        assert [*scope.arguments] == [*same.arguments]
    assert dict(shared.registered) == dict(apart.registered)
    assert [(one.name, one.node) for one in shared.outputs] == [
        (one.name, one.node) for one in apart.outputs
    ]
    numbers = {name: number for number, name in enumerate(shared.nodes)}
    reads = [tuple(numbers[name] for name in node.inputs) for node in shared.nodes.values()]
    assert shared.arrays.reads == reads
    assert [id(facts) for facts in shared.arrays.facts] == [
        id(node.facts) for node in shared.nodes.values()
    ]
    assert shared.arrays.shares == {
        numbers[node.name]: numbers[node.shares] for node in shared.nodes.values() if node.shares
    }
    assert shared.ends == tuple(numbers[output.node] for output in shared.outputs)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_alike_uses_and_turns_are_what_each_is_by_itself(body: str, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    text = f"network net {{ input image: [3, 32, 32]\n {body} \n}}\n{UNIT}{TWO}{MORE}"
    path.write_text(text)
    graph = Spec(str(path)).graph()
    assert graph.again is not None

    assert_same(graph, graph.again({}, ()))  # what follows numbers shares nothing


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_networks_are_what_they_are_without_sharing(path: Path) -> None:
    spec = Spec(str(path))
    for name in spec.networks:
        if spec.is_complete(name):
            graph = spec.graph(name)
            assert graph.again is not None
            assert_same(graph, graph.again({}, ()))


def test_turns_that_are_alike_are_not_worked_out_again(tmp_path: Path) -> None:
    """So a loop of a hundred thousand turns is there as soon as one of ten."""
    path = tmp_path / "net.arch"
    path.write_text("network net { input image: [3, 8, 8]\n repeat 40000 { ReLU -> Tanh } }")
    graph = Spec(str(path)).graph()

    layers = {id(layer) for layer in graph.arrays.layers}
    assert len(graph.nodes) == 80_001
    assert len(layers) == 3
    assert [*graph.nodes][-1] == "79999"
    assert graph.nodes["79999"].inputs == ("79998",)


@pytest.mark.parametrize("spec", ["inception_v3", "resnet1202", "googlenet", "vit_b_16"])
def test_totals_name_no_node(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and counting takes a fraction of the time so."""
    monkeypatch.setattr(_Naming, "name_all", lambda names: pytest.fail("nodes were named"))

    counted = archdsl.load(spec).count()

    assert counted.macs
    assert counted.report.memory.peak
    assert counted.report.depth


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bodies")


@settings(deadline=None)  # no example is timed: other things may run on the machine
@given(spec=arch_specs())
def test_random_specs_are_what_they_are_without_sharing(folder: Path, spec: ArchSpec) -> None:
    path = folder / "spec.arch"
    path.write_text(spec.text())
    graph = Spec(f"{path}:spec").graph()
    assert graph.again is not None

    assert_same(graph, graph.again({}, ()))


WRONG = {
    "an item that is not there": (
        "network net(n: int = 1) { input x: [8]\n a: M(n)\n b: M(n) }\n"
        "block M(n) { Linear(8) ; let z = [4, 8][n] ; Linear(8) }",
        {"n": 5},
    ),
    "an output": (
        "network net(n: int = 1) { input x: [8, 9, 9]\n a: M(n)\n b: M(n) }\n"
        "block M(n) { ReLU ; output o { Conv2d(8, n) } ; ReLU }",
        {"n": 11},
    ),
    "nothing flows": (
        "network net(n: int = 1) { input x: [8, 32, 32]\n a: K(n)\n b: K(n)\n c: K(n)\n"
        "from b.low }\n"
        "block K(n) { c: Conv2d(8, 1) ; J(n) ; output low { Conv2d(3, 1) } }\n"
        "block J(n) { q: Conv2d(8, 5, padding = n) -> Conv2d(8, 40 * n + 1) }",
        {"n": 1},
    ),
}


@pytest.mark.parametrize(("text", "values"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_each_time(
    text: str, values: dict[str, object], tmp_path: Path
) -> None:
    """No body with something wrong in it is kept, though the same is reported once."""
    path = tmp_path / "net.arch"
    path.write_text(text)
    said = []
    for _ in range(3):
        with pytest.raises(archdsl.ArchError) as caught:
            archdsl.load(path, parameters=values)
        said.append(str(caught.value))

    assert said[0] == said[1] == said[2]
