"""What people write who know other languages, and how it is written here: help for syntax errors.

Each habit is recognised by what stands before the place of an error on its line, and what stands
there and after it. To teach another, add a line to the table and the mistake to
`tests/bad/newcomers/`.
"""

from __future__ import annotations

import re
from collections.abc import Set

from archdsl.records import Record

AT_STAGE = r"(?:^|[:;{]|->)\s*"  # where a stage begins
NO_WORD = r"(?!(?:input|output|parameter|buffer|constant|branch|reuse|register|from|let|inline)\b)"
LABELLED = 'a label other than a name stands in quotes: "{0}": ...'
QUOTED = 'a label other than a name stands in quotes: "{0}{1}"'
REFERS = r"\b(?:(?:from|reuse|register)\s+|shape\()(?:[^,]*,)*\s*(?:[^\s,.]+\.)*"
DOTTED = "a layer is used by its name alone: `{0}`"
JOINED = "tensors are joined by a merge: `{0} {{ branch {{ {1} }} branch {{ {2} }} }}`"
LET = "`let` gives a value its name: `let width = 8`"
TIMES = "`repeat {0} {{ ... }}` makes stages {0} times"
ARROW = "`->` leads to the next stage"
BODY = "what belongs to `{0}` stands in braces: `{0} ... {{ ... }}`"
IMPORT = (
    'layers are there without an import; `import Name from "file.arch"` takes a block of a file'
)
SHAPE = "a shape is a list, without the batch: `input {0}: [3, 224, 224]`"
LISTED = "several sizes are a list, `(7, 7)`; a product is written `7 * 7`"


class Habit(Record):
    """A habit, and its help: a text with holes for the groups of both patterns.

    Attributes:
        before: what the line has up to the place.
        rest: what it has from there on.
        hint: how that is written here.
        expected: kinds of tokens that all may stand at the place.
    """

    before: str
    rest: str
    hint: str
    expected: frozenset[str] = frozenset()


def _expecting(kinds: str, *habits: tuple[str, str, str]) -> list[Habit]:
    return [Habit(*habit, frozenset(kinds.split())) for habit in habits]


ANYWHERE = _expecting(
    "",
    # names of modules
    (r"\bself\.([\w.]+)\s*", r"=(?!=)", "labels are written without `self`: `{0}: ...`"),
    (r"\bin\.\w+\s*", r"\(", "`in` has sizes, not methods: `in.channels`, `in.shape[1]`"),
    (r"\bin", r"\.\w", "a stage takes what flows by itself: `Mean(1)`, not `in.mean(1)`"),
    (r"=.*\.\w+\s*", r"\(", "values have no methods; functions stand before them: `len(list)`"),
    (AT_STAGE + r"\w+(?:\.\w+)*\.(\w+)\s*", r"\(", DOTTED),
    (AT_STAGE + r"(?:nn|F|torch|tf|keras|layers)\.(\w+)\s*", r"$|->|[;}]", DOTTED),
    (r"(?::|->)\s*\w+", r"(?:\.\w+)*\.(\w+)", DOTTED),
    # words of other languages
    (r"\belif\s*", r"", "write `else if`"),
    (r"\bfn\b.*\breturn\s*", r"", "a function ends with its value, without `return`"),
    (
        r"\breturn\s*",
        r"",
        "nothing returns: the end of the flow is the output, and `output name` names it",
    ),
    (r"\blambda\s*", r"", "functions are items of the file: `fn name(x) = ...`"),
    (r"\bf", r'"', "strings have holes as they are: leave out the `f`"),
    (r"\b(?:var|const|int|float|bool|auto|local)\s+", r"\w", LET),
    (r"\blet\s+\w+\s*", r"$", LET),
    (r"\blet\s*", r"=", LET),
    (r"\b(?:while)\s*", r"", "loops end: `repeat n {{ ... }}` or `for i in range(n) {{ ... }}`"),
    (r"\b(?:goto|jump)\s+", r"\w", "`from label` goes on from an earlier stage"),
    (r"\binclude\s*", r'"', '`import Name from "file.arch"` takes items of another file'),
    (r"\bdef\s+", r"\w", "stages follow each other as they are written; parts have a `block` each"),
    (r"(\w+)\s+", r"is\s+not\s+(?:None|none)\b", "write `{0} != none`"),
    (r"(\w+)\s+", r"is\s+(?:None|none)\b", "write `{0} == none`"),
    (r".*", r"is\b", "to compare, write `==` or `!=`"),
    (r"\belse\s*", r"\w", "what follows `else` stands in braces: `else {{ ... }}`"),
    (r"^\s*", r"else\b", "`else` follows the `}}` of an `if`"),
    (r"\bfrom\s*", r"$", "`from label` goes on from an earlier stage"),
    (r".*", r"//|/\*", "comments begin with `#` and end with their line"),
    # inputs and outputs
    (r"\binput\s*", r"[:(\[]|$", "an input has a name: `input image: [3, 224, 224]`"),
    (r"\binput\s+(\w+)\s*(?::.*)?", r"[=x,\d]", SHAPE),
    (r"\binput\s+(\w+)\s*:.*", r"\?", "a free size has a name: `input {0}: [3, H, W]`"),
    (r"->\s*", r"output\b", "`output name` is a statement of its own, on the next line"),
    (r"\boutput\s+(\w+)\s*", r"=(?!=)\s*(.*?)\s*[;}]?$", "write `output {0} {{ {1} }}`"),
    (r"\boutput\s*", r":", "`output name` names what flows; as a label it is written \"output\""),
    (r"\bin\s+(\d+)\.", r"\.=?\s*(\w+)", "write `range({0}, {1})`"),
    # numbers
    (r"(?:^|[^\w.])", r"(\.\d+)", "a number begins with a digit: `0{0}`"),
    (r"(\d+\.)", r"\W", "write `{0}0`"),
    (r"(\d+)", r"_(\d+)", "digits are not separated: `{0}{1}`"),
    (r"\b0", r"[xob]\w+", "numbers are written in decimal digits"),
    (r"\d\s*", r"x\s*\d", LISTED),
    (r"%\s*", r"\)", "`%` is the remainder of a division; half of something is `0.5`"),
    # labels
    (r"^\s*(?:let\s+)?(\w+(?:-\w+)*)", r"(-\w+)[\w-]*\s*:", LABELLED.replace("{0}", "{0}{1}")),
    (rf"{REFERS}(\w+)", r"(-\w[\w-]*)", QUOTED),
    (r"^\s*(\d+)", r"([A-Za-z_]\w*)\s*:", LABELLED.replace("{0}", "{0}{1}")),
    (rf"^\s*{NO_WORD}(\w+)\s+", r"(\w+)\s*:", LABELLED.replace("{0}", "{0} {1}")),
    (r"^\s*(\w+)", r"\[\s*(\d+)\s*\]\s*:", "labels are joined by dots: `{0}.{1}: ...`"),
    # arguments
    (r"[(,]\s*(\w+)\s*", r":\s*([^,)]+)", "an argument is given with `=`: `{0} = {1}`"),
    (r'"(\w+)"\s*', r"=(?!=)", "the name of an argument stands without quotes: `{0} = ...`"),
    (r'"(\w+)"\s*', r"\(", "a layer is written without quotes: `{0}(...)`"),
    (r"\)\s*", r"\(", "a stage takes what flows, or what `from` names: `from a, b -> ...`"),
    (r"\(\s*|,\s*", r",", "leave out this comma"),
    (r",\s*", r"->|from\b|$|;", "leave out the comma before it"),
)  # fmt: skip
IN_ITEMS = _expecting(
    "NETWORK BLOCK",
    (r"^\s*", r"(?:import|from)\b", IMPORT),
    (r"^\s*", r"\{", "a spec is no JSON: it begins with `network name {{ ... }}`"),
    (r"^\s*", r"(?:function|func|fun)\b", "functions are written `fn name(x) = ...`"),
    (
        r"^\s*",
        r"(?:def|class|layer|model|module)\b",
        "networks begin with `network`, parts of them with `block`",
    ),
)
IN_HEADS = _expecting(
    "",
    (r"\bimport\s+\w+\s*", r"$", IMPORT),
    (r"\bfrom\s+", r"([A-Za-z_]\w*)\s*$", 'the path of a file stands in quotes: "{0}.arch"'),
    (r"\b(?:network|block)\s+", r'"(\w+)"', "a name stands without quotes: `{0}`"),
    (r"\b(network|block|fn)\s*", r"[{(=]|$", "it needs a name: `{0} name ...`"),
    (
        r"[(,]\s*(\w+)\s*:\s*",
        r"[=,)]",
        "a type is int, float, bool, str, list or block: `{0}: int`",
    ),
    (
        r"\b(network|block)\s+(\w+).*=\s*",
        r"\{",
        "a body follows the name without `=`: `{0} {1} {{ ... }}`",
    ),
    (r"\bfn\s+(\w+\(.*\))\s*", r"->", "write `fn {0} = ...`"),
    (r":\s*\w+\s*", r"\[", "types are int, float, bool, str, list, block; a list says no more"),
)
IN_BODIES = _expecting(
    "",
    (r"\brepeat\s*", r"\{", "say how often: `repeat 3 {{ ... }}`"),
    (r"\brepeat\s+(\w+)\s*", r"(?:times|x)\b", TIMES),
    (r"\bfor\s*", r"\(", "write `for i in range(3) {{ ... }}`"),
    (r"^\s*(?:if|for|repeat)\b.*", r",", "leave out this comma"),
    (r"^\s*(if|for|repeat)\b.*", r"[\w:]|$", BODY),
    (r"^\s*(\w+)\s*", r"\+\+|--", "a value never changes: `let` gives another its own name"),
    (r"^\s*\w+\s*", r"\+=", "`residual {{ ... }}` adds what came before it to what it gives"),
    (r"^\s*(\d+)\s*", r"\*", TIMES),
    (r"\)\s*", r"\*\s*(\d+)", TIMES),
    (r"^\s*", r"-(?!>)", "a statement stands on its line without a dash"),
    (r"(\w+):\s*", r"$", "a layer stands on the line of its label; of several: `{0}: {{ ... }}`"),
    (r"(\w+):\s*", r"(-?\d[\w.]*)", "a label names a stage; for a value write `let {0} = {1}`"),
    (r":\s*", r'"(\w+)"', "a layer is written without quotes: `{0}`"),
    (
        r"\b(concat|add|mul|sub)\s*(?:\(.*\))?\s*",
        r"$|;",
        "a merge has branches: `{0} {{ branch {{ ... }} branch {{ ... }} }}`",
    ),
)  # fmt: skip
IN_VALUES = _expecting(
    "LPAR LSQB NOT",
    (
        r"(?:[-+*/%=<]|\b(?:and|or|not|in))\s*",
        r"$",
        "what goes on on the next line stands in parentheses: `( ... )`",
    ),
    (r"[(,=]\s*", r"\{", "there are no dictionaries; an argument is given as `name = value`"),
)
BETWEEN_STAGES = _expecting(
    "ARROW",
    (r".*", r"=>|- +>|>>?", ARROW),
    (r"\}\s*", r",", "statements are not separated by commas"),
    (
        r"",
        r",",
        "`->` leads to the next stage; a statement ends at the end of its line, or at `;`",
    ),
    (r"^\s*(\w+)\s*", r"\{", "a group with a label is written `{0}: {{ ... }}`"),
    (r"^\s*[A-Z]\w*\s+", r"[\d\"\[]", "arguments stand in parentheses: `Conv2d(8, 3)`"),
    (r"[\w)]\s+", r"[A-Za-z_]\w*", "two stages on a line are joined by `->`, or separated by `;`"),
)
BETWEEN_ARGUMENTS = _expecting(
    "EQUAL COMMA",
    (
        r"[(,]\s*(\w+)\s+",
        r"(\d[\w.]*|true|false|none)\b",
        "an argument is given with `=`: `{0} = {1}`",
    ),
)
NO_COMMA = r"[\w)\]\"]\s*", r"[\w(\"]", "what stands in brackets is separated by commas"
IN_BRACKETS = [
    *_expecting("COMMA RPAR", NO_COMMA, (r"", r"->|\}", "a `(` before it is not closed")),
    *_expecting("COMMA RSQB", NO_COMMA, (r"", r"->|\}", "a `[` before it is not closed")),
]
BETWEEN_LINES = _expecting(
    "_NL",
    (r"\S\s+", r"(network|block|fn|import|let)\b", "`{0}` begins on a line of its own"),
    (r"\S\s+", r"[\w\"]", "a statement ends at the end of its line, or at `;`"),
    (r"", r"[)\]]", "leave it out: there is no open bracket that it could close"),
)
COMMAS_IN_BODIES = _expecting("RBRACE", (r"\}\s*", r",", "statements are not separated by commas"))
# The first that fits is told: what is sure stands before what is likely.
HABITS = [
    *IN_ITEMS,
    *ANYWHERE,
    *IN_HEADS,
    *IN_BODIES,
    *IN_VALUES,
    *BETWEEN_STAGES,
    *COMMAS_IN_BODIES,
    *BETWEEN_ARGUMENTS,
    *IN_BRACKETS,
    *BETWEEN_LINES,
]
JOINING = re.compile(r"\s*([-+*])(?![->=*+])\s*([\w.]+|\")?")
LEFT = re.compile(r"(?:^|[;{]|->)\s*(?:from\s+)?([A-Za-z_][\w.]*)\s*$", re.ASCII)
MERGES = {"+": "add", "-": "sub", "*": "mul"}


def habit(before: str, rest: str, expected: Set[str]) -> str:
    """Return how that is written here which a line has, or "" where that is not known.

    Args:
        before: the line up to the place of the error.
        rest: the line from there on.
        expected: the kinds of tokens that may stand there.
    """
    if joined := _merge(before, rest):
        return joined
    for one in HABITS:
        if one.expected <= expected:
            there = re.match(f"(?:{one.rest})", rest, re.ASCII)
            ahead = there and re.search(f"(?:{one.before})$", before, re.ASCII)
            if there and ahead:
                return one.hint.format(*ahead.groups(), *there.groups())
    return ""


def _merge(before: str, rest: str) -> str:
    """Tell how two tensors are joined, where somebody writes a sum of their labels."""
    if re.search(r"\bfrom\b.*\w$", before) and re.match(r"-\w", rest):
        return ""  # no difference, but a label with a dash in it
    left, sign = LEFT.search(before), JOINING.match(rest)
    if not left or not sign or re.match(r"[-\w]*\s*:", rest):
        return ""
    names = [left[1], sign[2] if sign[2] and sign[2] != '"' else "..."]
    branches = [f"from {name}" if name not in ("in", "...") else name for name in names]
    branches = ["" if branch == "in" else branch for branch in branches]
    return JOINED.format(MERGES[sign[1]], *branches).replace("{  }", "{}")
