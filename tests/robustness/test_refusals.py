"""A small file that claims a lot is refused, or worked out, soon and in little memory.

Each is run in a process whose memory is measured; a hang ends the test. Nothing is timed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile import BEGIN, MOST_MEMORY, body, in_process, measured, value

import archdsl

DEEP = 10_000


def chain(first: str, link: str, length: int = DEEP) -> str:
    return first + "".join(link.format(i=i, j=i + 1) for i in range(length))


PAIRS = chain("  let a0 = [0]\n", "  let a{j} = [a{i}, a{i}]\n", 60)  # 2^60 items

CLAIMS = {
    "loop": body("  repeat 1000000000000 { ReLU }"),
    "loops": body("  repeat 1000000 { repeat 1000000 { ReLU } }"),
    "empty loops": body("  repeat 1000000 { repeat 1000000 { } }"),
    "for": body("  for i in range(1000000000000) { }"),
    "for for": body("  for i in range(1000000) { for j in range(1000000) { let k = j } }"),
    "string": value('"x" * 1000000000000'),
    "strings": body(chain('  let a0 = "abc"\n', "  let a{j} = a{i} + a{i}\n", 64)),
    "list": value("[1] * 1000000000000"),
    "lists": body(
        "  let a = [0] * 1000000\n" + "".join(f"  let b{i} = a * 1\n" for i in range(500))
    ),
    "list of lists": body("  let a = [0] * 1000\n  let b = [a * 1000 for i in range(1000000)]"),
    "sums": body("  let a = range(1000000)\n  let b = [sum(a) for i in range(1000000)]"),
    "equal": body("  let a = range(1000000)\n  let b = [a == a for i in range(1000000)]"),
    "shared": body(PAIRS + "  let b = a60 == a59\n  let c = a60 == a60"),
    "shared argument": body(PAIRS + "  Permute(a60)"),
    "shared values": body(PAIRS + "  parameter p: [2] = a60"),
    "shared parameter": "block B(p) { ReLU }\n" + body(PAIRS + "  B(a60)"),
    "nested list": body(chain("  let a0 = [0]\n", "  let a{j} = [a{i}]\n") + f"  Permute(a{DEEP})"),
    "nested lists": body(
        chain("  let a0 = [0]\n", "  let a{j} = [a{i}]\n")
        + chain("  let b0 = [0]\n", "  let b{j} = [b{i}]\n")
        + f"  let c = a{DEEP} == b{DEEP}"
    ),
    "connections": body("  Conv2d(16, 5, connections = [range(2000000)] * 100000)"),
    "tensors": body(chain("", "  from in, in\n", 64)),
    "powers": value("9 ** 9 ** 9 ** 9"),
    "power": value("2.0 ** 1000000"),
    "round": value("round(5, -1000000000000)"),
    "squares": body(chain("  let a0 = 3\n", "  let a{j} = a{i} * a{i}\n", 64)),
    "real squares": body(chain("  let a0 = 3.5\n", "  let a{j} = a{i} * a{i}\n", 64)),
    "digits": value("9" * 1_000_000),
    "digits after the point": value("1." + "9" * 1_000_000),
    "exponent": value("1e" + "9" * 1_000_000),
    "zeros": body(f"  Conv2d({'0' * 1_000_000}8, 1)"),
    "parentheses": value("(" * DEEP + "1" + ")" * DEEP),
    "open parentheses": value("(" * 500_000),
    "brackets": value("[" * DEEP + "1" + "]" * DEEP),
    "open braces": BEGIN + "{" * 500_000,
    "signs": value("-" * DEEP + "1"),
    "nots": value("not " * DEEP + "true"),
    "sum": value("1 + " * DEEP + "1"),
    "tower": value("2 ** " * DEEP + "1"),
    "if else": value("1 if true else " * DEEP + "1"),
    "indices": value("[0]" + "[0]" * DEEP),
    "attributes": value("in" + ".shape" * DEEP),
    "calls": value("abs(" * DEEP + "1" + ")" * DEEP),
    "comprehensions": value("[i for i in " * DEEP + "[1]" + "]" * DEEP),
    "holes": value('"{' * DEEP),
    "groups": body("{ " * DEEP + "ReLU" + " }" * DEEP),
    "conditions": body("if true { " * DEEP + "ReLU" + " }" * DEEP),
    "else if": body("if false { ReLU } " + "else if false { ReLU } " * DEEP),
    "concats": body("concat { branch { " * DEEP + "ReLU" + " } }" * DEEP),
    "residuals": body("residual { " * DEEP + "ReLU" + " }" * DEEP),
    "lets": chain("let a0 = 1\n", "let a{j} = a{i} + 1\n") + body(f"  Conv2d(a{DEEP}, 1)"),
    "functions": chain("fn f0(x) = x\n", "fn f{j}(x) = f{i}(x)\n") + value(f"f{DEEP}(1)"),
    "blocks": "block B0 { ReLU }\n"
    + "".join(f"block B{i + 1} {{ B{i} }}\n" for i in range(DEEP))
    + body(f"  B{DEEP}"),
    "block names": chain("block B0 = ReLU\n", "block B{j} = B{i}\n") + body(f"  B{DEEP}"),
    "network names": body("") + chain("", "network n{j} = n{i}\n").replace("= n0\n", "= n\n"),
    "block bomb": "block B0 { ReLU; ReLU }\n"
    + "".join(f"block B{i + 1} {{ B{i}; B{i} }}\n" for i in range(40))
    + body("  B40"),
    "empty block bomb": "block B0 { }\n"
    + "".join(f"block B{i + 1} {{ B{i}; B{i} }}\n" for i in range(40))
    + body("  B40"),
    "function bomb": "fn f0(x) = x\n"
    + "".join(f"fn f{i + 1}(x) = {' + '.join([f'f{i}(x)'] * 50)}\n" for i in range(12))
    + value("f12(0)"),
    "sizes": "network n {\n  input x: ["
    + ", ".join(["9223372036854775807"] * 8)
    + "]\n  ReLU\n}\n",
    "windows": body("  AdaptiveAvgPool2d(999999929)"),
    "padding": body("  repeat 100 { Conv2d(3, 1, padding = 4611686018427387904) }"),
    "upsampling": body("  repeat 100 { Upsample(scale_factor = 1000000) }"),
    "axes": "network n {\n  input x: [" + ", ".join(["1"] * 50_000) + "]\n  ReLU\n}\n",
    "formulas": "network n {\n  input x: [A, B, C]\n  let v = in.shape[0]\n"
    "  let w0 = in.shape[0]//3 + in.shape[1]//5 + in.shape[2]//7\n"
    + "".join(
        f"  let w{i + 1} = (w{i} * 3 + in.shape[{i % 3}])//{i + 2} + w{i}//{i + 3}\n"
        for i in range(40)
    )
    + "  ReLU\n}\n",
    "branches": body("  concat {" + " branch { ReLU }" * 20_000 + " }"),
    "repeated branches": body("  concat { repeat 1000000 { branch { } } }"),
    "many merges": body(
        "  repeat 1000 { concat { repeat 1000 { branch { ReLU } } }; Conv2d(3, 1) }"
    ),
    "arguments": body("  Conv2d(" + "1, " * 60_000 + ")"),
    "parameters": "block B("
    + ", ".join(f"p{i}" for i in range(60_000))
    + ") { ReLU }\n"
    + body(""),
    "long name": body("  " + "a" * 1_000_000 + ": ReLU"),
    "long string": value('"' + "a" * 1_000_000 + '"'),
    "unclosed string": value('"' + "a\\" * 500_000),
    "many holes": body("".join(f'  let s{i} = "{"{1}" * 1300}"\n' for i in range(150))),
    "many labels": body("".join(f"  a{i}: ReLU\n" for i in range(30_000)) + "  from nosuch"),
    "many unknown": body("".join(f"  Conv{i}: Convolution2d(a{i})\n" for i in range(20_000))),
    "many errors": "\n".join(f"network n{i} {{ input x: [3] a a }}" for i in range(20_000)),
    "errors in a loop": body(
        "".join(f"  a{i}: ReLU\n" for i in range(5000)) + "  repeat 100000 { from nosuch }"
    ),
    "many networks": "".join(
        f"network n{i} {{\n input x: [3]\n repeat 1900000 {{}}\n ReLU\n}}\n" for i in range(1000)
    ),
    "imports": "".join(f'import a as a{i} from "f{i}.arch"\n' for i in range(300)) + body(""),
}


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS)
def test_a_large_claim_costs_little(tmp_path: Path, claim: str) -> None:
    path = tmp_path / "n.arch"
    path.write_text(CLAIMS[claim])
    if claim == "imports":
        for i in range(300):
            (tmp_path / f"f{i}.arch").write_text("let a = 1\n")

    status, error, memory, _ = measured("check", path)

    assert status in (0, 1), error
    assert "Traceback" not in error
    assert "internal" not in error
    assert memory < MOST_MEMORY
    assert len(error) < 30_000


QUICK = ("loop", "loops", "shared", "shared argument", "connections", "tensors",
         "powers", "round", "squares", "digits", "if else", "block names",
         "network names", "formulas", "unclosed string", "many errors",
         "imports")  # fmt: skip


@pytest.mark.parametrize("claim", QUICK)
def test_a_large_claim_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], claim: str
) -> None:
    """The same within this process, for what can be told at once."""
    for i in range(300):
        if claim == "imports":
            (tmp_path / f"f{i}.arch").write_text("let a = 1\n")
    path = tmp_path / "n.arch"
    path.write_text(CLAIMS[claim])

    result = in_process(capsys, "check", path)

    assert result.status in (0, 1), result
    assert len(result.error) < 30_000
    assert all(len(line) <= 500 + 20 for line in result.error.splitlines())
    assert result.error.count("error[") <= 20


def test_totals_beyond_64_bits_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "n.arch"
    size = 10**12
    path.write_text(
        f"network n {{\n  input x: [{size}, {size}, {size}]\n"
        f"  repeat 200 {{ Conv2d({size}, 1, bias = false) }}\n}}\n"
    )
    count = archdsl.load(str(path)).count()

    assert count.parameters == 200 * size**2
    assert count.macs == 200 * size**4
    assert f"{200 * size**4:,}" in count.render()
    assert f"{200 * size**4}" in count.render("json")
