"""Every limit at N and at N + 1, its ceiling, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import BEGIN, body, in_process, refused, value

import archdsl
from archdsl import ArchError, Limits
from archdsl.elaborate import operations
from archdsl.elaborate.values import weight
from archdsl.limits import CEILINGS

RELU = BEGIN + "  ReLU\n}\n"


def repeated(n: int, around: str, inside: str) -> str:
    before, after = around.split("|")
    return before * n + inside + after * n


# What asks for exactly n of a limit. Depth counts the brackets of the network's own body as well.
EXACT: list[tuple[str, str, Callable[[int], str], int]] = [
    ("file_bytes", "file", lambda n: RELU + "#" * (n - len(RELU)), 500),
    ("nesting", "parentheses", lambda n: value(repeated(n - 1, "(|)", "1")), 9),
    ("nesting", "lists", lambda n: value(repeated(n - 1, "[|]", "1")), 9),
    ("nesting", "calls", lambda n: value(repeated(n - 1, "abs(|)", "1")), 9),
    ("nesting", "groups", lambda n: body(repeated(n - 1, "{ | }", "ReLU")), 9),
    ("nesting", "loops", lambda n: body(repeated(n - 1, "repeat 1 { | }", "ReLU")), 9),
    ("nesting", "conditions", lambda n: body(repeated(n - 1, "if true { | }", "ReLU")), 9),
    ("nesting", "residuals", lambda n: body(repeated(n - 1, "residual { | }", "ReLU")), 9),
    ("nesting", "signs", lambda n: value("-" * n + "1"), 9),
    ("nesting", "not", lambda n: value("not " * n + "true"), 9),
    ("nesting", "else", lambda n: value("1 if false else " * n + "1"), 9),
    ("nesting", "powers", lambda n: value("1 ** " * n + "1"), 9),
    ("nesting", "operators", lambda n: value("1" + " + 1" * n), 9),
    ("nesting", "indices", lambda n: value("[0, 1]" + "[0:]" * (n - 1)), 9),
    ("nesting", "formula", lambda n: own(by_place("i" + " + i" * n)), 9),
    ("nesting", "signs of a formula", lambda n: own(by_place("-" * (n - 1) + "i")), 9),
    ("nesting", "calls of a formula", lambda n: own(by_place(repeated(n - 2, "abs(|)", "i"))), 9),
    ("nesting", "if of a formula", lambda n: own(by_place("1 if i > 2 else " * (n - 2) + "i")), 9),
    ("nesting", "blocks", lambda n: blocks(n), 9),
    ("nesting", "networks", lambda n: networks(n), 9),
    ("nesting", "labels", lambda n: body(".".join("a" * (n + 1)) + ": ReLU"), 9),
    ("layers", "repeat", lambda n: f"{BEGIN}  repeat {n - 1} {{ ReLU }}\n}}\n", 50),
    ("layers", "one by one", lambda n: BEGIN + "  ReLU\n" * (n - 1) + "}\n", 50),
    ("edges", "concat", lambda n: body(f"  concat {{ {'branch {} ' * (n - 1)} }}"), 30),
    ("dimensions", "input", lambda n: f"network n {{\n input x: [{'1, ' * n}]\n ReLU\n}}\n", 5),
    ("dimensions", "parameter", lambda n: own(f"parameter t: [{'1, ' * n}]"), 5),
    ("dimensions", "of each sample", lambda n: own(f"buffer t: [batch{', 1' * n}]"), 5),
    ("dimensions", "constant", lambda n: own(f"constant t: [{'1, ' * n}] = 0.5"), 5),
    ("dimensions", "indices", lambda n: own(f"constant t: [{'1, ' * n}] = [i0 for {axes(n)}]"), 5),
    ("dimensions", "reshape", lambda n: body(f"  Reshape([3, 64{', 1' * (n - 2)}])"), 5),
    ("name", "label", lambda n: body(f"  {'a' * n}: ReLU"), 40),
    ("name", "let", lambda n: body(f"  let {'a' * n} = 1"), 40),
    ("name", "filled label", lambda n: body(f'  "{"a" * (n - 1)}{{1}}": ReLU'), 40),
    ("string", "text", lambda n: value(f'"{"a" * n}"'), 70),
    ("branches", "written", lambda n: body(f"  concat {{ {'branch {} ' * n} }}"), 20),
    ("branches", "loop", lambda n: body(f"  concat {{ repeat {n} {{ branch {{}} }} }}"), 20),
    ("parameters", "block", lambda n: f"block B({names(n)}) {{ ReLU }}\n{RELU}", 7),
    ("parameters", "function", lambda n: f"fn f({names(n)}) = 1\n{RELU}", 7),
    ("arguments", "call", lambda n: value(f"max({'1, ' * (n - 1)}1)"), 7),
]  # fmt: skip


def names(n: int) -> str:
    return ", ".join(f"p{i}" for i in range(n))


def axes(n: int) -> str:
    return ", ".join(f"i{axis}" for axis in range(n))


def own(tensor: str) -> str:
    """A network that has a tensor of its own, called t."""
    return body(f"  {tensor}\n  output side {{ from t }}")


def by_place(formula: str) -> str:
    return f"constant t: [3] = [{formula} for i]"


def blocks(n: int) -> str:
    """Blocks used inside each other n deep."""
    inner = "".join(f"block B{i} {{ B{i - 1} }}\n" for i in range(1, n))
    return f"block B0 {{ ReLU }}\n{inner}{body(f'  B{n - 1}')}"


def networks(n: int) -> str:
    """Networks made of each other; the last is the one meant."""
    aliases = "".join(f"network n{i + 1} = n{i or ''}\n" for i in range(n))
    return RELU + aliases


def load(folder: Path, text: str, **limits: int) -> archdsl.Network:
    path = folder / "spec.arch"
    path.write_text(text)
    return archdsl.load(str(path), limits=Limits().with_changes(limits))


@pytest.mark.parametrize(
    ("limit", "asked", "spec", "n"), EXACT, ids=[f"{limit}-{kind}" for limit, kind, *_ in EXACT]
)
def test_a_limit_at_n_and_at_n_plus_1(
    tmp_path: Path, limit: str, asked: str, spec: Callable[[int], str], n: int
) -> None:
    load(tmp_path, spec(n), **{limit: n})

    with pytest.raises(ArchError) as caught:
        load(tmp_path, spec(n + 1), **{limit: n})
    assert f"--limit {limit}=" in str(caught.value)
    assert f"the limit of {n:,}" in str(caught.value)
    load(tmp_path, spec(n + 1), **{limit: n + 1})


def test_a_row_that_is_too_long_is_shown_whole(tmp_path: Path) -> None:
    with pytest.raises(ArchError) as caught:
        load(tmp_path, value("1" + " + 1" * 3), nesting=2)

    assert "^" * len("1 + 1 + 1 + 1") in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "statement"),
    [("tokens", "let a = 1 + 1"), ("tokens", 'let a = "{1}"'), ("steps", "let a = 1 + 1"),
     ("steps", "repeat 3 {}"), ("steps", "let a = [0] * 5"), ("steps", "let a = f(1)"),
     ("steps", "ReLU"), ("steps", "B"), ("steps", "let a = sum(range(9))")],
)  # fmt: skip
def test_each_statement_takes_more(tmp_path: Path, limit: str, statement: str) -> None:
    """The least limit at which a spec passes grows by as much with each statement."""

    def spec(number: int) -> str:
        every = "\n".join(statement.replace("let a", f"let a{i}") for i in range(number))
        return f"fn f(x) = x\nblock B {{ ReLU }}\n{body(every)}"

    needs = [least(tmp_path, limit, spec(number)) for number in (1, 2, 3)]

    assert needs[0] < needs[1] < needs[2]
    assert needs[2] - needs[1] == needs[1] - needs[0]


@pytest.mark.parametrize("formula", ["i", "sin(i / 3)", "i % 7 if i > 5 else -i", "1.5"])
def test_a_constant_of_any_size_takes_as_many_steps(tmp_path: Path, formula: str) -> None:
    """Its numbers are made when a module runs, and by torch."""

    def spec(size: int) -> str:
        return own(f"constant t: [{size}] = [{formula} for i]")

    needs = [least(tmp_path, "steps", spec(size)) for size in (1_000, 10**12)]

    assert needs[0] == needs[1]
    assert "1000000000000" in str(load(tmp_path, spec(10**12)).count())


def test_each_part_of_a_formula_takes_a_step(tmp_path: Path) -> None:
    needs = [
        least(tmp_path, "steps", own(by_place(" + ".join(["sin(i)"] * parts))))
        for parts in (2, 3, 4)
    ]

    assert needs[0] < needs[1] < needs[2]
    assert needs[2] - needs[1] == needs[1] - needs[0]


RINGS = {
    "itself": ("a: Linear(4, weight = from a.weight)", "`a.weight` is no parameter of a layer"),
    "two": (
        "a: Linear(4, weight = from b.weight)\n  b: Linear(4, weight = from a.weight)",
        "no stage before this is labelled `b`",
    ),
    "by a group": (
        "g: { a: Linear(4, weight = from g.b.weight) -> b: Linear(4) }",
        "no stage before this is labelled `g.b` in `g`",
    ),
    "by what is computed": (
        "a: Linear(4, weight = from t, bias = false)\n  from a.weight -> t: Scale(2)",
        "no stage before this is labelled `t`",
    ),
    "itself in each turn": (
        'for i in range(3) { "a{i}": Linear(4, weight = from "a{i}".weight) }',
        "`a0.weight` is no parameter of a layer",
    ),
}


@pytest.mark.parametrize("ring", RINGS)
def test_weights_are_never_tied_in_a_ring(tmp_path: Path, ring: str) -> None:
    """Only what stands before can be tied, so that each weight has one owner."""
    statements, reason = RINGS[ring]

    with pytest.raises(ArchError) as caught:
        load(tmp_path, body(f"  {statements}"))
    assert reason in str(caught.value)


def test_a_long_chain_of_ties_has_one_owner(tmp_path: Path) -> None:
    def spec(ties: int) -> str:
        tied = '"a{i + 1}": Linear(8, bias = false, weight = from "a{i}".weight)'
        return body(f"  a0: Linear(8, bias = false)\n  for i in range({ties}) {{ {tied} }}")

    needs = [least(tmp_path, "steps", spec(ties)) for ties in (8, 16, 24)]

    assert needs[2] - needs[1] == needs[1] - needs[0]
    assert load(tmp_path, spec(300)).count().parameters == 64


def least(folder: Path, limit: str, text: str) -> int:
    """Return the least value of a limit at which a spec passes; below it the limit is named."""
    low, high = 0, 512
    load(folder, text, **{limit: high})
    while high - low > 1:
        middle = (low + high) // 2
        if passes(folder, limit, text, middle):
            high = middle
        else:
            low = middle
    return high


def passes(folder: Path, limit: str, text: str, allowed: int) -> bool:
    try:
        load(folder, text, **{limit: allowed})
    except ArchError as error:
        if f"--limit {limit}=" not in str(error):
            raise
        return False
    return True


def imports(folder: Path, number: int, chain: bool) -> None:
    for i in range(number):
        more = f'import a as b from "f{i + 1}.arch"\n' if chain and i + 1 < number else ""
        (folder / f"f{i}.arch").write_text(more + "let a = 1\n")


@pytest.mark.parametrize("chain", [True, False])
def test_imports(tmp_path: Path, chain: bool) -> None:
    limit, n = ("import_depth", 4) if chain else ("files", 6)

    def spec(number: int) -> str:
        imports(tmp_path, number, chain)
        every = range(1 if chain else number)
        return "".join(f'import a as a{i} from "f{i}.arch"\n' for i in every) + RELU

    load(tmp_path, spec(n), **{limit: n})
    with pytest.raises(ArchError, match=f"--limit {limit}="):
        load(tmp_path, spec(n + 1), **{limit: n})
    load(tmp_path, spec(n + 1), **{limit: n + 1})


def test_all_files_together(tmp_path: Path) -> None:
    """Eight times as many bytes as one file may have, and as many tokens."""
    for i in range(9):
        (tmp_path / f"f{i}.arch").write_text("let a = 1\n" + "#" * 990)
    spec = "".join(f'import a as a{i} from "f{i}.arch"\n' for i in range(9)) + RELU

    with pytest.raises(ArchError, match="--limit file_bytes="):
        load(tmp_path, spec, file_bytes=1000)
    with pytest.raises(ArchError, match="--limit tokens="):
        load(tmp_path, spec, tokens=100)


def test_every_limit_is_tested() -> None:
    tested = {limit for limit, *_ in EXACT} | {"tokens", "steps", "import_depth", "files"}

    assert tested == {*Limits._fields} == set(CEILINGS)


# --- how they are raised --------------------------------------------------------------------

DEFAULTS = {
    "file_bytes": (2**20, 2**26), "tokens": (200_000, 5_000_000), "nesting": (64, 200),
    "layers": (200_000, 10_000_000), "edges": (1_000_000, 50_000_000),
    "steps": (2_000_000, 200_000_000), "dimensions": (8, 64), "name": (255, 65_536),
    "string": (4_096, 65_536), "branches": (1_024, 100_000), "parameters": (64, 100_000),
    "arguments": (64, 100_000), "import_depth": (16, 64), "files": (256, 10_000),
}  # fmt: skip


@pytest.mark.parametrize("limit", DEFAULTS)
def test_defaults_and_ceilings(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    default, ceiling = DEFAULTS[limit]

    assert getattr(Limits(), limit) == default
    for number, status in ((1, 1), (0, 2), (ceiling, 0), (ceiling + 1, 2), (-1, 2), ("x", 2)):
        result = in_process(capsys, "check", "lenet5", "--limit", f"{limit}={number}")
        assert (result.status == 2) == (status == 2), result
        if status == 0:
            assert result.status == 0
        if isinstance(number, int) and number > ceiling:
            assert f"{ceiling:,}" in result.error


@pytest.mark.parametrize("given", ["nosuch=3", "layers", "layers=", "=3", "layers=1e9", "layers=²"])
def test_limits_that_make_no_sense(capsys: pytest.CaptureFixture[str], given: str) -> None:
    result = in_process(capsys, "count", "lenet5", "--limit", given)

    assert result.status == 2
    assert "--limit" in result.error


def test_the_command_line_raises_a_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "n.arch"
    path.write_text(f"{BEGIN}  repeat 300000 {{ ReLU }}\n}}\n")

    error = refused(in_process(capsys, "count", path))

    assert error.startswith(
        "error[E0001]: expands to 300,001 layers, more than the limit of 200,000 "
        "(raise with --limit layers=400000)\n"
    )
    assert f"{path}:3:3" in error
    path.write_text(f"{BEGIN}  repeat 300 {{ ReLU }}\n}}\n")
    assert in_process(capsys, "count", path, "--limit", "layers=300").status == 1
    assert in_process(capsys, "count", path, "--limit", "layers=301").status == 0


def test_a_claim_beyond_the_ceiling_is_not_told_to_raise_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "n.arch"
    path.write_text(f"{BEGIN}  repeat 1000000000000 {{ ReLU }}\n}}\n")

    assert "--limit layers=... goes up to 10,000,000" in refused(in_process(capsys, "count", path))
    path.write_text(f"{BEGIN}  repeat 1000000000000 {{}}\n}}\n")
    assert "--limit steps=... goes up to 200,000,000" in refused(in_process(capsys, "count", path))


def test_nesting_at_its_ceiling_still_works(tmp_path: Path) -> None:
    """Python's own stack would be the next limit, also in a thread."""
    for spec in (
        value(repeated(199, "(|)", "1")),
        value(repeated(198, "[|]", "1")),
        value(repeated(66, "abs([|][0])", "1")),
        value("-" * 198 + "1"),
        body(repeated(199, "{ | }", "ReLU")),
        body(repeated(99, "residual { if true { | } }", "ReLU")),
        body(repeated(98, "concat { branch { | } }", f"Conv2d({'(' * 1}1{')' * 1}, 1)")),
        blocks(199),
        body(repeated(150, "{ | }", "let a = " + repeated(48, "[|]", "1") + "; ReLU")),
        "fn f0(x) = x\n"
        + "".join(f"fn f{i + 1}(x) = f{i}(x)\n" for i in range(60))
        + body(f"  Conv2d(f60({repeated(60, 'abs(|)', '3')}), 1)"),
    ):
        load(tmp_path, spec, nesting=200).count()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("enumerate", (range(50),)),
        ("enumerate", (tuple(range(50)), 3)),
        ("zip", (range(50),)),
        ("zip", (range(50), (1,) * 40)),
        ("zip", (range(50), range(60), (2,) * 70)),
    ],
)
def test_calls_are_charged_for_every_list_and_item_that_they_make(
    name: str, values: tuple[object, ...]
) -> None:
    assert operations.cost_of_call(name, values) >= weight(operations.call(name, values), 10**6)


def test_calls_are_charged_for_what_they_go_through() -> None:
    for name in ("sum", "min", "max"):
        assert operations.cost_of_call(name, (range(1_000),)) >= 1_000
    for name in ("len", "range"):
        assert operations.cost_of_call(name, (range(1_000),)) < 10


@pytest.mark.parametrize(
    ("sign", "left", "right"),
    [
        ("+", (1, 2), range(5)),
        ("+", "abc", "de"),
        ("*", (1, 2), 7),
        ("*", 7, range(3)),
        ("*", "abc", 7),
        ("*", -7, "abc"),
        ("*", (1, 2), -7),
    ],
)
def test_operators_are_charged_for_what_they_make(sign: str, left: object, right: object) -> None:
    made = operations.arithmetic(sign, left, right)

    assert operations.cost_of(sign, left, right) == len(made)
