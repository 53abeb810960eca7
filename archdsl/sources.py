"""Finds and reads specs, and nothing else: regular files inside the folder that was asked for."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from functools import cache

from archdsl.diagnostics import ArchError, Diagnostic, Source, Span, printable, visible
from archdsl.elaborate.errors import UnknownName
from archdsl.elaborate.wording import did_you_mean
from archdsl.limits import Limits, OverLimit
from archdsl.reading import read_regular, reason_of
from archdsl.syntax import ast
from archdsl.syntax.parser import Parser
from archdsl.syntax.spec_file import SpecFile, item_names

SUFFIX = ".arch"
IMPORT_LIMITS = ("files", "import_depth")


class UnreadableFile(Diagnostic):
    """A spec that can't be read.

    It is missing, no regular file, or not UTF-8 text.
    """

    code = "E0002"
    text = "{path} {reason}"

    path: str
    reason: str


class BadImport(Diagnostic):
    """An import that can't be followed.

    Imports are relative to the importing file and stay inside the folder of the spec that was
    asked for, unless the user adds a folder with `--search-path`.
    """

    code = "E0501"
    text = "{reason}"

    reason: str


class ImportRing(Diagnostic):
    """Files that import each other in a ring.

    What they share belongs into a file of its own, which imports none of them.
    """

    code = "E0502"
    text = "these files import each other: {ring: -> }"
    mend = "put what they share into a file of its own"

    ring: tuple[str, ...]


@cache
def shipped() -> str:
    """Return the folder of the specs that come with the package."""
    here = os.path.dirname(os.path.realpath(__file__))
    installed = os.path.join(here, "specs")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(here), "specs")


def shipped_specs() -> list[str]:
    """Return the file names of the specs that come with the package."""
    return sorted(file for file in os.listdir(shipped()) if file.endswith(SUFFIX))


def _shipped_text(file: str) -> str:
    with open(os.path.join(shipped(), file), "rb") as spec:
        return spec.read().decode()


def shipped_item(name: str) -> str:
    """Say where a block or network of the shipped specs is, or "" if none has that name."""
    for file in shipped_specs():
        pattern = rf"^(network|block) +{re.escape(name)}\b"
        found = re.search(pattern, _shipped_text(file), re.MULTILINE)
        if found and found[1] == "network":
            return f"it is a network of {file}, which comes with archdsl; blocks can be stages"
        if found:
            way = f'`import {name} from "{file}"` and `--search-path {shipped()}`'
            return f"a spec that comes with archdsl has it: {way}"
    return ""


def locate(spec: str) -> tuple[str, str | None]:
    """Return the path that a SPEC means, and the name of the network if it gives one.

    A SPEC is a path, a path with a network (`specs/resnet.arch:resnet50`), or the name of a network
    shipped with the package.

    Raises:
        ArchError: there is no such file or network.
    """
    path, colon, network = spec.rpartition(":")
    if colon and path.endswith(SUFFIX) and not os.path.exists(spec):  # a file may be called so
        return path, network
    if spec.endswith(SUFFIX) or os.path.lexists(spec) or not spec.isidentifier():
        return spec, None
    folder = shipped()
    file = os.path.join(folder, f"{spec}{SUFFIX}")
    if os.path.isfile(file):
        return file, None
    names: dict[str, str] = {}
    for file in shipped_specs():
        for name in re.findall(r"^network +(\w+)", _shipped_text(file), re.MULTILINE):
            names.setdefault(name, os.path.join(folder, file))
    if spec in names:
        return names[spec], spec
    hint = (
        did_you_mean(spec, names)
        or "give a path that ends in .arch, or the name of a shipped network"
    )
    reason = "is no file and no shipped network"
    raise ArchError(UnreadableFile(path=spec, reason=reason, hint=hint))


class Reader:
    """Reads a spec and what it imports. The sizes of all files are counted together."""

    def __init__(self, limits: Limits, search: Sequence[str] = ()) -> None:
        self.limits = limits
        self.search = [os.path.realpath(folder) for folder in search]
        self.parser = Parser(limits)
        self.contents: list[bytes] = []  # as they were read, in that order
        self.files: dict[str, SpecFile] = {}
        self.bytes_left = 8 * limits.file_bytes

    def read(self, path: str) -> SpecFile:
        """Return a spec with everything that it imports.

        Raises:
            ArchError: with everything that is wrong with a file.
        """
        text = self._text(path, path, None)
        root = os.path.dirname(os.path.realpath(path))
        return self._file(path, os.path.realpath(path), text, root, ())

    def _file(self, shown: str, real: str, text: str, root: str, way: tuple[str, ...]) -> SpecFile:
        program = self.parser.parse(Source(shown, text))
        file = SpecFile(program.source, program)
        for name, item, _ in item_names(program):
            if file.items.setdefault(name, item) is not item:
                file.ambiguous.add(name)  # for the review to say
        self.files[real] = file
        for item in program.items:
            if isinstance(item, ast.Import):
                self._import(file, item, real, root, (*way, real))
        return file

    def _import(
        self, file: SpecFile, item: ast.Import, importer: str, root: str, way: tuple[str, ...]
    ) -> None:
        shown, real = self._resolve(item, file.source.path, importer, root)
        if real in way:
            ring = [self.files[one].source.path for one in way[way.index(real) :]]
            ring.append(ring[0])
            raise ArchError(ImportRing(item.span, ring=tuple(map(printable, ring))))
        if real not in self.files:
            self._check_number(item, way)
            text = self._text(real, shown, item.span)
            try:
                self._file(shown, real, text, root, way)
            except ArchError as error:
                raise self._unquoted(error, shown, item) from None
        other = self.files[real]
        for name in item.names:
            if other.find(name.name) is None:
                known = (*other.items, *other.imported)
                what = f"item of {printable(shown)}"
                raise ArchError(UnknownName(name.span, what=what, name=name.name, known=known))
            if name.alias in file.items or name.alias in file.imported:
                file.ambiguous.add(name.alias)
            file.imported[name.alias] = other, name.name

    def _check_number(self, item: ast.Import, way: tuple[str, ...]) -> None:
        for limit, number, asks in (
            ("files", len(self.files), "there are too many imported files"),
            ("import_depth", len(way), f"imports lead {len(way)} files deep"),
        ):
            if number > getattr(self.limits, limit):
                raise ArchError(self.limits.over(limit, asks, item.span))

    def _unquoted(self, error: ArchError, shown: str, item: ast.Import) -> ArchError:
        """Say that an imported file is wrong without quoting it: it may be no spec at all."""
        first = error.diagnostics[0]
        if isinstance(first, OverLimit) and first.limit not in IMPORT_LIMITS:
            asks = f"in {printable(shown)} {first.asks}"
            return ArchError(first.but(span=item.span, asks=asks))
        if (
            isinstance(first, OverLimit)
            or first.span is None
            or first.span.source.path != shown
            or first.code >= "E0200"  # only a spec gets as far as that
        ):
            return error
        place = f"line {first.span.line}, column {first.span.column}"
        reason = f"{printable(shown)} is not a spec: it goes wrong at {place}"
        hint = f"`archdsl check {printable(shown)}` says what is wrong there"
        return ArchError(BadImport(item.span, reason=reason, hint=hint))

    def _resolve(
        self, item: ast.Import, importer_shown: str, importer: str, root: str
    ) -> tuple[str, str]:
        """Return the name to show and the real path of an import."""

        def refuse(reason: str, hint: str = "") -> ArchError:
            return ArchError(BadImport(item.span, reason=reason, hint=hint))

        if os.path.isabs(item.path) or "\0" in item.path or not item.path:
            raise refuse("an import is a path relative to the file that it stands in")
        folders = [(os.path.dirname(importer), os.path.dirname(importer_shown))]
        folders += [(folder, folder) for folder in self.search]
        outside = False
        for folder, shown in folders:
            # a link is followed before it is asked where it leads
            real = os.path.realpath(os.path.join(folder, item.path))
            inside = any(_within(real, allowed) for allowed in (root, *self.search))
            if inside and os.path.lexists(real):
                return os.path.normpath(os.path.join(shown, item.path)), real
            outside = outside or not inside
        if outside:
            raise refuse(
                f'"{printable(item.path)}" leads outside the folder of the spec',
                "imports stay inside it; to allow another folder, add it with --search-path",
            )
        hint = "imports are relative to the file that they stand in"
        if item.path in shipped_specs():
            hint = f"it comes with archdsl: add its folder, `--search-path {shipped()}`"
        raise refuse(f'there is no file "{printable(item.path)}" here', hint)

    def _text(self, path: str, shown: str, span: Span | None) -> str:
        """Read a file whole, or say why it can't be."""

        def refuse(reason: str, hint: str = "") -> ArchError:
            path = visible(printable(shown))
            return ArchError(UnreadableFile(span, path=path, reason=reason, hint=hint))

        most = min(self.limits.file_bytes, self.bytes_left)
        try:
            data = read_regular(path, most)
        except OSError as error:
            raise refuse(reason_of(error), _hint(error, shown)) from None
        if len(data) > most:
            asks = f"{printable(shown)} has more than {most:,} bytes"
            raise ArchError(self.limits.over("file_bytes", asks, span, needed=len(data)))
        self.bytes_left -= len(data)
        self.contents.append(data)
        try:
            # some editors begin a file of UTF-8 with this mark
            return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            hint = "save it as UTF-8" if b"\0" not in data else ""  # else it is no text at all
            raise refuse(f"is not UTF-8 text (line {line})", hint) from None


def _within(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _hint(error: OSError, shown: str) -> str:
    if error.errno == errno.EISDIR:
        return "name a file in it"
    if error.errno == errno.ENOENT and not shown.endswith(SUFFIX):
        return f"specs end in {SUFFIX}; `archdsl networks` lists the shipped ones"
    return ""
