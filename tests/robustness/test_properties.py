"""What must hold for every spec: it means the same however it is written (D6, D8, D9, D11)."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from generators import MOST_NODES, ArchSpec, Style, arch_specs, relabelled
from hostile import environment
from hypothesis import given, settings
from hypothesis import strategies as st

import archdsl
from archdsl import ArchError

SPECS = Path(__file__).parents[2] / "specs"


def load(folder: Path, text: str, name: str = "spec.arch") -> archdsl.Network:
    path = folder / name
    path.write_text(text, newline="")
    return archdsl.load(f"{path}:spec")


def meaning(network: archdsl.Network, names: bool = True) -> list[tuple[object, ...]]:
    """Return all that a network says but places: its nodes, how they hang together, and counts."""
    nodes = network.checked.nodes
    number = {name: at for at, name in enumerate(nodes)}
    rows: list[tuple[object, ...]] = [
        (
            name if names else at,
            repr(node.layer),
            tuple(number[read] for read in node.inputs),
            node.shape,
            dict(node.facts.params),
        )
        for at, (name, node) in enumerate(nodes.items())
    ]
    return [*rows, tuple(number[output.node] for output in network.checked.outputs)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("properties")


@given(spec=arch_specs())
def test_every_generated_spec_is_valid(folder: Path, spec: ArchSpec) -> None:
    network = load(folder, spec.text())

    assert len(network.checked.nodes) <= MOST_NODES
    assert network.count().to_dict()


# --- D8: ways of writing the same network ---------------------------------------------------


STYLES = {
    "a loop is its body written often": Style(unrolled=True),
    "a block is what it holds": Style(inlined=True),
    "a name is its value": Style(folded=True),
    "names mean nothing": Style(rename=lambda name: f"Other_{name}_0"),
    "all of it": Style(unrolled=True, inlined=True, folded=True),
}


@given(spec=arch_specs())
def test_the_same_network_written_otherwise(folder: Path, spec: ArchSpec) -> None:
    plain = load(folder, spec.text())

    for way, style in STYLES.items():
        assert meaning(load(folder, spec.text(style))) == meaning(plain), way
    other = relabelled(spec, lambda label: f"{label}_class")
    assert meaning(load(folder, other.text()), names=False) == meaning(plain, names=False)


@given(spec=arch_specs())
def test_what_is_imported_might_stand_here(folder: Path, spec: ArchSpec) -> None:
    parts = list(spec.parts())
    if not parts:
        return
    (folder / "parts.arch").write_text("\n".join(parts) + "\n")
    imports = f'import {", ".join(spec.names())} from "parts.arch"'

    apart = load(folder, "\n".join([imports, *spec.network()]) + "\n")

    assert meaning(apart) == meaning(load(folder, spec.text()))


@given(spec=arch_specs())
def test_sums_have_no_order(folder: Path, spec: ArchSpec) -> None:
    """The nodes come in another order; what they cost and give stays."""
    one, other = (load(folder, spec.text(Style(swapped=swapped))) for swapped in (False, True))
    counts = one.count().to_dict(), other.count().to_dict()

    assert counts[0]["parameters"] == counts[1]["parameters"]
    assert counts[0]["macs"] == counts[1]["macs"]
    assert counts[0]["outputs"] == counts[1]["outputs"]
    assert sorted(row[3:4] for row in meaning(one)[:-1]) == sorted(
        row[3:4] for row in meaning(other)[:-1]
    )


# --- D6: space, comments and line ends ------------------------------------------------------


def respaced(text: str, generator: random.Random) -> str:
    """Return a spec with other spaces, blank lines, comments and line ends."""
    end = generator.choice(["\n", "\r\n"])
    lines: list[str] = []
    for line in text.split("\n"):
        space = generator.choice(["", "  ", "\t", " \t "])
        words = re.split(r'("[^"]*"|[()\[\],:]|(?<![!=<>])=(?!=))', line.strip())
        spaced = "".join(
            f"{generator.choice(['', ' ', '  '])}{word.strip()}{generator.choice(['', ' '])}"
            if word in ("(", ")", "[", "]", ",", "=", ":")
            else word
            for word in words
        )
        comment = generator.choice(["", "", '  # } { ( " -> \u2028 repeat'])
        lines += [space + spaced + comment, *generator.choice([[], [], [""], ["# nothing"]])]
    return end.join(lines)


@given(spec=arch_specs(), seed=st.integers(0, 2**32))
def test_space_and_comments_mean_nothing(folder: Path, spec: ArchSpec, seed: int) -> None:
    text = spec.text()
    other = respaced(text, random.Random(seed))

    assert meaning(load(folder, other)) == meaning(load(folder, text))


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.arch")), ids=lambda path: path.stem)
def test_the_library_may_be_spaced_otherwise(tmp_path: Path, path: Path) -> None:
    text = path.read_text()
    name = re.findall(r"^network (\w+)", text, re.MULTILINE)[-1]
    for file in SPECS.glob("*.arch"):
        (tmp_path / file.name).write_text(file.read_text())
    try:
        plain = archdsl.load(f"{path}:{name}")
    except ArchError:
        pytest.skip("needs values")
    (tmp_path / path.name).write_text(respaced(text, random.Random(1)), newline="")

    assert meaning(archdsl.load(f"{tmp_path / path.name}:{name}")) == meaning(plain)


# --- D9: the same in every process ----------------------------------------------------------


def test_the_same_in_every_process(folder: Path) -> None:
    texts: list[str] = []

    @given(spec=arch_specs())
    @settings(max_examples=20)
    def collect(spec: ArchSpec) -> None:
        texts.append(spec.text())

    collect()
    for number, text in enumerate(texts):
        (folder / f"d9_{number}.arch").write_text(text)
    program = (
        "import sys, archdsl\n"
        "for path in sys.argv[1:]:\n"
        "    count = archdsl.load(path).count()\n"
        "    print(count.render('json'), count.render('table', True), count.render('latex'))\n"
    )
    paths = [str(folder / f"d9_{number}.arch") for number in range(len(texts))]
    runs = {
        subprocess.run(
            [sys.executable, "-c", program, *paths],
            env=environment(PYTHONHASHSEED=seed),
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }

    assert len(runs) == 1


# --- D11: a fault is reported where it is ---------------------------------------------------

FAULTS = (
    ("ReLU", "ReLUU"),  # an unknown layer
    ("kernel_size = ", "kernel_sise = "),  # an unknown argument
    ("stride = ", "stride = -"),  # a value out of range
    ("bias = ", "bias = 3 + "),  # a value of the wrong kind
    ("groups = ", "groups = 97 + "),  # what the channels can't be divided by
    ("width", "widht"),  # an unknown name
    ("BatchNorm2d", "BatchNorm2d)"),  # what is no statement
    ("GELU", 'GELU(approximate = "no")'),  # no such word
    ("repeat ", "repeat -"),  # a negative number
    ("{", "{ 0x }"),
)  # fmt: skip


def test_a_fault_is_reported_at_its_line(folder: Path) -> None:
    """At least 99 of 100 at the line, and 95 with the column within what was changed."""
    lines: list[bool] = []
    columns: list[bool] = []

    @given(spec=arch_specs(), seed=st.integers(0, 2**32))
    @settings(max_examples=120)
    def inject(spec: ArchSpec, seed: int) -> None:
        generator = random.Random(seed)
        text = spec.text()
        old, new = generator.choice(FAULTS)
        places = [found.start() for found in re.finditer(re.escape(old), text)]
        if old == "width":  # where it is used, not where it is declared
            places = [at for at in places if text[:at].endswith("out_channels = ")]
        if not places:
            return
        at = generator.choice(places)
        wrong = text[:at] + new + text[at + len(old) :]
        line = wrong.count("\n", 0, at) + 1
        first = at - (wrong.rfind("\n", 0, at) + 1) + 1
        try:
            load(folder, wrong)
        except ArchError as error:
            span = error.diagnostics[0].span
            lines.append(span is not None and span.line == line)
            text_of_line = wrong.split("\n")[line - 1]
            stage = len(text_of_line) - len(text_of_line.lstrip()) + 1
            columns.append(span is not None and stage <= span.column <= first + len(new))

    inject()

    assert len(lines) >= 60
    assert sum(lines) >= 0.99 * len(lines)
    assert sum(columns) >= 0.95 * len(columns)
