"""`register`: the place of a label in the state_dict before the stage that has it."""

from __future__ import annotations

import pytest
from shown import Arch, Stages, Wrong, lines

from archdsl.analysis.report import report
from archdsl.analysis.state import state_dict
from archdsl.backends.table import as_data, render
from archdsl.networkx_graph import to_networkx

MERGING = """
network net(dim = 16) {
  input image: [8, 8, dim]
  merge: PatchMerging
  head: Linear(4)
}

block PatchMerging {
  register reduction
  norm: LayerNorm
  reduction: Linear(2 * in.features, bias = false)
}
"""


def names(arch: Arch, text: str) -> list[str]:
    """Return the labels of the parameters in the order of the state_dict."""
    keys = state_dict(arch(text))
    return [*dict.fromkeys(key.removesuffix(".weight").removesuffix(".bias") for key in keys)]


def body(statements: str) -> str:
    return f"network net {{\ninput x: [4, 8, 8]\n{statements}\n}}"


def test_stage_that_runs_later_comes_first(arch: Arch) -> None:
    graph = arch(MERGING)

    assert [*state_dict(graph)] == [
        "merge.reduction.weight",
        "merge.norm.weight",
        "merge.norm.bias",
        "head.weight",
        "head.bias",
    ]
    # what runs, and in which order, is as without
    assert lines(graph) == lines(arch(MERGING.replace("register reduction", "")))


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ("a: Conv2d(4, 1); b: Conv2d(4, 1)", ["a", "b"]),
        ("register b, a; a: Conv2d(4, 1); b: Conv2d(4, 1)", ["b", "a"]),
        ("register c; a: Conv2d(4, 1); register d; b: Conv2d(4, 1)\n"
         "c: Conv2d(4, 1); d: Conv2d(4, 1)", ["c", "a", "d", "b"]),
        ("register 1; Conv2d(4, 1); Conv2d(4, 1)", ["1", "0"]),
        ("a: Conv2d(4, 1); register c; b: Conv2d(4, 1); c: { Conv2d(4, 1) }", ["a", "c.0", "b"]),
        ("register g.b; g.a: Conv2d(4, 1); g.b: Conv2d(4, 1)", ["g.b", "g.a"]),
        ("register g.a; f: Conv2d(4, 1); g.a: Conv2d(4, 1)", ["g.a", "f"]),
        ("g: { register b; a: Conv2d(4, 1); b: Conv2d(4, 1) }", ["g.b", "g.a"]),
        ('for i in range(3) { register "c{2 - i}" }\n'
         'for i in range(3) { "c{i}": Conv2d(4, 1) }', ["c2", "c1", "c0"]),
        ("if true { register b }\na: Conv2d(4, 1); b: Conv2d(4, 1)", ["b", "a"]),
        ("residual { register b; a: Conv2d(4, 1); b: Conv2d(4, 1) }", ["b", "a"]),
        ("m: concat { register r, l; branch l { Conv2d(4, 1) }; branch r { Conv2d(4, 1) } }",
         ["m.r.0", "m.l.0"]),
        ("register q, p; parameter p: [4, 1, 1]; parameter q: [4, 1, 1]\n"
         "add { branch {}; branch { from p }; branch { from q } }", ["q", "p"]),
        ("register b; parameter p: [4, 1, 1]; add { branch {}; branch { from p } }\n"
         "a: Conv2d(4, 1); b: Conv2d(4, 1)", ["p", "b", "a"]),
        ("register b; a: Conv2d(4, 1); b: Conv2d(4, 1); reuse a", ["b", "a"]),
        ('register "repeat"; a: Conv2d(4, 1); "repeat": Conv2d(4, 1)', ["repeat", "a"]),
    ],
)  # fmt: skip
def test_order(arch: Arch, statements: str, expected: list[str]) -> None:
    assert names(arch, body(statements)) == expected


def test_inlined_block_registers_in_the_scope_around_it(arch: Arch) -> None:
    text = body("inline B") + "\nblock B { register b; a: Conv2d(4, 1); b: Conv2d(4, 1) }"
    assert names(arch, text) == ["b", "a"]


def test_every_use_of_a_block_registers(arch: Arch) -> None:
    text = body("B; B") + "\nblock B { register b; a: Conv2d(4, 1); b: Conv2d(4, 1) }"
    assert names(arch, text) == ["0.b", "0.a", "1.b", "1.a"]


@pytest.mark.parametrize(
    ("statements", "code", "said"),
    [
        ("register b; a: ReLU", "E0207", "no stage that comes after this is labelled `b`"),
        ("a: ReLU; register a", "E0207", "`a` is made before this, and has its place there"),
        ("register a, a; a: ReLU", "E0203", "two places are registered for what is called `a`"),
        ("register a; a: in; ReLU", "E0207",
         "`a` is no module or parameter: the state_dict has no place for it"),
        ("register a; a: Flatten", "E0207",
         "`a` is no module or parameter: the state_dict has no place for it"),
        ("register b; from b; b: ReLU", "E0202", "no stage before this is labelled `b`"),
        ("register g.a; g: { a: ReLU }", "E0207",
         "`register` names what is inside `g`, which is made as a whole after it"),
        ("register 0.a; B", "E0207",
         "`register` names what is inside `0`, which is made as a whole after it"),
        ("register g.h.a; g: { h: { a: ReLU } }", "E0207",
         "`register` names what is inside `g`, which is made as a whole after it"),
        ("g: { a: ReLU }; register g.b; ReLU", "E0207",
         "no stage of `g` that comes after this is labelled `b`"),
        ("B; register 0.b; ReLU", "E0206", '"0.b" can\'t be a label'),
        ("for i in range(2) { register a }; a: ReLU", "E0203",
         "two places are registered for what is called `a`"),
        ("register image; ReLU", "E0207", "no stage that comes after this is labelled `image`"),
        ("register x; ReLU", "E0207", "`x` is made before this, and has its place there"),
    ],
)  # fmt: skip
def test_what_can_not_be_registered(wrong: Wrong, statements: str, code: str, said: str) -> None:
    (error,) = wrong(body(statements) + "\nblock B { a: ReLU }")
    assert (error.code, error.message()) == (code, said)


def test_nearest_label_is_proposed(wrong: Wrong) -> None:
    (error,) = wrong(MERGING.replace("register reduction", "register reductoin"))
    assert error.message() == "no stage of `merge` that comes after this is labelled `reductoin`"
    assert error.help() == "did you mean `reduction`?"


def test_a_proposed_label_is_written_as_it_must_be(wrong: Wrong) -> None:
    (error,) = wrong(body('register "block1-O"; ReLU; "block1-0": Conv2d(4, 1)'))
    assert error.help() == 'did you mean `"block1-0"`?'


def test_other_errors_are_not_followed_by_missing_labels(wrong: Wrong) -> None:
    (error,) = wrong(body("register b; a: Conv2d(4, 1); b: Conv2d(0, 1)"))
    assert error.code == "E0404"


def test_word_is_no_label_without_quotes(stages: Stages, wrong: Wrong) -> None:
    assert stages('"register": ReLU') == ["register ReLU(image) 4 x 8 x 8"]
    (error,) = wrong(body("register: ReLU"))
    assert (
        error.help() == '`register` is a word of the language; as a label it is written "register"'
    )


def test_graph_and_count_say_the_order(arch: Arch) -> None:
    graph = arch(MERGING)

    assert graph.registered == {"merge": ("reduction", "norm")}
    scopes = to_networkx(graph).graph["scopes"]
    assert scopes["merge"]["registered"] == ["reduction", "norm"]
    assert scopes[""]["registered"] == []
    counted = report(graph)
    assert as_data(counted)["registered"] == {"merge": ["reduction", "norm"]}
    table = " ".join(render([counted], "table", False).split())
    assert "Order in the state_dict `merge` reduction, norm" in table


def test_many_registered_labels_take_time_in_proportion(arch: Arch) -> None:
    """Steps are counted, one a label, so a limit holds them before memory does."""
    count = 2_000
    text = body(
        f'for i in range({count}) {{ register "c{{{count} - i}}" }}\n'
        f'for i in range({count}) {{ "c{{i + 1}}": ReLU }}'
    )
    assert len(arch(text).registered[""]) == count
