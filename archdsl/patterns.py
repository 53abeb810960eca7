"""Names by pattern: what to freeze, weights that need not fit, and weights under other names.

In a pattern `*` stands for any text and `?` for one character; after a backslash they are
themselves. A pattern that means the name of a module means all that is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from archdsl.analysis.checkpoints import unfit
from archdsl.analysis.cost import in_state
from archdsl.diagnostics import ArchError, Diagnostic, printable
from archdsl.graph import CheckedGraph
from archdsl.records import Record


class NoSuchParameter(Diagnostic):
    """A pattern that no parameter and no buffer has."""

    code = "E0608"
    text = "{what} is called `{pattern:100}`"
    mend = "there are {shown}"

    pattern: str
    known: tuple[str, ...]
    what: str = "no parameter and no buffer"
    is_all: bool = False  # whether there are no others

    @property
    def shown(self) -> str:
        """Those that there are, in a sentence."""
        quoted = ", ".join(f"`{name}`" for name in self.known)
        return f"{quoted}, ..." if quoted and not self.is_all else quoted


class BadRename(Diagnostic):
    """Weights that can't be renamed so.

    In `--rename 'old=new'` each `*` and `?` of the new name stands for what the old one's matched,
    in order: `'module.*=*'` takes a prefix away. Several are done one after the other.
    """

    code = "E0612"
    text = "`--rename '{rename:200}'` can't be done: {reason}"

    rename: str
    reason: str


class NoCheckpoint(Diagnostic):
    """A block or group that can't be computed again in the backward pass as one.

    That takes a module that gets all that it reads when it is called. Where the spec fills a group
    at several places, or applies a layer in it again from elsewhere, there is none.
    """

    code = "E0615"
    text = "`{name:100}` can't be computed again in the backward pass as one: {reason}"
    mend = "leave it out, or name what is in it or around it"

    name: str
    reason: str


class LeftOut(Diagnostic):
    """One of several that a pattern with `*` or `?` means, which can't be computed again as one."""

    text = "`{name:100}` is not computed again in the backward pass: {reason}"

    name: str
    reason: str

    @property
    def severity(self) -> str:
        return "note"


class Checkpoints(Record):
    """What is computed again in the backward pass.

    Attributes:
        scopes: the names of the blocks and groups, none of which is in another.
        left_out: those meant by a pattern with `*` or `?` that can't be.
    """

    scopes: frozenset[str]
    left_out: tuple[LeftOut, ...] = ()


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a parameter is meant by a pattern: `features.*`, or `fc` for all of it."""
    return any(form.fullmatch(name) for pattern in patterns for form in _forms(pattern))


def listed(patterns: str | Iterable[str]) -> tuple[str, ...]:
    """Return patterns as they are given in Python: a string alone is one.

    Raises:
        TypeError: one is no string.
    """
    several = isinstance(patterns, Iterable) and not isinstance(patterns, str | bytes)
    given: Iterable[object] = patterns if several else (patterns,)
    found: list[str] = []
    for one in given:
        if not isinstance(one, str):
            raise TypeError(f"a pattern is a string, such as 'features.*', and {one!r} is none")
        found.append(one)
    return tuple(found)


def matching(
    names: Sequence[str],
    patterns: str | Iterable[str],
    but: str | Iterable[str] = (),
    firsts: Mapping[str, str] = {},
) -> frozenset[str]:
    """Return the names that any pattern means, but for those that one of others means.

    Args:
        but: patterns of what is left out. With these alone it is left out of all names.
        firsts: of what has several names the first, by each: it is left out if one of them is.

    Raises:
        ArchError: a pattern means none of them.
        TypeError: one is no string.
    """
    if left_out := listed(but):
        spared = {firsts.get(name, name) for name in matching(names, left_out)}
        meant_all = matching(names, patterns) if listed(patterns) else names
        return frozenset(name for name in meant_all if firsts.get(name, name) not in spared)
    found: set[str] = set()
    for pattern in listed(patterns):
        meant = {name for name in names if matches(name, [pattern])}
        if not meant:
            raise ArchError(_nothing(pattern, names))
        found |= meant
    return frozenset(found)


def renamed(names: Sequence[str], renames: Mapping[str, str]) -> dict[str, str]:
    """Return the new name of each; each rename is done on what those before it gave.

    Raises:
        ArchError: a pattern means none of the names, its new name has a `*` or `?` too many, or
            two names become one.
        TypeError: the renames are no texts by texts.
    """
    if not isinstance(renames, Mapping) or not all(
        isinstance(text, str) for pair in renames.items() for text in pair
    ):
        raise TypeError(f"`rename` is {{'module.*': '*'}} or the like, and not {renames!r}")
    now = {name: name for name in names}
    for old, new in renames.items():
        if any(_signs(new).count(sign) > _signs(old).count(sign) for sign in "*?"):
            reason = "the new name has more `*` or `?` than the old one"
            raise ArchError(BadRename(rename=written_rename(old, new), reason=reason))
        after = {name: renamed_one(present, old, new) for name, present in now.items()}
        if all(name is None for name in after.values()):
            raise ArchError(_nothing(old, list(now.values()), "no stored weight"))
        owners: dict[str, str] = {}
        for name, present in now.items():
            now[name] = found = present if (one := after[name]) is None else one
            if not found:
                reason = f"nothing is left of `{printable(present, 100)}`"
                raise ArchError(BadRename(rename=written_rename(old, new), reason=reason))
            if (other := owners.setdefault(found, name)) != name:
                both = " and ".join(f"`{printable(each, 100)}`" for each in (other, name))
                reason = f"{both} would both be called `{printable(found, 100)}`"
                raise ArchError(BadRename(rename=written_rename(old, new), reason=reason))
    return now


def rename_of(text: str) -> tuple[str, str]:
    r"""Read `old=new`, in which an `=` that belongs to a name is written `\=`.

    Raises:
        ValueError: it is none; the text completes a sentence.
    """
    tokens = re.findall(r"\\[*?\\=]|.", text, re.DOTALL)
    places = [place for place, token in enumerate(tokens) if token == "="]
    if len(places) > 1:
        raise ValueError(r"has several `=`: one that belongs to a name is written `\=`")
    if not places or places[0] in (0, len(tokens) - 1):
        raise ValueError("is not OLD=NEW, as in 'module.*=*'")
    parts = ["=" if token == r"\=" else token for token in tokens]
    return "".join(parts[: places[0]]), "".join(parts[places[0] + 1 :])


def written_rename(old: str, new: str) -> str:
    """Write a rename so that `rename_of` reads it."""
    signs = {"=": r"\=", "\\": r"\\"}  # a backslash alone is one, but not before `\=`
    return "=".join("".join(signs.get(one, one) for one in _tokens(each)) for each in (old, new))


def renamed_one(name: str, old: str, new: str) -> str | None:
    """Return a name after one rename, or None if its pattern doesn't mean it."""
    whole, below = _forms(old)
    rest = ""
    if not (match := whole.fullmatch(name)):
        if not (match := below.fullmatch(name)):
            return None
        rest = match[match.re.groups]
    held = {
        sign: iter([match[place + 1] for place, one in enumerate(_signs(old)) if one == sign])
        for sign in "*?"
    }
    return "".join(next(held[one]) if one in held else one[-1] for one in _tokens(new)) + rest


def pattern_of(name: str) -> str:
    """Return the pattern that means what has this name, and all that is in it, alone."""
    return re.sub(r"[*?\\]", r"\\\g<0>", name)


@lru_cache(256)
def _forms(pattern: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what matches the names that a pattern means: as a whole, and what is below those.

    The groups are what its signs stand for, in order; the last of the second is what is below.
    Where a `*` is followed by another, its text is settled at the first place where what stands
    between them is found (`(?>`), so no pattern takes time for trying all others.
    """
    parts: list[list[str]] = [[]]
    for one in _tokens(pattern):
        if one == "*":
            parts.append([])
        else:
            parts[-1].append(_literal(one))
    first, *others = map("".join, parts)
    if not others:
        return re.compile(first, re.DOTALL), re.compile(rf"{first}(\..+)", re.DOTALL)
    *between, last = others
    before = first + "".join(f"(?>(.*?){part})" for part in between)
    return (
        re.compile(rf"{before}(.*){last}", re.DOTALL),
        re.compile(rf"{before}(.*?){last}(\..+)", re.DOTALL),
    )


def _tokens(pattern: str) -> list[str]:
    """Split a pattern into characters; a backslash stays with the sign that it makes literal."""
    return re.findall(r"\\[*?\\]|.", pattern, re.DOTALL)


def _literal(token: str) -> str:
    return "(.)" if token == "?" else re.escape(token[-1])


def _signs(pattern: str) -> list[str]:
    return [token for token in _tokens(pattern) if token in ("*", "?")]


def _nothing(
    pattern: str, names: Sequence[str], what: str = NoSuchParameter.what
) -> NoSuchParameter:
    from difflib import get_close_matches  # only where something is wrong

    known = get_close_matches(pattern, names, 3, 0.3) or sorted(names)[:3]
    shown = tuple(printable(pattern_of(name), 100) for name in known)
    return NoSuchParameter(
        pattern=pattern, known=shown, what=what, is_all=len(known) == len({*names})
    )


def checkpointed(checked: CheckedGraph, patterns: str | Iterable[str]) -> Checkpoints:
    """Return the blocks that patterns mean: the outermost where they are nested.

    What can't be computed again as one is left out if only a pattern with `*` or `?` means it;
    what the pattern means in it is taken instead.

    Raises:
        ArchError: a pattern means none of them, or one by its name that can't be; or none can be.
        TypeError: one is no string.
    """
    names = [name for name in checked.scopes if name]
    found: set[str] = set()
    named: set[str] = set()
    for pattern in listed(patterns):
        form, _ = _forms(pattern)
        meant = {name for name in names if form.fullmatch(name)}
        if not meant:
            raise ArchError(_nothing(pattern, names, "no block") if names else _no_blocks(pattern))
        found |= meant
        if not _signs(pattern):
            named |= meant
    left_out: list[LeftOut] = []
    while True:
        chosen = frozenset(name for name in found if not _inside(name, found))
        why = unfit(checked, chosen)
        for name in sorted(why):
            error = NoCheckpoint(checked.scopes[name].span, name=name, reason=why[name])
            if name in named or found <= {*why}:
                raise ArchError(error)
            left_out.append(LeftOut(error.span, name=name, reason=error.reason))
        if not why:
            return Checkpoints(chosen, tuple(left_out))
        found -= {*why}


def _inside(name: str, others: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:end]) in others for end in range(1, len(parts)))


def _no_blocks(pattern: str) -> NoSuchParameter:
    return NoSuchParameter(pattern=pattern, known=(), what="the network has no blocks, and so none")


def frozen_parameters(
    checked: CheckedGraph, patterns: str | Iterable[str], but: str | Iterable[str] = ()
) -> frozenset[str]:
    """Return the names in a network's state_dict that patterns mean, but for those of others.

    A parameter that is tied has several, of which each means it; its first is among those returned.

    Raises:
        ArchError: a pattern means none of them.
        TypeError: one is no string.
    """
    if not patterns and not but:
        return frozenset()
    firsts: dict[str, str] = {}
    for node in checked.nodes.values():
        held = in_state(node, {**node.facts.params, **node.facts.buffers})
        firsts |= dict(zip(held, held, strict=True))
        if not node.shares:
            firsts |= {f"{node.name}.{tie.name}": tie.path for tie in node.ties}
    return frozenset(firsts[name] for name in matching([*firsts], patterns, but, firsts))
