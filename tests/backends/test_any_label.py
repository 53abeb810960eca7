"""Labels may hold everything that is seen in print: it comes out of every format as it went in.

Torch takes every text without a dot as the name of a module, and published checkpoints have names
such as `block1-0`. Each format is read by a parser of its own, where there is one.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from xml.etree import ElementTree

import networkx
import onnx
import pytest
import torch
from compiled import load, require_success, verified
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from archdsl.analysis.report import report
from archdsl.analysis.state import state_dict
from archdsl.backends.deconvnet.source import deconvnet
from archdsl.backends.diagram import draw
from archdsl.backends.escaping import LATEX
from archdsl.backends.export import export_onnx, export_pt2, save_weights
from archdsl.backends.grid import FORMULA_STARTS
from archdsl.backends.table import render
from archdsl.backends.torch_module import freeze, load_weights, torch_module
from archdsl.diagnostics import ArchError
from archdsl.elaborate.naming import fault_of
from archdsl.graph import CheckedGraph
from archdsl.networkx_graph import load_json, save_json, to_networkx
from archdsl.patterns import matching, pattern_of

SIGNS = " -/\\\"'`<>&$%#^~|*?[](){}@!;:,=+_"
LETTERS = "aBzend0159\u00e9\u00df\u05d0\u4e2d\u0416\u0663\u00b2\U0001f600\u01c5"
LABEL = st.text(st.sampled_from(SIGNS + LETTERS), min_size=1, max_size=6).filter(
    lambda label: not fault_of(label)
)
LABELS = st.lists(LABEL, min_size=12, max_size=12, unique=True).filter(
    # what has no label is called by its position: two stages can't share that
    lambda labels: not any(label.isascii() and label.isdigit() for label in labels)
)
FORMATTED = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # to shrink an example takes long, and labels are short
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
HARD = [
    "block1-0",
    "a b",
    'say "x"',
    "back\\slash",
    "\u00e9t\u00e9",
    "\u4e2d\u6587",
    "{0}",
    "{module}",
]
HARD += ["a*", "b?", "c[0]", "<b>&amp;</b>", "$x^2_1$", "#!%", "-", "--x", "'", "''", "=1+1", "*]"]
HARD += ["class", "a\\\\", "\\n", "%s", "]]>", "\u0663", "\U0001f600", "|", "`", "a---b"]


def quoted(label: str) -> str:
    """Write a label as a string of the language."""
    text = label.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("{", "{{").replace("}", "}}") + '"'


def network(labels: list[str]) -> str:
    """Return a spec that uses labels wherever there can be one, and refers to them."""
    a, b, c, d, e, f, g, h, i, j, k, m = map(quoted, labels)
    return f"""
    network net {{
      input x: [4, 8, 8]
      register {m}, {b}
      {a}: Conv2d(4, 1)
      {b}: {{ {c}: Conv2d(4, 1); ReLU; {d}: BatchNorm2d }}
      {e}: concat {{
        branch {f} {{ Conv2d(2, 1) }}
        branch {g} {{ from {a}; Conv2d(2, 1) }}
      }}
      parameter {h}: [4, 1, 1] = 1
      add {{ branch {{}} branch {{ from {h} }} }}
      reuse {b}.{c}
      {i}: Block
      from {i}.{j} -> Conv2d(shape({b}.{d}).channels, 1)
      mul {{ branch {{}} branch {{ Sigmoid }} }} as {k}
      from {k}
      for n in range(4) {{ {k[:-1]}{{n}}": Conv2d(4, 1) }}
      {m}: Conv2d(4, 1)
    }}
    block Block {{
      buffer {f}: [4, 1, 1] = 1
      mul {{ branch {{}} branch {{ from {f} }} }}
      {j}: {{ Conv2d(4, 1) -> ReLU -> Conv2d(4, 1) }}
    }}
    """


def named(labels: list[str]) -> list[str]:
    """Return the names of the parameters that such a network has."""
    a, b, c, d, e, f, g, h, i, j, k, m = labels
    layers = [f"{b}.{c}", f"{b}.{d}", a, f"{e}.{f}.0", f"{e}.{g}.0", f"{i}.{j}.0", f"{i}.{j}.2"]
    layers += [m, *(f"{k}{n}" for n in range(4)), "3"]
    return [f"{layer}.{each}" for layer in layers for each in ("weight", "bias")] + [h]


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> list[CheckedGraph]:
    """Return networks with all labels that a format could take for its own."""
    rows = [HARD[at : at + 12] for at in range(0, len(HARD) - 11, 6)]
    assert {label for row in rows for label in row} == set(HARD)
    return [load(tmp_path_factory.mktemp("hard"), network(row)) for row in rows]


@FORMATTED
@given(LABELS)
def test_state_dict_and_forward_pass(tmp_path: Path, labels: list[str]) -> None:
    checked = load(tmp_path, network(labels))

    text, found = verified(checked)
    assert found.agrees
    assert text.isascii()
    ast.parse(text)
    names = [*torch_module(checked, device="meta").state_dict()]
    assert names == [*state_dict(checked)]
    assert {name for name in names if name.endswith(("weight", "bias"))} | {labels[7]} == {
        *named(labels)
    }


@settings(FORMATTED, max_examples=10)
@given(LABELS)
def test_deconvnets(tmp_path: Path, labels: list[str]) -> None:
    checked = load(tmp_path, network(labels))

    lead_back(checked)


def test_deconvnets_with_hard_labels(hard: list[CheckedGraph], tmp_path: Path) -> None:
    for number, checked in enumerate(hard):
        (tmp_path / f"deconvnet{number}.py").write_text(lead_back(checked))
    for command in (["check"], ["format", "--check"]):
        require_success("ruff", *command, "--isolated", "--no-cache", str(tmp_path))


def lead_back(checked: CheckedGraph) -> str:
    """Hold the deconvnet of the last node to the network, and return its source."""
    end = checked.outputs[0].node
    made = deconvnet(checked, end, "gradient").source
    assert made.text.isascii()
    network = torch_module(checked).eval()
    module = torch_module(checked, made)
    assert [*module.state_dict()] == [*network.state_dict()]
    module.load_state_dict(network.state_dict())
    image = torch.randn(2, 4, 8, 8, requires_grad=True)
    expected = network(image)
    (gradient,) = torch.autograd.grad(expected[:, 1, 2, 3].sum(), image)
    assert torch.allclose(module(image, 1, (2, 3)), gradient, atol=1e-6)
    return deconvnet(checked, end).source.text


@FORMATTED
@given(LABELS)
def test_tables_and_graph(tmp_path: Path, labels: list[str]) -> None:
    checked = load(tmp_path, network(labels))
    counted = report(checked)
    names = [row.name for row in counted.rows]

    read = list(csv.reader(io.StringIO(render([counted], "csv"))))
    assert [row[0] for row in read[1:]] == list(map(in_spreadsheet, names))
    rows = json.loads(render([counted], "json"))["layers"]
    assert [row["name"] for row in rows] == names
    lines = render([counted], "table").split("\n")
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in names)
    assert first_cells(render([counted], "markdown"), "| ", r"(?<!\\)((?:\\\\)*) \|", md) == names
    assert first_cells(render([counted], "latex"), "  ", r"(?<!\\)((?:\\\\)*) &", tex) == names
    path = tmp_path / "graph.json"
    save_json(to_networkx(checked), path)
    assert networkx.utils.graphs_equal(load_json(path), to_networkx(checked))


def in_spreadsheet(name: str) -> str:
    """Return what is written for a name: formulas have an apostrophe, which makes them text."""
    number = re.fullmatch("-?[0-9]+", name)
    return f"'{name}" if name.startswith(FORMULA_STARTS) and not number else name


def first_cells(text: str, start: str, end: str, read: Callable[[str], str]) -> list[str]:
    """Return the first cell of each layer's row, as a reader of that format sees it."""
    lines = text.split("\\midrule\n")[1] if "\\midrule" in text else text.split("| ---", 1)[1]
    rows = lines.split("\n")[0 if "\\midrule" in text else 1 :]
    found = []
    for row in rows:
        if not row.startswith(start) or not row.strip() or "**total" in row:
            continue
        cell = re.split(end, row.removeprefix(start), maxsplit=1)
        found.append(read(cell[0] + (cell[1] or "")))
    return found


def md(cell: str) -> str:
    text = re.sub(r"\\([\\`*_\[\]|~#!$])", r"\1", cell)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def tex(cell: str) -> str:
    assert "--" not in cell.replace("-{}-", "")  # which TeX makes a dash of
    signs = {written: sign for sign, written in LATEX.items()} | {"{}": ""}
    pattern = "|".join(re.escape(each) for each in sorted(signs, key=len, reverse=True))
    assert not re.search(r"[#$%&_^~{}\\'`\"<>|]", re.sub(pattern, "", cell)), cell
    return re.sub(pattern, lambda found: signs[found[0]], cell)


class Texts(HTMLParser):
    """Collects the elements of a page and what its scripts hold."""

    def __init__(self) -> None:
        super().__init__()
        self.within = ""
        self.scripts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within = tag
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self.within == "script":
            self.scripts.append(data)


def page_data(html: str) -> tuple[dict[str, object], list[str]]:
    """Return what the page's script reads, and the elements that there are."""
    page = Texts()
    page.feed(html)
    (data,) = (each for each in page.scripts if each.startswith("{"))
    found: dict[str, object] = json.loads(data)
    return found, page.tags


class Drawn(NamedTuple):
    """What is left of the pictures of a network without its texts, and the texts."""

    mermaid: str
    dot: list[tuple[str, ...]]
    svg: set[str]
    page: list[str]
    shown: set[str]
    names: list[str]


def drawn(checked: CheckedGraph) -> Drawn:
    picture = {form: draw(checked, format=form, depth=9) for form in ("mmd", "dot", "svg", "html")}
    svg = [*ElementTree.fromstring(picture["svg"].data).iter()]
    data, tags = page_data(picture["html"].data.decode())
    return Drawn(
        re.sub(r'"[^"]*"', '""', picture["mmd"].data.decode()),
        lay_out(picture["dot"].source),
        {each.tag for each in svg},
        sorted(tags),
        {"".join(each.itertext()).replace("\xa0", " ") for each in svg},
        [node["name"] for node in data["nodes"]],  # type: ignore[attr-defined]
    )


@cache
def plain() -> Drawn:
    """Return the same of labels that mean nothing to anybody."""
    with TemporaryDirectory() as folder:
        return drawn(load(Path(folder), network([f"label_{at}" for at in range(12)])))


@settings(FORMATTED, max_examples=12)
@given(LABELS)
def test_pictures(tmp_path: Path, labels: list[str]) -> None:
    checked = load(tmp_path, network(labels))
    found = drawn(checked)

    for part in ("mermaid", "dot", "svg", "page"):
        assert getattr(found, part) == getattr(plain(), part)
    assert found.names == [*checked.nodes]
    for label in (labels[0], labels[2], labels[3], labels[11]):  # of layers, each in a row alone
        assert any(label in text for text in found.shown), label


def lay_out(dot: str) -> list[tuple[str, ...]]:
    """Return the boxes and arrows that Graphviz finds, without their names."""
    if shutil.which("dot") is None:
        return []
    done = subprocess.run(["dot", "-Tjson"], input=dot.encode(), capture_output=True, check=True)
    assert not done.stderr, done.stderr
    found = json.loads(done.stdout)
    return [
        *(("box" if "pos" in each else "cluster",) for each in found["objects"]),
        *((str(each["tail"]), str(each["head"])) for each in found["edges"]),
    ]


def test_source_passes_ruff_and_mypy(hard: list[CheckedGraph], tmp_path: Path) -> None:
    for number, checked in enumerate(hard):
        text, found = verified(checked)
        assert found.agrees
        (tmp_path / f"hard_{number}.py").write_text(text)
    for command in (
        ["ruff", "check", "--isolated", "--no-cache"],
        ["ruff", "format", "--isolated", "--no-cache", "--check", "--diff"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command, str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_weights(hard: list[CheckedGraph], tmp_path: Path) -> None:
    for checked in hard:
        module = torch_module(checked)
        save_weights(module, tmp_path / "w.safetensors")
        torch.save(module.state_dict(), tmp_path / "w.pt")
        for name in ("w.safetensors", "w.pt"):
            other = torch_module(checked)
            load_weights(other, tmp_path / name)
            for key, tensor in other.state_dict().items():
                assert torch.equal(tensor, module.state_dict()[key])


EXPORTED = [
    "block1-0",
    "a b",
    "\u00e9t\u00e9",
    "\u4e2d\u6587",
    "{0}",
    "a*",
    "c[0]",
    "$x^2_1$",
    "#!%",
]
EXPORTED += ["-", "'", "=1+1"]


@pytest.mark.slow
def test_files_of_others(tmp_path: Path) -> None:
    checked = load(tmp_path, network(EXPORTED))
    module = torch_module(checked)
    export_onnx(module, checked, tmp_path / "net.onnx")  # compares with onnxruntime
    model = onnx.load(tmp_path / "net.onnx")
    assert "block1-0.weight" in {each.name for each in model.graph.initializer}


@pytest.mark.slow
@pytest.mark.parametrize("write", [export_onnx, export_pt2], ids=["onnx", "pt2"])
@pytest.mark.parametrize("label", ["class", 'say "x"', "]"])
def test_names_that_the_exporter_of_torch_does_not_take(
    tmp_path: Path, write: Callable[..., object], label: str
) -> None:
    """It says so, whichever they are in a later version; nothing is written then."""
    checked = load(tmp_path, f"network net {{ input x: [4, 8, 8]; {quoted(label)}: Conv2d(4, 1) }}")
    try:
        write(torch_module(checked), checked, tmp_path / "file")
    except ArchError as error:
        (said,) = error.diagnostics
        assert f"`{label}`" in said.message()
        assert not (tmp_path / "file").exists()


# --- patterns -------------------------------------------------------------------------------


@FORMATTED
@given(st.lists(LABEL, min_size=2, max_size=6, unique=True))
def test_pattern_of_a_name_means_it_alone(labels: list[str]) -> None:
    names = [f"{label}.weight" for label in labels]
    for label in labels:
        assert matching(names, [pattern_of(label)]) == {f"{label}.weight"}
        assert matching(names, [f"{pattern_of(label)}.*"]) == {f"{label}.weight"}


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("block1-0.*", ["block1-0.w"]),
        ("block1-*", ["block1-0.w", "block1-1.w"]),
        ("c[0]", ["c[0].w"]),
        ("c[*", ["c[0].w"]),
        ("a*", ["a b.w", "a*.w", "ab.w"]),
        (r"a\*", ["a*.w"]),
        ("b?", ["b?.w", "bc.w"]),
        (r"b\?.w", ["b?.w"]),
        (r"d\e", [r"d\e.w"]),
        (r"d\\e", [r"d\e.w"]),
        ("a b", ["a b.w"]),
        ("\u00e9*", ["\u00e9t\u00e9.w"]),
    ],
)
def test_patterns(pattern: str, meant: list[str]) -> None:
    names = [
        "block1-0",
        "block1-1",
        "c[0]",
        "c0",
        "a*",
        "ab",
        "b?",
        "bc",
        r"d\e",
        "a b",
        "\u00e9t\u00e9",
    ]
    assert sorted(matching([f"{name}.w" for name in names], [pattern])) == sorted(meant)


def test_freezing_by_such_a_name(hard: list[CheckedGraph]) -> None:
    checked = hard[0]
    module = torch_module(checked)
    freeze(module, checked, ["block1-0.*"])
    frozen = [name for name, each in module.named_parameters() if not each.requires_grad]
    assert frozen == ["block1-0.weight", "block1-0.bias"]
