"""What kinds of numbers the tensors of a network hold, and where that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from shown import Arch, Wrong

import archdsl
from archdsl import own_layers
from archdsl.layers.base import Facts, Shapes, TorchFunction, single

PRODUCT = "from x; mul { branch {} branch { from b } }"


def kinds(arch: Arch, text: str) -> dict[str, str]:
    graph = arch(text)
    return {name: graph.dtype(name) for name in graph.nodes}


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ("[0, 1, 2, 3]", "int"),
        ("range(4)", "int"),
        ("[[0, 1], [2, 3]]", "int"),
        ("7", "int"),
        ("[n // 2 for n in range(4)]", "int"),
        ("[0, 1, 2, 3.0]", "float"),
        ("0.0", "float"),
        ("[n / 2 for n in range(4)]", "float"),
        ("[[-1.5, 0.0][i] for i, j]", "float"),
        ("[[0, 1 + 0.5][j] for i, j]", "float"),
        ("[[-1, 0][i] for i, j]", "int"),
        ("normal()", "float"),
        ("[true, false, true, true]", "bool"),
        ("false", "bool"),
    ],
)
def test_values_of_a_buffer_decide_what_it_holds(arch: Arch, value: str, dtype: str) -> None:
    text = f"network n {{ input x: [2, 2]\nbuffer b: [2, 2] = {value}\n{PRODUCT} }}"
    assert kinds(arch, text)["b"] == dtype


@pytest.mark.parametrize("value", ["", "= 3", "= [0, 1, 2, 3]", "= normal()"])
def test_a_parameter_holds_floats(arch: Arch, value: str) -> None:
    text = f"network n {{ input x: [4]\nparameter b: [4] {value}\n{PRODUCT} }}"
    assert kinds(arch, text)["b"] == "float"


def test_a_buffer_without_values_holds_floats(arch: Arch) -> None:
    text = f"network n {{ input x: [4]\nbuffer b: [4]\n{PRODUCT} }}"
    assert kinds(arch, text)["b"] == "float"


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        ("buffer b: [2] = [true, 1]", "a tensor holds numbers, or true and false, and not both"),
        ("buffer b: [2] = [false, 0.5]", "a tensor holds numbers, or true and false, and not both"),
        ("parameter b: [2] = true", "a parameter is learned, so it holds numbers"),
        ("parameter b: [2] = [true, false]", "a parameter is learned, so it holds numbers"),
        ("buffer b: [2] = 1e39", "1e+39 is more than a number of torch holds"),
        ("parameter b: [2] = [0, -4e38]", "-4e+38 is more than a number of torch holds"),
    ],
)
def test_values_that_no_tensor_holds(wrong: Wrong, declaration: str, reason: str) -> None:
    (error,) = wrong(f"network n {{ input x: [2]\n{declaration}\n{PRODUCT} }}")
    assert reason in error.message()


@pytest.mark.parametrize(
    ("body", "dtype"),
    [
        ("Embedding(9, 4)", "int"),
        ("Reshape([2, 4]) -> Slice(0, 1) -> Embedding(9, 4)", "int"),
        ("r: { Flatten } -> Unsqueeze(1) -> e: { Embedding(9, 4) }", "int"),
        ("concat { branch {} branch { Roll([1], [1]) } }; Embedding(9, 4)", "int"),
        ("buffer b: [8] = 1\nfrom x; mul { branch {} branch { from b } }; Embedding(9, 4)", "int"),
        (
            "s: Exp\nfrom x -> Embedding(9, 1) -> Flatten\nadd { branch {} branch { from s } }",
            "int",
        ),
        ("Linear(4)", "float"),
        ("Scale(2)", "float"),
        ("Flatten", "float"),
    ],
)
def test_an_input_holds_what_is_made_of_it(arch: Arch, body: str, dtype: str) -> None:
    assert kinds(arch, f"network n {{ input x: [8]\n{body} }}")["x"] == dtype


def test_inputs_of_one_shape_may_hold_different_kinds(arch: Arch) -> None:
    text = """
    network n { input a: [8]; input b: [8]; input c: [8]
      from b -> e: Embedding(9, 1) -> Flatten
      add { branch {} branch { from a } branch { from c } }
    }"""
    found = kinds(arch, text)
    assert (found["a"], found["b"], found["c"]) == ("float", "int", "float")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [("true false", "bool"), ("true 1", "int"), ("1 0.5", "float"), ("true 0.5", "float")],
)
@pytest.mark.parametrize("word", ["concat", "add", "mul"])
def test_merges_widen(arch: Arch, word: str, values: str, dtype: str) -> None:
    one, other = values.split()
    text = f"""
    network n {{ input x: [4]
      buffer a: [batch, 4] = {one}
      buffer b: [batch, 4] = {other}
      {word} {{ branch {{ from a }} branch {{ from b }} }}
      output merged {{ in }}
      from x -> Linear(3)
    }}"""
    assert kinds(arch, text)[word] == dtype


def test_reuse_of_a_tied_embedding_is_refused_where_it_stands(wrong: Wrong) -> None:
    (error,) = wrong("network n { input tokens: [8]\nwte: Embedding(10, 4)\nLayerNorm\nreuse wte }")
    assert error.code == "E0306"
    assert error.message() == "`Embedding` takes integers, and floats come in"
    assert error.span is not None
    assert error.span.line == 4
    assert [label.text for label in error.others()] == ["it was made here", "this gives floats"]


def test_a_group_applied_again_to_another_kind_is_refused(wrong: Wrong) -> None:
    (error,) = wrong(
        "network n { input x: [4]\ninput i: [4]\nfrom x -> g: { Flatten -> Linear(4) }\n"
        "y: in\nfrom i -> e: Embedding(5, 2) -> Flatten -> Linear(4)\nz: in\nfrom i -> reuse g\n"
        "add { branch {} branch { from y } branch { from z } } }"
    )
    assert error.message() == "`Linear` takes floats, and integers come in"
    assert error.span is not None
    assert error.span.line == 7


def test_each_mistake_is_told_once_and_none_follows_from_another(wrong: Wrong) -> None:
    errors = wrong(
        "network n { input x: [2, 4]\nfor i in range(3) { B }\nLinear(3) }\n"
        "block B { Sigmoid -> Embedding(9, 1) -> Flatten(2) -> Linear(4) }"
    )
    assert [error.code for error in errors] == ["E0306"]


def test_mistakes_in_several_places_are_told_together(wrong: Wrong) -> None:
    errors = wrong(
        "network n { input x: [4]\nbuffer i: [batch, 4] = range(4)\nfrom i -> Linear(4)\na: in\n"
        "from i -> ReLU -> Softmax(1)\nadd { branch {} branch { from a } branch { from x } } }"
    )
    assert [error.message() for error in errors] == [
        "`Linear` takes floats, and integers come in",
        "`Softmax` takes floats, and integers come in",
    ]


def test_layers_of_a_users_own_say_what_they_take_and_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_layers, "_registered", {})

    @archdsl.layer
    class Largest(archdsl.Layer):
        """The index of the largest feature."""

        takes = {"int": "int", "float": "int"}  # noqa: RUF012

        def infer(self, inputs: Shapes) -> Facts:
            return Facts(single(inputs)[:-1], TorchFunction("{0}.argmax(-1)"))

    path = tmp_path / "net.arch"
    path.write_text("network n { input x: [5, 8]; Largest; Embedding(8, 3) }")
    checked = archdsl.load(path).checked
    assert [checked.dtype(name) for name in checked.nodes] == ["float", "int", "float"]

    path.write_text("network n { input x: [5, 8]; Largest; Linear(3) }")
    with pytest.raises(archdsl.ArchError, match="`Linear` takes floats, and integers come in"):
        archdsl.load(path)


@pytest.mark.parametrize("takes", ["int", {}, {"index": "float"}, ("int",)])
def test_a_layer_that_takes_what_there_is_not_is_no_layer(takes: object) -> None:
    with pytest.raises(
        TypeError, match=r"`takes` of Mine is .*must be what is given for what comes in"
    ):
        archdsl.layer(type("Mine", (archdsl.Layer,), {"infer": None, "takes": takes}))


@pytest.mark.parametrize(
    ("value", "index"),
    [("[0, 1, 2, 9]", 9), ("[0, -1, 2, 3]", -1), ("4", 4), ("range(1, 5)", 4), ("range(4)", None)],
)
@pytest.mark.parametrize("way", ["", "Unsqueeze(1) -> Flatten -> "])
def test_indices_that_are_known_must_be_in_their_table(
    arch: Arch, wrong: Wrong, value: str, index: int | None, way: str
) -> None:
    text = f"""network n {{ input x: [4, 8]; buffer i: [batch, 4] = {value}
      from x; add {{ branch {{}} branch {{ from i -> {way}Embedding(4, 8) }} }} }}"""
    if index is None:
        assert arch(text)
        return
    (error,) = wrong(text)
    assert error.code == "E0307"
    assert error.message() == f"`Embedding` has indices 0 to 3, and {index} comes in"


@pytest.mark.parametrize(
    ("formula", "index"),
    [
        ("i", None),
        ("3 - i", None),
        ("2 * i", 6),
        ("i - 1", -1),
        ("i if i < 2 else 3 * i", 9),
        ("(i - 2) ** 2", 4),
        ("min(i * i, 3)", None),
    ],
)
def test_indices_by_a_formula_must_be_in_their_table(
    arch: Arch, wrong: Wrong, formula: str, index: int | None
) -> None:
    text = f"""network n {{ input x: [4, 8]; constant i: [4] = [{formula} for i]
      from x; add {{ branch {{}} branch {{ from i -> Embedding(4, 8) }} }} }}"""
    if index is None:
        assert arch(text)
        return
    error = wrong(text)[-1]
    assert error.message() == f"`Embedding` has indices 0 to 3, and {index} comes in"
    assert "its shape is 4 here" in error.help() or index < 0


def test_numbers_of_many_places_are_known_at_their_corners(arch: Arch, wrong: Wrong) -> None:
    text = """network n(most: int = 5000) { input x: [4, 3000]
      constant i: [3000, 5] = [i + 500 * j for i, j]
      output o { from i -> Embedding(most, 8) }
      from x -> ReLU }"""
    assert arch(text)
    (error,) = wrong(text, most=4999)
    assert error.message() == "`Embedding` has indices 0 to 4,998, and 4,999 comes in"


def test_a_part_of_a_buffer_is_not_taken_for_all_of_it(arch: Arch) -> None:
    assert arch("""network n { input x: [2, 8]; buffer i: [batch, 4] = [0, 3, 4, 5]
      from x; add { branch {} branch { from i -> Slice(0, 2) -> Embedding(4, 8) } } }""")
