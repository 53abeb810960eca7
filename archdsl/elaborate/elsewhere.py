"""What has another name elsewhere, or none here: help for names that nothing has.

What is a layer of the language under another name, its class says (`Layer.elsewhere`).
"""

from __future__ import annotations

import re

OWN = "it is none of the language's layers, but can be one of your own: see docs/own_layers.md"
LIST = "`archdsl layers` lists the layers; docs/own_layers.md shows how to add one"
VISIBLE = (
    "values are parameters, `let` and indices; a block sees its own and those of the file, and a "
    'text stands in quotes: "text"'
)
RECURRENT = f"networks have no loops in time; {OWN}"
NORMALIZED = "`BatchNorm2d`, and for others `BatchNorm1d` or `BatchNorm3d`"
SHAPED = "`Reshape(shape)`, or `Flatten`"
AXES = "`Permute(dims)` or `Transpose(dim0, dim1)`"
# What are layers or functions in other frameworks and none here, in small letters without `_`.
NO_LAYERS = {
    "activation": "activations are layers of their own: `ReLU`, `SiLU`, `Sigmoid`, ...",
    "batchnorm": f"here it is {NORMALIZED}",
    "batchnormalization": f"here it is {NORMALIZED}",
    "clone": "what flows may be read several times: `from label` goes on from an earlier stage",
    "detach": "what is not to learn says `--freeze PATTERN`, or `compile(freeze=...)`",
    "input": "here it is `input image: [3, 224, 224]`, the first line of a network",
    "lambda": "merges, reshaping and arithmetic are layers; others can be: see docs/own_layers.md",
    "modulelist": "stages follow each other; `repeat n { ... }` writes equal ones once",
    "moduledict": "a group holds stages with labels: `label: { a: ... }`",
    "noop": "here it is `Identity`",
    "print": "nothing is printed: `archdsl count` shows the shape behind each layer",
    "residual": "here it is `residual { ... }`, or `residual { ... } shortcut { ... }`",
    "sequential": "stages follow each other; `label: { ... }` makes them one with a name",
    "shape": "sizes of what flows are values: `in.channels`, `in.shape[1]`",
    "size": "sizes of what flows are values: `in.channels`, `in.shape[1]`",
    "view": f"here it is {SHAPED}",
    "t": f"here it is {AXES}",
}
# compiled where it is needed: it takes longer than all else of this file
OF_ONES_OWN = r"""(?P<recurrent>conv(?:lstm|gru|rnn)(?:cell|[123]d)?|(?:lstm|gru|rnn)cell)
    | deformconv[13]d | deform\w*attn\w* | \w*deform\w*attention | roi\w+ | ps?roi\w+
    | affinegrid
    | i?r?fft\w* | i?stft | i?dct\w* | topk | gather\w* | scatter\w* | onehot
    | cumprod | arg?sort | b?nms | batchednms | nonzero | unique\w*
    | \w*wavelet\w* | correlation | costvolume | \w*graphconv\w* | g[ca][nt]conv | sageconv
    | mamba\w* | ssm | selectivescan | capsule\w* | kan\w* | spectralnorm | weightnorm
    | fractionalmaxpool\w* | maxunpool\w* | transformer
    | dynamicconv\w* | condconv\w* | involution\w* | vectorquantiz\w* | searchsorted | histc
    | interpolate1d | pdist | det | inverse | svd | eig\w* | solve | lu | qr | cholesky
    """
MODULES = {"nn", "torch", "F", "tf", "keras", "layers", "timm", "torchvision"}
VALUES = {
    **dict.fromkeys(("True", "yes", "on", "TRUE"), "write `true`"),
    **dict.fromkeys(("False", "no", "off", "FALSE"), "write `false`"),
    **dict.fromkeys(("None", "null", "nil", "Null", "NULL", "undefined"), "write `none`"),
    "self": "a block sees its parameters and what flows: `in.channels`, `in.shape`",
    "x": "what flows is called `in`: `in.channels`, `in.shape`",
}
SIZE_OF_INPUT = "leave it out: the size of what comes in is always known"
ARGUMENTS = {
    **dict.fromkeys(
        (
            "in_channels", "in_features", "in_planes", "num_features", "num_channels",
            "normalized_shape", "input_shape", "input_dim", "input_size", "in_size",
        ),
        SIZE_OF_INPUT,
    ),
    **dict.fromkeys(("filters", "channels", "out_planes"), "here it is `out_channels`"),
    **dict.fromkeys(("units", "out_size", "output_dim"), "here it is `out_features`"),
    **dict.fromkeys(
        ("activation", "act", "nonlinearity"), "an activation is a stage of its own: `-> ReLU`"
    ),
    "batch_first": "leave it out: the batch always comes first, and is never written",
    **dict.fromkeys(("return_sequences", "return_state"), "here it is `gives`"),
    **dict.fromkeys(("hidden_dim", "hidden_units", "num_units"), "here it is `hidden_size`"),
    "inplace": "leave it out: whether a result overwrites its input is the compiler's choice",
    "use_bias": "here it is `bias`",
    "name": "a name stands before its stage: `conv1: Conv2d(...)`",
    "data_format": "shapes have their channels first, as in torch",
    "trainable": "what is not to learn says `--freeze PATTERN`, or `compile(freeze=...)`",
    "device": "a device is chosen when a network is compiled: `--device`",
    "dtype": "numbers are chosen when a network is compiled: `--dtype`",
}  # fmt: skip


def layer(name: str) -> str:
    """Say how that is written here which other frameworks call by a name, or ""."""
    folded = name.lower().replace("_", "")
    if found := re.fullmatch(OF_ONES_OWN, folded, re.VERBOSE):
        return RECURRENT if found["recurrent"] else OWN
    if folded.endswith("loss"):
        return "a loss is no part of a network: it takes what the compiled module gives"
    return NO_LAYERS.get(folded, "")


def value(name: str) -> str:
    """Say how a value is written here that has a name elsewhere, or ""."""
    if name in MODULES:
        return "a layer is used by its name alone: `ReLU`, not `nn.ReLU`"
    if name in ("same", "valid", "nearest", "bilinear", "bicubic", "zeros", "reflect"):
        return f'a text stands in quotes: "{name}"'
    return VALUES.get(name, "")


def argument(name: str, names: tuple[str, ...]) -> str:
    """Say what stands for an argument that a layer has elsewhere, of those that it has, or ""."""
    hint = ARGUMENTS.get(name, "")
    meant = re.search(r"here it is `(\w+)`", hint)
    return "" if meant and meant[1] not in names else hint
