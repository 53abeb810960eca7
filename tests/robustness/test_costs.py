"""A refusal takes little time and memory, whatever is asked and inside whatever it is made.

Each construct that makes something is worked out again and again until a limit ends it; then those
that make something large at once. Each runs in a process whose memory and processor time are
measured; with a bound on its address space, so that a fault can't take the machine down.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hostile import MOST_MEMORY, body, measured

MOST_SECONDS = 20  # of processor time: four times what is promised, for slow machines
ADDRESS_SPACE = 2 * 2**30
WIDE = chr(0x1F600)  # takes four bytes in a string
LONG = "a" * 250


def many(text: str, between: str = "") -> str:
    """Write a spec that works out statements until a limit ends it; nobody can tell ahead."""
    return (
        "block E { }\nblock P(a, b = 1) { }\nblock R { ReLU }\nblock Q(a) { ReLU }\n"
        f"block W({', '.join(f'p{i} = {i}' for i in range(64))}) {{ ReLU }}\n"
        'block T { "' + WIDE * 4000 + '"\n ReLU }\n'
        "block C(out) = Conv2d(out, 1)\nblock Al = Conv2d(3)\n"
        "fn f(x) = x\nfn g(x, y = 2) { let z = x; z }\n"
        f'network n(turns = 2000) {{\n  input x: [3, 8, 8]\n  let s = "{WIDE * 4000}"\n'
        f'  let t = "{"a" * 240}"\n  let l = range(1000)\n  k: Conv2d(3, 1)\n{between}\n'
        f"  for i in range(turns) {{ for j in range(turns) {{ {text} }} }}\n}}\n"
    )


ENDLESS = {
    "let": "let q = j",
    "lets": "let q = j; let r = q; let v = r",
    "layer": "ReLU",
    "arguments": "Conv2d(3, 1, stride = 1, padding = 0, dilation = 1, bias = false)",
    "label": '"{i}a{j}": ReLU',
    "long label": '"{t}{i}_{j}": ReLU',
    "group": "{ }",
    "labelled group": '"{i}g{j}": { }',
    "group of one": "{ ReLU }",
    "block": "E",
    "parameters": "P(j)",
    "block of one": "R",
    "argument": "Q(j)",
    "many parameters": "W",
    "description": "T",
    "inline": "inline E",
    "labelled block": '"{i}g{j}": E',
    "alias": "Al(1)",
    "alias with parameters": "C(3)",
    "in": "in",
    "name": '"{i}n{j}": in',
    "from": "from k",
    "if": "if true { }",
    "else": "if j == 3 { } else if j == 4 { } else { }",
    "repeat": "repeat 1 { }",
    "no turns": "repeat 0 { }",
    "for": "for z in [1] { }",
    "residual": "residual { }",
    "residual of one": "residual { ReLU }",
    "when": "residual when false { }",
    "concat": "concat { branch { } } -> from k",
    "add": "add { branch { ReLU } branch { ReLU } }",
    "named branches": '"{i}b{j}": add { branch a { } branch b { } }',
    "reuse": "reuse k",
    "output": 'output "o{i}_{j}" { }',
    "outputs": 'output "o{i}_{j}" { ReLU }',
    "buffer": 'buffer "b{i}_{j}": [1]',
    "values": 'buffer "b{i}_{j}": [9] = [1, 2, 3, 4, 5, 6, 7, 8, j]',
    "dotted": '"a{i}.b{j}": ReLU',
    "deeply dotted": '"a{i}.b{j}.c{j}.d": ReLU',
    "function": "let q = f(j)",
    "lets of a function": "let q = g(j, 3)",
    "text": 'let q = "{i}{j}"',
    "long text": 'let q = "{t}{i}"',
    "wide text": 'let q = "{s}{i}"',
    "joined text": 'let q = s + ""',
    "repeated text": "let q = s * 1",
    "part of a text": "let q = s[1:]",
    "list": "let q = [i, j]",
    "joined lists": "let q = [1, 2] + [3, 4]",
    "zip": "let q = zip([1], [2])",
    "enumerate": "let q = enumerate([1, 2])",
    "range": "let q = range(3)",
    "max": "let q = max(1, 2)",
    "sqrt": "let q = sqrt(j + 0.5)",
    "sum": "let q = sum(l)",
    "comparison": "let q = l == l",
    "membership": "let q = 0.5 in l",
    "comprehension": "let q = [z for z in [1]]",
    "arithmetic": "let q = i * j + 3 - i // 2",
    "shape": "let q = in.shape",
    "shape of a label": "let q = shape(k).height",
    "partial layer": "let q = Conv2d(3)",
    "partial block": "let q = P(3)",
    "wrong": 'let q = "{s[:9]}{j}" + 1',
}


def values(text: str) -> str:
    return body(f'  let s = "{WIDE * 4000}"\n  let r = range(1999000)\n  let a = {text}')


LARGE = {
    "texts": f'let s = "{WIDE * 4000}"\nlet x = ["{{s}}{{i}}" for i in range(380000)]\n'
    + body("  let y = len(x)"),
    "copies": values("[s * 1 for i in range(400000)]"),
    "sums of texts": values('[s + "" for i in range(300000)]'),
    "parts of texts": values("[s[1:] for i in range(300000)]"),
    "characters": values("[s[i % 4000] for i in range(600000)]"),
    "text": values('"x" * 1000000000000'),
    "list": values("[1] * 1000000000000"),
    "lists": values("[[0] * 1000 for i in range(100000)]"),
    "small lists": values("[[i] for i in range(600000)]"),
    "numbers": values("[i * 0.5 for i in r]"),
    "written out": values("[i for i in r]"),
    "ranges": values("[range(i) for i in r]"),
    "joined": values("r + r"),
    "part": values("[0] * 1999000 + [1]"),
    "slice": values("([0] * 900000)[:] + ([0] * 900000)[::-1]"),
    "zip": values("zip(r, r, r, r, r, r, r, r)"),
    "zip of one": values("zip(range(600000))"),
    "enumerate": values("enumerate(r)"),
    "enumerated": values("enumerate(range(400000))"),
    "minimum": values("min(r) + max(r) + sum(r)"),
    "names of a list": body("  let a, b = range(1999000)"),
    "function values": "fn f(x) = [x, x, x, x, x, x, x, x, x]\n" + values("[f(i) for i in r]"),
    "blocks as values": values("[Conv2d(i, 1, bias = false) for i in r]"),
    "formulas": "network n {\n  input x: [A, B, C, D, E]\n"
    "  let s = sum(in.shape)\n  let a = [(s + i) ** 4 for i in range(100000)]\n  ReLU\n}\n",
    "sums of formulas": "network n {\n  input x: [A, B, C, D, E, F, G]\n"
    "  let s = sum(in.shape) ** 3\n  let a = [s + i for i in range(150000)]\n  ReLU\n}\n",
    "layers of formulas": "network n {\n  input x: [A, B, C, D]\n  let p = sum(in.shape) ** 4\n"
    + "  for i in range(1000) { for j in range(1000) { Upsample([p + i, p + j]) } }\n}\n",
    "long names": body(
        "".join(f"{LONG[:-2]}{i:02}: {{ " for i in range(60)) + "repeat 199000 { ReLU }" + " }" * 60
    ),
    "long paths": body(f'  for i in range(190000) {{ {".".join([LONG] * 60)}."a{{i}}": ReLU }}'),
    "many groups": body("  " + f"{LONG}: {{ " * 60 + "repeat 190000 { { } }" + " }" * 60),
    "long ways": "block C { ReLU }\nblock D0 { repeat 90000 { C } }\n"
    + "".join(f"block D{i + 1} {{ D{i} }}\n" for i in range(58))
    + body("  D58\n  Conv2d(3, 99)"),
    "own tensor": body("  buffer b: [1999000] = range(1999000)"),
    "nested values": body("  buffer b: [1000, 1000] = [range(1000)] * 1000\n  Conv2d(3, 99)"),
    "shape": "network n {\n  input x: range(1999000)\n  ReLU\n}\n",
    "argument": body("  Permute(range(1999000))"),
    "parameter": "block B(p) { ReLU }\n" + body("  repeat 1000 { B(range(1999000)) }"),
    "wrong argument": body(f'  let s = "{WIDE * 4000}"\n  Conv2d(s, [s] * 100000, s, s)'),
    "block as argument": "block B {\n"
    + "  Conv2d(3, 1)\n" * 15_000
    + "}\n"
    + body("  Conv2d(B, 1)\n  Conv2d(3, B)"),
    "networks": "".join(
        f"network n{i} {{ input x: [3]\n repeat 2000 {{ ReLU }} }}\n" for i in range(5000)
    ),
    "networks of unknown size": "".join(
        f"network n{i}(t = 2000) {{ input x: [3]\n repeat t {{ ReLU }} }}\n" for i in range(5000)
    ),
    "networks that are wrong": "block B(t) { repeat t { ReLU }; Conv2d(3, 99) }\n"
    + "".join(f"network n{i} {{ input x: [3, 8, 8]\n B(2000) }}\n" for i in range(5000)),
    "names of networks": "network n(t = 2000) { input x: [3]\n repeat t { ReLU } }\n"
    + "".join(f"network m{i} = n(t = {i})\n" for i in range(5000)),
    "doubled": "block B0 { ReLU; ReLU }\n"
    + "".join(f"block B{i + 1} {{ B{i}; B{i} }}\n" for i in range(40))
    + body("  B40"),
    "doubled by a number": "block B0(a) { repeat a { ReLU } }\n"
    + "".join(f"block B{i + 1}(a) {{ B{i}(a); B{i}(a) }}\n" for i in range(40))
    + body("  B40(2)"),
    "doubled from a list": "block B0(a) { for i in a { ReLU } }\n"
    + "".join(f"block B{i + 1}(a) {{ for i in a {{ B{i}(a) }} }}\n" for i in range(40))
    + body("  B40([1, 2])"),
    "doubled by conditions": "block B0 { ReLU }\n"
    + "".join(f"block B{i + 1} {{ if in.channels > 2 {{ B{i}; B{i} }} }}\n" for i in range(40))
    + body("  B40"),
    "uses": "block B { repeat 19 { ReLU } }\n" + body("  B\n" * 10_000 + "  Nosuch"),
    "uses of a number": "block B(a) { repeat a { ReLU } }\n"
    + body("  B(19)\n" * 9_000 + "  Nosuch"),
    "wrong at the end": body("  repeat 199000 { ReLU }\n" + "  Conv2d(3, 99)\n" * 100),
}
QUICK = ("texts", "copies", "zip", "enumerate", "formulas", "long names", "long paths", "networks",
         "doubled", "text", "list")  # fmt: skip


def every_third(names: Iterable[str]) -> list[Any]:
    """Return names for `parametrize` of which each run takes a third: all together take minutes."""
    return [
        name if at % 3 == 0 else pytest.param(name, marks=pytest.mark.whole)
        for at, name in enumerate(names)
    ]


def require_cheap(*arguments: str | Path, refused: bool = True) -> str:
    status, error, memory, seconds = measured(*arguments, address_space=ADDRESS_SPACE)

    assert status == 1 or (status == 0 and not refused), error
    assert "internal error" not in error
    assert "more memory than there is" not in error
    assert memory < MOST_MEMORY, f"{memory // 2**20} MiB: {error[:200]}"
    assert seconds < MOST_SECONDS, error[:200]
    assert len(error) < 30_000
    return error


@pytest.mark.slow
@pytest.mark.parametrize("construct", every_third(ENDLESS))
def test_what_is_made_again_and_again(tmp_path: Path, construct: str) -> None:
    path = tmp_path / "n.arch"
    path.write_text(many(ENDLESS[construct]), encoding="utf-8")

    error = require_cheap("check", path)

    assert construct == "wrong" or "error[E0001]" in error


@pytest.mark.slow
@pytest.mark.parametrize("claim", every_third(claim for claim in LARGE if claim not in QUICK))
def test_what_is_large_at_once(tmp_path: Path, claim: str) -> None:
    path = tmp_path / "n.arch"
    path.write_text(LARGE[claim], encoding="utf-8")

    require_cheap("check", path, refused=False)


@pytest.mark.parametrize("claim", QUICK)
def test_what_is_told_ahead(tmp_path: Path, claim: str) -> None:
    path = tmp_path / "n.arch"
    path.write_text(LARGE[claim], encoding="utf-8")

    assert "error[E0001]" in require_cheap("check", path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [
        f'["{WIDE * 4000}" + "" for i in range(9000)]',
        "[1] * 10 ** 9",
        "enumerate(range(1999999))",
        "(" * 50_000,
        "9" * 100_000,
    ],
)
def test_values_of_parameters(tmp_path: Path, value: str) -> None:
    """All of them are given the steps of one spec."""
    names = [f"p{i}" for i in range(60)]
    path = tmp_path / "n.arch"
    parameters = ", ".join(f"{name} = 1" for name in names)
    path.write_text(f"network n({parameters}) {{\n  input x: [3]\n  ReLU\n}}\n")
    given = [part for name in names[:15] for part in ("-p", f"{name}={value}")]

    require_cheap("count", path, *given)


@pytest.mark.slow
def test_large_files_together(tmp_path: Path) -> None:
    """Imports that are each as large as they may be."""
    for i in range(9):
        (tmp_path / f"f{i}.arch").write_text("let a = 1\n" + "#" * (2**20 - 20))
    path = tmp_path / "n.arch"
    path.write_text("".join(f'import a as a{i} from "f{i}.arch"\n' for i in range(9)) + body(""))

    assert "--limit file_bytes=" in require_cheap("check", path)
