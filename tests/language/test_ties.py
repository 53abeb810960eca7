"""`weight = from embed.weight`: a parameter of a layer that is that of another."""

from __future__ import annotations

from math import prod

import pytest
from shown import Arch, Wrong

from archdsl.analysis.state import state_dict
from archdsl.graph import CheckedGraph
from archdsl.patterns import frozen_parameters

GPT = """
network lm(layers = 2) {
  input tokens: [T]
  wte: Embedding(50, 8)
  for i in range(layers) { "h.{i}": Layer }
  head: Linear(50, bias = false, weight = from wte.weight)
}
block Layer { norm: LayerNorm -> mlp: Linear(8) }
"""


def learned(graph: CheckedGraph) -> int:
    return sum(
        prod(map(int, shape))  # type: ignore[arg-type]
        for node in graph.nodes.values()
        if not node.shares
        for shape in node.facts.params.values()
    )


def ties(graph: CheckedGraph) -> list[str]:
    return [
        f"{node.name}.{tie.name} is {tie.path}"
        for node in graph.nodes.values()
        for tie in node.ties
    ]


def test_a_tied_parameter_is_counted_once_and_stored_twice(arch: Arch) -> None:
    graph = arch(GPT)
    assert learned(graph) == 50 * 8 + 2 * (16 + 72)
    assert ties(graph) == ["head.weight is wte.weight"]
    assert list(state_dict(graph))[-1] == "head.weight"
    assert state_dict(graph)["head.weight"] == (50, 8)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("a: Linear(8) -> b: Linear(8, weight = from a.weight, bias = from a.bias)",
         "a.weight a.bias"),
        ("a: Linear(8) -> b: Linear(8, weight = from a.weight)\n"
         "c: Linear(8, weight = from b.weight)",
         "a.weight a.weight"),
        ("g: { Linear(8) } -> b: Linear(8, bias = from g.0.bias)", "g.0.bias"),
        ("Linear(8) -> b: Linear(8, bias = from 0.bias)", "0.bias"),
        ("parameter table: [8, 8] = normal()\nb: Linear(8, bias = false, weight = from table)",
         "table"),
        ("u: Unit -> b: Linear(8, weight = from u.inner.lin.weight)", "u.inner.lin.weight"),
        ("for i in range(3) { \"l{i}\": Linear(8) }\nLinear(8, weight = from \"l{1}\".weight)",
         "l1.weight"),
        ("repeat 5 { Linear(8) }\nlast: Linear(8, weight = from 3.weight)", "3.weight"),
        ("Unit2 -> Unit2", "0.a.weight 1.a.weight"),
        ("a: Linear(8)\nfor i in range(3) { Linear(8, weight = from a.weight) }",
         "a.weight a.weight a.weight"),
    ],
)  # fmt: skip
def test_parameters_are_found_as_labels_are(arch: Arch, body: str, found: str) -> None:
    graph = arch(
        f"""network n {{ input x: [8]
        {body}
        }}
        block Unit {{ inner: {{ lin: Linear(8) }} }}
        block Unit2 {{ a: Linear(8) -> Linear(8, weight = from a.weight) }}"""
    )
    assert [tie.path for node in graph.nodes.values() for tie in node.ties] == found.split()


def test_names_stand_in_the_state_in_the_order_of_torch(arch: Arch) -> None:
    graph = arch(
        "network n { input x: [8]; a: Linear(8); b: Linear(8, bias = from a.bias)\n"
        "c: Linear(8, weight = from a.weight) }"
    )
    assert list(state_dict(graph)) == [
        *("a.weight", "a.bias"), *("b.weight", "b.bias"), *("c.weight", "c.bias"),
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["wte.*", "head", "*.weight"])
def test_each_name_of_a_tied_parameter_freezes_it(arch: Arch, pattern: str) -> None:
    frozen = frozen_parameters(arch(GPT), pattern)
    assert "wte.weight" in frozen
    assert "head.weight" not in frozen  # it is counted under its first name


def test_a_tied_layer_may_be_applied_again(arch: Arch) -> None:
    graph = arch(
        "network n { input x: [8]; a: Linear(8); b: Linear(8, weight = from a.weight); reuse b }"
    )
    assert learned(graph) == 64 + 8 + 8


WRONG = [
    (
        "b: Linear(9, weight = from a.weight)",
        "`weight` of `Linear` is 9 x 8 here, and this is 8 x 8",
    ),
    ("b: Linear(8, kernel = from a.weight)", "`Linear` has no parameter `kernel`"),
    ("b: Linear(8, bias = false, bias = from a.bias)", "`Linear` has no parameter `bias`"),
    (
        "b: Linear(8, weight = from a.weight, weight = from a.weight)",
        "`Linear` takes `weight` once",
    ),
    ("b: Linear(8, weight = from a.wieght)", "`a.wieght` is no parameter of a layer"),
    ("b: Linear(8, weight = from a)", "`a` is no parameter of a layer"),
    ("b: Linear(8, weight = from in)", "a parameter is named by its layer and its own name"),
    ("b: Linear(8, weight = from c.weight)", "no stage before this is labelled `c`"),
    ("b: Linear(8, weight = from b.weight)", "`b.weight` is no parameter of a layer"),
    ("b: Linear(8, weight = from r.weight)", "`r.weight` is no parameter of a layer"),
    ("b: Linear(8, weight = from g.weight)", "`g.weight` is no parameter of a layer"),
    ("b: ReLU(inplace = from a.weight)", "`ReLU` has no parameter `inplace`"),
    ("b: Unit(from a.weight)", None),
    ("b: Unit(width = from a.weight)", "a tensor is no value"),
    ("b: Linear(out_features = from a.weight)", "`Linear` needs a value for `out_features`"),
    ("add(weight = from a.weight) { branch {} }", "a tensor is no value"),
    ("let n = [from a.weight]", None),
]


@pytest.mark.parametrize(("stage", "message"), WRONG)
def test_what_makes_no_sense_is_refused(wrong: Wrong, stage: str, message: str | None) -> None:
    errors = wrong(
        "network n { input x: [8]; a: Linear(8); g: { Linear(8); Linear(8) }; r: reuse a\n"
        f"{stage}\n}}\nblock Unit(width = 8) {{ Linear(width) }}"
    )
    if message is not None:
        assert message in errors[0].message(), errors[0].message()
