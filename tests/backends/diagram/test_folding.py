"""What is seen of a network: depth, runs of equal blocks, stacks of layers, unfolding."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from graphs import Builder, densenet, inception, resnet, unet
from hypothesis import example, given
from hypothesis import strategies as st

from archdsl import load
from archdsl.backends.diagram import draw
from archdsl.backends.diagram.box_rows import rows_of, run_shapes
from archdsl.backends.diagram.diagram import Choices, style_of
from archdsl.backends.diagram.notation import MORE, kind_of
from archdsl.backends.diagram.view.view import Box, View, boxes_in
from archdsl.backends.diagram.view.viewer import MOST_BOXES, MOST_POINTS, Viewer, foldable
from archdsl.graph import CheckedGraph, Scope
from archdsl.pipeline import Spec


def view(checked: CheckedGraph, depth: int | None = None, *unfold: str) -> View:
    viewer = Viewer(checked, unfold)
    return viewer.fitting() if depth is None else viewer.view(depth)


def paths(seen: View, kind: str | None = None) -> list[str]:
    return [box.path for box in seen.boxes if kind is None or box.kind == kind]


def box_at(seen: View, path: str) -> Box:
    (found,) = [box for box in seen.boxes if box.path == path and not box.output]
    return found


def chain(shapes_change: bool = False, blocks: int = 4) -> Builder:
    b = Builder()
    b.input("x", 8, 16, 16)
    for number in range(blocks):
        with b.block(f"b{number}", "Block"):
            if shapes_change:
                b.merge("concat", b.flow, b.flow)
            b.layer("Conv2d", "conv", out_channels=8, kernel_size=3, padding=1)
            b.layer("ReLU")
            if shapes_change:
                b.layer("MaxPool2d", kernel_size=2)
    return b


def test_depth_opens_that_many_levels() -> None:
    checked = resnet((2, 2))

    assert paths(view(checked, 0)) == ["", "output"]
    assert paths(view(checked, 1))[3:5] == ["layer1", "layer2"]
    assert paths(view(checked, 2))[3:5] == ["layer1.0", "layer1.1"]
    assert "layer1.1.conv1" in paths(view(checked, 3))


def test_a_folded_group_is_called_as_the_blocks_that_it_is_made_of() -> None:
    b = Builder()
    b.input("x", 8, 16, 16)
    for label, turns in (("one", 1), ("three", 3)):
        with b.block(label):
            for number in range(turns):
                with b.block(str(number), "Unit", drop=number / 10):
                    b.layer("Conv2d", "conv", out_channels=8, kernel_size=1)
                    b.layer("Dropout", p=number / 10)

    dot = draw(b.checked(), depth=1, format="dot").source

    assert "Unit x 3" in dot
    assert dot.count("Unit") == 2


def test_long_arguments_begin_with_those_that_tell_the_uses_apart() -> None:
    """`width` tells three of four uses apart, and `last` the two that are left; `same` none."""
    b = Builder()
    b.input("x", 8, 16, 16)
    for number, (width, last) in enumerate([(64, 1), (128, 1), (256, 1), (256, 2)]):
        more = {"expansion": 4 if number else 2, "same_for_all": 7, "width": width, "last": last}
        with b.block(f"u{number}", "Unit", squeeze_factor=0.25 if number else 0.5, **more):
            b.layer("Conv2d", "conv", out_channels=8 + number, kernel_size=1)
            b.layer("MaxPool2d", kernel_size=1)
    titles = view(b.checked(), 1).summaries

    assert [titles[f"u{number}"].split(", ")[:2] for number in range(4)] == [
        ["width 64", "last 1"],
        ["width 128", "last 1"],
        ["width 256", "last 1"],
        ["width 256", "last 2"],
    ]
    assert all(title.endswith(", ...") and len(title) <= 40 for title in titles.values())
    assert not any("same" in title for title in titles.values())


@pytest.mark.parametrize("name", ["googlenet", "googlenet_2014", "densenet121", "efficientnet_b0"])
def test_no_block_whose_uses_differ_says_nothing(name: str) -> None:
    """Where two uses of a block on the first level say the same, their arguments are the same."""
    checked = foldable(load(name).checked)
    said: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for depth in (1, 2):
        seen = view(checked, depth)
        for box in seen.boxes:
            if box.kind == "block" and box.block.block:
                title = seen.summaries[box.block.name]
                values = tuple(map(seen.notation.value, box.block.arguments.values()))
                said.setdefault((box.block.block, title), set()).add(values)

    assert said
    assert all(len(uses) == 1 for uses in said.values())


def test_a_group_that_is_one_run_says_of_what() -> None:
    seen = view(load("densenet121").checked, 2)

    assert [seen.summaries[f"features.denseblock{number}"] for number in range(1, 5)] == [
        f"(DenseLayer, concat) x {depth}" for depth in (6, 12, 24, 16)
    ]


def test_blocks_of_two_files_may_share_a_name(tmp_path: Path) -> None:
    unit = "block Unit({0}) {{ Conv2d({0}, 1) -> Conv2d(4, 3) }}\n"
    (tmp_path / "other.arch").write_text(
        unit.format("width") + "block Other { u: Unit(2) -> v: Unit(3) }\n"
    )
    (tmp_path / "main.arch").write_text(
        'import Other from "other.arch"\n'
        + unit.format("out")
        + "network main { input x: [4, 16, 16]; a: Unit(5) -> b: Unit(6) -> other: Other }\n"
    )
    titles = view(Spec(str(tmp_path / "main.arch")).graph(), 1, "other").summaries

    assert {titles[name] for name in ("a", "b")} == {"out 5", "out 6"}
    assert {titles[f"other.{name}"] for name in "uv"} == {"width 2", "width 3"}


def test_every_node_stands_in_one_box() -> None:
    checked = inception()
    for depth in range(5):
        names = [node.name for box in view(checked, depth).boxes for node in box.nodes]
        assert sorted(names) == sorted(checked.nodes)


def test_layers_that_go_on_place_by_place_share_a_box() -> None:
    seen = view(resnet((1,)), 1)

    assert [item.name for item in box_at(seen, "conv1").items] == ["conv1", "bn1", "3"]


def test_a_layer_read_twice_ends_its_stack() -> None:
    b = Builder()
    b.input("x", 4, 8, 8)
    first = b.layer("Conv2d", "conv", out_channels=4, kernel_size=1)
    b.merge("add", b.layer("ReLU", "act"), first)

    assert paths(view(b.checked(), 1)) == ["x", "conv", "act", "add", "output"]


def test_equal_blocks_fold_to_a_run_with_shapes_in_and_out() -> None:
    seen = view(resnet((1, 4)), 2)
    run = box_at(seen, "layer2.1")

    assert run.kind == "run"
    assert run.times == 3
    assert run_shapes(seen, run) == "512 x 112 x 112 → 512 x 112 x 112".replace("112", "28")


def test_three_blocks_whose_shapes_change_are_a_run_and_two_are_not() -> None:
    assert box_at(view(chain(True, 3).checked(), 1), "b0").times == 3
    assert paths(view(chain(True, 2).checked(), 1), "block") == ["b0", "b1"]


def test_the_layers_of_densenet_are_a_run_with_the_concat_behind_each() -> None:
    seen = view(densenet((6, 4)), 2)
    run = box_at(seen, "denseblock1.denselayer1")

    assert run.times == 6
    assert run_shapes(seen, run) == "64 x 56 x 56 → 256 x 56 x 56"
    assert sum(1 for node in run.nodes if node.layer.word == "concat") == 6


def test_a_block_with_other_arguments_is_no_part_of_a_run() -> None:
    b = chain(blocks=2)
    with b.block("other", "Block"):
        b.layer("Conv2d", "conv", out_channels=8, kernel_size=5, padding=2)
        b.layer("ReLU")

    seen = view(b.checked(), 1)
    assert paths(seen, "run") == ["b0"]
    assert paths(seen, "block") == ["other"]


def test_a_block_that_somebody_else_reads_ends_a_run() -> None:
    b = chain(blocks=4)
    b.merge("add", "b1.1", b.flow)

    runs = [(box.path, box.times) for box in view(b.checked(), 1).boxes if box.kind == "run"]
    assert runs == [("b0", 2), ("b2", 2)]


def test_blocks_that_do_not_follow_each_other_are_no_run() -> None:
    b = Builder()
    start = b.input("x", 8, 16, 16)
    ends = []
    for number in range(3):
        b.flow = start
        with b.block(f"b{number}", "Block"):
            ends.append(b.layer("Conv2d", "conv", out_channels=8, kernel_size=1))
    b.merge("concat", *ends)

    assert paths(view(b.checked(), 1), "block") == ["b0", "b1", "b2"]


def test_groups_that_call_their_layers_differently_are_no_run() -> None:
    def groups(*labels: str) -> list[str]:
        b = Builder()
        b.input("x", 8, 16, 16)
        for number, label in enumerate(labels):
            with b.block(f"stage{number}"):
                b.layer("Conv2d", label, out_channels=8, kernel_size=1)
                b.layer("MaxPool2d", kernel_size=1)
        return paths(view(b.checked(), 1), "run")

    assert groups("reduce", "expand") == []
    assert groups("conv", "conv") == ["stage0"]


def runs_of_blocks(wire: Callable[[Builder, int], None], blocks: int = 3) -> list[tuple[str, int]]:
    """Return the runs among blocks of two convolutions, each wired by its number."""
    b = Builder()
    b.input("x", 4, 8, 8)
    for number in range(blocks):
        with b.block(f"b{number}", "Block"):
            b.layer("Conv2d", "c", out_channels=4, kernel_size=1)
            b.layer("Conv2d", "d", out_channels=4, kernel_size=3, padding=1)
            wire(b, number)
    return [(box.path, box.times) for box in view(b.checked(), 1).boxes if box.kind == "run"]


def test_blocks_are_a_run_only_if_they_are_wired_alike() -> None:
    def inner(b: Builder, number: int) -> None:
        b.merge("add", b.flow, f"b{number}.c")

    def input_of_the_first(b: Builder, number: int) -> None:
        b.merge("add", b.flow, "x")  # which only the first reads by its convolution too

    def inner_of_the_first(b: Builder, number: int) -> None:
        b.merge("add", b.flow, "b0.c")

    def more_and_more(b: Builder, number: int) -> None:
        b.merge("add", b.flow, *[f"b{number}.c"] * (1 + number))

    assert runs_of_blocks(inner) == [("b0", 3)]
    assert runs_of_blocks(input_of_the_first) == [("b1", 2)]
    assert runs_of_blocks(inner_of_the_first, blocks=2) == []
    assert runs_of_blocks(more_and_more) == []


def test_a_layer_and_those_that_share_its_weights_are_no_run(tmp_path: Path) -> None:
    path = tmp_path / "shared.arch"
    path.write_text("network n { input x: [4, 8, 8]; c: Conv2d(4, 1); repeat 4 { reuse c } }")
    boxes = view(Spec(str(path)).graph(), 1).boxes

    assert [(box.path, box.times) for box in boxes[1:-1]] == [("c", 1), ("c@2", 4)]


def test_what_is_for_training_is_no_run_with_what_is_not(tmp_path: Path) -> None:
    path = tmp_path / "aside.arch"
    path.write_text(
        "network n { input x: [4, 8, 8]; repeat 2 { Conv2d(4, 1); ReLU }; Conv2d(4, 1)\n"
        "output aux when training { ReLU; repeat 2 { Conv2d(4, 1); ReLU } }\nConv2d(2, 1) }"
    )
    checked = Spec(str(path)).graph()

    for box in view(checked, 1).boxes:
        aside = [node.name in checked.training_only for node in box.nodes]
        assert len({*aside}) < 2
        assert box.output or box.training_only == all(aside)


def test_a_layer_shows_each_of_its_inputs() -> None:
    b = Builder()
    b.input("x", 4, 8, 8)
    b.merge("add", "x", "x")

    assert len(view(b.checked(), 1).edges) == 3


def test_unfolding_one_of_a_run_leaves_the_others_folded() -> None:
    seen = view(resnet((1, 7)), 2, "layer2.3")

    assert [(box.path, box.times) for box in seen.boxes if box.kind == "run"] == [
        ("layer2.1", 2),
        ("layer2.4", 3),
    ]
    assert "layer2.3.conv1" in paths(seen)


def test_unfolding_opens_all_around() -> None:
    seen = view(resnet((2, 2)), 1, "layer2.0.downsample")

    assert "layer2.0.downsample" in paths(seen)
    assert box_at(seen, "layer2.0.downsample").heads[0].name == "layer2.0.downsample"
    assert "layer1" in paths(seen, "block")


def test_a_star_shows_every_layer_in_a_box_of_its_own() -> None:
    checked = inception(2)
    everything = view(checked, None, "*")
    below = view(checked, 1, "Mixed_1.*")

    assert {box.path for box in everything.boxes if box.nodes} == set(checked.nodes)
    assert "Mixed_1.branch1x1.bn" in paths(below)
    assert "Mixed_0" in paths(below, "block")


def test_by_default_the_deepest_that_fits_on_a_page() -> None:
    for checked in (resnet((3, 8, 36, 3)), densenet((6, 12, 48, 32)), inception(9), unet()):
        viewer = Viewer(checked)
        seen = viewer.fitting()
        assert len(seen.boxes) <= MOST_BOXES
        assert viewer.height(seen) <= MOST_POINTS


def convolutions(*channels: int, kernel: int = 3) -> Builder:
    b = Builder()
    b.input("x", 4, 16, 16)
    for out in channels:
        b.layer("Conv2d", out_channels=out, kernel_size=kernel, padding=kernel // 2)
        b.layer("ReLU")
    return b


def test_layers_with_what_goes_on_with_them_are_a_run_from_three_times_on() -> None:
    three = view(convolutions(8, 8, 8).checked(), 1)
    run = box_at(three, "1")

    assert (run.kind, run.times, len(run.nodes)) == ("layers", 3, 6)
    assert [item.name for item in run.items] == ["1", "2"]
    assert run_shapes(three, run) == "4 x 16 x 16 → 8 x 16 x 16"
    assert paths(view(convolutions(8, 8).checked(), 1), "layers") == ["1", "3"]
    assert paths(view(convolutions(8, 8, 16).checked(), 1), "layers") == ["1", "3", "5"]
    assert len(paths(view(convolutions(8, 8, 8).checked(), 1, "*"), "layers")) == 6


def test_a_run_of_layers_says_its_first_and_last_names() -> None:
    b = Builder()
    b.input("x", 8, 16, 16)
    for number in range(4):
        b.layer("Conv2d", f"conv{number}", out_channels=8, kernel_size=1)
        b.layer("BatchNorm2d", f"bn{number}")
    checked = b.checked()
    sources = {format: draw(checked, format=format).source for format in ("dot", "mmd", "tex")}

    assert "conv0 ... conv3" in sources["dot"]
    assert "bn0 ... bn3" in sources["dot"]
    assert "<B>x 4</B>" in sources["dot"]
    assert "x 4" in sources["mmd"]
    assert r"\textbf{x 4}" in sources["tex"]


def test_a_layer_that_somebody_else_reads_ends_a_run_of_layers() -> None:
    b = convolutions(4, 4, 4, 4)
    b.merge("add", "4", b.flow)

    assert paths(view(b.checked(), 1), "layers") == ["1", "3", "5", "7"]


TURNS = """\
block Body(w) { residual { Conv2d(w, 3, padding = 1) -> ReLU -> Conv2d(w, 3, padding = 1) } }
block Pointwise(w) { Conv2d(w, 1) -> ReLU }
network turns {
  input x: [4, 16, 16]
  %s
}
"""
PARTS = {
    "Conv2d": '"conv{i}": Conv2d(4, 3, padding = 1)',
    "Conv2d unnamed": "Conv2d(4, 1)",
    "BatchNorm2d": '"norm{i}": BatchNorm2d',
    "ReLU": "ReLU",
    "MaxPool2d": "MaxPool2d(1)",
    "Body": '"body{i}": Body(4)',
    "Pointwise": '"point{i}": Pointwise(4)',
    "group": '"group{i}": { Conv2d(4, 1) -> ReLU }',
    "residual": '"residual{i}": residual { Conv2d(4, 1) -> BatchNorm2d }',
    "concat": "concat { branch { Body(4) } branch { Conv2d(4, 1) } } -> Conv2d(4, 1)",
}


def turns(folder: Path, statements: str) -> CheckedGraph:
    path = folder / "turns.arch"
    path.write_text(TURNS % statements)
    return Spec(str(path)).graph()


def said_in(seen: View, box: Box) -> list[str]:
    """Return what a box names, turn by turn: kinds of layers, blocks, and labels of groups."""
    rows = rows_of(seen, box, style_of(seen, Choices()))[len(box.heads) :]
    names = [row.strong.split(" ... ")[0] for row in rows if row.strong]
    return names * box.times


def standing_in(box: Box) -> list[str]:
    """Return what stands at the top of a box, from its nodes alone."""
    around = box.heads[-1].name if box.heads else box.scope
    found: list[tuple[object, str]] = []
    for node in box.nodes:
        within, name = node.scope, kind_of(node.layer)
        thing: object = node
        while within.name != around:
            thing, name = within, within.block or within.label
            assert within.parent
            within = within.parent
        if not found or found[-1][0] is not thing:
            found.append((thing, name))
    return [name for _, name in found]


def unnumbered(names: list[str]) -> list[str]:
    """Take the number of its turn from the label of a group."""
    return [name.rstrip("0123456789") if name[:1].islower() else name for name in names]


@given(
    turn=st.lists(st.sampled_from([*PARTS]), min_size=1, max_size=4, unique=True),
    times=st.integers(1, 5),
    grouped=st.booleans(),
    depth=st.integers(1, 3),
)
@example(turn=["Conv2d", "BatchNorm2d", "Body"], times=4, grouped=False, depth=1)
@example(turn=["Conv2d", "group", "residual"], times=5, grouped=False, depth=1)
@example(turn=["Conv2d", "Body"], times=3, grouped=True, depth=1)
@example(turn=["Body", "Pointwise"], times=2, grouped=False, depth=1)
@example(turn=["Pointwise", "MaxPool2d", "Conv2d", "BatchNorm2d"], times=2, grouped=True, depth=1)
def test_every_layer_is_named_or_in_what_is_named(
    tmp_path_factory: pytest.TempPathFactory,
    turn: list[str],
    times: int,
    grouped: bool,
    depth: int,
) -> None:
    """A box says all that stands at its top, as often as it stands there."""
    loop = f"for i in range({times}) {{ {'; '.join(PARTS[part] for part in turn)} }}"
    statements = f"Conv2d(4, 1); stage: {{ {loop} }}" if grouped else loop
    seen = view(turns(tmp_path_factory.getbasetemp(), statements), depth)

    assert sum(len(box.nodes) for box in seen.boxes) == len(seen.checked.nodes)
    for box in seen.boxes:
        if box.kind in ("layers", "run"):
            assert unnumbered(said_in(seen, box)) == unnumbered(standing_in(box))
        if box.kind == "block" and " x " in (title := seen.summaries[box.block.name]):
            counted = re.fullmatch(r"\(?(.+?)\)? x (\d+)", title)
            assert counted
            level = Viewer(seen.checked).tree.level(box.block).items
            inside = [i.block if isinstance(i, Scope) else kind_of(i.layer) for i in level]
            named, turns_of_it = counted[1].split(", "), int(counted[2])
            said = named[: -1 if named[-1] == MORE else None]  # what has no room is left out
            once = inside[: len(inside) // turns_of_it]
            assert once * turns_of_it == inside
            assert once[: len(said)] == said
            assert (len(said) < len(once)) == (named != said)


@pytest.mark.parametrize("name", ["inception_v3", "xception", "densenet121", "vgg16"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_shipped_networks_name_all_that_a_box_holds(name: str, depth: int) -> None:
    seen = view(load(name).checked, depth)

    for box in seen.boxes:
        if box.kind in ("layers", "run"):
            assert unnumbered(said_in(seen, box)) == unnumbered(standing_in(box))


def test_a_run_of_several_boxes_a_turn_names_them_in_every_format(tmp_path: Path) -> None:
    loop = "; ".join(PARTS[part] for part in ("Conv2d", "BatchNorm2d", "Body", "residual"))
    checked = turns(tmp_path, f"for i in range(3) {{ {loop} }}")

    for format in ("dot", "mmd", "tex"):
        source = draw(checked, format=format, depth=1).source
        for said in ("Conv2d", "conv0 ... conv2", "BatchNorm2d", "norm0 ... norm2", "Body"):
            assert said in source
        assert "residual0 ... residual2" in source
    (run,) = [box for box in view(checked, 1).boxes if box.kind == "run"]
    assert run.path == "conv0"


def test_a_group_of_a_layer_and_a_run_of_blocks_does_not_hide_the_layer(tmp_path: Path) -> None:
    loop = "Conv2d(4, 3); for i in range(3) { Conv2d(4, 1); Body(4) }"
    checked = turns(tmp_path, f"stage: {{ {loop} }}; MaxPool2d(2)")

    assert view(checked, 1).summaries["stage"] == ""


def test_a_frame_around_a_run_of_layers_stays_a_frame() -> None:
    b = Builder()
    b.input("x", 4, 16, 16)
    with b.block("stage", "Stage"):
        for _ in range(3):
            b.layer("Conv2d", out_channels=4, kernel_size=1)

    (run,) = [box for box in view(b.checked(), 9).boxes if box.kind == "layers"]
    assert not run.heads
    assert run.scope == "stage"


INLINE = """\
network flat() {
  input x: [4, 8, 8]
  %s
}
block Module(name, width = 2) {
  concat {
    branch { "{name}_one": Conv2d(width, 1) }
    branch { "{name}_reduce": Conv2d(2, 1) -> "{name}_three": Conv2d(2, 3, padding = 1) }
  }
}
"""


AGAIN = """\
network again() {
  input x: [4, 8, 8]
  b: { conv: Conv2d(4, 1); ReLU }
  pool: MaxPool2d(2)
  reuse b
}
"""


def flat(folder: Path, *statements: str) -> CheckedGraph:
    path = folder / "flat.arch"
    path.write_text(INLINE % "\n  ".join(statements))
    return Spec(str(path)).graph()


def test_a_network_without_blocks_folds_where_it_uses_them_inline(tmp_path: Path) -> None:
    uses = [f'inline Module("m_{number}", {number + 1})' for number in range(20)]
    many = foldable(flat(tmp_path, *uses))
    seen = view(many, 1)

    assert [box.path for box in seen.boxes if box.kind == "block"] == [
        f"m_{number}" for number in range(20)
    ]
    assert {box.block.block for box in seen.boxes if box.kind == "block"} == {"Module"}
    opened = view(many, 1, "m_3")
    assert "m_3_three" in paths(opened)
    assert sum(len(box.nodes) for box in opened.boxes) == len(many.nodes)


def test_a_loop_of_inline_uses_is_a_run(tmp_path: Path) -> None:
    many = foldable(flat(tmp_path, 'for i in range(25) { inline Module("m{i}") }'))
    (run,) = [box for box in view(many, 1).boxes if box.kind == "run"]

    assert (run.path, run.times, len(run.nodes)) == ("m0", 25, 100)
    assert len(many.scopes) == 26


def test_a_network_that_fits_stays_as_it_is_written(tmp_path: Path) -> None:
    few = flat(tmp_path, 'inline Module("a")', 'inline Module("b")')

    assert foldable(few) is few


def test_a_small_network_is_shown_whole() -> None:
    seen = view(chain(blocks=1).checked())

    assert not paths(seen, "block")


def test_the_main_path_is_the_longest_to_the_main_output() -> None:
    seen = view(inception(1), 2)
    main = [seen.boxes[index].path for index in seen.main]

    assert main[0] == "image"
    assert main[-1] == "logits"
    assert [path for path in main if "3x3dbl" in path]
    assert not any("AuxLogits" in path for path in main)


def test_shortcuts_are_marked_and_the_main_path_is_not() -> None:
    seen = view(resnet((2,)), 3, "layer1.1")
    (shortcut,) = [edge for edge in seen.edges if edge.shortcut]

    assert seen.boxes[shortcut.target].path == "layer1.1.add"
    assert not shortcut.main


def test_training_only_parts_are_marked() -> None:
    seen = view(inception(1), 1)

    assert [box.path for box in seen.boxes if box.training_only] == ["AuxLogits", "aux"]
    assert {seen.boxes[e.target].path for e in seen.edges if e.training_only} == {
        "AuxLogits",
        "aux",
    }


def test_what_a_block_reads_at_inference_too_is_no_training_edge() -> None:
    b = Builder()
    b.input("x", 4, 8, 8)
    with b.block("both"):
        b.layer("Conv2d", "aside", "x", out_channels=2, kernel_size=1)
        b.output("aux", training_only=True)
        b.layer("Conv2d", "conv", "x", out_channels=4, kernel_size=1)
    b.output("y")

    seen = view(b.checked(), 1)
    (into,) = [edge for edge in seen.edges if seen.boxes[edge.target].path == "both"]
    assert not into.training_only
    assert {seen.boxes[e.target].path for e in seen.edges if e.training_only} == {"aux"}


def test_two_folded_blocks_that_read_each_other_can_be_drawn() -> None:
    b = Builder()
    b.input("x", 4, 8, 8)
    for number in range(2):
        for name in ("left", "right"):
            with b.block(name):
                b.layer("Conv2d", f"c{number}", out_channels=4, kernel_size=1)

    seen = view(b.checked(), 1)
    steps = {(seen.boxes[e.source].path, seen.boxes[e.target].path) for e in seen.edges}
    assert {("left", "right"), ("right", "left")} <= steps


def test_a_block_that_is_applied_again_stays_one_block(tmp_path: Path) -> None:
    """`reuse` adds to its scope, behind layers that stand outside."""
    path = tmp_path / "again.arch"
    path.write_text(AGAIN)
    checked = Spec(str(path)).graph()
    folded, opened = view(checked, 1), view(checked, 2)

    (block,) = [box for box in folded.boxes if box.kind == "block"]
    assert [node.name for node in block.nodes] == ["b.conv", "b.1", "b.conv@2", "b.1@2"]
    steps = [(folded.boxes[e.source].path, folded.boxes[e.target].path) for e in folded.edges]
    assert {("x", "b"), ("b", "pool"), ("pool", "b"), ("b", "output")} == {*steps}
    assert [opened.boxes[index].path for index in opened.main] == [
        *("x", "b.conv", "pool", "b.conv@2", "output")
    ]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_boxes_are_numbered_as_they_stand(depth: int) -> None:
    seen = view(resnet((2, 3)), depth)

    assert [box.index for box in boxes_in(seen.children)] == list(range(len(seen.boxes)))
