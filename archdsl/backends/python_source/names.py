"""Names and literals that are safe to write into Python, whatever a spec calls things.

Nothing of a spec reaches the generated file but through this file: identifiers are checked against
an ASCII pattern, strings are escaped to ASCII, numbers are written by `repr`.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Container, Sequence

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

# Attributes of every nn.Module (torch 2.15). A submodule of such a name would be hidden behind the
# attribute, or hide it; torch itself refuses most of them. A test compares them with torch's.
_MODULE_ATTRIBUTES = """
    T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl
    _compiled_call_impl _forward_hooks _forward_hooks_always_called _forward_hooks_with_kwargs
    _forward_pre_hooks _forward_pre_hooks_with_kwargs _get_backward_hooks _get_backward_pre_hooks
    _get_name _is_full_backward_hook _load_from_state_dict _load_state_dict_post_hooks
    _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules _named_members
    _non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook
    _register_state_dict_hook _replicate_for_data_parallel _save_to_state_dict _slow_forward
    _state_dict_hooks _state_dict_pre_hooks _version _wrapped_call_impl add_module apply bfloat16
    buffers call_super_init children compile cpu cuda double dump_patches eval extra_repr float
    forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules
    mtia named_buffers named_children named_modules named_parameters parameters
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
    zero_grad
"""
MODULE_ATTRIBUTES = frozenset(_MODULE_ATTRIBUTES.split())
# What nn.Sequential and nn.ModuleList have beyond that.
LIST_ATTRIBUTES = frozenset(
    {"append", "extend", "insert", "pop", "_get_item_by_idx", "_get_abs_string_index"}
)
# What nn.ModuleDict has.
DICT_ATTRIBUTES = frozenset({"clear", "items", "keys", "pop", "update", "values"})

TYPES = frozenset({"Any", "OrderedDict", "NamedTuple", "Sequence"})
MODULES = frozenset({"torch", "nn", "F", "math", "checkpoint", "checkpointed"})
# A variable may be called `input`, as in torch's own code; nothing generated calls that function.
WORDS = frozenset({*keyword.kwlist, *dir(builtins), "self", *TYPES, *MODULES})
# `i` and `layer` are what loops and comprehensions count with; linters want no letter that looks
# like a digit.
VARIABLE_WORDS = WORDS - {"input"} | {"i", "layer", "l", "I", "O"}
LONGEST_NAME = 40  # of a variable or class that is named after something in the spec


def is_reserved(label: str) -> bool:
    """Tell whether torch keeps a name for itself, so that no submodule can have it."""
    special = label.startswith("__") and label.endswith("__") and len(label) > 4
    return special or label in MODULE_ATTRIBUTES


def is_attribute(label: str) -> bool:
    """Tell whether `self.label` means the attribute of that very name in a class body.

    Keywords can't be written so, and Python renames what begins with two underscores.
    """
    plain = IDENTIFIER.match(label) is not None and not keyword.iskeyword(label)
    return plain and not label.startswith("__")


# A name that ends with a number
NUMBERED = re.compile(r"([A-Za-z0-9_]*?)(0|[1-9][0-9]*)\Z")


def numbered(label: str) -> tuple[str, int]:
    """Split a label into its name and the number at its end; that is -1 where there is none."""
    found = NUMBERED.match(label)
    return (found[1], int(found[2])) if found else (label, -1)


def is_number(label: str) -> bool:
    """Tell whether a label is a number, as that of a stage without a label is."""
    return label.isascii() and label.isdigit()


def positional(labels: Sequence[str]) -> bool:
    """Tell whether labels are 0, 1, 2, ... in order, as those of a list are."""
    return all(label == str(at) for at, label in enumerate(labels))


def attribute(owner: str, label: str, getter: str = "get_submodule") -> str:
    """Return the expression for an attribute, whatever its name.

    `getter` is the method of a module that finds it. Python reads names of other alphabets in
    another form than it is given, and linters want them as attributes all the same.
    """
    if is_attribute(label):
        return f"{owner}.{label}"
    foreign = label.isidentifier() and not label.isascii()
    return f"{owner}.{getter}({quoted(label)})" if foreign else f"getattr({owner}, {quoted(label)})"


def snake_case(name: str) -> str:
    """Write a name as variables are: `AuxLogits` becomes `aux_logits`, `ReLU` `relu`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name).lower()


def camel_case(name: str) -> str:
    """Write a name as classes are: `inception_v3` becomes `InceptionV3`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def variable(name: str) -> str:
    """Return a name for a variable, or "" if the text holds nothing to name it by."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", snake_case(name)).strip("_")[:LONGEST_NAME].strip("_")
    if not name or name.isdigit():
        return ""
    name = f"x{name}" if name[0].isdigit() else name
    return f"{name}_" if name in VARIABLE_WORDS else name


def argument(name: str) -> str:
    """Return the name of an argument for something that a spec gives a name: that, if it may be."""
    name = f"x{name}" if name.startswith("__") else name  # Python renames it within a class
    return f"{name}_" if name in VARIABLE_WORDS else name


def class_name(name: str) -> str:
    """Return a name for a class."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:LONGEST_NAME] or "Block"
    name = f"Block{name}" if name[0].isdigit() else name
    return f"{name}_" if name in WORDS else name


def unique(name: str, taken: Container[str]) -> str:
    """Return the name, or the first of `name2`, `name3`, ... that is not taken."""
    if name not in taken:
        return name
    number = 2
    stem = countable(name)
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"


def countable(name: str) -> str:
    """Return what a number may follow: `conv3_` for `conv3`, so that `conv3_2` is no `conv32`."""
    return f"{name}_" if name[-1].isdigit() else name


def quoted(text: str) -> str:
    """Write a string as an ASCII literal in double quotes, as the formatter prefers them."""
    body = _escaped(text)
    if '"' in body and "'" not in body:
        return f"'{body}'"
    body = body.replace('"', '\\"')
    return f'"{body}"'


def _escaped(text: str) -> str:
    """Escape all but printable ASCII; quotes are left as they are."""
    return "".join(map(_escape, text))


def _escape(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if 0x20 <= code < 0x7F:
        return character
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def prose(text: str) -> str:
    """Make text fit for a docstring: one line of escaped ASCII without double quotes."""
    return _escaped(" ".join(text.replace('"', "'").split()))


def literal(value: object) -> str:
    """Write a value of a spec as Python.

    Raises:
        ValueError: it is nothing that can be written as a literal.
    """
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        items = (f"{literal(key)}: {literal(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    raise ValueError(f"{value} can't be written as Python: it depends on a free size")
