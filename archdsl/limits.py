"""The limits within which a spec is worked on, so that a hostile one can do no harm."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic, Span, Use
from archdsl.records import Record


class Limits(Record):
    """How much a spec may ask for. Each is counted before the work is done, never by a clock.

    Attributes:
        file_bytes: of each file; all imports together 8 times as many.
        tokens: of all files together.
        nesting: of bodies, parentheses, signs, operators in a row and uses of blocks (each).
        layers: nodes after expansion.
        edges: inputs of all nodes together.
        steps: statements evaluated, turns of loops among them, and what these make.
        dimensions: of a shape.
        name: characters of a name.
        string: characters of a string.
        branches: of one merge; parameters: of a block; arguments: of a call.
        import_depth: of imports of imports; files: of all imports.
    """

    file_bytes: int = 2**20
    tokens: int = 200_000
    nesting: int = 64
    layers: int = 200_000
    edges: int = 1_000_000
    steps: int = 2_000_000
    dimensions: int = 8
    name: int = 255
    string: int = 4_096
    branches: int = 1_024
    parameters: int = 64
    arguments: int = 64
    import_depth: int = 16
    files: int = 256

    def with_changes(self, changes: dict[str, int]) -> Limits:
        """Return limits of which some are changed.

        Raises:
            ValueError: there is no such limit, or it can't be set so high; the text says which.
        """
        for name, value in changes.items():
            if name not in CEILINGS:
                known = ", ".join(self._fields)
                raise ValueError(f"there is no limit called `{name}`: there are {known}")
            if not 1 <= value <= CEILINGS[name]:
                raise ValueError(f"the limit `{name}` can be set from 1 to {CEILINGS[name]:,}")
        return self._replace(**changes)

    def over(
        self,
        limit: str,
        asks: str,
        span: Span | None = None,
        trail: tuple[Use, ...] = (),
        needed: int | None = None,
    ) -> OverLimit:
        """Return what is wrong where a spec asks for more than a limit allows."""
        allowed: int = getattr(self, limit)
        return OverLimit(span, trail, limit=limit, asks=asks, allowed=allowed, needed=needed)


# Beyond these the program itself would break (nesting), or no machine has the memory.
CEILINGS = {
    "file_bytes": 64 * 2**20,
    "tokens": 5_000_000,
    "nesting": 200,
    "layers": 10_000_000,
    "edges": 50_000_000,
    "steps": 200_000_000,
    "dimensions": 64,
    "name": 65_536,
    "string": 65_536,
    "branches": 100_000,
    "parameters": 100_000,
    "arguments": 100_000,
    "import_depth": 64,
    "files": 10_000,
}

CHARACTERS_OF_STEP = 16  # of strings and names: so many take as much memory as other steps do
LARGEST = 2**63 - 1  # of integers at every step of a computation


class OverLimit(Diagnostic):
    """A spec asks for more than a limit allows.

    Limits keep a spec from somebody else from using up time and memory. `docs/limits.md` lists
    them; whoever runs the program can raise one with `--limit name=value`, a spec can't.
    """

    code = "E0001"
    text = "{asks}, more than the limit of {allowed:,} ({way})"

    limit: str
    asks: str
    allowed: int
    needed: int | None = None

    @property
    def way(self) -> str:
        ceiling = CEILINGS.get(self.limit, 0)
        if self.allowed >= ceiling:
            return "which can't be raised"
        if self.needed is not None and self.needed > ceiling:
            return f"--limit {self.limit}=... goes up to {ceiling:,}"
        value = min(max(self.needed or 0, 2 * self.allowed), ceiling)
        return f"raise with --limit {self.limit}={value}"


HIGHEST = Limits(**CEILINGS)
