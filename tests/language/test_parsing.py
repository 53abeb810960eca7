"""How texts are parsed: the tables against lark itself, and trees that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import pytest
from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedToken

import archdsl
from archdsl.diagnostics import ArchError, Source
from archdsl.limits import Limits
from archdsl.syntax import kept, machine
from archdsl.syntax.parser import Parser
from archdsl.syntax.tables import GRAMMAR, STARTS
from archdsl.syntax.tokens import Statements, TooMany

ROOT = Path(__file__).parents[2]
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8", errors="replace")
    for path in sorted([*ROOT.glob("specs/*.arch"), *ROOT.glob("tests/bad/*.arch")])
}
EMPTY = {"empty": "", "blank": " \n# nothing\n", "a word": "network", "no token": "?"}
LIMITS = Limits()


class Postlex:
    """Gives lark the tokens that our parser gets."""

    always_accept = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        ours = (machine.Token(one.type, str(one), one.start_pos, one.end_pos) for one in stream)
        for one in Statements(LIMITS.tokens, LIMITS.nesting).process(ours):
            yield Token(one.type, str(one), one.start_pos, end_pos=one.end_pos)


@cache
def lark() -> Lark:
    return Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=STARTS,
        maybe_placeholders=False,
        postlex=Postlex(),
    )


def shown(tree: object) -> object:
    if isinstance(tree, Tree):
        name = tree.data + "_" * (tree.data == "from")
        return (name, *map(shown, tree.children))
    if isinstance(tree, tuple):
        return tuple(map(shown, tree))
    if isinstance(tree, Token | machine.Token):
        return tree.type, str(tree), tree.start_pos, tree.end_pos
    return tree


def by_lark(text: str) -> object:
    try:
        return shown(lark().parse(text, start="file"))
    except UnexpectedCharacters as error:
        return error.pos_in_stream, None
    except UnexpectedToken as error:
        at = len(text) if error.token.type == machine.END else error.token.start_pos
        return at, error.token.type, frozenset(error.accepts or error.expected)


def by_tables(text: str) -> object:
    tables = machine.tables()
    methods = {
        rule.method: partial(lambda name, children: (name, *children), rule.method)
        for rule in tables.rules
        if rule.method
    }
    tokens = Statements(LIMITS.tokens, LIMITS.nesting).process(tables.lex(text, 0, len(text)))
    try:
        return shown(tables.run(tokens, len(text), "file", methods))
    except machine.Stuck as stuck:
        return (stuck.at, None) if stuck.token is None else (
            stuck.at, stuck.token.type, stuck.accepted
        )  # fmt: skip


@pytest.mark.parametrize("text", (TEXTS | EMPTY).values(), ids=(TEXTS | EMPTY).keys())
def test_the_tables_mean_what_lark_makes_of_the_grammar(text: str) -> None:
    """The same tree, or stopped at the same place with the same expected; so of parts of it."""
    for part in (text, text[: len(text) // 2], text[len(text) // 3 :]):
        try:
            found = by_tables(part)
        except TooMany:
            continue
        assert found == by_lark(part)


def parsed(path: str, text: str, limits: Limits = LIMITS) -> object:
    return Parser(limits).parse(Source(path, text))


def test_what_was_parsed_is_kept_by_content() -> None:
    text = TEXTS["specs/lenet5.arch"]
    other = Limits(tokens=LIMITS.tokens + 1)

    first = parsed("a.arch", text)

    assert parsed("a.arch", text + "") is first
    assert parsed("b.arch", text) is not first  # places are shown with the name
    assert parsed("a.arch", text + "\n") is not first
    assert parsed("a.arch", text, other) is not first


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "n.arch"
    for width in (3, 4, 3):
        path.write_text(f"network n {{ input x: [2]; Linear({width}) }}")
        assert archdsl.load(path).count().parameters == 3 * width


def test_tokens_of_what_is_kept_count() -> None:
    """Else whether a spec is refused would depend on what was read before."""
    parser = Parser(LIMITS)
    text = "network n { input x: [2]; ReLU }"  # 12 words and signs
    parser.parse(Source("a.arch", text))
    taken = LIMITS.tokens - parser.statements.tokens_left
    parser.parse(Source("a.arch", text))

    assert taken == 12
    assert LIMITS.tokens - parser.statements.tokens_left == 2 * taken
    parser.statements.tokens_left = taken - 1
    with pytest.raises(ArchError, match="too many words"):
        parser.parse(Source("a.arch", text))


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number and in length; what was asked for long ago goes first."""
    found = kept.Programs()
    monkeypatch.setattr(kept, "MOST_PROGRAMS", 3)
    monkeypatch.setattr(kept, "MOST_CHARACTERS", 100)
    sources = {name: Source(name, f"let {name} = 1") for name in "abcd"}
    sources["long"] = Source("long", f"let a = 1 # {'a' * 60}")
    sources["longest"] = Source("longest", f"let a = 1 # {'a' * 100}")
    programs = {name: Parser(LIMITS)._parsed(source) for name, source in sources.items()}

    def names() -> list[str]:
        return [path for path, _, _ in found._parsed]

    for name in "abc":
        found.keep(programs[name], LIMITS, 4)
    assert found.find(sources["a"], LIMITS) is not None
    found.keep(programs["d"], LIMITS, 4)
    assert names() == ["c", "a", "d"]
    found.keep(programs["long"], LIMITS, 4)
    assert names() == ["a", "d", "long"]
    found.keep(programs["longest"], LIMITS, 4)
    assert names() == ["a", "d", "long"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_nothing_can_change_a_tree(text: str) -> None:
    """It is made of what Python itself lets nobody change, so that it can be kept and shared."""
    try:
        rest: list[object] = [parsed("a.arch", text)]
    except ArchError:
        return
    while rest:
        part = rest.pop()
        if isinstance(part, tuple):
            rest += part
        else:
            assert part is None or isinstance(part, str | int | float | Source)
            assert not isinstance(part, machine.Token)  # which has places, and is larger
