"""Where the layers of this package are declared, which tells them from those of users."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache

PACKAGE = "archdsl.layers"
WITHOUT_LAYERS = {
    "__init__",
    "arguments",
    "autograd",
    "base",
    "fields",
    "given",
    "homes",
    "own",
    "registry",
    "signature",
    "sizes",
    "strides",
    "traced",
}


@cache
def homes() -> Mapping[str, str]:
    """Return the module of each class of this package, by name.

    Importing all families takes longer than counting a network, so the names are taken from the
    sources, and a family is imported when one of its layers is first used.
    """
    found: dict[str, str] = {}
    folder = os.path.dirname(__file__)
    for file in sorted(os.listdir(folder)):
        module, ending = os.path.splitext(file)
        if ending != ".py" or module in WITHOUT_LAYERS:
            continue
        with open(os.path.join(folder, file), "rb") as family:
            text = family.read().decode()
        for name in re.findall(r"^class ([A-Za-z]\w*)\(", text, re.MULTILINE):
            found[name] = f"{PACKAGE}.{module}"
    return found


def is_own(kind: type) -> bool:
    """Tell whether a layer is a user's own, and not one of this package."""
    return homes().get(kind.__name__) != kind.__module__
