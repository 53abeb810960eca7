"""Runs the tables of the grammar: text to tokens, and tokens to the rules that they follow.

Lark makes the tables (`tables.py`). To run them takes so little that lark itself, whose import
takes longer than most counts, is not needed for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from os.path import dirname, join
from typing import Any

from archdsl.records import Record

END = "$END"  # the kind of what follows the last token


class Token(str):
    """A word, number, string or sign of a text; `type` is its kind, as the grammar calls it."""

    __slots__ = ("end_pos", "start_pos", "type")

    type: str
    start_pos: int
    end_pos: int

    def __new__(cls, type: str, value: str, start_pos: int, end_pos: int) -> Token:
        token = super().__new__(cls, value)
        token.type = type
        token.start_pos = start_pos
        token.end_pos = end_pos
        return token

    def of(self, type: str, value: str) -> Token:
        """Return a token of another kind that stands at the same place."""
        return Token(type, value, self.start_pos, self.end_pos)


class Stuck(Exception):
    """A text goes on as no rule does.

    Attributes:
        at: where.
        token: what stands there; None where no token can begin.
        accepted: the kinds of tokens that may stand there.
    """

    def __init__(self, at: int, token: Token | None = None, accepted: Iterable[str] = ()) -> None:
        super().__init__(at)
        self.at = at
        self.token = token
        self.accepted = frozenset(accepted)


class Rule(Record):
    """A rule of the grammar.

    Attributes:
        size: how many parts it has.
        name: what it is called where it stands in others.
        method: of what builds the tree, which gets the parts; None: it stands for its parts.
        parts: the places of those that go in, `~place` for one whose own parts do; None: all.
        single: whether it stands for its only part.
    """

    size: int
    name: str
    method: str | None
    parts: tuple[int, ...] | None
    single: bool

    def chosen(self, children: list[Any]) -> list[Any]:
        """Return the parts that go in."""
        if self.parts is None:
            return children
        chosen: list[Any] = []
        for place in self.parts:
            if place >= 0:
                chosen.append(children[place])
            elif chosen:
                chosen += children[~place]
            else:  # the list of what came before grows: copied each time it took quadratic time
                chosen = children[~place]
        return chosen


class Tables(Record):
    """The tables of the grammar, which nothing changes.

    Attributes:
        tokens: matches what may stand between tokens, and a token.
        ignored: matches what may stand between tokens.
        known: kinds of words and signs, by what they are.
        states: for each state the next by the kind of token or the name of the rule that was
            found, or `~rule` where a rule has ended.
        starts: the state in which each of the grammar's first rules begins.
    """

    tokens: re.Pattern[str]
    ignored: re.Pattern[str]
    known: dict[str, str]
    rules: list[Rule]
    states: list[dict[str, int]]
    starts: dict[str, int]

    def methods(self, builder: object) -> dict[str, Callable[[list[Any]], Any]]:
        """Return the methods of what builds a tree, for each that the rules name."""
        return {rule.method: getattr(builder, rule.method) for rule in self.rules if rule.method}

    def lex(self, text: str, start: int, end: int) -> Iterator[Token]:
        """Yield the tokens of a part of a text.

        Raises:
            Stuck: no token begins at a place.
        """
        match, known, at = self.tokens.match, self.known, start
        while (found := match(text, at, end)) is not None:
            first, at = found.span(found.lastindex or 0)  # without what stood before it
            value = text[first:at]
            # words of the language are found as names, and signs of one character as one kind
            yield Token(known.get(value) or found.lastgroup or "", value, first, at)
        rest = self.ignored.match(text, at, end)
        if rest is not None and rest.end() < end:
            raise Stuck(rest.end())

    def run(
        self, tokens: Iterable[Token], end: int, rule: str, methods: dict[str, Callable[..., Any]]
    ) -> Any:
        """Return what the method of a rule makes of a text that follows it.

        Raises:
            Stuck: it doesn't.
        """
        states, rules = self.states, self.rules
        passed, values = [self.starts[rule]], list[Any]()
        last = Token(END, "", end, end)
        for token in chain(tokens, (last,)):
            kind = token.type
            while (action := states[passed[-1]].get(kind)) is not None and action < 0:
                found = rules[~action]
                children: Any = []
                if found.size:
                    children = values[-found.size :]
                    del values[-found.size :], passed[-found.size :]
                children = found.chosen(children)
                if found.method is not None:
                    children = methods[found.method](children)
                elif found.single:
                    children = children[0]
                if token is last and found.name == rule and len(passed) == 1:
                    return children  # a first rule stands in no other one
                values.append(children)
                passed.append(states[passed[-1]][found.name])
            if action is None:
                raise Stuck(token.start_pos, token, self._accepted(passed))
            passed.append(action)
            values.append(token)
        raise AssertionError("the end of a text is followed by nothing")

    def _accepted(self, passed: list[int]) -> set[str]:
        """Return the kinds of tokens that may stand where a text was read up to.

        A state lists what may follow its rules anywhere in the grammar, and that is more than what
        may follow here; so each kind is tried with what was read before.
        """
        possible = {kind for kind in self.states[passed[-1]] if kind.isupper()}  # and no rules
        return {kind for kind in possible if self._accepts(passed, kind)} or possible

    def _accepts(self, passed: list[int], kind: str) -> bool:
        passed = passed.copy()
        while (action := self.states[passed[-1]].get(kind)) is not None and action < 0:
            rule = self.rules[~action]
            del passed[len(passed) - rule.size :]
            if len(passed) == 1 and rule.name in self.starts:
                return kind == END
            passed.append(self.states[passed[-1]][rule.name])
        return action is not None


@cache
def tables() -> Tables:
    """Return the tables, which a process reads once."""
    with open(join(dirname(__file__), "tables.json"), "rb") as file:
        data = json.loads(file.read())
    between = f"(?:{data['ignored']})*+"  # possessive: nothing else can be made of it
    return Tables(
        tokens=re.compile(f"{between}(?:{data['tokens']})"),
        ignored=re.compile(between),
        known=data["known"],
        rules=[
            Rule(size, name, method, parts and tuple(parts), single)
            for size, name, method, parts, single in data["rules"]
        ],
        states=data["states"],
        starts=data["starts"],
    )
