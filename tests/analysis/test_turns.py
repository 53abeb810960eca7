"""Turns of a loop that are worked out as one come to what each of them comes to by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import archdsl
from archdsl.analysis import loops, receptive_field
from archdsl.analysis.report import Rows
from archdsl.analysis.rows import Turns
from archdsl.analysis.training import Options
from archdsl.backends.table import as_data, render
from archdsl.counting import count
from archdsl.graph import CheckedGraph

# what keeps a map of 4 channels as large as it is
STAGES = (
    "Conv2d(4, 3, padding = 1)",
    "Conv2d(4, [3, 1], padding = [1, 0], bias = false)",
    "BatchNorm2d",
    "ReLU",
    "Dropout(0.5)",
    "MaxPool2d(3, stride = 1, padding = 1)",
    "Conv2d(4, 3, stride = 2, padding = 1) -> Upsample(scale_factor = 2)",
    "Upsample(scale_factor = 2) -> AvgPool2d(2)",
    "Upsample(scale_factor = 3) -> Conv2d(4, 5, stride = 3, padding = 2)",
    "ZeroPad2d(1) -> MaxPool2d(3, stride = 1)",
    "Transpose(1, 2)",
    "Permute([0, 2, 1]) -> Conv2d(4, [1, 3], padding = [0, 1])",
    "Flatten -> Unflatten(0, [4, 6, 6])",
    "Greater(0)",
    'To("float")',
    "residual { Conv2d(4, 3, padding = 1) -> ReLU }",
    "add { branch { Conv2d(4, 1) } branch { Conv2d(4, 5, padding = 2) } branch {} }",
    "concat { branch { Conv2d(2, 1) } branch { MaxPool2d(3, 1, 1) -> Conv2d(2, 1) } }",
    "mul { branch {} branch { AdaptiveAvgPool2d(1) -> Conv2d(4, 1) -> Sigmoid } }",
    "Unit",
    "Unit(3)",
    "Deep",
    '{ a: Conv2d(4, 1); "add_2": Conv2d(4, 1); residual { ReLU }; residual { Tanh } }',
)
BLOCKS = """block Unit(k = 1) {
  conv: Conv2d(4, 2 * k + 1, padding = k) -> norm: BatchNorm2d -> ReLU
}
block Deep { Conv2d(4, 1); inner: { repeat 5 { residual { Unit } } } }
"""


@dataclass(frozen=True)
class Loop:
    """A loop, or with one turn a group."""

    turns: int
    body: tuple[str | Loop, ...]


Body = tuple[str | Loop, ...]


def written(body: Body, unrolled: bool) -> str:
    """Write statements; unrolled, loops turn by turn."""
    lines = []
    for one in body:
        if isinstance(one, str):
            lines.append(one)
        elif one.turns == 1:
            lines.append(f"{{ {written(one.body, unrolled)} }}")
        elif unrolled:
            lines += [written(one.body, unrolled)] * one.turns
        else:
            lines.append(f"repeat {one.turns} {{ {written(one.body, unrolled)} }}")
    return "\n".join(lines)


def inner(children: st.SearchStrategy[str | Loop]) -> st.SearchStrategy[Loop]:
    body = st.lists(children, min_size=1, max_size=3).map(tuple)
    return st.builds(Loop, st.sampled_from((1, 2, 3, 4, 5, 7)), body)


LOOPS = inner(st.recursive(st.sampled_from(STAGES), inner, max_leaves=4))
BODIES = st.lists(st.one_of(st.sampled_from(STAGES), LOOPS, LOOPS), min_size=1, max_size=4)
ENDS = (
    "",
    "add { branch {} branch { from 1 } }",
    "output aux when training { repeat 5 { Conv2d(4, 1) -> ReLU } }",
    "output aux when training { from 1; repeat 4 { Conv2d(4, 3) } }",
    "add { branch {} branch { from y; repeat 6 { Conv2d(4, 3, padding = 1) } } }",
    "reuse 0",
)


def spec(body: Body, free: bool, end: str, unrolled: bool) -> str:
    size = "H, W" if free else "6, 6"
    ending = end
    if unrolled:
        for turns, turn in (
            (5, "Conv2d(4, 1) -> ReLU"), (4, "Conv2d(4, 3)"), (6, "Conv2d(4, 3, padding = 1)")
        ):  # fmt: skip
            ending = ending.replace(f"repeat {turns} {{ {turn} }}", "; ".join([turn] * turns))
    blocks = BLOCKS
    if unrolled:
        blocks = blocks.replace("repeat 5 { residual { Unit } }", "residual { Unit }\n" * 5)
    return (
        f"{blocks}network n {{\n  input x: [4, {size}]\n"
        + (f"  input y: [4, {size}]\n  from x\n" if "from y" in end else "")
        + f"  Conv2d(4, 1)\n{written(body, unrolled)}\n{ending}\n}}\n"
    )


@contextmanager
def few_turns() -> Iterator[None]:
    """Work out as one what is otherwise done so with more turns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "FEWEST_LEFT", 1)
        patch.setattr(receptive_field, "FEWEST_TURNS", 1)
        yield


def loaded(folder: Path, text: str) -> CheckedGraph | str:
    path = folder / "n.arch"
    path.write_text(text)
    try:
        return archdsl.load(path).checked
    except archdsl.ArchError as error:
        return error.diagnostics[0].code


def everything(checked: CheckedGraph) -> object:
    """Return all that is said of a network, row by row and in total."""
    found: list[object] = [
        checked.names,
        {name: node.inputs for name, node in checked.nodes.items()},
    ]
    for depth in (None, 0, 1, 2):
        for options in (None, Options(batch=2, optimizer="adam")):
            report = count(checked, depth, options=options)
            found += [render([report]), as_data(report), report.training.kept]
            found += [report.training.kept_unfused, report.training.note]
    report = count(checked, 1, freeze="0")
    return [*found, render([report]), render([report], "csv"), render([report], "latex")]


@settings(max_examples=25, deadline=None)
@given(BODIES.map(tuple), st.booleans(), st.sampled_from(ENDS))
@example((Loop(7, (Loop(5, ("ReLU",)), STAGES[0])),), False, "")
@example((Loop(7, ("Deep",)),), True, ENDS[4])
@example((Loop(5, ("Transpose(1, 2)",)), Loop(7, ('To("float")', "Greater(0)"))), False, "")
@example((Loop(7, (STAGES[6], STAGES[8])),), False, "")
@example((Loop(7, (STAGES[22],)),), False, "")
@example((Loop(7, (STAGES[0],)),), False, ENDS[1])
def test_turns_come_to_what_they_do_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, body: Body, free: bool, end: str
) -> None:
    folder = tmp_path_factory.mktemp("turns", numbered=True)
    one, other = (loaded(folder, spec(body, free, end, unrolled)) for unrolled in (False, True))
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    # the same nodes, of which nothing tells that they come of a loop
    alone = replace(one, nodes=dict(one.nodes))
    assert not alone.loops
    with few_turns():
        found = everything(one)
    assert found == everything(other)
    assert found == everything(alone)


def test_a_loop_is_worked_out_as_one(tmp_path: Path) -> None:
    (tmp_path / "n.arch").write_text(
        "network n { input x: [3, 8, 8]; Conv2d(8, 3)\n"
        "  repeat 1000 { Conv2d(8, 3, padding = 1) -> BatchNorm2d -> ReLU } }"
    )
    rows = archdsl.load(tmp_path / "n.arch").count(depth=1).report.rows

    assert isinstance(rows, Rows)
    (turns,) = [part for part in rows.parts if isinstance(part, Turns)]
    assert turns.turns > 990
    assert len(rows) == len([*rows]) == 3001
    assert [row.name for row in rows] == [str(number) for number in range(3001)]
    assert [rows[at].fields["x"][0].size for at in (1, 1501, 2998)] == [5, 1005, 2003]
