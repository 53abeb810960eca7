"""How the package is built: who imports whom, how long files are, and what is shipped."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from archdsl.layers.homes import homes
from archdsl.syntax.tables import build_tables

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "archdsl"
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 600

# Which units of archdsl each may import, apart from itself.
ALLOWED: dict[str, set[str]] = {
    "records": set(),
    "version": set(),
    "diagnostics": set(),
    "limits": {"diagnostics"},
    "output": set(),
    "reading": set(),
    "layers": set(),
    "syntax": {"diagnostics", "limits"},
    "graph": {"diagnostics", "layers"},
    "graph_file": {"diagnostics", "layers", "graph", "reading"},
    "networkx_graph": {"diagnostics", "layers", "graph", "graph_file", "output"},
    "elaborate": {"diagnostics", "limits", "layers", "syntax", "graph"},
    "dtypes": {"diagnostics", "layers", "graph"},
    "check": {"diagnostics", "dtypes", "graph"},
    "torch_order": {"diagnostics", "graph", "layers"},
    "given_shapes": {"diagnostics", "layers", "graph"},
    "analysis": {"layers", "graph"},
    "backends": {
        "diagnostics",
        "layers",
        "graph",
        "analysis",
        "patterns",
        "counting",
        "networkx_graph",
        "output",
        "reading",
        "node_names",
    },
    "sources": {"diagnostics", "limits", "syntax", "elaborate", "reading"},
    "patterns": {"diagnostics", "graph", "analysis"},
    "own_layers": {"layers"},
    "node_names": {"diagnostics", "graph"},
    # the text that it writes goes the way of every other one
    "importing": {
        "diagnostics",
        "graph",
        "layers",
        "limits",
        "syntax",
        "network",
        "output",
        "reading",
    },
}
ALLOWED["beside"] = {"backends"}
ALLOWED["pipeline"] = {*ALLOWED}
ALLOWED["counting"] = {
    "diagnostics", "analysis", "patterns", "graph", "layers"
}  # fmt: skip
ALLOWED["load_arguments"] = {"diagnostics", "elaborate", "limits"}
ALLOWED["network"] = {*ALLOWED} - {"network"}
ALLOWED["variants"] = {*ALLOWED} - {"beside"}
ALLOWED["error_index"] = {*ALLOWED}
ALLOWED["cli"] = {*ALLOWED}

# A library is known to one place.
HOMES = {
    "lark": {"syntax/tables.py"},
    "networkx": {"networkx_graph.py"},
    "graphviz": {"backends/diagram/"},
    "graphviz_pure": {"backends/diagram/"},
    "pydantic": {"graph_file.py"},
    "torch": {
        "backends/torch_module/",
        "backends/export/",
        "backends/optimizing/",
        "backends/seeing/",
        "importing/",
        "cli/compile.py",
        "cli/import_.py",
    },
    "numpy": {"backends/torch_module/", "backends/export/", "backends/seeing/", "importing/onnx/"},
    "PIL": {"backends/seeing/"},
    "safetensors": {"backends/torch_module/", "backends/export/", "importing/"},
    "onnx": {"backends/export/", "importing/onnx/"},
    "onnxruntime": {"backends/export/", "backends/optimizing/engines/", "importing/onnx/"},
    "h5py": {"importing/keras/"},
    "openvino": {"backends/optimizing/engines/"},
    "pygraphviz": {"backends/diagram/"},
    "click": {"cli/"},
    "dask": {"variants/running.py"},
    "pandas": {"variants/sweep.py"},
    "pyarrow": {"variants/writing.py"},
}


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def unit(path: Path) -> str:
    return relative(path).split("/")[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, less those for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checked = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in checked:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_unit_imports_only_those_below_it(path: Path) -> None:
    here = unit(path)
    if here in ("__init__", "__main__"):
        return
    seen = {name.split(".")[1] for name in imports(path) if name.startswith("archdsl.")}

    assert here in ALLOWED, f"{here} is no unit: add it to the table with what it may import"
    # records are as plain as named tuples, and the version is a text
    assert seen <= ALLOWED[here] | {here, "records", "version"}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_nothing_outside_the_layers_names_one(path: Path) -> None:
    """Save the tensors that no layer computes, which the language itself makes."""
    if unit(path) != "layers":
        assert not {*imports(path)} & {*homes().values()} - {"archdsl.layers.tensor"}


def imported_files(path: Path) -> set[str]:
    """Return the files of the package that a file imports, wherever and for whomever it does."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    places = [ROOT.joinpath(*name.split(".")) for name in names if name.startswith("archdsl")]
    files = [place.with_suffix(".py") for place in places]
    files += [place / "__init__.py" for place in places]
    return {relative(file) for file in files if file.is_file()}


def circles(imports: Mapping[str, set[str]]) -> list[set[str]]:
    """Return what files import each other in circles: each set once."""
    reached: dict[str, set[str]] = {}
    for file in imports:
        reached[file] = set()
        waiting = [*imports[file]]
        while waiting:
            if (other := waiting.pop()) not in reached[file]:
                reached[file].add(other)
                waiting += imports[other]
    found = [
        {other for other in reached[file] if file in reached[other]}
        for file in imports
        if file in reached[file]
    ]
    return [one for number, one in enumerate(found) if one not in found[:number]]


def test_circles_are_found() -> None:
    links = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a", "f"}}

    assert circles(links) == [{"b", "c"}, {"d", "e"}, {"f"}]


def test_no_files_import_each_other_in_circles() -> None:
    """Lazy imports, and those for the type checker alone, count as well."""
    assert not circles({relative(path): imported_files(path) for path in FILES})


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_library_has_one_home(path: Path) -> None:
    foreign = {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"archdsl"}

    for library in foreign:
        assert library in HOMES, f"{library} has no home"
        assert any(relative(path).startswith(home) for home in HOMES[library])


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_one_file_writes_files(path: Path) -> None:
    """So that none is ever seen in part; what makes files of the package itself is exempt."""
    if relative(path) in ("output.py", "error_index.py", "syntax/tables.py"):
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called.rpartition(".")[2] not in ("write_bytes", "write_text", "NamedTemporaryFile")
        if called == "open":
            modes = [ast.unparse(each) for each in node.args[1:]]
            assert modes == ["'rb'"] or ast.unparse(node.args[0]) == "os.devnull", ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_are_short_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= MOST_LINES
    assert "utils" not in path.stem
    assert path.stem not in ("helpers", "common", "misc")
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a file begins with what it is for"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_nothing_runs_text(path: Path) -> None:
    """No `eval` and `exec`, save where generated modules are run, and no pickles at all."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    runs = relative(path).startswith("backends/torch_module")
    forbidden = {"eval", "exec", "compile", "os.system", "sys.setrecursionlimit"}

    assert not (called & forbidden) - ({"eval", "exec", "compile"} if runs else set())
    assert not called & {"pickle.load", "pickle.loads"}
    assert not set(imports(path)) & {"marshal", "shelve"}


def test_files_of_tests_have_names_of_their_own() -> None:
    """Two of one name can't be collected together."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert len(names) == len(set(names))


def test_tests_find_each_other_by_one_list_of_folders() -> None:
    """`pythonpath` in pyproject.toml; two ways would find two copies of one module."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (
                isinstance(node, ast.Call) and ast.unparse(node.func).startswith("sys.path.")
            ), path


def test_the_tables_are_those_of_the_grammar() -> None:
    kept = (PACKAGE / "syntax" / "tables.json").read_text(encoding="utf-8")

    assert kept == build_tables(), "python -m archdsl.syntax.tables makes them anew"


# What takes long to import, and is for some commands only.
LIBRARIES = {"torch", "networkx", "pydantic", "graphviz", "numpy", "lark", "PIL"}
STANDARD = {"pathlib", "difflib", "logging", "hashlib", "tempfile", "random", "shutil", "csv"}
# What tells of mistakes is needed where something is wrong.
MISTAKES = {f"archdsl.syntax.{name}" for name in ("mistakes", "recovery", "habits", "tables")}
OTHERS = {
    "archdsl.backends.diagram",
    "archdsl.backends.python_source",
    "archdsl.backends.seeing",
    "archdsl.backends.torch_module",
    "archdsl.graph_file",
    "archdsl.networkx_graph",
    "archdsl.own_layers",
}


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["check", "inception_v3"], LIBRARIES | MISTAKES | OTHERS | STANDARD),
        (["count", "inception_v3"], LIBRARIES | MISTAKES | OTHERS | STANDARD),
        (["count", "resnet50", "--format", "json"], LIBRARIES | MISTAKES | OTHERS | STANDARD),
        (["draw", "lenet5", "-o", "{folder}/x.dot"], {"torch", "numpy", "lark", *MISTAKES}),
        (["sweep", "lenet5", "-p", "classes=1..3"], LIBRARIES | MISTAKES | {"pandas", "dask"}),
        (["networks"], LIBRARIES | MISTAKES | OTHERS | {"archdsl.analysis.cost"}),
        (["layers", "Conv2d"], LIBRARIES),
        (["--help"], LIBRARIES),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else None,
)
def test_commands_load_only_what_they_use(
    arguments: list[str], absent: set[str], tmp_path: Path
) -> None:
    given = [argument.format(folder=tmp_path) for argument in arguments]
    program = (
        "import sys; from archdsl.cli import run; status = run(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *given],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip

    assert set(done.stderr.split()) & absent == set()


def test_importing_the_package_loads_nothing() -> None:
    program = "import archdsl, sys; print(*(n for n in sys.modules if n.startswith('archdsl')))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["archdsl"]


def test_the_wheel_holds_what_is_not_python() -> None:
    """hatchling takes all files of the package that git knows; the specs are added to them."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = built["targets"]["wheel"]

    assert wheel["packages"] == ["archdsl"]
    assert wheel["force-include"] == {"specs": "archdsl/specs", "archdsl/beside": "/"}
    for name in ("py.typed", "syntax/grammar.lark", "syntax/tables.json"):
        assert (PACKAGE / name).is_file()


@pytest.mark.slow
def test_the_wheel_as_it_is_built(tmp_path: Path) -> None:
    builder = pytest.importorskip("hatchling.builders.wheel")
    name = next(builder.WheelBuilder(str(ROOT)).build(directory=str(tmp_path)))
    from zipfile import ZipFile

    held = set(ZipFile(name).namelist())

    assert {"archdsl/py.typed", "archdsl/syntax/grammar.lark", "archdsl/syntax/tables.json"} <= held
    assert {f"archdsl/specs/{path.name}" for path in (ROOT / "specs").glob("*.arch")} <= held
    assert "install_archdsl_or_use_its_source_file.py" in held
    assert not [name for name in held if name.startswith("tests")]
