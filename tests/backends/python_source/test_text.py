"""The generated text passes the linters that people use, and holds nothing of a spec as code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from compiled import load, require_success
from test_constructs import CONSTRUCTS

from archdsl.backends.python_source import CompileError, python_source
from archdsl.backends.python_source.names import DICT_ATTRIBUTES, LIST_ATTRIBUTES, MODULE_ATTRIBUTES
from archdsl.backends.torch_module import torch_module, verify
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[3] / "specs"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the source of every construct and of the default of every spec."""
    folder = tmp_path_factory.mktemp("sources")
    for number, (name, text) in enumerate(CONSTRUCTS.items()):
        checked = load(tmp_path_factory.mktemp("spec"), text)
        (folder / f"construct_{number}.py").write_text(f"# {name}\n" + python_source(checked))
    for spec in sorted(SPECS.glob("*.arch")):
        (folder / f"spec_{spec.stem}.py").write_text(python_source(Spec(str(spec)).graph()))
    return folder


def test_ruff_finds_nothing(sources: Path) -> None:
    require_success("ruff", "check", "--isolated", "--no-cache", str(sources))


def test_ruff_would_format_nothing(sources: Path) -> None:
    require_success("ruff", "format", "--isolated", "--no-cache", "--check", "--diff", str(sources))


@pytest.mark.slow
def test_mypy_finds_nothing(sources: Path, tmp_path: Path) -> None:
    require_success("mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(sources))


def test_the_attributes_of_torch_are_known() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Module()
    names = {*dir(module), *vars(module)}
    assert {name for name in names if not name.startswith("__")} <= MODULE_ATTRIBUTES
    for kind in (torch.nn.ModuleDict, torch.nn.Sequential, torch.nn.ModuleList):
        more = {name for name in {*dir(kind)} - names if not name.startswith("__")}
        assert more <= (DICT_ATTRIBUTES if kind is torch.nn.ModuleDict else LIST_ATTRIBUTES)


def network(label: str, kind: str = "Conv2d(3, 1)") -> str:
    return f'network net {{ input image: [3, 4, 4]; "{label}": {kind}; "x_": Conv2d(3, 1); ReLU }}'


WORDS = ["class", "lambda", "None", "self", "torch", "nn", "F", "x", "super", "weight"]
WORDS += ["append", "pop", "match", "print", "input", "__x", "_", "__", "_x", "0", "7", "007"]
WORDS += ["Net", "net", "bias", "i", "out", "range", "getattr", "str", "relu", "relu2", "items"]


@pytest.mark.parametrize("label", WORDS)
@pytest.mark.parametrize("kind", ["Conv2d(3, 1)", "{ Conv2d(3, 1) -> ReLU }"])
def test_a_label_that_means_something_in_python(label: str, kind: str, tmp_path: Path) -> None:
    checked = load(tmp_path, network(label, kind))

    module = torch_module(checked)

    own = "" if kind.startswith("Conv") else ".0"
    names = [f"{name}.{each}" for name in (label + own, "x_") for each in ("weight", "bias")]
    assert list(module.state_dict()) == names
    assert verify(module, checked).agrees


@pytest.mark.parametrize("label", ["forward", "training", "T_destination", "type", "_modules"])
@pytest.mark.parametrize("kind", ["Conv2d(3, 1)", "{ Conv2d(3, 1) -> ReLU }"])
def test_a_label_that_torch_keeps_for_itself_is_refused(
    label: str, kind: str, tmp_path: Path
) -> None:
    with pytest.raises(CompileError, match=f"can be called `{label}`") as caught:
        python_source(load(tmp_path, network(label, kind)))
    assert isinstance(caught.value, ValueError)
    assert caught.value.diagnostics[0].span is not None


@pytest.mark.parametrize("name", ["class", "forward", "training", "self", "__x", "T"])
def test_a_tensor_of_its_own_with_a_name_of_python(name: str, tmp_path: Path) -> None:
    text = f"network net {{ input image: [3, 4, 4]; parameter {name}: [3, 1, 1] = 1; "
    text += f"mul {{ branch {{}} branch {{ from {name} }} }} }}"
    checked = load(tmp_path, text)
    if name in ("forward", "training"):
        with pytest.raises(CompileError):
            python_source(checked)
        return
    module = torch_module(checked)
    assert list(module.state_dict()) == [name]
    assert verify(module, checked).agrees


EVIL = [
    'a "quoted" word',
    "''' and \"\"\" and '''",
    "a backslash \\",
    "two \\\\",
    "a line\nbreak\rand another\u2028one\x0b\x0c\x85",
    "{braces} {0} {module} %s %(x)s",
    "\u202eright to left\u202c, \u0441yrillic, \ufb01, \U0001f600, \x00, \x1b[31m",
    "# comment\n    import os",
    '"""\nimport os\n"""',
    "\\N{BULLET} \\x41 \\u0041 \\",
    " ",
]


def blank(text: str) -> str:
    """Return the tree of some Python, with all constants but those left out."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.value = None
    return ast.dump(tree)


@pytest.mark.parametrize("text", EVIL)
def test_no_text_of_a_spec_becomes_code(text: str, tmp_path: Path) -> None:
    plain = load(tmp_path, CONSTRUCTS["reuse of a block"])
    checked = described(plain, text)

    source = python_source(checked)

    assert source.isascii()
    assert blank(source) == blank(python_source(described(plain, "plain")))
    compile(source, "generated", "exec")
    file = tmp_path / "evil.py"
    file.write_text(source)
    require_success("ruff", "format", "--isolated", "--no-cache", "--check", "--diff", str(file))


def described(checked: CheckedGraph, text: str) -> CheckedGraph:
    """Return the graph with other descriptions everywhere."""
    from dataclasses import fields, replace

    from archdsl.graph import Scope

    scopes: dict[str, Scope] = {}
    for name, scope in checked.scopes.items():
        parent = scopes[scope.parent.name] if scope.parent else None
        scopes[name] = replace(scope, description=text, parent=parent)
    values = {field.name: getattr(checked, field.name) for field in fields(checked)}
    return CheckedGraph(**values | {"scopes": scopes, "description": text})


@pytest.mark.parametrize("labels", [("b", "b0", "b1", "b2"), ("b0", "b1", "b2", "b"), ("b", "b1")])
@pytest.mark.parametrize("kind", ["Conv2d(4, 1)", "ReLU"])
def test_a_label_without_a_number_is_no_neighbour_of_one_with_0(
    labels: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    stages = "; ".join(f"{label}: {kind}" for label in labels)
    checked = load(tmp_path, f"network net {{ input x: [4, 4, 4]; g: {{ {stages} }}; {stages} }}")
    module = torch_module(checked)
    assert verify(module, checked).agrees
    for inside in (module, module.get_submodule("g")):
        names = [name for name, _ in inside.named_children() if name != "g"]
        assert names == [*labels]


RENAMED = {
    ("F",): ["f"],
    ("AuxLogits",): ["aux_logits"],
    ("_x",): ["x"],
    ("zip", "class", "count", "index"): ["zip_", "class_", "count_", "index_"],
    ("A", "a"): ["a", "a2"],
    ("a", "A", "a2"): ["a", "a2", "a2_2"],
}


@pytest.mark.parametrize("names", RENAMED, ids="-".join)
def test_fields_of_outputs_are_called_as_the_document_says(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    asides = "; ".join(f"output {name} {{ Conv2d({at + 1}, 1) }}" for at, name in enumerate(names))
    checked = load(tmp_path, f"network net {{ input x: [3, 4, 4]; {asides}; ReLU }}")
    module = torch_module(checked)
    parameter = next(module.parameters())
    given = module(parameter.new_zeros(1, 3, 4, 4))
    assert given._fields == ("output", *RENAMED[names])
    channels = [getattr(given, field).shape[1] for field in RENAMED[names]]
    assert channels == [at + 1 for at in range(len(names))]
    document = (Path(__file__).parents[3] / "docs" / "compiling.md").read_text()
    for name, field in zip(names, RENAMED[names], strict=True):
        if len(names) == 1:
            assert f"`{name}` is `.{field}`" in document
