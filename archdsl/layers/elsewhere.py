"""What other frameworks, and papers, call what the language has under another name.

Only names that no likeness of letters leads to: `Conv2D` is found near `Conv2d` without this.
"""

from __future__ import annotations

BRANCHES = "`concat { branch { ... } branch { ... } }`"
RECURRENT = "recurrent layers are not in the language, whose networks have no loops in time"
ELSEWHERE = {
    "activation": "activations are layers of their own: `ReLU`, `SiLU`, `Sigmoid`, ...",
    "add": "here it is `add { branch { ... } branch { ... } }`, or `residual { ... }`",
    "averagepooling2d": "here it is `AvgPool2d(kernel_size)`",
    "cat": f"here it is {BRANCHES}",
    "concat": f"here it is {BRANCHES}",
    "concatenate": f"here it is {BRANCHES}",
    "dense": "here it is `Linear(out_features)`",
    "depthwiseconv2d": "here it is `Conv2d(in.channels, 3, groups = in.channels)`",
    "fc": "here it is `Linear(out_features)`",
    "fullyconnected": "here it is `Linear(out_features)`",
    "globalaveragepooling2d": "here it is `AdaptiveAvgPool2d(1) -> Flatten`",
    "globalavgpool": "here it is `AdaptiveAvgPool2d(1)`",
    "globalavgpool2d": "here it is `AdaptiveAvgPool2d(1)`",
    "globalmaxpooling2d": "here it is `AdaptiveMaxPool2d(1) -> Flatten`",
    "gru": RECURRENT,
    "input": "here it is `input image: [3, 224, 224]`, the first line of a network",
    "lstm": RECURRENT,
    "modulelist": "stages follow each other; `repeat n { ... }` writes equal ones once",
    "multiply": "here it is `mul { branch { ... } branch { ... } }`",
    "residual": "here it is `residual { ... }`, or `residual { ... } shortcut { ... }`",
    "rnn": RECURRENT,
    "separableconv2d": (
        "here it is `Conv2d(in.channels, 3, groups = in.channels) -> Conv2d(out_channels, 1)`"
    ),
    "sequential": "stages follow each other; `label: { ... }` makes them one with a name",
    "swish": "here it is `SiLU`",
}


def elsewhere(name: str) -> str:
    """Say how something is written here that is called so elsewhere, or ""."""
    return ELSEWHERE.get(name.lower().replace("_", ""), "")
