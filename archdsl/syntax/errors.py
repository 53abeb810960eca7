"""What can be wrong with the text of a spec."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic, Span

OPERATORS = {
    "&": "write `and`",
    "|": "write `or` between conditions, and `->` between stages",
    "!": "write `not`",
    "^": "powers are written `**`",
    "/": "comments begin with `#`",
    "?": "a choice is written `a if condition else b`; a free size has a name: `[3, H, W]`",
    "~": "a value that is none is written `none`",
}


class UnexpectedText(Diagnostic):
    """The text does not follow the grammar.

    The place marked is the first that can't be part of any spec; what is missing may stand before
    it. Statements end at the end of a line or at `;`.
    """

    code = "E0101"
    text = "unexpected {found}"
    mark = "expected {expected}"

    found: str
    expected: str


class UnexpectedCharacter(Diagnostic):
    """A character that has no meaning in a spec.

    Names are made of the letters a to z, digits and underscores. Any other character may stand
    in strings and comments only.
    """

    code = "E0102"
    text = "unexpected character {shown} (U+{number:04X})"
    mend = "{meant}"

    character: str

    @property
    def shown(self) -> str:
        return self.character if self.character.isprintable() else ascii(self.character)

    @property
    def number(self) -> int:
        return ord(self.character)

    @property
    def meant(self) -> str:
        if self.character == "'":
            return 'strings are written with double quotes: "nearest"'
        if self.character.isalpha():
            return (
                "names are made of the letters a to z, digits and underscores; "
                "a label may hold others in quotes"
            )
        return OPERATORS.get(self.character, "")


class UnfinishedString(Diagnostic):
    """A string that is not closed on the line where it begins."""

    code = "E0103"
    text = "this string has no closing quote"
    mend = 'a string ends on its line; a quote inside it is written `\\"`'


class BadString(Diagnostic):
    """An escape or a hole in a string that can't be understood.

    In a string `\\n`, `\\t`, `\\"` and `\\\\` are escapes, and `{expression}` puts in a value; a
    brace itself is written twice.
    """

    code = "E0104"
    text = "{reason}"
    mend = "write a backslash as `\\\\`, and a brace as `{{{{` or `}}}}`"

    reason: str


class BadNumber(Diagnostic):
    """A number that is too large to be kept.

    Integers go up to 9,223,372,036,854,775,807, which is as far as torch's go.
    """

    code = "E0105"
    text = "this number is too large"
    mark = "at most 9223372036854775807 for integers, and 1.7e308 for others"


class BadPath(Diagnostic):
    """A label or reference with a part that can't be one.

    Parts are names, integers and strings, joined by dots.
    """

    code = "E0106"
    text = "`{part}` can't be a part of a label"
    mend = "a label is made of names, integers and strings, joined by dots"

    part: str


class Misplaced(Diagnostic):
    """Something that may stand elsewhere, but not here.

    A description stands at the head of a network or block; `when` goes with `training` alone.
    """

    code = "E0107"
    text = "{what} can't stand here"

    what: str


class NotClosed(Diagnostic):
    """A bracket that is not closed.

    Of several `{`, the one is shown that is not closed as far as the indentation of the lines
    tells. Networks, blocks and functions don't stand in each other.
    """

    code = "E0108"
    text = "this `{opening}` is not closed"
    further = "before", "expected `{closing}` before this"

    opening: str
    closing: str
    before: Span | None


class NotOpened(Diagnostic):
    """A closing brace too many.

    Which of several is one too many, the indentation of the lines tells.
    """

    code = "E0109"
    text = "{wrong}"
    mark = "{early}"
    further = "opened", "opened here"
    mend = "leave it out, or open what it is to close with `{{`"

    opened: Span | None

    @property
    def wrong(self) -> str:
        return "one `}` is too many" if self.opened else "this `}` closes nothing"

    @property
    def early(self) -> str:
        return "this is too early to close what was opened there" if self.opened else ""
