"""Where pickles of compiled networks look for the classes that archdsl generated.

Its name is its message. Where archdsl isn't installed nothing of it can explain anything, and
Python says "No module named 'install_archdsl_or_use_its_source_file'".
"""

from __future__ import annotations


def instance_of_generated_class(text: str, name: str, *values: object) -> object:
    """Return a new instance of a class of a generated file, whose text is run unless it was.

    This is as dangerous as pickle itself: `text` comes from the pickle. Never make it one of
    torch's safe globals; it refuses to work for `torch.load(weights_only=True)`.

    Raises:
        UnpicklingError: it was called by `torch.load(weights_only=True)`.
    """
    from archdsl.backends.torch_module.building import unpickled

    return unpickled(text, name, *values)
