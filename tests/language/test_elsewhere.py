"""`from`, `reuse`, several inputs, `shape(label)`, and tensors of the network's own."""

from math import prod

import pytest
from shown import Arch, Stages, Wrong, lines, outputs


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("a", "a"),
        ("g", "g.y"),
        ("g.x", "g.x"),
        ("g.0.z", "g.0.z"),
        ("b", "b.1"),
        ("b.0", "b.0"),
        ("b.inner", "b.0"),
        ('"x{1}"', "x1"),
        ('"x{2 - 1}"', "x1"),
        ("image", "image"),
        ("l.0.1", "l.0.1"),
        ('l."{0}".1', "l.0.1"),
    ],
)
def test_from_goes_on_from_an_earlier_stage(stages: Stages, reference: str, found: str) -> None:
    body = f"""
    a: ReLU
    g: {{ {{ z: ReLU }} -> x: ReLU -> y: ReLU }}
    b: B
    for i in range(3) {{ "x{{i}}": ReLU }}
    l: {{ {{ ReLU; ReLU }} }}
    add {{ branch {{}} branch {{ from {reference} -> last: ReLU }} }}
    """
    last = [line for line in stages(body, "block B { ReLU; output inner; ReLU }") if "last" in line]
    assert last[0].startswith(f"last ReLU({found})")


def test_reference_is_looked_up_outwards_but_not_past_the_block(
    stages: Stages, wrong: Wrong
) -> None:
    body = "a: ReLU\ng: { { add { branch {} branch { from a } } } }"
    assert stages(body)[-1] == "g.0.add add(a, a) 4 x 8 x 8"
    (error,) = wrong("network n { input x: [4]; a: ReLU; B }\nblock B { from a }")
    assert error.code == "E0202"


def test_nearest_scope_wins(stages: Stages) -> None:
    body = "a: ReLU\ng: { a: Tanh; Tanh; add { branch {} branch { from a } } }"
    assert stages(body)[-1] == "g.add add(g.1, g.a) 4 x 8 x 8"


def test_unknown_reference_lists_what_is_in_sight(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; encode1: ReLU; b: ReLU; from encode2 }")
    assert error.help().startswith("in sight are encode1, ")


def test_only_earlier_stages_are_seen(wrong: Wrong) -> None:
    errors = wrong("network n { input x: [4]; from later; later: ReLU }")
    assert [error.code for error in errors] == ["E0202"]


def test_stage_under_way_cannot_be_referred_to(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; a: { ReLU; from a } }")
    assert error.code == "E0303"


def test_several_tensors_go_to_a_stage_that_takes_several(stages: Stages) -> None:
    body = "a: ReLU\nfrom in, image, a\nlet n = in[1].channels + len(in)\nfrom in[0]\nConv2d(n, 1)"
    assert stages(body)[-1] == "1 Conv2d(a) 7 x 8 x 8"
    assert stages("a: Permute([0, 1, 3, 2])\nfrom image, a -> MatMul")[-1] == (
        "1 MatMul(image, a) 4 x 8 x 8"
    )


def test_in_with_an_index_chooses_a_tensor(stages: Stages) -> None:
    body = "a: Conv2d(2, 1)\nfrom image, in\nb: Pick"
    others = (
        "block Pick { let n = in[0].channels * 10 + in[1].channels; from in[1] -> Conv2d(n, 1) }"
    )
    assert stages(body, others)[-1] == "b.0 Conv2d(a) 42 x 8 x 8"


def test_shape_of_a_label(stages: Stages) -> None:
    body = "a: Conv2d(2, (3, 1))\nConv2d(shape(a).height, shape(image).channels)"
    assert stages(body)[-1] == "1 Conv2d(a) 6 x 3 x 5"


# --- blocks with several inputs -------------------------------------------------------------

FUSE = """
block Fuse(width) {
  input low
  input high
  from low -> lateral: Conv2d(width, 1)
  up: { from high -> Upsample(scale_factor = 2) }
  add { branch { from lateral } branch {} }
}
"""


def test_block_takes_several_inputs(stages: Stages) -> None:
    assert stages("p: MaxPool2d(2)\nfrom image, p\nf: Fuse(4)", FUSE) == [
        "p MaxPool2d(image) 4 x 4 x 4",
        "f.lateral Conv2d(image) 4 x 8 x 8",
        "f.up.0 Upsample(p) 4 x 8 x 8",
        "f.add add(f.lateral, f.up.0) 4 x 8 x 8",
    ]


def test_flow_at_the_start_of_a_block_is_all_its_inputs(stages: Stages) -> None:
    others = "block Times { input a; input b; MatMul }"
    assert stages("from image, image\nTimes", others) == ["0.0 MatMul(image, image) 4 x 8 x 8"]


def test_wrong_number_of_inputs_says_which_there_are(wrong: Wrong) -> None:
    (error,) = wrong(f"network n {{ input x: [4, 8, 8]; Fuse(4) }}\n{FUSE}")
    assert error.message() == "`Fuse` takes `low` and `high`, and one tensor comes in"


MANY = """
block Sum {
  input first
  input maps[]
  add {
    branch { from first }
    for i in range(len(maps)) { branch { from maps[i] -> Conv2d(maps[i].channels, 1) } }
  }
}
"""


@pytest.mark.parametrize(("given", "count"), [("in", 1), ("in, image", 2), ("in, in, image", 3)])
def test_block_takes_any_number_of_inputs(stages: Stages, given: str, count: int) -> None:
    nodes = stages(f"a: ReLU\nfrom {given}\ns: Sum", MANY)
    assert sum("Conv2d" in line for line in nodes) == count - 1


def test_inputs_of_any_number_come_last(wrong: Wrong) -> None:
    others = "block B { input maps[]; input x; from x }"
    (error,) = wrong(f"network n {{ input x: [4]; from x, x; B }}\n{others}")
    assert error.code == "E0207"


@pytest.mark.parametrize("inputs", ["input a; input a", "input a; input a[]"])
def test_two_inputs_with_one_name_are_refused(wrong: Wrong, inputs: str) -> None:
    (error,) = wrong(f"network n {{ input x: [4]; from x, x; B }}\nblock B {{ {inputs}; from a }}")
    assert error.code == "E0203"


def test_index_beyond_the_inputs_is_refused(wrong: Wrong) -> None:
    others = "block B { input maps[]; from maps[2] }"
    (error,) = wrong(f"network n {{ input x: [4]; from x, x; B }}\n{others}")
    assert error.code == "E0303"


def test_stage_cannot_have_the_name_of_an_input(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; B }\nblock B { input low; low: ReLU }")
    assert error.code == "E0203"


# --- outputs of blocks ----------------------------------------------------------------------


def test_outputs_of_blocks_are_read_by_their_names(arch: Arch) -> None:
    graph = arch(
        """
        network n {
          input image: [4, 8, 8]
          body: Body
          output fine { from body.fine -> Conv2d(1, 1) }
          output coarse { from body.coarse -> Conv2d(1, 1) }
        }
        block Body {
          c1: Conv2d(4, 3, padding = 1)
          output fine
          output coarse { pool: MaxPool2d(2) }
        }
        """
    )

    assert outputs(graph) == {"fine": "1", "coarse": "2"}
    assert lines(graph)[3:] == [
        "1 Conv2d(body.c1) 1 x 8 x 8",
        "2 Conv2d(body.pool) 1 x 4 x 4",
    ]


def test_block_that_ends_with_an_output_aside_has_no_main_output(wrong: Wrong) -> None:
    others = "block B { ReLU; output a { ReLU } }"
    (error,) = wrong(f"network n {{ input x: [4]; b: B; ReLU }}\n{others}")
    assert error.code == "E0301"
    assert "from" in error.help()


# --- reuse ----------------------------------------------------------------------------------


def reuses(arch: Arch, body: str, others: str = "") -> dict[str, str]:
    graph = arch(f"network n {{ input x: [4, 8, 8]\n{body} }}\n{others}")
    return {node.name: node.shares for node in graph.nodes.values() if node.shares}


def test_reuse_shares_the_module_of_a_layer(arch: Arch) -> None:
    assert reuses(arch, "a: Conv2d(4, 1) -> reuse a -> reuse a") == {"a@2": "a", "a@3": "a"}


def test_reuse_of_groups_and_blocks_shares_all_their_modules(arch: Arch) -> None:
    shared = {"g.0@2": "g.0", "g.n@2": "g.n"}
    assert reuses(arch, "g: { Conv2d(4, 1); n: ReLU }; reuse g") == shared
    assert reuses(arch, "g: B; reuse g", "block B { Conv2d(4, 1); n: ReLU }") == shared
    assert reuses(arch, "g: B; reuse g.n", "block B { Conv2d(4, 1); n: ReLU }") == {"g.n@2": "g.n"}


def test_reuse_of_a_block_with_merges(arch: Arch) -> None:
    graph = arch(
        """
        network n { input x: [4, 8, 8]; b: B; reuse b }
        block B { residual { c: Conv2d(4, 1) } }
        """
    )
    assert lines(graph)[1:] == [
        "b.c Conv2d(x) 4 x 8 x 8",
        "b.add add(b.c, x) 4 x 8 x 8",
        "b.c@2 Conv2d(b.add) 4 x 8 x 8",
        "b.add_2 add(b.c@2, b.add) 4 x 8 x 8",
    ]


def test_label_on_reuse_names_the_tensor_alone(stages: Stages) -> None:
    body = "a: Conv2d(4, 1)\nx: reuse a\nTanh\nadd { branch { from x } branch {} }"
    assert stages(body)[-1] == "add add(a@2, 1) 4 x 8 x 8"


def test_reuse_on_another_size(stages: Stages) -> None:
    body = "a: Conv2d(4, 3)\nMaxPool2d(2)\nreuse a"
    assert stages(body)[-1] == "a@2 Conv2d(1) 4 x 1 x 1"


@pytest.mark.parametrize(
    "body",
    [
        "a: Conv2d(3, 1); reuse a",
        "x0: in; reuse x0",
        "reuse nothing",
        "a: { ReLU; reuse a }",
        "a: ReLU; from x, x; reuse a",
        "reuse x",
        "a: { in }; reuse a",
        "a: ReLU; b: reuse a; reuse b",
    ],
)
def test_reuse_that_makes_no_sense_is_refused(wrong: Wrong, body: str) -> None:
    (error,) = wrong(f"network n {{ input x: [4, 8, 8]\n{body} }}")
    assert error.code in ("E0304", "E0202", "E0303")


def test_reuse_of_a_module_made_for_another_number_of_channels_is_refused(wrong: Wrong) -> None:
    """Torch would refuse it when it runs: the buffers have their shape."""
    (error,) = wrong(
        "network n { input x: [4, 8, 8]; a: BatchNorm2d(affine = false); Conv2d(2, 1); reuse a }"
    )
    assert error.message() == (
        "`a` can't be applied again: it was made for 4 x 8 x 8, and 2 x 8 x 8 comes in"
    )


def test_reuse_of_a_block_that_took_one_tensor_twice_takes_one_again(
    arch: Arch, wrong: Wrong
) -> None:
    text = """
    network n {{ input x: [4]; input y: [4]; from x, x -> d: D; from {again} -> reuse d{rest} }}
    block D {{ input a; input b; sub {{ branch {{ from a -> Linear(4) }} branch {{ from b }} }} }}
    """
    rest = " -> add { branch {} branch { from d } }"
    assert lines(arch(text.format(again="y, y", rest=rest)))[-2] == "d.sub_2 sub(d.0@2, y) 4"
    (error,) = wrong(text.format(again="y, x", rest=rest))
    assert "as several inputs" in error.message()


def test_reuse_of_wiring_says_what_can_be_applied_again(wrong: Wrong) -> None:
    (error,) = wrong(
        "network n { input x: [4]; m: concat { branch {} branch { Linear(4) } }; reuse m }"
    )
    assert error.message() == "`m` can't be applied again: it is no layer, group or block"
    assert "group" in error.help()


# --- parameter and buffer -------------------------------------------------------------------


def own(arch: Arch, declaration: str, size: str = "[4, 8, 8]") -> object:
    graph = arch(
        f"network n {{ input x: {size}\n{declaration}\nadd {{ branch {{}} branch {{ from t }} }} }}"
    )
    return graph.nodes["t"]


@pytest.mark.parametrize(
    ("declaration", "params", "buffers"),
    [
        ("parameter t: [in.channels, 1, 1] = 0.000001", {"": (4, 1, 1)}, {}),
        ("parameter t: [4, 1, 1]", {"": (4, 1, 1)}, {}),
        ("parameter t: [batch, 1, 8, 8] = normal(std = 0.02)", {"": (1, 1, 8, 8)}, {}),
        ("parameter t: [1, 1, 1] = uniform(-1, 1)", {"": (1, 1, 1)}, {}),
        ("parameter t: [1, 1, 1] = trunc_normal(std = 0.02)", {"": (1, 1, 1)}, {}),
        ("buffer t: [4, 1, 1] = [1, 2, 3, 4]", {}, {"": (4, 1, 1)}),
        ("buffer t: [4, 1, 1] = [[[1]], [[2]], [[3]], [[4]]]", {}, {"": (4, 1, 1)}),
        ("buffer t: [4, 1, 1] = range(4)", {}, {"": (4, 1, 1)}),
    ],
)
def test_tensors_of_its_own(
    arch: Arch, declaration: str, params: dict[str, object], buffers: dict[str, object]
) -> None:
    facts = own(arch, declaration).facts  # type: ignore[attr-defined]
    assert (facts.params, facts.buffers) == (params, buffers)


def test_own_tensor_takes_its_name_in_its_scope(stages: Stages) -> None:
    body = (
        "b: { parameter scale.gamma: [4, 1, 1] = 1\nmul { branch {} branch { from scale.gamma } } }"
    )
    assert stages(body) == [
        "b.scale.gamma parameter() 4 x 1 x 1",
        "b.mul mul(image, b.scale.gamma) 4 x 8 x 8",
    ]


def test_own_tensor_leaves_the_flow_alone(stages: Stages) -> None:
    body = "ReLU\nparameter g: [4, 1, 1]\nTanh\nmul { branch {} branch { from g } }"
    assert stages(body)[2] == "1 Tanh(0) 4 x 8 x 8"


def test_own_tensor_with_batch_is_joined_with_the_flow(stages: Stages) -> None:
    body = """
    parameter class_token: [batch, 1, 6] = normal(std = 0.02)
    concat(dim = 1) { branch { from class_token } branch {} }
    """
    assert stages(body, size="[9, 6]")[-1] == "concat concat(class_token, image) 10 x 6"


@pytest.mark.parametrize(
    "declaration",
    [
        'parameter t: ["a", "b"] = [1]',
        "parameter t: [0]",
        "parameter t: 4",
        "parameter t: [4] = [1, 2]",
        "parameter t: [2, 2] = [[1, 2], [3]]",
        "parameter t: [3] = [[1, 2], [3]]",
        "parameter t: [2, 2] = [[1], [2], [3], [4]]",
        'parameter t: [4] = "x"',
        "parameter t: [4] = true",
        "parameter t: [4] = normal(std = -1)",
        "parameter t: [4] = normal(sigma = 1)",
        "parameter t: [4] = normal(0, 1, 2)",
        "parameter t: [4] = normal(0, mean = 1)",
        "parameter t: [4] = uniform(1, 0)",
        "parameter t: [4] = cauchy(1)",
        "parameter t: [4, batch]",
        "parameter t: [-4]",
        "parameter t: [1.5]",
        "buffer t: [H] = 0",
    ],
)
def test_own_tensors_that_make_no_sense_are_refused(wrong: Wrong, declaration: str) -> None:
    errors = wrong(
        f"network n {{ input x: [4, H]\n{declaration}\nadd {{ branch {{}} branch {{ from t }} }} }}"
    )
    assert len(errors) == 1


def test_own_tensor_shared_by_all_samples_is_no_image(wrong: Wrong) -> None:
    (error,) = wrong("network n { input x: [4]; parameter t: [3, 8, 8]; from t -> Conv2d(2, 3) }")
    assert error.help() == (
        "of a tensor without `batch` the first axis stands in its place: "
        "declare it as `[batch, ...]`, or `Unsqueeze(0)` it"
    )


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (
            "from t -> a: Linear(5) -> b: Transpose(0, 1)",
            ["a Linear(t) 2 x 5", "b Transpose(a) 5 x 2"],
        ),
        (
            "from v -> a: Linear(4)\nadd { branch {} branch { from x } }",
            ["a Linear(v) 4", "add add(a, x) 3 x 4"],
        ),
        ("from t -> a: Reshape([6]) -> b: Softmax(0)", ["a Reshape(t) 6", "b Softmax(a) 6"]),
        ("add { branch { from t } branch { from v } }", ["add add(t, v) 2 x 3"]),
        (
            "concat { branch { from t -> a: Linear(4) } branch { from x } }",
            ["a Linear(t) 2 x 4", "concat concat(a, x) 5 x 4"],
        ),
        ("concat(dim = 0) { branch { from v } branch { from v } }", ["concat concat(v, v) 6"]),
        (
            "mul { branch { from x } branch { from t -> a: Mean([0, 1]) } }",
            ["a Mean(t) ", "mul mul(x, a) 3 x 4"],
        ),
        ("from x, w -> a: MatMul", ["a MatMul(x, w) 3 x 2"]),
        ("from w, t -> a: MatMul", ["a MatMul(w, t) 4 x 3"]),
        (
            "from u -> a: Squeeze(0)\nmul { branch { from x } branch { from a } }",
            ["a Squeeze(u) 1 x 1", "mul mul(x, a) 3 x 4"],
        ),
        ("add { branch { from x } branch { from u } }", ["add add(x, u) 3 x 4"]),
    ],
)
def test_own_tensors_without_batch_go_through_every_stage(
    arch: Arch, body: str, rows: list[str]
) -> None:
    graph = arch(
        f"network n {{ input x: [3, 4]; parameter t: [2, 3]; parameter v: [3]; "
        f"parameter u: [1, 1, 1]; parameter w: [4, 2]\noutput main {{ from x\n{body} }}\n"
        "output rest { add { branch { from x } branch { from t -> Sum([0, 1]) }"
        " branch { from v -> Sum(0) } branch { from u -> Sum([0, 1, 2]) }"
        " branch { from w -> Sum([0, 1]) } } } }"
    )
    found = lines(graph)
    assert [row for row in found if row in rows] == rows


REZERO = """
network rezero {
  input x: [2]
  parameter weights: [2] = 0
  from x
  for k in range(2) {
    residual {
      mul {
        branch { "{k}": Linear(2) }
        branch { from weights -> "scale{k}": Slice(k, k + 1, dim = 0) }
      }
    }
  }
}"""


def test_one_element_of_a_learned_vector_weighs_a_branch(arch: Arch) -> None:
    """By hand: 2 + 2 x (2 x 2 + 2) = 14; torchinfo #137 says the same."""
    graph = arch(REZERO)
    held = {
        f"{name}.{key}" if key else name: shape
        for name, node in graph.nodes.items()
        for key, shape in node.facts.params.items()
    }
    assert held["weights"] == (2,)
    assert sum(prod(shape) for shape in held.values()) == 14
    assert graph.nodes["scale1"].shape == (1,)
    assert not graph.nodes["scale1"].facts.batched


@pytest.mark.parametrize(
    ("part", "shape", "expression"),
    [
        ("Select(1, dim = 0)", "3 x 4", "{0}[1]"),
        ("Select(-1)", "2 x 4", "{0}[:, -1]"),
        ("Select(0, dim = -1)", "2 x 3", "{0}[:, :, 0]"),
        ("Slice(0, 1, dim = 0)", "1 x 3 x 4", "{0}[:1]"),
        ("Slice(1, none)", "2 x 2 x 4", "{0}[:, 1:]"),
        ("Slice(0, -1, 2, dim = 2)", "2 x 3 x 2", "{0}[:, :, :-1:2]"),
        ("Slice(-2, none, dim = -1)", "2 x 3 x 2", "{0}[:, :, -2:]"),
    ],
)
def test_parts_of_own_tensors_count_axes_as_torch_does(
    arch: Arch, part: str, shape: str, expression: str
) -> None:
    text = f"""network n {{ input x: [4]
      parameter t: [2, 3, 4]
      output part {{ from t -> p: {part} }}
      from x -> Linear(2)
    }}"""
    node = arch(text).nodes["p"]
    assert " x ".join(map(str, node.shape)) == shape
    assert node.facts.torch.expression == expression  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("size", "part", "spread"),
    [
        ("[4, 8, 8]", "Select(0, dim = 0) -> b: Select(0, dim = 0)", "4 x 8 x 8"),
        ("[4, 8, 8]", "Select(0, dim = 0) -> b: Slice(1, 2, dim = 0)", "4 x 8 x 8"),
        ("[4, 8]", "Slice(0, 1, dim = 0) -> b: Slice(2, 3)", "4 x 8"),
        ("[4]", "Select(0, dim = 0) -> b: Slice(1, 2, dim = 0)", "4"),
    ],
)
@pytest.mark.parametrize("word", ["add", "sub", "mul"])
def test_a_single_number_is_spread_over_anything(
    stages: Stages, word: str, size: str, part: str, spread: str
) -> None:
    body = f"""
    parameter t: [2, 3]
    from image
    {word} {{ branch {{}} branch {{ from t -> a: {part} }} }}
    """
    assert stages(body, size=size)[-1] == f"{word} {word}(image, b) {spread}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("from t -> Slice(0, 1, dim = 2)", "`Slice` has dim = 2, and a tensor that all samples"),
        (
            "from v -> Select(0)",
            "`Select` has dim = 1, and a tensor that all samples share has dim 0",
        ),
        ("from v -> Select(3, dim = 0)", "`Select` has index = 3, and dim 0 has 3 places"),
        (
            "from x, v -> Bilinear(2)",
            "`Bilinear` takes tensors that all have a batch axis, and one",
        ),
        (
            "from t, v -> Bilinear(2)",
            "`Bilinear` takes tensors that all have a batch axis, or equal",
        ),
        ("from t -> Conv1d(2, 1)", "`Conv1d` takes an input of the shape [channels, length]"),
        ("concat { branch { from v } branch { from x } }", "branches of `concat` disagree in the"),
        ("add { branch { from v } branch { from x } }", "branches of `add` disagree in length"),
        (
            "concat(dim = 2) { branch { from v } branch { from v } }",
            "`concat` cannot join along dim",
        ),
        ("from x, v -> MatMul", "`MatMul` takes tensors with at least two axes, rows and columns"),
        (
            "from t -> Permute([0, 2, 1])",
            "`Permute` has dims = [0, 2, 1], and must name each of 0, 1",
        ),
    ],
)
def test_what_own_tensors_do_not_go_through_is_refused(
    wrong: Wrong, body: str, message: str
) -> None:
    errors = wrong(
        f"network n {{ input x: [3, 4]; parameter t: [2, 3]; parameter v: [3]; "
        f"parameter u: [1, 1, 1]\n{body}\n}}"
    )
    assert errors[0].message().startswith(message)
