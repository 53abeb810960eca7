"""Pictures by whichever Graphviz is there, and sentences where none is."""

from __future__ import annotations

import html
import importlib.util
import re
import shutil
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from graphs import Builder, inception, resnet

from archdsl.backends.diagram import Diagram, diagram, draw
from archdsl.backends.diagram.diagram import FORMATS
from archdsl.backends.diagram.dot import engines
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph

MAGIC = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
HERE = {
    "graphviz-pure": True,
    "dot": shutil.which("dot") is not None,
    "pygraphviz": importlib.util.find_spec("pygraphviz") is not None,
}


def small() -> CheckedGraph:
    b = Builder()
    b.input("x", 4, 8, 8)
    b.layer("Conv2d", "conv", out_channels=4, kernel_size=1)
    return b.checked()


def message(run: Callable[[], object]) -> str:
    with pytest.raises(ArchError) as caught:
        run()
    return str(caught.value)


def drawn(checked: CheckedGraph, format: str, engine: str | None = None) -> Diagram:
    """Draw; skip where a PDF can't be, since the system has no fonts."""
    try:
        return draw(checked, format=format, engine=engine)
    except ArchError as error:
        if format == "pdf" and engines.FONTLESS in str(error):
            pytest.skip(f"{engines.FONTLESS} (apt-get install fonts-liberation)")
        raise


@pytest.mark.parametrize("engine", HERE)
@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_every_engine_draws_what_it_can(engine: str, format: str) -> None:
    if engine not in engines.DRAWS[format]:
        text = message(lambda: draw(small(), format=format, engine=engine))
        assert f"`{engine}` cannot draw {format}" in text
        assert "install" in text
        return
    if not HERE[engine]:
        pytest.skip(f"{engine} is not installed")
    first = drawn(small(), format, engine).data
    assert first.startswith(MAGIC[format])
    if format == "pdf":  # whose time is written in seconds
        time.sleep(1.1)
    assert first == draw(small(), format=format, engine=engine).data


@pytest.mark.parametrize("engine", ["dot", "pygraphviz"])
def test_a_pdf_without_letters_is_refused(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not HERE[engine]:
        pytest.skip(f"{engine} is not installed")
    configuration = tmp_path / "fonts.conf"
    configuration.write_text(f"<fontconfig><dir>{tmp_path}</dir></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(configuration))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    text = message(lambda: draw(small(), format="pdf", engine=engine))

    assert "no font on this system" in text
    assert "fonts-liberation" in text


def test_without_graphviz_pure_the_next_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def absent(name: str) -> Callable[[], Sequence[str] | None]:
        return lambda: asked.append(name)

    monkeypatch.setattr(engines, "ENGINES", {name: absent(name) for name in engines.ENGINES})
    text = message(lambda: draw(small()))

    assert asked == ["graphviz-pure", "dot", "pygraphviz"]
    assert "nothing is installed that draws svg" in text
    assert "`pip install graphviz-pure`" in text
    text = message(lambda: draw(small(), engine="dot"))
    assert "`dot` is not installed" in text
    assert "apt-get install graphviz" in text


def test_an_engine_that_fails_or_hangs_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(*command: str) -> None:
        monkeypatch.setattr(engines, "ENGINES", {"graphviz-pure": lambda: list(command)})

    use("sh", "-c", "cat > /dev/null; echo it broke >&2; exit 3")
    assert "`graphviz-pure` failed: it broke" in message(lambda: draw(small()))
    use("/no/such/program")
    assert "`graphviz-pure` failed:" in message(lambda: draw(small()))
    monkeypatch.setattr(engines, "LONGEST", 0.2)
    use("sh", "-c", "exec sleep 30")
    assert "did not finish in 0.2 seconds" in message(lambda: draw(small()))


def test_text_formats_need_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ENGINES", dict.fromkeys(engines.ENGINES, lambda: None))
    for format in ("dot", "html", "mmd"):
        assert draw(small(), format=format).data


def test_wrong_choices_are_reported_together() -> None:
    text = message(
        lambda: draw(
            resnet((2, 2)),
            format="gif",
            theme="red",
            heat="x",
            direction="UP",
            engine="e",
            unfold=["layr1.0"],
        )
    )
    for part in ("`format` is one of", "`gif`", "`theme`", "`heat`", "`direction`", "`engine`"):
        assert part in text
    assert "there is no block `layr1.0` to unfold" in text
    assert "did you mean `layer1.0`" in text


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("layer2.O", "did you mean `layer2.1` or `layer2.0`?"),
        ("conv1", "`conv1` is a layer, and has nothing inside"),
        ("c0", "blocks are `layer1`, `layer1.0`, `layer1.0.downsample`, `layer1.1`, `layer1.2`, "
         "`layer2`, `layer2.0`, `layer2.0.downsample` and 1 more"),
        ("", "blocks are `layer1`, "),
        (".*", "blocks are `layer1`, "),
    ],
)  # fmt: skip
def test_what_is_no_block_is_answered_with_what_is_one(path: str, hint: str) -> None:
    text = message(lambda: draw(resnet((3, 2)), unfold=[path]))

    assert f"there is no block `{path}` to unfold" in text
    assert hint in text


def test_a_network_of_layers_alone_has_nothing_to_unfold() -> None:
    assert "has layers alone" in message(lambda: draw(small(), unfold=["c0"]))


def test_too_many_boxes_are_refused_with_a_depth_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diagram, "MOST_DRAWN", 29)
    checked = resnet((2, 2))

    draw(checked, depth=3, format="dot")
    text = message(lambda: draw(checked, unfold=["*"], format="dot"))
    assert "more than the 29 that are drawn" in text
    assert "`--depth 4`" in text


def test_a_page_of_too_many_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = len(small().nodes)
    monkeypatch.setattr(diagram, "MOST_IN_PAGE", nodes)
    assert draw(small(), format="html").data
    monkeypatch.setattr(diagram, "MOST_IN_PAGE", nodes - 1)

    assert "more than the limit of 1" in message(lambda: draw(small(), format="html"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_diagram_shows_and_saves_itself(format: str, tmp_path: Path) -> None:
    if format == "pdf" and not (HERE["dot"] or HERE["pygraphviz"]):
        pytest.skip("PDF needs Graphviz' `dot` or pygraphviz")
    diagram = drawn(inception(1), format)
    path = tmp_path / f"net.{format}"
    diagram.save(path)

    assert path.read_bytes() == diagram.data
    (shown,) = diagram._repr_mimebundle_().values()
    text = diagram.data.decode(errors="replace")
    if format == "html":
        assert html.unescape(shown.split('"')[1]) == text
    else:
        assert shown in (diagram.data, text)
    assert diagram.source


def test_a_picture_can_be_handed_to_the_package_graphviz() -> None:
    import graphviz

    diagram = draw(small(), format="png")
    handed = diagram.to_graphviz()

    assert isinstance(handed, graphviz.Source)
    assert handed.source == diagram.source
    assert handed.format == "png"
    assert draw(small(), format="dot").to_graphviz().source == diagram.source
    assert "and not `html`" in message(draw(small(), format="html").to_graphviz)
    if HERE["dot"]:
        assert handed.pipe(format="svg").startswith(MAGIC["svg"])


def test_the_extra_for_pdf_brings_what_draws_it() -> None:
    wanted = [each for each in metadata.requires("archdsl") or () if "extra == 'pdf'" in each]
    names = {re.match(r"[\w-]+", each).group() for each in wanted}  # type: ignore[union-attr]

    assert names
    assert names <= set(engines.DRAWS["pdf"])


@pytest.mark.parametrize("heat", ["macs", "parameters", "memory"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_heat_colours_the_heaviest_most(heat: str, theme: str) -> None:
    from archdsl.backends.diagram.style import THEMES

    source = draw(inception(1), depth=9, heat=heat, theme=theme, counts=True, format="dot").source
    hottest = THEMES[theme].warm(1.0)
    lines = [line for line in source.splitlines() if hottest in line and "tooltip" in line]

    assert len(lines) == 1
    assert "conv" in lines[0] or "stem" in lines[0]


def test_letters_that_the_bundled_fonts_lack_go_to_another_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def absent(name: str) -> Callable[[], Sequence[str] | None]:
        return lambda: asked.append(name)

    monkeypatch.setattr(engines, "ENGINES", {name: absent(name) for name in engines.ENGINES})
    b = Builder("网络")
    b.input("x", 4, 8, 8)
    message(lambda: draw(b.checked(), format="png"))
    assert asked == ["dot", "pygraphviz", "graphviz-pure"]
    asked.clear()
    message(lambda: draw(inception(1), format="png"))
    assert asked == ["graphviz-pure", "dot", "pygraphviz"]


def test_a_brace_in_the_name_of_a_network_changes_nothing_but_the_name() -> None:
    def size(name: str) -> bytes:
        b = Builder(name)
        b.input("x", 4, 8, 8)
        b.layer("ReLU")
        return draw(b.checked(), format="png").data[16:24]  # width and height

    assert size("a{b") == size("a(b")


def test_a_page_from_left_to_right_is_refused() -> None:
    with pytest.raises(ArchError, match="a page is drawn from top to bottom"):
        draw(small(), format="html", direction="LR")
    with pytest.raises(ArchError) as raised:  # what is wrong besides is said too
        draw(small(), format="html", direction="LR", theme="pink")

    assert [wrong.code for wrong in raised.value.diagnostics] == ["E0706", "E0709"]
