"""Layers of a user's own: what is registered, and what a faulty one does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import archdsl
from archdsl import own_layers
from archdsl.cli import run
from archdsl.layers import own
from archdsl.layers.base import Facts, Shapes, TorchFunction, TorchModule, Window, single


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Leave no layer of a test registered."""
    before = dict(own_layers._registered)
    yield
    own_layers._registered.clear()
    own_layers._registered.update(before)


def spec(folder: Path, stage: str) -> str:
    path = folder / "net.arch"
    path.write_text(f"network net {{\n  input x: [8]\n  {stage}\n}}\n")
    return str(path)


def test_a_registered_layer_is_part_of_the_language(tmp_path: Path) -> None:
    @archdsl.layer
    class Twice(archdsl.Layer):
        """Its input, twice."""

        def infer(self, inputs: Shapes) -> Facts:
            return Facts(single(inputs), TorchFunction("{0} + {0}"))

    assert archdsl.load(spec(tmp_path, "Twice")).checked.nodes["0"].layer == Twice()


def test_a_layer_is_unknown_before_it_is_registered(tmp_path: Path) -> None:
    with pytest.raises(archdsl.ArchError, match="no layer or block called `Twice`"):
        archdsl.load(spec(tmp_path, "Twice"))


def test_what_goes_wrong_in_a_layer_is_shown_where_it_is_used(tmp_path: Path) -> None:
    @archdsl.layer
    class Faulty(archdsl.Layer):
        """Divides by zero."""

        def infer(self, inputs: Shapes) -> Facts:
            raise ZeroDivisionError("division by zero")

    with pytest.raises(archdsl.ArchError) as caught:
        archdsl.load(spec(tmp_path, "Faulty"))

    assert "`Faulty` fails with ZeroDivisionError: division by zero" in str(caught.value)
    assert "net.arch:3:3" in str(caught.value)
    assert "not in the spec" in str(caught.value)


FACTS: dict[str, list[Any]] = {
    "output": [None, [8], (2.5,), (True,), (0,), (-3,), ("8",), 8],
    "torch": [None, "{0}", TorchFunction(3), TorchModule("nn.X", [3])],  # type: ignore[arg-type]
    "params": [None, {"weight": [3, 3]}, {"weight": 3}, {3: (3,)}, [(3,)]],
    "buffers": [{"mean": (0,)}],
    "macs": [None, -1, 1.5, float("nan"), "many", True],
    "other": [{"vague": count} for count in (float("nan"), 1.5, "many", None, -1)],
    "windows": ["all", None, ((1, 2, 0),), [Window(1)]],
    "apart": [None, 1],
    "view": ["no"],
    "batched": [None],
    "moves": [(5,), ("0",), None],
    "inside": [None, -1],
    "inside_training": [0.5],
    "shape_only": [1, ("0",)],
    "arithmetic": [None, 3],
    "agreements": [None, (3,), ((3, "x"),)],
    "wraps": [None, 1],
    "back": [None, "unknown", 1],
}


@pytest.mark.parametrize(
    ("fact", "value"), [(fact, value) for fact, values in FACTS.items() for value in values]
)
def test_a_layer_that_gives_what_no_fact_can_be(tmp_path: Path, fact: str, value: object) -> None:
    """It would fail far from the layer, or come out as a count that nobody can read."""

    @archdsl.layer
    class Vague(archdsl.Layer):
        """Its input."""

        def infer(self, inputs: Shapes) -> Facts:
            given: Any = {"output": single(inputs), "torch": TorchFunction("{0}"), fact: value}
            return Facts(**given)

    with pytest.raises(
        archdsl.ArchError, match=rf"`Vague` gives {fact} = .*, which must "
    ) as caught:
        archdsl.load(spec(tmp_path, "Vague"))
    assert "the fault is in" in str(caught.value)
    assert f"{tmp_path}/net.arch:3:3" in str(caught.value)


def test_every_fact_is_checked() -> None:
    assert FACTS.keys() == {*Facts._fields} == own.FACTS.keys()


@pytest.mark.parametrize("given", [None, {}, (8,)])
def test_a_layer_that_gives_no_facts(tmp_path: Path, given: Any) -> None:
    archdsl.layer(type("Empty", (archdsl.Layer,), {"infer": lambda self, inputs: given}))

    with pytest.raises(archdsl.ArchError, match=r"`Empty` gives .*, and must give Facts"):
        archdsl.load(spec(tmp_path, "Empty"))


def fails(*given: object) -> object:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("method", "gives", "said"),
    [
        ("dtype", fails, "`Odd` fails with ZeroDivisionError: division by zero .the fault is in"),
        ("dtype", lambda layer, inputs: "double", "gives 'double', none of bool, int, float"),
        ("dtype", lambda layer, inputs: None, "gives None, none of"),
        ("dtype", lambda layer, inputs: ["int"], "gives .'int'., none of"),
        ("indices", fails, "`Odd` fails with ZeroDivisionError"),
        ("indices", lambda layer: "many", "has 'many' indices, which is no integer"),
    ],
)
def test_a_layer_whose_methods_go_wrong(
    tmp_path: Path, method: str, gives: object, said: str
) -> None:
    body = {"infer": lambda self, inputs: Facts(inputs[0], TorchFunction("{0}")), method: gives}
    archdsl.layer(type("Odd", (archdsl.Layer,), body))

    with pytest.raises(archdsl.ArchError, match=said):
        archdsl.load(spec(tmp_path, "Odd"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("takes", {"float": "double"}),
        ("takes", {}),
        ("family", 3),
        ("family", ""),
        ("family", None),
        ("merges", "yes"),
        ("sign", 3),
        ("inert", "yes"),
        ("buffers_move", None),
        ("word", "odd"),
        ("examples", [()]),
        ("elsewhere", ("odd", "Odd")),
    ],
)
def test_what_a_class_says_of_its_layer_is_checked(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"`{name}` of Odd is .*, and must be"):
        archdsl.layer(type("Odd", (archdsl.Layer,), {name: value, "infer": None}))


def test_names_of_the_package_and_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="Conv2d"):
        archdsl.layer(type("Conv2d", (archdsl.Layer,), {"infer": None}))
    with pytest.raises(TypeError):
        archdsl.layer(int)  # type: ignore[type-var]


TWICE = '''import archdsl

{more}
@archdsl.layer
class {name}(archdsl.Layer):
    """Twice the input."""

    def infer(self, inputs):
        return archdsl.Facts(inputs[0], archdsl.TorchFunction("{{0}} + {{0}}"))
'''


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget all modules that a test imports, and start without layers."""
    before = set(sys.modules)
    monkeypatch.setattr("archdsl.own_layers._registered", {})
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, name: str, more: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TWICE.format(name=name, more=more))


@pytest.mark.parametrize("place", ["here", "beside the spec", "package", "installed"])
def test_a_module_that_is_named_is_found(
    place: str,
    modules: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    here.mkdir()
    monkeypatch.chdir(here)
    path = list(sys.path)
    name = "twice_of_this_test"
    files = {
        "here": here / "twice_of_this_test.py",
        "beside the spec": other / "twice_of_this_test.py",
        "package": other / "twice_of_this_test/layers.py",
        "installed": tmp_path / "site/twice_of_this_test.py",
    }
    write(files[place], "Twice", "import neighbour_of_this_test" if place == "here" else "")
    (here / "neighbour_of_this_test.py").write_text("")
    if place == "installed":
        monkeypatch.syspath_prepend(tmp_path / "site")
        path = list(sys.path)
        for each in (here, other):  # nothing that lies about stands in for what is installed
            write(each / "twice_of_this_test.py", "Other")
    other.mkdir(exist_ok=True)
    file = spec(other, "Twice")
    given = f"{name}.layers" if place == "package" else name

    assert run(["count", file, "--layers", given]) == 0, capsys.readouterr().err
    assert "Twice" in capsys.readouterr().out
    assert sys.path == path


def test_a_spec_never_leads_to_an_import(
    modules: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "named_of_this_test.py", "Twice")
    for name in ("Twice", "unnamed_of_this_test"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)")
    file = spec(tmp_path, "Twice")

    assert run(["count", file, "--layers", "named_of_this_test"]) == 0
    with pytest.raises(ImportError):
        import unnamed_of_this_test  # noqa: F401


FAULTY = {
    "import archdsl\nimport no_such_module\n": "FILE:2: No module named 'no_such_module'",
    "import archdsl\ndef f():\n  return 1 / 0\nf()": "FILE:3: ZeroDivisionError: division by zero",
    "x = (": "FILE:1: SyntaxError: '(' was never closed",
    "import archdsl\n@archdsl.layer\nclass Conv2d(archdsl.Layer):\n  pass": (
        "FILE:2: ValueError: Conv2d is the name of a layer that comes with archdsl"
    ),
    "from archdsl import no_such_name": "FILE:1: cannot import name 'no_such_name'",
    "": "registers no layer: decorate its classes with `@archdsl.layer`",
}


@pytest.mark.parametrize("text", FAULTY)
def test_a_module_that_fails_is_shown_with_its_line(
    text: str, modules: None, tmp_path: Path
) -> None:
    file = tmp_path / "faulty_of_this_test.py"
    file.write_text(text)

    with pytest.raises(ImportError) as caught:
        own_layers.enable("faulty_of_this_test", [str(tmp_path)])

    assert "faulty_of_this_test" in str(caught.value)
    assert FAULTY[text].replace("FILE", str(file)) in str(caught.value)


@pytest.mark.parametrize("name", ["no_such_module_at_all", "my layers", "../x", ".x", "", "x.py/"])
def test_names_of_no_module(name: str, modules: None, tmp_path: Path) -> None:
    path = list(sys.path)

    with pytest.raises(ImportError) as caught:
        own_layers.enable(name, [str(tmp_path)])

    assert sys.path == path
    if name.isidentifier():
        assert f"there is no {name}.py in {tmp_path}" in str(caught.value)


def test_a_path_in_the_place_of_a_name_says_what_to_write(modules: None) -> None:
    with pytest.raises(ImportError, match="as in `--layers my_layers`"):
        own_layers.enable("some/folder/my_layers.py")


LIKE_OTHERS = '''import archdsl


@archdsl.layer
class Exponential(archdsl.Layer):
    """The exponential function, whose gradient is its result."""

    def infer(self, inputs):
        return archdsl.Facts(inputs[0], archdsl.TorchFunction("torch.exp({0})"), apart=True)
'''


@pytest.mark.parametrize("stem", ["linear", "convolution", "normalization", "merge", "tensor"])
def test_the_name_of_a_file_says_nothing_of_its_layers(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what may be written over, nor how it is drawn, nor what it is coloured as."""
    torch = pytest.importorskip("torch")
    (tmp_path / f"{stem}.py").write_text(LIKE_OTHERS)
    own_layers.enable(stem, [str(tmp_path)])
    monkeypatch.delitem(sys.modules, stem)
    network = archdsl.load(spec(tmp_path, "Linear(8) -> e: Exponential -> ReLU"))

    module = network.compile(device="cpu")
    output = module(torch.randn(2, 8))
    output.sum().backward()

    assert network.checked.nodes["e"].layer.family == "own"
    assert "inplace" not in network.source
    assert module.get_parameter("0.weight").grad is not None
    assert "Exponential" in network.draw(format="mmd").data.decode()


def test_a_layer_says_how_it_is_drawn_and_what_may_be_written_over(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    @archdsl.layer
    class Mixed(archdsl.Layer):
        """The mean of tensors of one shape."""

        family = "attention"
        merges = True
        sign = "~"

        def infer(self, inputs: Shapes) -> Facts:
            mean = "torch.stack([{inputs}]).mean(0)"
            return Facts(inputs[0], TorchFunction(mean, overwritable=True))

    text = "a: Linear(8) -> from a, x -> m: Mixed -> ReLU"
    network = archdsl.load(spec(tmp_path, text))

    assert network.graph.nodes["m"]["family"] == "attention"
    assert "nn.ReLU(inplace=True)" in network.source
    network.compile(device="cpu")(torch.randn(2, 8)).sum().backward()
    drawn = network.draw(format="dot").data.decode()
    assert "~" in drawn
    assert "Mixed" not in drawn


@pytest.mark.parametrize("name", ["family", "word", "takes", "infer", "sign"])
def test_an_argument_is_not_called_like_what_every_layer_has(name: str) -> None:
    """It would have that for its default."""
    with pytest.raises(TypeError, match=f"every layer has a `{name}`"):
        archdsl.layer(type("Odd", (archdsl.Layer,), {"__annotations__": {name: int}}))


@pytest.mark.parametrize(
    ("given", "kept"),
    [("says nothing", None), ("says it", 4 * (4 + 5 + 5)), ("says nonsense", None)],
)
def test_what_a_layer_of_ones_own_keeps_is_known_if_it_says_so(
    tmp_path: Path, given: str, kept: int | None
) -> None:
    """Swish of the documents keeps its input and the sigmoid."""

    @archdsl.layer
    class Vague(archdsl.Layer):
        """x times its sigmoid."""

        def infer(self, inputs: Shapes) -> Facts:
            text = "{0} * torch.sigmoid({0})"
            return Facts(output=single(inputs), torch=TorchFunction(text))

    if given == "says it":
        Vague.trained = lambda self, torch, *inputs: torch.mul(  # type: ignore[method-assign]
            inputs[0], torch.function(inputs[0], "output")
        )
    elif given == "says nonsense":
        Vague.trained = lambda self, torch, *inputs: None  # type: ignore[assignment, method-assign]
    file = tmp_path / "kept.arch"
    file.write_text("network n { input x: [4]; Linear(5); Vague }\n")

    training = archdsl.load(file).count().report.training
    assert training.kept == kept
    assert ("Vague" in training.unknown) == (kept is None)
