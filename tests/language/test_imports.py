"""Imports: names from other files, and what they may not do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from shown import lines

from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

Load = Callable[..., CheckedGraph]
MAIN = "network n { input x: [4]; A }\n"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return the graph of the first of several files, given with their names."""

    def work_out(files: dict[str, str], network: str | None = None, **options: object) -> object:
        for name, text in files.items():
            path = tmp_path / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        first = next(iter(files))
        return Spec(str(tmp_path / "project" / first), **options).graph(network)  # type: ignore[arg-type]

    return work_out  # type: ignore[return-value]


def code_of(load: Load, files: dict[str, str]) -> str:
    with pytest.raises(ArchError) as error:
        load(files)
    (found,) = error.value.diagnostics
    return found.code


def test_blocks_values_functions_and_networks_are_imported(load: Load) -> None:
    graph = load(
        {
            "main.arch": 'import B, w, f, Net from "lib.arch"\nnetwork n = Net(B, f(w))\n',
            "lib.arch": """
            let w = 3
            fn f(x) = 2 * x
            block B(n) { Linear(n) }
            network Net(unit: block, width) { input x: [4]; unit(width) }
            """,
        }
    )
    assert lines(graph) == ["x input() 4", "0.0 Linear(x) 6"]


def test_import_under_another_name(load: Load) -> None:
    files = {"main.arch": 'import B as A from "lib.arch"\n' + MAIN, "lib.arch": "block B { ReLU }"}
    assert lines(load(files))[-1] == "0.0 ReLU(x) 4"


def test_value_under_another_name(load: Load) -> None:
    files = {
        "main.arch": """
            import w as width, act as activation from "middle.arch"
            network n { input x: [4]; Linear(width + 1); activation }
        """,
        "middle.arch": 'import v as w, act from "lib.arch"',
        "lib.arch": "let v, act = [2, LeakyReLU(0.2)]",
    }
    assert lines(load(files)) == ["x input() 4", "0 Linear(x) 3", "1 LeakyReLU(0) 3"]


def test_names_of_an_imported_file_are_looked_up_there(load: Load) -> None:
    files = {
        "main.arch": f'import A from "lib.arch"\nlet w = 100\n{MAIN}',
        "lib.arch": "let w = 3\nblock A { Inner }\nblock Inner { Linear(w) }",
    }
    assert lines(load(files))[-1] == "0.0.0 Linear(x) 3"


def test_imports_are_relative_to_the_importing_file(load: Load) -> None:
    files = {
        "main.arch": f'import A from "lib/a.arch"\n{MAIN}',
        "lib/a.arch": 'import B from "parts/b.arch"\nblock A { B }',
        "lib/parts/b.arch": 'import C from "../../c.arch"\nblock B { C }',
        "c.arch": "block C { Tanh }",
    }
    assert lines(load(files))[-1] == "0.0.0.0 Tanh(x) 4"


def test_imported_name_can_be_imported_on(load: Load) -> None:
    files = {
        "main.arch": f'import A from "a.arch"\n{MAIN}',
        "a.arch": 'import A from "b.arch"\n',
        "b.arch": "block A { Tanh }",
    }
    assert lines(load(files))[-1] == "0.0 Tanh(x) 4"


def test_file_imported_twice_is_one_file(load: Load) -> None:
    files = {
        "main.arch": f'import A from "a.arch"\nimport B from "b.arch"\n{MAIN}',
        "a.arch": 'import C from "c.arch"\nblock A { C }',
        "b.arch": 'import C from "c.arch"\nblock B { C }',
        "c.arch": "block C { Tanh }",
    }
    assert lines(load(files))[-1] == "0.0.0 Tanh(x) 4"


def test_networks_of_imported_files_are_not_the_files_own(load: Load) -> None:
    files = {
        "main.arch": f'{MAIN}import A, other from "a.arch"\n',
        "a.arch": "block A { Tanh }\nnetwork other { input x: [4]; ReLU }",
    }
    assert load(files).name == "n"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("none.arch", "E0501"),
        ("../outside.arch", "E0501"),
        ("lib/../../outside.arch", "E0501"),
        ("/etc/passwd", "E0501"),
        ("", "E0501"),
        (".", "E0002"),
        ("lib", "E0002"),
        ("main.arch", "E0502"),
        ("notes.txt", "E0501"),
    ],
)
def test_imports_that_are_refused(load: Load, path: str, code: str) -> None:
    files = {
        "main.arch": f'import A from "{path}"\n{MAIN}',
        "lib/x.arch": "block A { ReLU }",
        "notes.txt": "secret text",
        "../outside.arch": "block A { ReLU }",
    }
    assert code_of(load, files) == code


def test_link_that_leads_outside_is_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "outside.arch").write_text("block A { ReLU }")
    (tmp_path / "project").mkdir()
    os.symlink(tmp_path / "outside.arch", tmp_path / "project" / "inside.arch")
    assert code_of(load, {"main.arch": f'import A from "inside.arch"\n{MAIN}'}) == "E0501"


def test_search_path_allows_another_folder(load: Load, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "lib.arch").write_text("block A { Tanh }")
    files = {"main.arch": f'import A from "lib.arch"\n{MAIN}'}
    assert lines(load(files, search=[str(shared)]))[-1] == "0.0 Tanh(x) 4"


def test_what_is_imported_must_be_there(load: Load) -> None:
    files = {"main.arch": f'import A from "a.arch"\n{MAIN}', "a.arch": "block B { ReLU }"}
    assert code_of(load, files) == "E0201"


def test_ring_of_imports_is_shown(load: Load) -> None:
    files = {
        "main.arch": f'import A from "a.arch"\n{MAIN}',
        "a.arch": 'import B from "b.arch"\nblock A { B }',
        "b.arch": 'import A from "a.arch"\nblock B { ReLU }',
    }
    with pytest.raises(ArchError, match=r"a\.arch -> .*b\.arch -> .*a\.arch"):
        load(files)


def test_imported_name_clashes_with_an_item(load: Load) -> None:
    files = {
        "main.arch": f'import A from "a.arch"\nblock A {{ Tanh }}\n{MAIN}',
        "a.arch": "block A { ReLU }",
    }
    assert code_of(load, files) == "E0203"


def test_nothing_is_quoted_of_a_file_that_is_no_spec(load: Load) -> None:
    files = {"main.arch": f'import A from "a.txt"\n{MAIN}', "a.txt": "password = hunter2"}
    with pytest.raises(ArchError) as error:
        load(files)
    assert "hunter2" not in str(error.value)


def test_mistakes_in_imported_files_are_located_there(load: Load) -> None:
    files = {
        "main.arch": f'import A from "a.arch"\n{MAIN}',
        "a.arch": "block A { ReLU }\nblock B { Rellu }",
    }
    with pytest.raises(ArchError) as error:
        load(files)
    (found,) = error.value.diagnostics
    assert found.span is not None
    assert found.span.source.path.endswith("a.arch")
    assert found.span.line == 2
