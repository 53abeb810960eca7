"""Sweeps in Python: their rows are what counting each variant gives, and conditions choose them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

import archdsl
from archdsl.variants.choosing import front, ordered, wishes
from archdsl.variants.figures import NAMES, SHORT
from archdsl.variants.sweep import Sweep

NET = Path(__file__).with_name("net.arch")
FIGURES = {
    "parameters": ("parameters", "total"),
    "macs": ("macs", "inference"),
    "macs_training": ("macs", "training"),
    "buffers": ("buffers", "training"),
    "memory": ("memory", "activations"),
    "peak": ("memory", "peak"),
    "memory_parameters": ("memory", "parameters"),
}


def sweep(**asked: Any) -> Sweep:
    return archdsl.sweep(NET, **asked)


def test_rows_are_what_counts_give() -> None:
    values = {
        "width": [4, 8, 12],
        "depth": range(0, 4),
        "unit": ["Plain", "Grouped", "Grouped(groups = 4)"],
        "kernels": [[3], [1, 5]],
        "act": ["relu", "none"],
    }
    rows = [*sweep(parameters=values)]

    assert len(rows) == 3 * 4 * 3 * 2 * 2
    for row, chosen in zip(rows, product(*values.values()), strict=True):
        given = dict(zip(values, chosen, strict=True))
        counted = archdsl.load(NET, parameters=given).count()
        data: Any = counted.to_dict()
        assert {name: row[name] for name in values} == {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
        # a parameter hides the figure of its name, which is there under another
        assert row["counted_depth"] == data["depth"]
        assert {name: row[name] for name in FIGURES} == {
            name: data[one][other] for name, (one, other) in FIGURES.items()
        }
        assert row["error"] == ""


def test_what_fails_is_a_row_with_its_error() -> None:
    rows = [*sweep(width=[-1, 8], depth="2..6 by 4")]

    errors = [row["error"] for row in rows]
    assert "must be" in errors[0]
    assert errors[2] == ""
    assert "net.arch:8:7" in errors[3]  # 16 x 16 is halved six times
    assert [row["macs"] is None for row in rows] == [True, True, False, True]


def test_the_file_is_wrong_whatever_the_values(tmp_path: Path) -> None:
    path = tmp_path / "wrong.arch"
    path.write_text("network n(a: int = 1) { input x: [4]; Lineer(a) }")

    with pytest.raises(archdsl.ArchError, match="Lineer"):
        archdsl.sweep(path, a=[1, 2])


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("", 20),
        ("width > 4", 16),
        ("width > 4 and width < 12", 4),
        ("width * depth < 20", 8),
        ("twice(width) == 2 * most", 4),
        ("width in [4, 8] or depth == 1", 11),
        ("[w for w in [width] if w > 4] != []", 16),
        ("macs < 1e6", None),
        ("macs_inference < 1e6 and parameters < 2000 and width < 16", None),
        ("memory < 20 * 1024 and counted_depth > 2", None),
        ("not (parameters_inference > 2e3) and true", None),
        ("peak / macs < 0.1", None),
    ],
)
def test_conditions_choose(where: str, left: int | None) -> None:
    values: Any = {"width": [4, 8, 12, 16, 20], "depth": [1, 2, 3, 4]}
    every = [*sweep(**values)]
    assert len(every) == 20

    found = [*sweep(**values, where=where)]

    names = {"most": 20, "twice": lambda n: 2 * n, "true": True}
    for row in every:
        row_names = {**row, "macs_inference": row["macs"]}
        assert (row in found) == (not where or bool(eval(where, names, row_names)))
    if left is None:
        assert 0 < len(found) < 20
    else:
        assert len(found) == left


def test_conditions_on_parameters_are_decided_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from archdsl.variants import plan

    built: list[int] = []
    real = plan.Counting.outcome
    monkeypatch.setattr(
        plan.Counting, "outcome", lambda self, number: built.append(number) or real(self, number)
    )
    rows = [*sweep(width="1..100", where="macs > 0 and width % 10 == 0 and width != most")]

    assert [row["width"] for row in rows] == [10, 30, 40, 50, 60, 70, 80, 90, 100]
    assert built == [number - 1 for number in (10, 30, 40, 50, 60, 70, 80, 90, 100)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"where": "parametres < 5"}, "did you mean `parameters`"),
        ({"where": "wdith < 5"}, "did you mean `width`"),
        # a parameter hides the figure of its name, swept or not
        ({"where": "depth < 5"}, "names the parameter `depth`, which has no value here"),
        ({"where": "counted_depth < 5"}, None),
        ({"where": "act == 1"}, "names the parameter `act`, which has no value here"),
        ({"where": "width + 1"}, "is no condition"),
        ({"where": "5"}, "is no condition"),
        ({"where": "width < 5 and 3"}, "is no condition"),
        ({"where": "width <"}, "E0101"),
        ({"where": " "}, "--where is empty"),
        ({"where": "in.channels < 4"}, "can't ask for tensors"),
        ({"where": "shape(fc).channels < 4"}, "can't ask for tensors"),
        ({"where": "__import__('os')"}, "E0102"),
        ({"where": "frobnicate(width) < 1"}, "frobnicate"),
        ({"widht": [1]}, "did you mean `width`?"),
        ({"width": []}, "has no values"),
        ({"width": "1.."}, "without an end"),
        ({"width": [object()]}, "can't be object"),
        ({"random": 0}, "a sample of 0 variants"),
        ({"jobs": 0}, "0 processes"),
        ({"depth": "1..1000000000"}, "2 x 1,000,000,000 = 2,000,000,000 variants"),
    ],
)
def test_nonsense_asked_for_is_refused(asked: dict[str, Any], said: str | None) -> None:
    given = {"width": [1, 2], **asked}
    if said is None:
        [*sweep(**given)]
        return
    with pytest.raises(archdsl.ArchError) as caught:
        [*sweep(**given)]

    assert said in str(caught.value)


def test_a_sweep_of_nothing_is_refused() -> None:
    with pytest.raises(archdsl.ArchError, match="a sweep needs a parameter with its values"):
        sweep()
    with pytest.raises(archdsl.ArchError, match="needs a value for `unit` and `depths`"):
        archdsl.sweep("resnet", network="ResNet", classes=[10])


def test_a_condition_without_a_value_is_the_error_of_its_row() -> None:
    rows = [*sweep(width=[1, 2, 3], where="10 // (width - 2) < 100")]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert "divides by zero" in rows[1]["error"]

    rows = [*sweep(width=[1, 2, 3], where="macs // (width - 2) < 1e9")]
    assert [bool(row["error"]) for row in rows] == [False, True, False]


def test_conditions_have_the_limits_of_the_language() -> None:
    for where in ("len([0] * 100000000) > width", "9 ** 9 ** 9 > width", "'a' * 9 == 'b'"):
        try:
            rows = [*sweep(width=[1, 2], where=where)]
        except archdsl.ArchError:
            continue
        assert all(row["error"] for row in rows)


def test_sizes_that_are_free_are_an_error_of_each_row() -> None:
    rows = [*archdsl.sweep("resnet50", classes=[1, 2], inputs={"image": [3, "H", "W"]})]

    assert all("give them with --input" in row["error"] for row in rows)


def test_a_sample_is_drawn_without_listing_the_space() -> None:
    asked: Any = {
        "width": "1..1000000", "depth": "1..3", "kernels": "[1],[3],[5]", "random": 20
    }  # fmt: skip
    rows = [*sweep(**asked, seed=1)]

    assert len({str(row) for row in rows}) == 20
    assert rows == [*sweep(**asked, seed=1)]
    assert rows != [*sweep(**asked, seed=2)]
    # conditions on parameters are fulfilled by as many, if there are
    rows = [*sweep(**asked, where="width < 500000 and depth == 2")]
    assert len(rows) == 20
    assert all(row["depth"] == 2 and row["width"] < 500_000 for row in rows)
    every = [*sweep(width=[1, 2, 3], random=10)]
    assert [row["width"] for row in every] == [1, 2, 3]


def test_several_processes_give_the_same() -> None:
    asked: Any = {"width": "1..20", "depth": "1..6", "unit": "Plain,Grouped"}
    alone = sweep(**asked, where="macs > 5e4")
    together = sweep(**asked, where="macs > 5e4", jobs=2)

    rows = [*together]

    assert len(rows) > 100
    assert rows == [*alone]


def test_values_of_python() -> None:
    assert [row["width"] for row in sweep(width=5)] == [5]
    assert [row["width"] for row in sweep(width=range(8, 0, -4))] == [8, 4]
    assert [row["kernels"] for row in sweep(kernels=[(3, 3), [1]])] == [(3, 3), (1,)]
    assert [row["act"] for row in sweep(act=["relu", "x"])] == ["relu", "x"]
    assert "3 width x 2 depth" in repr(sweep(width=[1, 2, 3], depth=(1, 2)))
    assert sweep(depth=[1]).columns[:3] == ("depth", "counted_depth", "parameters")


def test_pandas() -> None:
    pytest.importorskip("pandas")
    asked = sweep(width=[4, 8], depth=[1, 2])

    frame = asked.to_pandas()

    assert [*frame.columns] == [*asked.columns]
    assert frame["parameters"].tolist() == [row["parameters"] for row in asked]


# --- which rows, and in which order -----------------------------------------------------------

ROWS = [
    {"name": name, "a": a, "b": b}
    for name, a, b in [
        ("p", 1, 9), ("q", 2, 5), ("r", 2, 5), ("s", 3, 6), ("t", 9, 1), ("u", None, None),
        ("v", 2, 7), ("w", 1, 9.5),
    ]
]  # fmt: skip


def names(rows: list[dict[str, Any]]) -> str:
    return "".join(row["name"] for row in rows)


def chosen(text: str) -> Any:
    return wishes("--sort", text, ("name", "a", "b"), {"first": "a"})


@pytest.mark.parametrize("swept", [(), ("depth", "macs"), (*NAMES, *SHORT.values(), "error")])
def test_parameters_hide_figures_whether_they_are_swept_or_not(
    swept: tuple[str, ...], tmp_path: Path
) -> None:
    names = dict.fromkeys((*NAMES, *SHORT.values(), "error", "counted_depth"))
    file = tmp_path / "n.arch"
    declared = ", ".join(f"{name}: int = 3" for name in names)
    file.write_text(
        f"network n(width: int = 4, {declared}) {{ input x: [3, 8, 8]; Conv2d(width, 1) }}\n"
    )
    parameters = {"width": [4, 5], **{key: [7] for key in swept}}

    def rows(where: str) -> list[dict[str, Any]]:
        return [*archdsl.sweep(file, parameters=parameters, where=where)]

    (row, _) = archdsl.sweep(file, parameters=parameters)
    figures = ["counted_counted_depth", *(f"counted_{name}" for name in NAMES if name != "depth")]
    assert [*row] == [*parameters, *figures, "counted_error"]
    for short, figure in zip(NAMES, figures, strict=True):
        several = [figure, f"counted_{SHORT[short]}"] if short in SHORT else [figure]
        for name in several:
            assert row in rows(f"{name} == {row[figure]}"), name
    for name in names:
        if name in swept:
            assert len(rows(f"{name} == 7")) == 2
        else:
            with pytest.raises(archdsl.ArchError, match="has no value here"):
                rows(f"{name} == 3")


def test_sorting() -> None:
    assert names(ordered(ROWS, chosen("a"))) == "pwqrvstu"
    assert names(ordered(ROWS, chosen("-a"))) == "tsqrvpwu"
    assert names(ordered(ROWS, chosen("first,-b"))) == "wpvqrstu"
    assert names(ordered(ROWS, chosen("-name"))) == "wvutsrqp"
    for text, said in [("c", "no such column"), ("a,a", "twice"), ("", "is empty")]:
        with pytest.raises(archdsl.ArchError, match=said):
            chosen(text)


def test_the_pareto_front_is_what_nothing_beats() -> None:
    assert names(front(ROWS, chosen("a,b"))) == "pqrt"
    assert names(front(ROWS, chosen("a"))) == "pw"
    assert names(front(ROWS, chosen("-a,-b"))) == "stvw"
    for text in ("a,b", "-a,b", "a,-b", "-a,-b"):
        signs = {part[-1]: -1 if part.startswith("-") else 1 for part in text.split(",")}
        known = [row for row in ROWS if row["a"] is not None]
        expected = [row for row in known if not any(beats(one, row, signs) for one in known)]
        assert front(ROWS, chosen(text)) == expected


def beats(one: dict[str, Any], other: dict[str, Any], signs: dict[str, int]) -> bool:
    pairs = [(sign * one[name], sign * other[name]) for name, sign in signs.items()]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
