"""Parameters of a network that the generated class takes: those that decide nothing."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from generators import ArchSpec, Style, arch_specs
from hypothesis import HealthCheck, given, settings

from archdsl.backends.python_source import generate
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

torch = pytest.importorskip("torch")

SPECS = [
    path
    for path in sorted((Path(__file__).parents[3] / "specs").glob("*.arch"))
    # detectors reshape a tensor by the number of classes, which is no number of a layer
    if "classes" in path.read_text() and path.stem not in ("retinanet", "yolov8")
]


def network_class(spec: Spec, name: str = "", **parameters: int) -> type:
    return network_class_of(spec.graph(name or None, parameters))


def network_class_of(graph: CheckedGraph) -> type:
    written = generate(graph)
    space: dict[str, type] = {"__name__": "generated"}
    exec(compile(written.text, "generated", "exec"), space)
    return space[written.network]


def arguments(kind: type) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is not parameter.empty
    }


def larger(value: Any) -> Any:
    if isinstance(value, float):
        return value / 2 + 0.3
    return value + 3 if isinstance(value, int) else tuple(item % 3 + 1 for item in value)


def shapes(module: object) -> dict[str, tuple[int, ...]]:
    assert isinstance(module, torch.nn.Module)
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_other_arguments_give_the_network_that_the_spec_gives_for_them(path: Path) -> None:
    spec = Spec(str(path))
    complete = filter(spec.is_complete, spec.networks)
    *_, name = (each for each in complete if "classes:" in spec.describe(each)[0])
    with torch.device("meta"):
        graph = spec.graph(name)
        assert graph.again
        kind = network_class_of(graph)
        given = {argument: larger(value) for argument, value in arguments(kind).items()}

        assert "classes" in given
        for argument, value in given.items():
            again = graph.again({argument: value}, None)  # what an alias has fixed as well
            expected = network_class_of(replace(again, again=None))
            assert shapes(kind(**{argument: value})) == shapes(expected())


NETWORK = """
network net({parameters}) {{
  input image: [3, 8, 8]
  {body}
}}
block Pair(width) {{ Conv2d(width, 1) -> Conv2d(width + 1, 1) }}
block Head(outputs) {{ AdaptiveAvgPool2d(1) -> Flatten -> fc: Linear(outputs) }}
block Both(a, b) {{ Conv2d(a, 1) -> Conv2d(b, 1) }}
block Listed(widths) {{ Conv2d(widths[0], 1) -> Conv2d(widths[0] + widths[1], 1) }}
"""

TAKEN = [
    ("classes: int = 5", "fc: Head(classes)", {"classes": 5}),
    ("classes = 5", "fc: Head(classes)", {"classes": 5}),
    ("n = 5", "repeat 3 { Conv2d(n, 1) }", {"n": 5}),  # reads n channels too
    ("n = 5", "Flatten -> Linear(n)", {"n": 5}),
    ("n = 5", "{ Linear(n) -> ReLU -> Linear(n) }", {"n": 5}),  # in_features and out_features
    ("n = 5, m = 5", "Conv2d(n, 1) -> Conv2d(m, 1)", {"n": 5, "m": 5}),  # equal, and yet two
    ("n = 5, m = 4", "a: Both(n, m) -> b: Both(4, 4) -> c: Both(m, n)", {"n": 5, "m": 4}),
    ("n = 5", "a: Head(n) -> Linear(5)", {"n": 5}),
    ("class = 5, self = 4", "a: Both(class, self)", {"class_": 5, "self_": 4}),
    ("torch = 5, nn = 4", "a: Both(torch, nn)", {"torch_": 5, "nn_": 4}),
    ("image = 5", "Conv2d(image, 1)", {"image": 5}),
    ("n = 5", "a: Pair(n)", {"n": 5}),
    ("n = 5", "a: Pair(n) -> b: Pair(2 * n) -> c: Pair(7)", {"n": 5}),
    ("n = 5", "Conv2d(n, 1) -> Flatten -> Linear(2)", {"n": 5}),
    ("n = 5, m = 2 * n", "Conv2d(m, 1) -> Conv2d(n + m, 1)", {"n": 5}),  # what follows is none
    ("n = 5", "Conv2d(floor(0.5 * n) + n // 2 + n % 3 + n ** 2 + 1, 1)", {"n": 5}),
    ("n = 5", "residual { Conv2d(n, 1) -> Conv2d(3, 1) } -> Linear(n + in.features)", {"n": 5}),
    ("n: list = [4, 6]", "for w in n { Conv2d(w, 1) }", {"n": (4, 6)}),
    ("n: list = [4, 6]", "a: Both(n[0], 2 * n[1]) -> b: Both(n[1], n[0])", {"n": (4, 6)}),
    ("n: list = [4, 6]", "a: Listed(n) -> b: Listed([1, 2])", {"n": (4, 6)}),
    ("n = 12, m = 4", "Conv2d(n * m // m + n % m + 1, 1)", {"n": 12, "m": 4}),
    ("n = 12, m = 4", "a: Both(n // (m + 1) + 1, n + m // 2)", {"n": 12, "m": 4}),
    ("n = 5, m = 4", "Conv2d(n if m > 3 else m, 1)", {"n": 5}),
    ("n = 1", "repeat 4 { Conv2d(n, 1) -> BatchNorm2d }", {"n": 1}),
    ("n = 4", 'for i in range(5) { "c{i}": Both(n + 2 * i, n * i + 1) }', {"n": 4}),
    (
        "n = 2",
        'for i in range(5) { concat { branch {} branch { "c{i}": Conv2d(n, 1) } } }',
        {"n": 2},
    ),
    ("n = 3, size = 6", "Conv2d((size + 2) // 3, 1) -> a: Both(n, 3)", {"n": 3, "size": 6}),
]
LEFT = [
    ("n = 5", "repeat n { Conv2d(n, 1) }", "a count of stages"),
    ("n = 5", "Conv2d(n if n > 3 else 4, 1)", "a decision"),
    ("n = 5", '"conv{n}": Conv2d(n, 1)', "a label"),
    ("n = 4", "Conv2d(8, 1) -> Conv2d(n, 1, groups = n)", "must divide others"),
    ("n = 3", "MaxPool2d(n, padding = 1) -> Conv2d(n, 1)", "a window"),
    ("n = 5", "Conv2d(n, 1) -> add { branch {} branch { Conv2d(5, 1) } }", "must equal others"),
    (
        "n = 5",
        "Conv2d(n, 1)\nparameter p: [n, 1, 1]\nmul { branch {} branch { from p } }",
        "an own tensor",
    ),
    ("n = 5", "Conv2d(n, 1) -> Reshape([n, 64])", "a function"),
    ("n = true", "Conv2d(4, 1, bias = n)", "no number"),
    ("n = 5", "ReLU", "unused"),
]


@pytest.mark.parametrize(("parameters", "body", "expected"), TAKEN)
def test_it_takes_what_numbers_of_layers_follow_from(
    parameters: str, body: str, expected: dict[str, int], tmp_path: Path
) -> None:
    path = tmp_path / "net.arch"
    path.write_text(NETWORK.format(parameters=parameters, body=body))
    spec = Spec(str(path))
    kind = network_class(spec)

    assert arguments(kind) == expected
    for value in (1, 2, 3, 7, 12):
        for name, usual in expected.items():
            other = (value, value + 1) if isinstance(usual, tuple) else value
            given = {name.removesuffix("_"): other}
            image = torch.randn(2, 3, 8, 8)
            expected_module = network_class(spec, **given)()
            found = kind(**{name: other})
            assert shapes(found) == shapes(expected_module), given
            found.load_state_dict(expected_module.state_dict())
            with torch.no_grad():
                assert torch.equal(found.eval()(image), expected_module.eval()(image))


@pytest.mark.parametrize(("parameters", "body", "why"), LEFT)
def test_it_takes_nothing_that_decides_more(
    parameters: str, body: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.arch"
    path.write_text(NETWORK.format(parameters=parameters, body=body))

    assert arguments(network_class(Spec(str(path)))) == {}, why


def test_a_free_size_of_that_name_is_another(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text('network net(n = 5) { input image: [3, "n", 8]\nConv2d(n, 1) }')
    graph = Spec(str(path)).graph(shapes={"image": (3, "n", 8)})

    assert "nn.Conv2d(3, 5, kernel_size=1)" in generate(graph).text


def test_the_network_is_not_worked_out_again_for_each_parameter(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(NETWORK.format(parameters="n = 7, m = 5", body="repeat n { Conv2d(m, 1) }"))
    graph = Spec(str(path)).graph()
    tried: list[list[str]] = []

    def again(others: Mapping[str, object], follows: Collection[str] | None) -> CheckedGraph:
        tried.append(list(others))
        assert graph.again
        return graph.again(others, follows)

    assert "m: int = 5" in generate(replace(graph, again=again)).text
    assert tried == [["n", "m"], ["m"], []]  # an error tells that `n` decides; the last is followed


def test_a_list_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    body = "for w in n { Conv2d(w, 1) }"
    path.write_text(NETWORK.format(parameters="n: list = [4, 6]", body=body))
    kind = network_class(Spec(str(path)))

    with pytest.raises(ValueError, match="n must have 2 items"):
        kind(n=[4, 6, 8])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asked")


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(spec=arch_specs())
def test_every_other_value_gives_what_the_spec_gives_for_it(folder: Path, spec: ArchSpec) -> None:
    path = folder / "spec.arch"
    path.write_text(spec.text(Style(asked=True)))
    read = Spec(str(path))
    kind = network_class(read)
    for name, value in arguments(kind).items():
        for other in (1, value + 1, 3 * value):
            expected = network_class(read, **{name: other})()
            found = kind(**{name: other})
            assert shapes(found) == shapes(expected)

            found.load_state_dict(expected.state_dict())
            image = torch.randn(2, *spec.shape, generator=torch.manual_seed(0))
            with torch.no_grad():
                same = torch.equal(found.eval()(image), expected.eval()(image))
            assert same or expected(image).isnan().any()
