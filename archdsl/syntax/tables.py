"""Makes the tables that `machine.py` runs from the grammar, with lark, which nothing else needs.

After a change of the grammar: `python -m archdsl.syntax.tables`. Making them takes lark as long as
ten counts; kept as JSON beside the grammar they are the same for everybody, and nothing is ever
unpickled or written to a cache.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from keyword import iskeyword
from pathlib import Path
from typing import Any

from lark import Lark
from lark.grammar import Rule, Terminal
from lark.lexer import PatternStr, TerminalDef
from lark.parsers.lalr_analysis import Shift

HERE = Path(__file__).parent
STARTS = ["file", "hole"]
GRAMMAR = HERE / "grammar.lark"
TABLES = HERE / "tables.json"


def build_tables() -> str:
    """Return the tables as JSON, in the form that `machine.Tables` explains."""
    lark = Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",  # so that a token's kind doesn't depend on what the parser expects
        start=STARTS,
        maybe_placeholders=False,
    )
    table: Any = lark.parser.parser._parse_table
    states, rules = _numbered_anew(table)
    data = {
        **_lexer(lark.terminals, lark.ignore_tokens),
        "rules": [_rule(rule) for rule in rules],
        "states": states,
        "starts": {start: number for number, start in enumerate(STARTS)},
    }
    lines = [f'"{key}":{_compact(value)}' for key, value in sorted(data.items())]
    return "{" + ",\n".join(lines) + "}\n"


def _compact(value: object) -> str:
    """Write JSON; a list of lists or objects has a line for each, for whoever compares two."""
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return "[\n" + ",\n".join(map(_compact, value)) + "\n]"
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _lexer(terminals: Collection[TerminalDef], ignored: Collection[str]) -> dict[str, object]:
    """Return one pattern for all tokens, and what tells those apart that look alike.

    As lark does, words are found as names and signs of one character together, by what they are.
    """
    first = sorted(
        terminals,
        key=lambda one: (-one.priority, -one.pattern.max_width, -len(one.pattern.value), one.name),
    )
    known = {
        one.pattern.value: one.name
        for one in first
        if isinstance(one.pattern, PatternStr)
        and (one.pattern.value.isidentifier() or len(one.pattern.value) == 1)
    }
    patterns = {one.name: one.pattern.to_regexp() for one in first}
    signs = "".join(f"\\{text}" for text in sorted(known) if not text.isidentifier())
    found_as_others = {*known.values(), *ignored}
    kinds = {name: each for name, each in patterns.items() if name not in found_as_others}
    kinds["KNOWN_SIGN"] = f"[{signs}]"
    return {
        "ignored": "|".join(patterns[name] for name in ignored),
        "known": known,
        "tokens": "|".join(f"(?P<{name}>{pattern})" for name, pattern in kinds.items()),
    }


def _rule(rule: Rule) -> list[object]:
    """Return how many parts a rule has, its name, the method that is called, and which parts go in.

    A part is given by its place, one whose own parts take its place by `~place`; None is all. A
    rule without a method stands for its only part ("single"), or for its parts in another rule.
    """
    name = str(rule.origin.name)
    parts = []
    for place, symbol in enumerate(rule.expansion):
        left_out = isinstance(symbol, Terminal) and symbol.filter_out
        if rule.options.keep_all_tokens or not left_out:
            parts.append(~place if not symbol.is_term and symbol.name.startswith("_") else place)
    single = bool(rule.options.expand1 and not rule.alias)
    if single and len(parts) != 1:
        raise ValueError(f"`?{name}` has rules of several parts, which need a name: -> name")
    method = str(rule.alias or name)
    return [
        len(rule.expansion),
        name,
        None if single or name.startswith("_") else method + "_" * iskeyword(method),
        None if parts == list(range(len(rule.expansion))) else parts,
        single,
    ]


def _numbered_anew(table: Any) -> tuple[list[dict[str, int]], list[Rule]]:
    """Number states and rules as they are reached from the first state, tokens sorted by name.

    Lark numbers them in the order of its sets, which is another in each process.
    """
    reached = [table.start_states[start] for start in STARTS]
    numbers = {state: number for number, state in enumerate(reached)}
    rules: dict[Rule, int] = {}
    states: list[dict[str, int]] = []
    for state in reached:  # grows as it goes
        actions: dict[str, int] = {}
        for name, (kind, target) in sorted(table.states[state].items()):
            if kind is not Shift:
                actions[name] = ~rules.setdefault(target, len(rules))
                continue
            if target not in numbers:
                numbers[target] = len(reached)
                reached.append(target)
            actions[name] = numbers[target]
        states.append(actions)
    return states, list(rules)


if __name__ == "__main__":
    TABLES.write_text(build_tables(), encoding="utf-8")
