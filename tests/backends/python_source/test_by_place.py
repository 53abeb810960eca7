"""`constant`: numbers by a formula of their place, in torch as in the language."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from compiled import load, require_success, verified
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archdsl.backends.python_source import generate
from archdsl.backends.torch_module import torch_module
from archdsl.diagnostics import ArchError

SIZES = (3, 5, 2)
# Written in the language, which is Python's here: what each place holds.
FORMULAS = [
    "i",
    "j",
    "i - j + 4",
    "i / 10000 ** (2 * j / 8)",
    "i >= j",
    "not (i < 2 and j > 1) or k == 0",
    "1 < i + j <= 3",
    "i in [0, 2]",
    "i not in [1, 4] and j in (0, 1)",
    "-abs(i - 2) * 0.5",
    "min(i, j, 2) + max(k - 1, 0)",
    "sin(i / 3) + cos(j) * exp(-k)",
    "sqrt(i + j) - log(k + 1)",
    "floor(i / 2) + ceil(j / 3) + round(i * 0.4)",
    "(i + 2 * j) % 3 - (7 - i) // 2",
    "-i // 2 * 3 % 5",
    "2 ** i - 0.1",
    "2 ** -1 * i",
    "(i - 3) ** 2",
    "[3, 0.25, 1][i] * j",
    "[true, false, true][i]",
    "[4, 5, 6][(i + j) % 3]",
    "1 if i > j else 0",
    "0.1 if i > j else 0.7",
    "(0.1 if i > j else 0.7) * 3",
    "i * 1.5 if j == k else 0",
    "i if width > 4 else j",
    "width * i + width // 3",
    "0.5",
    "3.4e38 * i",
    "1e30 if i > j else -2.5e20",
    "7",
    "true",
    "i + 1e-3 * j",
    "1 / (i + 1)",
    "(i + j) // (k + 1)",
    "5 - 2 - i - j",
    "abs(-3) * i",
    "2 ** i",
    "[3, 5, 7][min(j, 2)] + [0.5, 2][(i + k) % 2]",
    "3 ** (j % 3) - 2 ** -i",
    "i * 4611686018427387903 - i",
    "9223372036854775807 - i - j - k",
]


def spec(formulas: list[str], word: str, sizes: str = "[3, 5, 2]") -> str:
    lines = [f"  {word} t{at}: {sizes} = [{one} for i, j, k]" for at, one in enumerate(formulas)]
    lines += [f"  output o{at} {{ from t{at} }}" for at in range(len(formulas))]
    return "network net(width = 8) {\n  input x: [3, T]\n" + "\n".join(lines) + "\n  ReLU\n}"


def by_hand(formula: str) -> torch.Tensor:
    """Work a formula out for each place, with doubles as Python has them."""
    names = {
        name: getattr(math, name) for name in ("sin", "cos", "exp", "sqrt", "log", "floor", "ceil")
    }
    names |= {"abs": abs, "min": min, "max": max, "round": round, "true": True, "false": False}
    values = [
        eval(formula, {"__builtins__": {}}, names | {"width": 8, "i": i, "j": j, "k": k})
        for i, j, k in itertools.product(*map(range, SIZES))
    ]
    found = torch.tensor(
        values, dtype=torch.float64 if any(type(v) is float for v in values) else None
    )
    return (found.float() if found.dtype == torch.float64 else found).reshape(SIZES)


@pytest.mark.parametrize("word", ["constant", "buffer", "parameter"])
def test_numbers_are_those_of_the_formula(word: str, tmp_path: Path) -> None:
    learnable = word == "parameter"
    formulas = [one for one in FORMULAS if not learnable or by_hand(one).dtype != torch.bool]
    checked = load(tmp_path, spec(formulas, word))
    module = torch_module(checked, generate(checked))

    for at, formula in enumerate(formulas):
        found = module.get_parameter(f"t{at}") if learnable else module.get_buffer(f"t{at}")
        wanted = by_hand(formula)
        assert found.shape == SIZES, formula
        assert found.dtype == (torch.float32 if learnable else wanted.dtype), formula
        torch.testing.assert_close(
            found, wanted.to(found.dtype), rtol=2e-7, atol=1e-12, msg=formula
        )
    names = [f"t{at}" for at in range(len(formulas))]
    assert [*module.state_dict()] == ([] if word == "constant" else names)


@pytest.mark.parametrize("word", ["constant", "buffer", "parameter"])
@pytest.mark.parametrize("sizes", [(1, 3), (1, 1, 3), (1, 3, 1), (1, 1), (3, 1), (2, 1, 3)])
def test_axes_of_one_place_are_there(word: str, sizes: tuple[int, ...], tmp_path: Path) -> None:
    names = "ijk"[: len(sizes)]
    lines = []
    for at, one in enumerate([*names, "2", f"i + {names[-1]}"]):
        lines += [f"{word} t{at}: {[*sizes]} = [{one} for {', '.join(names)}]"]
        lines += [f"output o{at} {{ from t{at} }}"]
    checked = load(tmp_path, "network net {\n  input x: [3]\n" + "\n".join(lines) + "\n  ReLU\n}")
    module = torch_module(checked, generate(checked))

    for at, axis in enumerate(range(len(sizes))):
        found = getattr(module, f"t{at}")
        assert found.shape == sizes
        for place in itertools.product(*map(range, sizes)):
            assert found[place] == place[axis]


# Nothing that has no result for some places: there is no end to them.
OF_FREE_SIZES = [
    one
    for one in FORMULAS
    if not any(
        part in one for part in (" / (", "log", "[i", "[(", "sqrt", "// (", "exp", "** (2 * j")
    )
]


def test_sizes_of_a_constant_may_be_those_of_what_flows(tmp_path: Path) -> None:
    formulas = OF_FREE_SIZES
    checked = load(tmp_path, spec(formulas, "constant", "[3, T, 2]"))
    module = torch_module(checked, generate(checked))

    for length in (5, 5, 1):
        module.eval()
        found = module(torch.randn(2, 3, length))
        for at, formula in enumerate(formulas):
            wanted = by_hand(formula)[:, :length]
            torch.testing.assert_close(found[at + 1], wanted, rtol=2e-7, atol=1e-12, msg=formula)


# Of the parameters of a block: what its class writes as the spec does.
OF_PARAMETERS = [
    "(i - j) * (2 * n - 1)",
    "i // (n + 1) - j % (n * m)",
    "i * (n - m) - (n - 2 * m)",
    "-n - i - (-m) * j",
    "[n - 9, 2 * m][i % 2] + j",
    "i * (1 / n) + s",
    "0 if i >= n - 1 and j < m + n - 3 else n",
    "i * 2 ** n - j ** m",
    "max(i, n - m) + min(j, n + m, 3)",
    "n - m",
]


@pytest.mark.parametrize("shape", ["(n + m, 2 * n)", "(1, n)"])
def test_numbers_of_a_formula_are_what_the_block_knows(shape: str, tmp_path: Path) -> None:
    """Its class has the block's own arguments, and nothing that is worked out of them."""
    names = range(len(OF_PARAMETERS))
    lines = [f"  buffer t{at}: [{shape[1:-1]}] = [{OF_PARAMETERS[at]} for i, j]" for at in names]
    lines += [f'  from t{at} -> f{at}: To("float")' for at in names]
    lines += ["  concat(1) { " + " ".join(f"branch {{ from f{at} }}" for at in names) + " }"]
    uses = [(2, 1, 0.5), (3, 1, 0.25), (5, 2, 1.5)]  # the signs are part of the text
    text = "block Table(n, m, s) {\n" + "\n".join(lines) + "\n}\n"
    text += "network net {\n  input x: [3]\n"
    for at, (n, m, s) in enumerate(uses):
        text += f"  output o{at} {{ use{at}: Table({n}, {m}, {s}) }}\n"
    checked = load(tmp_path, text + "  from x -> ReLU\n}")
    source = generate(checked)
    assert source.text.count("class Table") == 1
    assert "def __init__(self, n: int, m: int, s: float) -> None:" in source.text
    module = torch_module(checked, source)

    for at, (n, m, s) in enumerate(uses):
        known = {"n": n, "m": m, "s": s, "min": min, "max": max}
        rows, columns = eval(shape, {}, known)
        for number, formula in enumerate(OF_PARAMETERS):
            found = module.get_buffer(f"use{at}.t{number}")
            assert found.shape == (rows, columns)
            for i, j in itertools.product(range(rows), range(columns)):
                assert found[i, j] == pytest.approx(eval(formula, {}, known | {"i": i, "j": j}))


@pytest.mark.parametrize("sizes", ["[3, 5, 2]", "[3, T, 2]"])
def test_source_is_taken_by_mypy_and_ruff(sizes: str, tmp_path: Path) -> None:
    formulas = OF_FREE_SIZES if "T" in sizes else FORMULAS
    path = tmp_path / "net.py"
    checked = load(tmp_path, spec(formulas, "constant", sizes))
    source, found = verified(checked)
    path.write_text(source)
    assert found.agrees
    require_success("mypy", "--strict", "--no-incremental", str(path))
    require_success("ruff", "check", "--isolated", "--no-cache", str(path))
    require_success("ruff", "format", "--isolated", "--check", "--no-cache", str(path))


NUMBERS = st.recursive(
    st.sampled_from(["i", "j", "k", "2", "3", "0.5", "width"]),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("({} {} 3)".format, inner, st.sampled_from(["//", "%", "/"])),
        st.builds("(-{})".format, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "floor", "ceil", "sin", "cos"]), inner),
        st.builds("({} if {} < {} else {})".format, inner, inner, inner, inner),
    ),
    max_leaves=8,
)


@given(formula=NUMBERS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_formulas(formula: str, tmp_path: Path) -> None:
    checked = load(tmp_path, spec([formula], "constant"))
    found = torch_module(checked, generate(checked)).get_buffer("t0")
    wanted = by_hand(formula)

    # what is an integer at all places may still hold a fraction elsewhere
    torch.testing.assert_close(found.double(), wanted.double(), rtol=2e-7, atol=1e-6)


WRONG = [
    ("constant t: [3] = [i for i, j]", "the names i, j are 2, for 1 axis"),
    ("constant t: [3] = [1 / i for i]", "this divides by zero"),
    ("constant t: [3] = [3 % (i - 1) for i]", "by zero"),
    ("constant t: [3] = [log(i) for i]", "`log` of 0 does not exist"),
    ("constant t: [3] = [sqrt(1 - i) for i]", "`sqrt` of -1 does not exist"),
    ("constant t: [3] = [[1, 2][i] for i]", "there is no item 2"),
    ("constant t: [3] = [f(i) for i]", "`f` can't be worked out for all places at once"),
    ("constant t: [3] = [sum([i, 1]) for i]", "`sum` can't be worked out for all places at once"),
    ("constant t: [3] = [[i, 1] for i]", "this can't be worked out for all places at once"),
    ('constant t: [3] = ["a" for i]', "a tensor holds numbers, or true and false"),
    ("constant t: [3] = [i > 1 if i > 0 else 2 for i]", "and not both"),
    (
        "constant t: [3] = [(i > 1) + 2 for i]",
        "this is true or false, and a number must stand here",
    ),
    ("constant t: [3] = [i and true for i]", "this is a number, and what is true or false"),
    (
        "constant t: [T, U] = [i for i, j]",
        "a free size of a constant is that of a tensor",
    ),
    ("constant t: [T] = [1 / i for i]", "depends on a free size"),
    ("constant t: [T] = [sqrt(i - 1) for i]", "depends on a free size"),
    ("constant t: [T] = [i ** 4 for i]", "depends on a free size"),
    ("constant t: [3] = [(i - 1) ** 0.5 for i]", "a negative number has no such power"),
    ("constant t: [4] = [i * 4611686018427387904 for i]", "integers go up to 9223372036854775807"),
    ("constant t: [3] = [2 ** (i + 62) for i]", "integers go up to 9223372036854775807"),
    ("buffer t: [3] = [i + 9223372036854775807 for i]", "integers go up to 9223372036854775807"),
    ("constant t: [3] = [-i - 9223372036854775806 for i]", "integers go up to"),
    ("constant t: [3] = [i * 9223372036854775807 // 3 for i]", "integers go up to"),
    ("constant t: [3] = [floor(i * 1e300) for i]", "integers go up to"),
    ("constant t: [3] = [i + 9007199254740993 if i > 0.5 else 3 for i]", "exact up to 2^53"),
    ("constant t: [9] = [i * 1152921504606846976 % 7 + 0.5 for i]", "integers go up to"),
    ("constant t: [3] = [i * 1152921504606846976 % 7 + 0.5 for i]", "exact up to 2^53"),
    ("constant t: [3] = [sqrt(i, 2) for i]", "`sqrt` takes one number here"),
    ("constant t: [3]", "a constant needs a value"),
    ("constant t: [3] = normal()", "a constant holds the same in every module"),
    ("constant t: [T] = 1", "depends on a free size"),
    ("buffer t: [T] = [i for i]", "depends on a free size"),
    ("let n = [i for i]", "runs over the axes of a tensor, and this is none"),
    ("Linear([i for i])", "runs over the axes of a tensor, and this is none"),
    ("constant t: [1000000, 1000000] = [1 / (i - j + 0.5) for i, j]", "steps"),
]


@pytest.mark.parametrize(("statement", "message"), WRONG)
def test_what_has_no_value_is_refused(statement: str, message: str, tmp_path: Path) -> None:
    text = (
        "network net {\n input x: [3, T]\n input u: [U]\n from x\n" + statement + "\n"
        "output o { from t }\noutput p { from u }\n from x -> ReLU\n}\nfn f(n) = n + 1"
    )
    with pytest.raises(ArchError) as error:
        load(tmp_path, text)
    assert message in str(error.value)
