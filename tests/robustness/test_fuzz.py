"""Whatever the bytes are, nothing but `ArchError` leaves the library (D10)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from generators import ArchSpec, arch_specs
from hypothesis import given
from hypothesis import strategies as st

from archdsl import ArchError, Limits
from archdsl.network import Network
from archdsl.pipeline import Spec

LIBRARY = sorted((Path(__file__).parents[2] / "specs").glob("*.arch"))
TEXTS = [path.read_text(encoding="utf-8") for path in LIBRARY]
TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\w+|->|[-+*/%<>!=]=?|[^\s\w]|\n')
WORDS = [
    *sorted({word for text in TEXTS for word in TOKEN.findall(text)}),
    "in", "from", "reuse", "inline", "shortcut", "when", "buffer", "parameter", "as", "%", "**",
    "in.channels", "in.shape[0]", "in[0]", "none", "true", "-1", "0", "9223372036854775807",
    "99999999999999999999", "1e400", "0.5", '"{', '"}"', '"{i}"', '"a.b"', "shape(", "[", "]",
    "{", "}", "(", ")", ";", ":", ",", "é", "\t", "\r", "#", "input x[]", "output y { ReLU }",
    "range(9)",
]  # fmt: skip
SMALL = Limits(layers=3_000, edges=10_000, steps=20_000)


@pytest.fixture(scope="module")
def use(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], None]:
    """Read bytes as a spec and work out all that it defines; only ArchError may be raised."""
    folder = tmp_path_factory.mktemp("fuzz")
    for path, text in zip(LIBRARY, TEXTS, strict=True):
        (folder / path.name).write_text(text, encoding="utf-8")

    def using(content: bytes) -> None:
        path = folder / "fuzzed.arch"
        path.write_bytes(content)
        try:
            spec = Spec(str(path), limits=SMALL)
        except ArchError as error:
            str(error)  # which must be possible
            return
        for name in spec.networks[:3]:
            try:
                spec.describe(name)
                if spec.is_complete(name):
                    Network(spec.graph(name)).count().render("json")
            except ArchError as error:
                str(error)

    return using


@given(content=st.binary(max_size=200))
def test_bytes(use: Callable[[bytes], None], content: bytes) -> None:
    use(content)


@given(text=st.text(max_size=100))
def test_text(use: Callable[[bytes], None], text: str) -> None:
    use(text.encode("utf-8", "surrogatepass"))
    use(f"network n {{\n  input x: [3, 8, 8]\n  {text}\n}}".encode("utf-8", "surrogatepass"))


@given(words=st.lists(st.sampled_from(WORDS), max_size=25))
def test_words(use: Callable[[bytes], None], words: list[str]) -> None:
    use(f"network n {{\n input x: [3, 8, 8]\n {' '.join(words)}\n}}\n".encode())


def mutated(text: str, generator: random.Random) -> str:
    """Change, drop, double, swap or insert some tokens."""
    tokens = re.findall(r"\s+|" + TOKEN.pattern, text)
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(tokens))
        change = generator.randrange(5)
        if change == 0:
            tokens[at] = generator.choice(WORDS)
        elif change == 1:
            del tokens[at]
        elif change == 2:
            tokens.insert(at, generator.choice(WORDS))
        elif change == 3:
            tokens.insert(at, tokens[at])
        else:
            other = generator.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        tokens = tokens or ["network"]
    return "".join(tokens)


@given(spec=arch_specs(), seed=st.integers(0, 2**32))
def test_mutations(use: Callable[[bytes], None], spec: ArchSpec, seed: int) -> None:
    generator = random.Random(seed)

    for _ in range(4):
        use(mutated(spec.text(), generator).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("seed", range(30))
def test_mutations_of_the_library(use: Callable[[bytes], None], seed: int) -> None:
    generator = random.Random(seed)

    use(mutated(generator.choice([t for t in TEXTS if len(t) < 4_000]), generator).encode())


@pytest.mark.parametrize("seed", range(20))
def test_spliced_specs(use: Callable[[bytes], None], seed: int) -> None:
    generator = random.Random(seed)
    one, other = generator.sample([text for text in TEXTS if len(text) < 4_000], 2)
    cut = generator.randrange(len(one)), generator.randrange(len(other))

    use((one[: cut[0]] + other[cut[1] :]).encode())
