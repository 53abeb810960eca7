"""Values: operators and functions with Python's meaning, `let`, `fn`, loops and conditions."""

import math

import pytest
from shown import Arch, Stages, Value, Wrong

from archdsl.elaborate.values import WorkedOut

PYTHON = {
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
    "true": True,
    "false": False,
    "none": None,
}

SAME_AS_PYTHON = """
1 + 2 * 3
(1 + 2) * 3
7 // 2
-7 // 2
7 % 3
-7 % 3
7 // -2
7 / 2
6 / 2
7.5 // 2
2 ** 10
2 ** -1
-2 ** 2
2 ** 3 ** 2
2 ** 0.5
- -3
+3
1 - 2 - 3
100 // 7 // 3
1e-6
1.5e3
2E2
1 < 2
1 < 2 < 3
1 < 3 < 2
3 >= 3 > 2
1 == 1.0
1 != 2
"a" < "b"
"a" == "a"
"a" != 1
[1, 2] == [1, 2]
[1, 2] != [2, 1]
none == none
none != 3
not true
not 1 == 2
true and false
true or false
false or not false and true
1 < 2 and 2 < 3
1 if 2 > 1 else 3
1 if 2 < 1 else 3 if 3 < 2 else 4
[1, 2, 3][0]
[1, 2, 3][-1]
[1, 2, 3, 4][1:]
[1, 2, 3, 4][:-1]
[1, 2, 3, 4][::2]
[1, 2, 3, 4][::-1]
[1, 2, 3, 4][1:3]
[1, 2, 3, 4][3:1:-1]
"hello"[1:3]
"hello"[0]
range(10)[3]
[[1, 2], [3]][0][1]
(1, 2)[1]
[2 * w for w in [1, 2]]
[w for w in range(6) if w % 2 == 0]
[a + b for a, b in [(1, 2), (3, 4)]]
[[i * j for j in range(2)] for i in range(3)]
[1, 2] + [3]
[0] * 3
2 * [1, 2]
"ab" + "c"
"ab" * 2
min(3, 1, 2)
min([3, 1, 2])
max(1.5, 2)
sum([1, 2, 3])
sum([0.5, 1])
sum([])
len([1, 2])
len("abc")
len([])
range(4)
range(1, 4)
range(6, 0, -2)
range(0)
zip([1, 2], [3, 4])
zip([1, 2, 3], [4])
zip(range(2), [5, 6], [7, 8])
enumerate([5, 6])
enumerate([5, 6], 1)
round(2.5)
round(3.5)
round(2.567, 2)
round(1234, -2)
floor(2.7)
floor(-2.1)
ceil(2.1)
ceil(3)
abs(-3)
abs(-2.5)
sqrt(16)
log(1)
log(8, 2)
exp(0)
0.1 + 0.2
1e16 + 1
9223372036854775807
-9223372036854775807
0 ** 0
5 % 2.5
7 % -3
[]
()
(1,)
1 == 2 == 3
1 in [1, 2]
3 in [1, 2]
3 not in [1, 2]
not 1 in [1, 2]
1.0 in [1]
2.0 in range(3)
2.5 in range(3)
5 in range(0, 10, 2)
10 ** 15 in range(10 ** 18)
"a" in ["a", "b"]
"a" in [1, none]
none in [none]
(1, 2) in [[3], [1, 2]] if false else true
[1, 2] in [[3], [1, 2]]
[1] not in [[3], [1, 2]]
"el" in "hello"
"" in ""
"x" not in "hello"
1 in [1] in [[1]]
1 in [1, 2] == true
1 + 1 in [2] and 3 not in [4]
1 in [2] or 2 in [2]
[w for w in range(5) if w in [1, 3]]
[w in [1] for w in [1, 2]]
[1 in [2] if false else 3]
1 in [1] if 2 in [2] else 3
""".strip().split("\n")


def as_tuple(value: object) -> object:
    """Write all sequences of Python as the language has them: as tuples."""
    if isinstance(value, list | tuple | range | zip | enumerate):
        return tuple(as_tuple(item) for item in value)
    return float(value) if isinstance(value, WorkedOut) else value


def test_expressions_mean_what_they_mean_in_python(value: Value) -> None:
    values = value(
        "[" + ",\n".join(SAME_AS_PYTHON) + "]"
    )  # together, since a parser takes its time
    assert isinstance(values, tuple)
    for text, found in zip(SAME_AS_PYTHON, values, strict=True):
        expected = as_tuple(eval(text, {}, PYTHON))
        assert as_tuple(found) == expected, text
        assert type(as_tuple(found)) is type(expected), text


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0",
        "1 // 0",
        "1 % 0",
        "0 ** -1",
        "(-8) ** 0.5",
        "9223372036854775807 + 1",
        "2 ** 63",
        "2 ** 10 ** 10",
        "10.0 ** 400",
        "1e300 * 1e300",
        '"a" + 1',
        '1 + "a"',
        '"a" - "b"',
        "[1] + 1",
        '[1] + "a"',
        "-none",
        "-false",
        "-true",
        "-[1]",
        "true + 1",
        "not 1",
        "1 and true",
        "1 < true",
        "[1] < [2]",
        '1 < "a"',
        "1 if 2 else 3",
        "[1][1]",
        "[1][-2]",
        "[1][0.5]",
        "[1][true]",
        "3[0]",
        "none[0]",
        "[1, 2][::0]",
        "3[:1]",
        "(3).channels",
        "in.channels",
        "shape(x).channels",
        "min()",
        "min([])",
        'min("a", "b")',
        "sum(3)",
        'sum(["a"])',
        "len(3)",
        "range()",
        "range(1, 2, 0)",
        "range(1.5)",
        "range(10 ** 18)[10 ** 18]",
        "zip(1)",
        'enumerate([1], "a")',
        'round("a")',
        "floor(none)",
        "sqrt(-1)",
        "log(0)",
        "log(8, 1)",
        "exp(1000)",
        "abs(1, 2)",
        "min(a = 1)",
        "[i for i in 3]",
        "[i for i, j in [(1, 2, 3)]]",
        "[0] * 10 ** 12",
        '"a" * 10 ** 6',
        "[i for i in range(10 ** 12)]",
        "sum(range(10 ** 12))",
        "ReLU + 1",
        "unknown",
        "unknown(3)",
        "min",
        "True",
        "f()",
        "f(1, 2)",
        "f(y = 1)",
        "3(4)",
        "1 in 2",
        "1 in none",
        "1 in true",
        '1 in "abc"',
        'none not in "abc"',
        "1 in ReLU",
        "3.5 in range(10 ** 12)",
        "1 in [1] in 3",
    ],
)
def test_expressions_without_a_value_are_refused(wrong: Wrong, text: str) -> None:
    spec = f"network net(it = {text}) {{ input x: [1]; Identity }}\nfn f(x) = x"
    assert len(wrong(spec)) == 1


def test_only_the_chosen_side_is_worked_out(value: Value) -> None:
    assert value("1 if true else 1 / 0") == 1
    assert value("true or 1 / 0 == 1") is True
    assert value("false and 1 / 0 == 1") is False


@pytest.mark.parametrize(
    ("others", "text", "expected"),
    [
        ("let n = 4", "2 * n", 8),
        ("let a, b = [1, 2]", "10 * a + b", 12),
        ("let a, b = 1, 2", "10 * a + b", 12),
        ("let a = b + 1\nlet b = 2", "a", 3),
        ("let row = 1, 2", "row", (1, 2)),
        ("fn f(v, d = 8) = v // d", "f(20)", 2),
        ("fn f(v, d = 8) = v // d", "f(20, d = 5)", 4),
        ("fn f(v) { let n = v + 1; 2 * n }", "f(3)", 8),
        ("fn f(v) {\n  let n = v + 1\n  let m = n * n\n  n + m\n}", "f(1)", 6),
        ("fn f(v) { v }", "f(3)", 3),
        ("fn f(v: int) = v", "f(3)", 3),
        ("fn f(v, w = 2 * v) = w", "f(3)", 6),
        ("fn f(v) = g(v) + 1\nfn g(v) = 2 * v", "f(3)", 7),
        ("fn f() = n\nlet n = 5", "f()", 5),
        ("fn f(v) = [g(w) for w in v]\nfn g(w) = w * w", "f([1, 2])", (1, 4)),
        ("let w = [8 * 2 ** i for i in range(3)]", "w", (8, 16, 32)),
        (
            """
            fn divisible(v, d = 8) {
              let n = max(d, floor(v + d / 2) // d * d)
              n + d if n < 0.9 * v else n
            }
            """,
            "[divisible(32 * 1.4), divisible(3), divisible(24)]",
            (48, 8, 24),
        ),
    ],
)
def test_let_and_fn(value: Value, others: str, text: str, expected: object) -> None:
    assert value(text, others) == expected


@pytest.mark.parametrize(
    "others",
    [
        "fn f(v) = f(v)",
        "fn f(v) = g(v)\nfn g(v) = f(v)",
        "fn f(v) = a\nlet a = f(1)",
        "fn f(v) = a + v\nlet a = b\nlet b = a",
    ],
)
def test_there_is_no_recursion(wrong: Wrong, others: str) -> None:
    (error,) = wrong(f"network net(it = f(1)) {{ input x: [1]; Identity }}\n{others}")
    assert error.code == "E0205"


def test_there_is_no_recursion_of_blocks(wrong: Wrong) -> None:
    for blocks in ("block A { A }", "block A { B }\nblock B { if true { A } }", "block A = A()"):
        (error,) = wrong(f"network n {{ input x: [1]; A }}\n{blocks}")
        assert error.code == "E0205"


# --- loops and conditions -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "widths"),
    [
        ("for i in range(3) { Linear(i + 1) }", [1, 2, 3]),
        ("for w in [5, 6] { Linear(w) }", [5, 6]),
        ("for n, w in [(2, 64), (1, 32)] { repeat n { Linear(w) } }", [64, 64, 32]),
        ("for i, w in enumerate([5, 6]) { Linear(10 * i + w) }", [5, 16]),
        ("for a, b in zip([1, 2], [3, 4]) { Linear(a * b) }", [3, 8]),
        ("repeat 0 { Linear(1) }", []),
        ("repeat 2 * 1 { Linear(1) }", [1, 1]),
        ("for i in range(2) { for j in range(2) { Linear(1 + i + 2 * j) } }", [1, 3, 2, 4]),
        ("if 1 < 2 { Linear(1) }", [1]),
        ("if 1 > 2 { Linear(1) }", []),
        ("if 1 > 2 { Linear(1) } else { Linear(2) }", [2]),
        ("if 1 > 2 { Linear(1) } else if 2 > 1 { Linear(2) } else { Linear(3) }", [2]),
        ("if 1 > 2 { Linear(1) } else if 2 > 3 { Linear(2) } else { Linear(3) }", [3]),
        ("if true { let n = 3; Linear(n) }", [3]),
        ("let n = 3; Linear(n); let m = n + in.features; Linear(m)", [3, 6]),
        ("let a, b = [1, 2]; Linear(a); Linear(b)", [1, 2]),
        ("for i in range(2) { let n = i + 1; Linear(n) }", [1, 2]),
    ],
)
def test_loops_and_conditions(stages: Stages, body: str, widths: list[int]) -> None:
    assert [int(line.split()[-1]) for line in stages(body, size="[7]")] == widths


@pytest.mark.parametrize(
    "body",
    [
        "for i in 3 { ReLU }",
        'for i in "abc" { ReLU }',
        "for a, b in [1, 2] { ReLU }",
        "for a, b in [(1, 2, 3)] { ReLU }",
        "repeat -1 { ReLU }",
        "repeat 1.5 { ReLU }",
        "repeat true { ReLU }",
        "if 1 { ReLU }",
        "if none { ReLU }",
        "let a, b = 1; ReLU",
        "let a, b = [1, 2, 3]; ReLU",
        "let x1 = 1; let x1 = 2; ReLU",
        "for i in range(2) { for i in range(2) { ReLU } }",
        "for i in range(2) { ReLU }; Linear(i)",
        "if true { let n = 3 }; Linear(n)",
    ],
)
def test_loops_and_conditions_that_make_no_sense_are_refused(wrong: Wrong, body: str) -> None:
    assert len(wrong(f"network n {{ input x: [4]; {body} }}")) == 1


def test_values_of_a_block_are_its_own(wrong: Wrong, arch: Arch) -> None:
    (error,) = wrong("network n { input x: [4]; let w = 3; B }\nblock B { Linear(w) }")
    assert error.code == "E0201"
    graph = arch("let w = 5\nnetwork n { input x: [4]; B }\nblock B { let w = 3; Linear(w) }")
    assert graph.nodes["0.0"].shape == (3,)


def test_several_independent_mistakes_are_told_together(wrong: Wrong) -> None:
    errors = wrong(
        """
        network n {
          input x: [4]
          Linear(1 / 0)
          Linear(unknown)
          Nothing
          for i in 3 { Linear(i) }
        }
        block B { Linear(also) }
        """
    )
    assert [error.code for error in errors] == ["E0401", "E0201", "E0201", "E0401", "E0201"]


BLOCKS_COMPARED = {
    "A == A": True,
    "A == B": False,
    "A == C": False,  # declared anew
    "A != B": True,
    "A == given": True,
    "given == given": True,
    "Conv2d == Conv2d": True,
    "Conv2d == ConvTranspose2d": False,
    "Conv2d(3) == Conv2d(3)": True,
    "Conv2d(3) == Conv2d(4)": False,
    "Conv2d(3) == Conv2d": False,
    "A(3) == A(3)": True,
    "A(kernel = 3) == A(kernel = 3)": True,
    "A(3) == A(4)": False,
    "Short == Conv2d(3)": True,
    "A in [B, A]": True,
    "A in [B, C]": False,
    "A not in [B]": True,
    "A == 3": False,
    '[A, 1] == [given, 1]': True,
}  # fmt: skip


@pytest.mark.parametrize("comparison", BLOCKS_COMPARED)
def test_blocks_are_the_same_where_their_names_mean_the_same(comparison: str, arch: Arch) -> None:
    text = f"""block A(out, kernel = 3) = Conv2d(out, kernel)
    block B(out) {{ ReLU }}
    block C(out, kernel = 3) = Conv2d(out, kernel)
    block Short = Conv2d(3)
    network net(given: block = A) {{ input x: [3, 8, 8]
      if {comparison} {{ ReLU }} else {{ Tanh }}
    }}"""

    assert arch(text).nodes["0"].type == ("ReLU" if BLOCKS_COMPARED[comparison] else "Tanh")
