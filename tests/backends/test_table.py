"""What `count` prints, in all formats."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from building import Builder, H, W
from hypothesis import given, settings
from hypothesis import strategies as st
from sketches import biased, convolution, resnet50, unet, vgg16

import archdsl
from archdsl.analysis.agreement import Assumptions
from archdsl.analysis.report import Report, report
from archdsl.backends import columns, table
from archdsl.backends.columns import NUMBER, OF_NETWORKS, OF_ROWS, Column, Writer
from archdsl.backends.formulas import in_bytes, rounded
from archdsl.backends.table import FORMATS, render
from archdsl.diagnostics import printable
from archdsl.elaborate.errors import BadNetwork
from archdsl.layers.activation import ReLU
from archdsl.layers.merge import Concat

GOLDEN = Path(__file__).parent.parent / "golden" / "count"
SPECS = Path(__file__).parent.parent.parent / "specs"
Golden = Callable[[Path, str], None]


def small() -> Report:
    """Return a network with blocks, a training-only head and a module applied twice."""
    net = Builder("small", {"body": "Body", "aux": "Head"})
    net.input("image", 4, 8, 8)
    net.put("body.conv", biased(4, 3, padding=1))
    net.put("body.relu", ReLU())
    net.put("body.wide", biased(8, 3, padding=1))
    net.put("body.concat", Concat(), "body.relu", "body.wide")
    net.put("aux.fc", convolution(2, 1))
    net.output("aux", training_only=True)
    net.put("again", convolution(2, 1), "body.concat", shares="aux.fc")
    net.output("main")
    return report(net.checked())


@pytest.mark.parametrize(
    ("form", "suffix"),
    [
        ("table", "txt"),
        ("json", "json"),
        ("csv", "csv"),
        ("markdown", "md"),
        ("latex", "tex"),
        ("html", "html"),
    ],
)
def test_formats(form: str, suffix: str, golden: Golden) -> None:
    golden(GOLDEN / f"small.{suffix}", render([small()], form))


@pytest.mark.parametrize(
    ("form", "suffix"),
    [("table", "txt"), ("json", "json"), ("csv", "csv"), ("markdown", "md"), ("latex", "tex")],
)
def test_comparisons(form: str, suffix: str, golden: Golden) -> None:
    networks = [report(vgg16(), 0), report(resnet50(), 0), report(unet(H, W), 0)]

    golden(GOLDEN / f"comparison.{suffix}", render(networks, form))


def test_explained(golden: Golden) -> None:
    golden(GOLDEN / "small_explained.txt", render([small()], explain=True))


def test_free_sizes(golden: Golden) -> None:
    golden(GOLDEN / "unet.txt", render([report(unet(H, W, levels=2))]))


def test_free_sizes_that_are_rounded(golden: Golden) -> None:
    network = archdsl.load(f"{SPECS}/resnet.arch:resnet50", inputs={"image": [3, "H", "W"]})

    golden(GOLDEN / "resnet50_free.txt", network.count(depth=1).render())


def test_formulas_that_are_too_long_for_a_cell_are_left_out() -> None:
    network = archdsl.load(f"{SPECS}/alexnet.arch:alexnet", inputs={"image": [3, "H", "W"]})

    text = network.count().render()

    assert max(map(len, text.split("Parameters")[0].splitlines())) < 240
    assert "... is a formula that is too long; JSON and CSV have it" in text


def test_formulas_are_for_simple_sizes_among_those_that_do() -> None:
    network = archdsl.load(f"{SPECS}/bn_inception.arch", inputs={"image": [3, "H", "W"]})

    text = network.count(depth=0).render()

    assert "H must be a number that leaves 0 to 6 or 31 when divided by 32" in text
    assert "Formulas are written for H a multiple of 32 and W a multiple of 32;" in text
    assert re.search(r"Multiply-accumulates +40,489\*H\*W \+ 1,024,000\n", text)


def test_folded(golden: Golden) -> None:
    golden(GOLDEN / "resnet50_depth_2.txt", render([report(resnet50(), 2)]))


def test_lenet5_as_in_the_paper(golden: Golden) -> None:
    count = archdsl.load(str(SPECS / "lenet5.arch")).count()

    golden(GOLDEN / "lenet5_explained.txt", count.render("table", explain=True))


def test_inception_v3(golden: Golden) -> None:
    network = archdsl.load(str(SPECS / "inception_v3.arch"))

    golden(GOLDEN / "inception_v3_depth_1.txt", network.count(depth=1).render())


def test_lines_fit_a_terminal() -> None:
    """What is spare goes when the names are long; without need nothing does."""
    wide = Builder()
    wide.input("image", 3, 32, 32)
    wide.put("n" * 56, biased(4, 3))

    narrow = render([small()])
    cut = render([report(wide.checked())])

    assert "stride" in narrow
    assert "stride" not in cut
    assert max(map(len, cut.splitlines())) <= 120


def test_json_is_one_object_or_an_array_of_them() -> None:
    one, two = json.loads(render([small()], "json")), json.loads(render([small()] * 2, "json"))

    assert one["network"] == "small"
    assert two == [one, one]


def test_csv_has_sizes_as_they_are() -> None:
    rows = list(csv.DictReader(StringIO(render([small()], "csv"))))

    assert [row["name"] for row in rows] == [row.name for row in small().rows]
    assert rows[0]["output"] == "4x8x8"
    assert rows[3]["inputs"] == "4x8x8;8x8x8"
    assert [int(row["macs"]) for row in rows] == [row.macs for row in small().rows]
    assert rows[4]["training_only"] == "true"


def test_several_inputs_and_outputs_are_all_named() -> None:
    net = Builder("siamese")
    net.input("left", 1, 4, 4)
    net.input("right", 1, 4, 4)
    net.put("both", Concat(), "left", "right")
    net.output("first", "left")
    net.output("last", "both")

    text = render([report(net.checked())])

    assert "left 1 x 4 x 4, right 1 x 4 x 4 -> first 1 x 4 x 4, last 2 x 4 x 4" in text


HOSTILE = [
    "\x1b[31mred",
    "line\nbreak",
    "\u202eright to left",
    "a|b\\c",
    "<script>alert(1)</script>",
    "=HYPERLINK(1)",
    "\\input{/etc/passwd}",
    "50% of $100 & #1_{x}~^",
    "x" * 5_000,
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("form", [*FORMATS, "html"])
def test_texts_of_a_spec_are_inert(form: str, text: str) -> None:
    net = Builder(text)
    net.input("image", 1, 4, 4)
    net.put(text.replace(".", ""), biased(1, 3))
    checked = net.checked()
    object.__setattr__(checked, "description", text)

    networks = [report(checked)]
    for written in (render(networks, form), render(networks * (2 if form != "html" else 1), form)):
        assert "\x1b" not in written
        assert "\u202e" not in written
        assert "line\nbreak" not in written
        if form == "markdown":
            assert "<script" not in written
            assert "a|b" not in written
        if form == "html":
            assert "<script" not in written
        if form == "latex":
            assert "\\input" not in written
            assert "50%" not in written
        if form == "csv":
            assert all(
                not cell.startswith(("=", "+", "@"))
                for row in csv.reader(StringIO(written))
                for cell in row
            )
        if form == "json":
            json.loads(written)


def labelled(*labels: str) -> Report:
    net = Builder("net")
    net.input("image", 1, 4, 4)
    for label in labels:
        net.put(label, ReLU())
    return report(net.checked())


TEXT = st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1)
EASY = re.compile(
    r"""\\(?:begin|end)\{tabular\} | \{[lr]+\} | \\(?:top|mid|bottom)rule | \\\\$ | (?<=\ )&(?=\ )
    | \\[A-Za-z]+(?:34)?\{\} | \\[{}$&\#%_] | \{\[\} | -\{\} | \$\\[a-z]+\$ | \$-\$
    | ^\ \ \{\}(?=\*) | ^%\ needs\ .*""",
    re.VERBOSE | re.MULTILINE,
)


@settings(derandomize=True, deadline=None)
@given(TEXT)
def test_latex_of_any_label_has_no_bare_special_characters(label: str) -> None:
    written = render([labelled(label)], "latex")

    assert not re.search(r"[\\{}$&#%_^~]", EASY.sub("", written))
    rows = written.split("\n")
    assert not any(row.lstrip().startswith(("[", "*")) for row in rows)  # which `\\\\` would take
    assert len(rows) == len(render([labelled("a")], "latex").split("\n"))


def test_latex_ligatures_and_other_scripts() -> None:
    assert "a-{}-{}-b" in render([labelled("a---b")], "latex")
    assert "lualatex" not in render([labelled("Größe")], "latex")
    assert "lualatex" in render([labelled("層")], "latex")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    every = "".join(map(chr, range(32, 127))).replace(".", "")
    labels = [*every, *(every[at : at + 20] for at in range(0, 90, 20)), "--x", "[0]", "*"]
    table = render([labelled(*dict.fromkeys(labels))], "latex")
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    (tmp_path / "net.tex").write_text(f"{head}{table}\\end{{document}}\n")

    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "net.tex"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_markdown_shows_names_as_code() -> None:
    written = render([small()], "markdown")

    assert "(while `body.concat` runs)" in written
    assert "\\`" not in written


class Tags(HTMLParser):
    """Collects the elements and texts of a page, and which elements are open at its end."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(derandomize=True, deadline=None)
@given(TEXT)
def test_html_of_any_label_is_a_table_and_nothing_else(label: str) -> None:
    page = Tags(render([labelled(label)], "html"))

    assert page.open == []
    known = {"p", "br", "div", "table", "thead", "tbody", "tfoot", "tr", "th", "td", "code"}
    assert page.seen <= known
    assert printable(label, 255) in page.text.replace("\r", "")


def test_long_tables_scroll_in_a_notebook() -> None:
    assert "overflow" not in render([labelled(*map(str, range(100)))], "html")
    assert "overflow" in render([labelled(*map(str, range(101)))], "html")


def test_what_python_shows_is_a_line() -> None:
    count = archdsl.load("googlenet").count()

    assert repr(count) == (
        "<Count of googlenet: 13,004,888 parameters, 1,498,376,192 multiply-accumulates>"
    )
    assert repr(count.report) == str(count.report)
    assert len(repr(count.report)) < 120
    checked = archdsl.load("googlenet").checked
    assert repr(checked) == f"<CheckedGraph of googlenet: {len(checked.nodes)} nodes>"
    assert len(repr(checked.scopes)) < 2_000 * len(checked.scopes)
    assert repr(report(unet(H, W))).startswith("<Report of ")
    assert count._repr_html_() == render([count.report], "html")


def test_a_network_that_cant_be_drawn_is_named_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(network: archdsl.Network, **options: object) -> None:
        raise archdsl.ArchError(BadNetwork(None, reason="nothing draws here"))

    network = archdsl.load("lenet5")
    monkeypatch.setattr(archdsl.Network, "draw", refuse)

    shown = network._repr_mimebundle_()["text/plain"]
    assert str(shown).startswith("<Network lenet5(")
    assert "nothing draws here" in str(shown)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (3 * 1024**2 // 2, "1.5 MiB"),
        (1024**3, "1.0 GiB"),
        (1024**4, "1.0 TiB"),
        (1024**5, "1.0 PiB"),
        (1024**6, "1.0 EiB"),
        (1024**8, "1,048,576.0 EiB"),
    ],
)
def test_bytes_are_written_in_the_largest_unit(size: int, text: str) -> None:
    assert in_bytes(size, Writer(Assumptions({}))) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (999_999, ""),
        (10**6, "1.00 million"),
        (5_710_000_000, "5.71 billion"),
        (10**12, "1.00 trillion"),
        (12_345 * 10**12, "12,345.00 trillion"),
    ],
)
def test_large_numbers_are_written_in_words(size: int, text: str) -> None:
    assert rounded(size) == text


def test_a_column_is_declared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is in every format, with its total, by its declaration and its name in a list."""
    doubled = Column(
        "doubled", lambda row: 2 * row.macs, NUMBER, "twice", total=lambda report: report.macs
    )
    monkeypatch.setitem(OF_ROWS, "doubled", doubled)  # type: ignore[attr-defined]
    for shown in ("IN_CSV", "SHOWN"):
        monkeypatch.setattr(table, shown, (*getattr(columns, shown), "doubled"))
    counted = small()
    last = [line.split()[-1] for line in render([counted]).split("\n\n")[1].splitlines()]
    read = list(csv.DictReader(StringIO(render([counted], "csv"))))
    data = json.loads(render([counted], "json"))["layers"]

    assert last[0] == "twice"
    assert [int(row["doubled"]) for row in read] == [2 * row.macs for row in counted.rows]
    assert [row["doubled"] for row in data] == [2 * row.macs for row in counted.rows]
    assert last[-3:-1] == [f"{counted.macs.inference:,}", f"{counted.macs.training:,}"]


def test_columns_have_the_names_that_the_lists_give() -> None:
    lists = (columns.IN_CSV, columns.SHOWN, columns.SHOWN_FOLDED, columns.SHOWN_EXPLAINED)

    for names in lists:
        assert {*names} <= {*OF_ROWS}
        assert len({*names}) == len(names)
    for name in {*lists[1], *lists[2], *lists[3]}:
        assert OF_ROWS[name].heading
    for of in (OF_ROWS, OF_NETWORKS):
        assert [*of] == [column.name for column in of.values()]
