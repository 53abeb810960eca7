"""What is made by a recipe is what the statements of the spec make, whatever they hang on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

import archdsl
from archdsl.elaborate.network import Worked, work_out
from archdsl.elaborate.world import Kept, World
from archdsl.pipeline import Spec

ROOT = Path(__file__).parents[2]


def described(worked: Worked) -> list[object]:
    """Return all that a graph says, with blocks as text: each elaboration has its own."""
    graph = worked.graph()
    return [
        [
            (node.name, node.label, repr(node.layer), node.inputs, node.facts, node.span,
             node.scope.name, node.scope.block, repr(node.scope.arguments), node.shares, node.ties)
            for node in graph.nodes.values()
        ],
        [(name, scope.block, repr(scope.arguments)) for name, scope in graph.scopes.items()],
        [(one.name, one.number, one.node, one.training_only, one.span) for one in graph.outputs],
        repr(graph.arguments), dict(graph.registered), graph.inputs,
    ]  # fmt: skip


def worked_out(spec: Spec, values: Mapping[str, object], kept: Kept) -> tuple[object, ...]:
    """Return what comes of a variant: its graph and the work that was counted, or its errors."""
    assert spec.network is not None
    world = World(spec.layers, spec.limits, kept)
    try:
        worked = work_out(world, spec.file, spec.network, spec.values(spec.network, values), {})
    except archdsl.ArchError as error:
        return tuple((one.code, one.message(), one.span) for one in error.diagnostics)
    return described(worked), world.recorder.nodes, world.recorder.edges, world.steps_left


def compare(path: str, variants: Iterable[Mapping[str, object]]) -> int:
    """Compare variants with those that are worked out alone; return how many recipes there are."""
    spec, kept = Spec(path), Kept(recipes=True)
    for values in variants:
        assert worked_out(spec, values, kept) == worked_out(spec, values, Kept()), values
    assert kept.recipes is not None
    return kept.recipes.count


def test_residual_networks() -> None:
    units = [f"Bottleneck(group_width = {width})" for width in (16, 100, 30)]
    units += ["BasicBlock", "Bottleneck(groups = 3)", "Bottleneck(groups = 32, group_width = 4)"]
    variants = [
        {"unit": unit, "depths": depths, "option": option, "classes": 7 + at}
        for at, unit in enumerate(units)
        for depths in ([1, 2, 1, 1], [2, 1, 4, 1], [1, 2, 1, 1])
        for option in ("OptionA", "OptionC", "none")
    ]
    # far fewer than 54 networks with 4 blocks each
    assert compare(f"{ROOT}/specs/resnet.arch:ResNet", variants) < 40


def test_mobile_networks() -> None:
    widths = [0.25, 0.35, 0.5, 0.77, 1.0, 1.4, 0.1]
    assert compare("mobilenet_v2", [{"width": width} for width in widths]) < 30
    variants = [
        {"width": width, "depth": depth, "expansion": expansion, "size": 64}
        for width in (0.3, 0.8, 1.1)
        for depth in (0.4, 1.0)
        for expansion in (1, 4)
    ]
    compare(str(ROOT / "docs/mobilenet_search.arch"), variants)


SAMPLE = ("hrnet", "mobilenet_v3", "resnet", "yolov8")
SPECS = sorted(path.stem for path in (ROOT / "specs").glob("*.arch"))


@pytest.mark.parametrize(
    "name", [n if n in SAMPLE else pytest.param(n, marks=pytest.mark.whole) for n in SPECS]
)
def test_all_networks_of_a_file(name: str) -> None:
    spec, kept = Spec(str(ROOT / f"specs/{name}.arch")), Kept(recipes=True)
    complete = [network for network in spec.networks if spec.is_complete(network)]
    for network in (*complete, *complete):
        spec.network = network
        assert worked_out(spec, {}, kept) == worked_out(spec, {}, Kept()), network


# Bodies of a network with an image [4, 8, 8] and parameters n and m, and what else the file holds.
ODD = {
    "a value before one of its name": (
        "B(n)", "block B(n) {\n let a = k * n\n Conv2d(a, 1)\n let k2 = 3\n Conv2d(k2 + n, 1)\n}",
    ),
    "values in braces": (
        "B(n)",
        "block B(n) {\n if n > 2 {\n let a = n\n Conv2d(a, 1)\n } else {\n let a = 2 * n\n"
        " Conv2d(a, 1) }\n Conv2d(n, 1)\n}",
    ),
    "a loop over a list of numbers": (
        "B([n, 2 * n, m])", "block B(widths) { for w in widths { Conv2d(w, 1) } }"
    ),
    "a loop with two names": (
        "B([n, m])",
        "block B(widths) { for i, w in enumerate(widths) { \"c{i}\": Conv2d(w + i, 1) } }",
    ),
    "a loop as long as a number": ("B(m)", "block B(m) { for i in range(m) { Conv2d(m + i, 1) } }"),
    "turns": ("repeat m { B(n) }", "block B(n) { repeat n % 3 { Conv2d(n, 1) -> ReLU } }"),
    "turns that are not alike at first": (
        "B(n)", "block B(n) { repeat 4 { Conv2d(n, 1) -> ReLU } Conv2d(4, 1) }"
    ),
    "a label of a number": ('B(n)', 'block B(n) { "c{n}": Conv2d(n, 1) -> "d{n // 100}": ReLU }'),
    "a label that clashes for some": (
        "B(n, m)", 'block B(n, m) { "c{n % 4}": ReLU -> "c{m}": Conv2d(n, 1) }'
    ),
    "a reference by a number": (
        "B(n)",
        'block B(n) { c0: Conv2d(n, 1) -> c1: Conv2d(n, 1)\n add { branch {} branch { from '
        '"c{n % 2}" } } }',
    ),
    "one of what comes in": (
        "a: Conv2d(n, 1)\n b: Conv2d(m, 1)\n from a, b\n B(n % 2)",
        "block B(at) {\n input maps[]\n a: Conv2d(maps[at].channels + 1, 1, weight_of = 1)\n}",
    ),
    "all that comes in": (
        "a: Conv2d(n, 1)\n b: Conv2d(m, 1)\n from a, b\n B(n % 2)",
        "block B(at) {\n input maps[]\n concat { for i in range(len(maps)) { branch { from "
        "maps[i] -> Conv2d(maps[at].channels, 1) } } }\n}",
    ),
    "named inputs": (
        "a: Conv2d(n, 1)\n b: Conv2d(m, 1)\n from a, b\n B",
        "block B {\n input low\n input high\n concat { branch { from low } branch { from high } }"
        "\n from low -> Conv2d(in.channels, 1) -> Conv2d(9, 1)\n}",
    ),
    "the same tensor twice": (
        "a: Conv2d(n, 1)\n from a, a\n B\n b: Conv2d(n, 1)\n from a, b\n B",
        "block B {\n input p\n input q\n add { branch { from p } branch { from q } }\n}",
    ),
    "sizes of a name": (
        "B(n)",
        "block B(n) {\n a: Conv2d(n, 1)\n b: Conv2d(2 * n, 1)\n Conv2d(shape(a).channels, 1)\n}",
    ),
    "what flows as a default": (
        "Conv2d(n, 1) -> B", "block B(out = 2 * in.channels, more = out + 1) { Conv2d(more, 1) }"
    ),
    "statements put in": (
        "inline B(n, 3)\n inline B(2, m)\n inline B(5, 6)\n inline B(n)",
        "block B(out, more = out + in.channels) {\n let both = out + more\n Conv2d(both, 1)\n}",
    ),
    "statements put in by statements put in": (
        "B(n)",
        "block B(n) { inline C(n) -> ReLU -> inline C(k) }\n"
        "block C(n) { if n > 4 { inline D(n, 2) } else { inline D(3, n) } }\n"
        "block D(a, b = 7) { repeat b { Conv2d(a, 1) } }",
    ),
    "a block of a number": (
        "B(C(n), ReLU if m > 2 else Sigmoid)",
        "block B(unit: block, act: block) { unit(m = 3) -> act -> unit\n if unit != act { act } }"
        "\nblock C(n, m = 1) { Conv2d(n, m, padding = m // 2) }",
    ),
    "layers of a number": (
        "B(Conv2d(n), m)", "block B(unit: block, m) { unit(1) -> unit(m, padding = m // 2) }"
    ),
    "a layer or a block": (
        "B(C if n > 3 else ReLU, n)", "block B(unit: block, n) { unit -> Conv2d(n, 1) }\n"
        "block C { Conv2d(5, 1) }",
    ),
    "a call by another name": (
        "B(n)", "block B(n) { F(n) -> G(n, 3) }\nblock F(out) = Conv2d(out, k)\n"
        "block G(a, b) = H(a, m = b)\nblock H(n, m) { Conv2d(n * m, 1) }",
    ),
    "fractions": (
        "B(n / 2)",
        "block B(x) {\n let y = 0.3 * x\n Conv2d(wide(y), 1)\n Dropout(0.1 * (x % 3))\n}\n"
        "fn wide(x) { let near = max(1, floor(x)); near + 1 if near < x else near }",
    ),
    "a list of a list": (
        "B([w for w in [n, m, 2, 3] if w > 2])",
        "block B(w) { Conv2d(sum(w), 1) -> Conv2d(w[-1], len(w), padding = 2) }",
    ),
    "merges that count": (
        "B(n, m)",
        "block B(n, m) { concat(dim = 1 + n % 2) { repeat m { branch { Conv2d(n, 1) } } } }",
    ),
    "residuals of a condition": (
        "Conv2d(8, 1) -> B(n)",
        "block B(n) { residual when n == in.channels { Conv2d(n, 1) -> ReLU } }",
    ),
    "outputs": (
        "b: B(n)\n add { branch {} branch { from b.side } }",
        "block B(n) {\n Conv2d(n, 1)\n output side\n output odd { Conv2d(n, 1) }\n ReLU\n}",
    ),
    "tensors of its own": (
        "B(n)",
        "block B(n) {\n Conv2d(n, 1)\n parameter w: [n, 1, 1]\n mul { branch {} branch { from w } }"
        "\n}",
    ),
    "modules again": ("B(n)", "block B(n) { c: Conv2d(4, 1) -> Conv2d(4, n) -> reuse c }"),
    "ties": (
        "B(n)",
        "block B(n) {\n a: Conv2d(n, 1) -> Conv2d(n, 1) -> Conv2d(4, 1, weight = from a.weight)\n}",
    ),
    "an order of places": (
        "B(n)", "block B(n) { register b, a\n a: Conv2d(n, 1)\n b: Conv2d(n, 1) }"
    ),
    "groups that may not divide": (
        "B(n, m)", "block B(n, m) { Conv2d(n, 1) -> Conv2d(n, 1, groups = m) }"
    ),
    "a kernel that is too large": ("B(n)", "block B(n) { Conv2d(4, n, padding = 1) }"),
    "true is no number": ("B(n > 3)\n B(n)", "block B(x) { Conv2d(x, 1) }"),
    "words": ('B("same" if n > 3 else "valid")', "block B(p) { Conv2d(4, 3, padding = p) }"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_bodies(name: str, tmp_path: Path) -> None:
    body, items = ODD[name]
    path = tmp_path / "net.arch"
    path.write_text(
        f"network net(n, m) {{\n input image: [4, 8, 8]\n {body}\n}}\nlet k = 3\n{items}\n"
    )

    numbers = (4, 5, 8, 4, 3, 1, 12, 5, 0, 40)
    variants = [{"n": n, "m": m} for m in (1, 3, 2, 40) for n in numbers]
    compare(str(path), [*variants, *reversed(variants)])
