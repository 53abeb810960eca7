"""DOT: it says what the graph is, Graphviz takes it whatever the labels, and it never changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from graphs import Builder, densenet, inception, resnet, unet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archdsl.backends.diagram import draw
from archdsl.backends.diagram.dot.engines import render
from archdsl.counting import count
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

GOLDEN = Path(__file__).parents[2] / "golden" / "diagram"
# Characters that mean something to DOT, HTML-like labels, ports, JSON and terminals.
NASTY = st.text(
    st.one_of(st.sampled_from('\\"<>&;:{}[]|\n\r\t\x00\x1b\u202e\u2028 {}%#'), st.characters()),
    max_size=40,
)


def laid_out(source: str, engine: str | None = None) -> dict[str, object]:
    return dict(json.loads(render(source, "json", engine)))


@pytest.mark.parametrize(
    ("spec", "unfold"),
    [("inception_v3", ("Mixed_5b",)), ("resnet.arch:resnet50", ("layer1.0",)), ("googlenet", ())],
)
def test_golden(spec: str, unfold: tuple[str, ...], golden: Callable[[Path, str], None]) -> None:
    folder = Path(__file__).parents[3] / "specs"
    file, _, network = spec.removesuffix(".arch").replace(".arch:", ":").partition(":")
    checked = Spec(f"{folder / file}.arch").graph(network or None)

    golden(GOLDEN / f"{checked.name}.dot", draw(checked, format="dot", unfold=unfold).source)


@pytest.mark.parametrize("checked", [inception(1), resnet((2, 1)), densenet((2, 2)), unet(2)])
def test_unfolded_it_has_the_nodes_and_edges_of_the_graph(checked: CheckedGraph) -> None:
    placed = laid_out(draw(checked, format="dot", unfold="*").source)
    objects = [each for each in placed["objects"] if "pos" in each]
    names = {each["_gvid"]: each["name"] for each in objects}
    edges = Counter((names[edge["tail"]], names[edge["head"]]) for edge in placed["edges"])

    outputs = [f"output.{output.name}" for output in checked.outputs]
    assert sorted(names.values()) == sorted([*checked.nodes, *outputs])
    expected = Counter((read, node.name) for node in checked.nodes.values() for read in node.inputs)
    expected.update((output.node, f"output.{output.name}") for output in checked.outputs)
    assert edges == expected


def named(labels: list[str]) -> CheckedGraph:
    """Return a network of blocks and layers with such labels."""
    b = Builder(labels[0], description=labels[1])
    b.input("x", 4, 8, 8)
    for number, label in enumerate(labels):
        with b.block(f"{number}{label}", label):
            b.layer("Conv2d", f"{label}a", out_channels=4, kernel_size=1)
            first = b.flow
            b.merge("add", b.layer("ReLU", f"{label}b"), first)
    b.output(labels[2])
    return b.checked()


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(NASTY, min_size=3, max_size=4), st.sampled_from([(), ("*",)]))
def test_graphviz_takes_any_text(labels: list[str], unfold: tuple[str, ...]) -> None:
    checked = named(labels)
    source = draw(checked, format="dot", depth=9, unfold=unfold).source
    placed = laid_out(source)
    nodes = [each for each in placed["objects"] if "pos" in each]
    clusters = [each for each in placed["objects"] if "pos" not in each]

    assert "\x00" not in source
    if unfold:
        assert len(nodes) == len(checked.nodes) + 1
        assert len(placed["edges"]) == sum(len(n.inputs) for n in checked.nodes.values()) + 1
        assert len(clusters) == len(labels)


@pytest.mark.parametrize(
    "text",
    ["a\\", "\\N", '"', "<b>bold</b>", "a:b", "]]>", "&lt;", "{x|y}", "%d", "名前", "-->", "\\l"],
)
@pytest.mark.parametrize("engine", ["graphviz-pure", "dot"])
def test_text_is_shown_as_it_is(text: str, engine: str) -> None:
    from xml.etree import ElementTree

    b = Builder(text)
    b.input("x", 4, 8, 8)
    b.layer("Conv2d", text, out_channels=4, kernel_size=1)
    if engine == "dot" and not _has_dot():
        pytest.skip("Graphviz' `dot` is not installed (apt-get install graphviz)")
    drawn = ElementTree.fromstring(draw(b.checked(), engine=engine).data)
    shown = {
        "".join(each.itertext()).replace("\xa0", " ")
        for each in drawn.iter()
        if each.tag.endswith("text")
    }
    assert text in shown


def _has_dot() -> bool:
    import shutil

    return shutil.which("dot") is not None


def test_invisible_and_endless_text_is_made_visible_and_cut() -> None:
    b = Builder("net")
    b.input("x", 4, 8, 8)
    b.layer("Conv2d", "a\u202eb\n\x00c" + "x" * 10_000, out_channels=4, kernel_size=1)
    source = draw(b.checked(), format="dot").source

    assert "\u202e" not in source
    assert "a\\u202eb \\x00cxxx" in source
    assert len(source) < 5_000


def test_two_labels_that_differ_in_odd_characters_stay_two_nodes() -> None:
    b = Builder()
    b.input("x", 4, 8, 8)
    for label in ("a-b", "a:b", "a_b", "a b"):
        b.layer("Conv2d", label, out_channels=4, kernel_size=1)
    placed = laid_out(draw(b.checked(), format="dot", unfold="*").source)

    assert len(placed["objects"]) == 6


def test_the_same_bytes_for_any_hash_seed() -> None:
    code = (
        "import sys\n"
        "from graphs import inception\n"
        "from archdsl.backends.diagram import draw\n"
        "for format in ('dot', 'html', 'mmd', 'tex', 'svg'):\n"
        "    sys.stdout.buffer.write(draw(inception(), format=format).data)\n"
        "assert not {'torch', 'networkx'} & set(sys.modules)\n"
    )
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    made = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(folders)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1]


def test_no_arrow_leads_to_a_constant(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text("""network net { input x: [T, 8]
      constant wave: [T, 8] = [sin(i + j) for i, j]
      add { branch { from x } branch { from wave } } }""")
    checked = Spec(str(path)).graph()
    source = draw(checked, format="dot").source
    arrows = [line.split(" [")[0].strip() for line in source.splitlines() if " -> " in line]

    assert arrows == ['"x" -> "add"', '"wave" -> "add"', '"add" -> "output.output"']
    rows = {row.name: row.inputs for row in count(checked).rows}
    assert rows["wave"] == ()
    assert len(rows["add"]) == 2
