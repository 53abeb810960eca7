"""Turns the JSON of a model into plain values, in the forms of Keras 2 and Keras 3."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from archdsl.diagnostics import printable
from archdsl.importing.errors import ImportingError
from archdsl.importing.keras.errors import bad
from archdsl.importing.keras.models import Layer, Model, Ref, Sizes, Use, leaves, refs
from archdsl.importing.ordering import after_others

MOST_LAYERS = 20_000
DEEPEST = 20  # models in each other, and lists of tensors
LONGEST_NAME = 500
MODELS = ("Functional", "Model", "Sequential")
HOMES = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
LATEST = 2**20  # calls of one layer


class Parser:
    """Reads the config of one file."""

    def __init__(self, shown: str, early: bool) -> None:
        self.shown, self.early, self.count = shown, early, 0

    def fail(self, reason: str, hint: str = "") -> ImportingError:
        """Return an error about the file."""
        return bad(self.shown, reason, hint)

    def model(self, said: Mapping[str, Any]) -> Model:
        """Return the model that a file holds.

        Raises:
            ImportingError: it holds something else, or contradicts itself.
        """
        kind = said["class_name"]
        if kind not in MODELS and not is_model(said):
            raise self.fail(
                f"holds a `{printable(kind[:200])}`, a class of one's own, and no layers",
                "a model of `keras.Sequential` or `keras.Model(inputs, outputs)` has them",
            )
        return self.model_of(said, "", 0)

    def model_of(self, said: Mapping[str, Any], home: str, depth: int) -> Model:
        """Return a model, or one in another."""
        if depth > DEEPEST:
            raise self.fail(f"holds more than {DEEPEST} models in each other")
        config = said.get("config")
        if isinstance(config, list):  # of a `Sequential` in early versions
            config = {"layers": config}
        held = config.get("layers") if isinstance(config, dict) else None
        if not isinstance(held, list) or not held:
            raise self.fail("holds a model without layers")
        assert isinstance(config, dict)
        name = self.name(config.get("name") or said.get("name") or "model")
        if said["class_name"] == "Sequential" or "input_layers" not in config:
            return self.chain(name, config, held, home, depth)
        return self.graph(name, config, held, home, depth)

    def name(self, value: Any) -> str:
        """Return a name, which must be one."""
        if not isinstance(value, str) or not value or len(value) > LONGEST_NAME:
            raise self.fail("has a layer without a name, or with one too long to read")
        return value

    # --- layers ---------------------------------------------------------------------------------

    def layers(self, held: list[Any], home: str, depth: int) -> list[Layer]:
        """Return the layers of a model, in the order of the file."""
        found: list[Layer] = []
        homes: dict[str, int] = {}
        names: set[str] = set()
        for one in held:
            self.count += 1
            if self.count > MOST_LAYERS:
                raise self.fail(f"has more than {MOST_LAYERS:,} layers")
            if not isinstance(one, dict) or not isinstance(one.get("class_name"), str):
                raise self.fail("has a layer without a class")
            kind = one["class_name"]
            config = one.get("config")
            if not isinstance(config, dict) and not isinstance(config, list):
                raise self.fail(f"has a `{printable(kind[:200])}` without a config")
            own = one.get("name") or (config.get("name") if isinstance(config, dict) else None)
            name = self.name(own or f"{snake(kind)}_{len(found)}")
            if name in names:
                raise self.fail(f"has two layers `{printable(name)}`")
            names.add(name)
            model = None
            if kind in MODELS or is_model(one):
                kind = kind if kind in MODELS else "Functional"
            place = f"{home}layers/{unique(homes, snake(one['class_name']))}"
            if kind in MODELS:
                model = self.model_of(one, f"{place}/", depth + 1)
            where = one.get("module")
            strange = isinstance(where, str) and where.split(".")[0] not in ("builtins", *ROOTS)
            settings = config if isinstance(config, dict) else {}
            operation = isinstance(where, str) and ".ops." in where
            layer = Layer(kind, name, settings, strange, operation, model, place)
            layer.said = shapes_in(one.get("build_config"))
            found.append(layer)
        return found

    def chain(
        self, name: str, config: Mapping[str, Any], held: list[Any], home: str, depth: int
    ) -> Model:
        """Return a model whose layers stand in a row."""
        layers = self.layers(held, home, depth)
        if layers[0].kind != "InputLayer":
            shape = layers[0].config.get("batch_input_shape")
            if shape is None and layers[0].model is not None:
                first = layers[0].model
                shape = first.layers[first.inputs[0].layer].config.get("batch_shape")
            shape = shape or config.get("build_input_shape")
            given = {"batch_shape": shape, "dtype": layers[0].config.get("dtype", "float32")}
            if layers[0].kind == "Embedding":
                given["dtype"] = "int32"
            taken = {one.name for one in layers}
            label = "input_layer"
            while label in taken:
                label += "_"
            layers.insert(0, Layer("InputLayer", label, given))
        uses = [Use(layers[0], 0, [])]
        uses += [Use(layer, 0, [Ref(before.name)]) for before, layer in pairwise(layers)]
        ends = Ref(layers[0].name), Ref(layers[-1].name)
        return Model(name, uses, *ends, {one.name: one for one in layers})

    def graph(
        self, name: str, config: Mapping[str, Any], held: list[Any], home: str, depth: int
    ) -> Model:
        """Return a model whose layers say what they are called on."""
        layers = self.layers(held, home, depth)
        known = {one.name: one for one in layers}
        uses: list[Use] = []
        for layer, said in zip(layers, held, strict=True):
            nodes = said.get("inbound_nodes") or []
            if not isinstance(nodes, list) or len(nodes) > MOST_LAYERS:
                raise self.fail(f"doesn't say what `{printable(layer.name)}` is called on")
            if layer.kind == "InputLayer":
                nodes = [[]]
            for number, node in enumerate(nodes):
                uses.append(self.use(layer, number, node))
        takes = self.places(config.get("input_layers"))
        gives = self.places(config.get("output_layers"))
        inputs = [*refs(takes)]
        if not inputs or not [*refs(gives)]:
            raise self.fail(f"has a model `{printable(name)}` without inputs or outputs")
        if depth:
            self.require_order([takes, gives])
        for one in inputs:
            if one.layer not in known or known[one.layer].kind != "InputLayer":
                raise self.fail(f"takes `{printable(one.layer)}` for an input, which it is not")
        if len({*inputs}) < len(inputs):
            raise self.fail("names an input twice")
        for use in uses:
            if use.layer.model is not None:
                use.arguments = self.handed(use, use.layer.model.takes)
        gives = self.from_zero(known, uses, gives)
        return Model(name, self.ordered(uses, inputs, [*refs(gives)]), takes, gives, known)

    def require_order(self, held: Any, inside: bool = False) -> None:
        """Refuse mappings whose keys may have been counted in another order than that of text.

        A file holds 9 and 10 as "9" and "10", and Keras counted by what it was given. On torch
        Keras 3 counts a mapping in a mapping as it is written, elsewhere by its keys, and a file
        doesn't tell where it was made.

        Args:
            inside: whether it stands in a mapping.
        """
        if isinstance(held, dict):
            text = sorted(held)
            numbers = all(map(NUMBER.fullmatch, held)) and text != sorted(held, key=float)
            if numbers or (inside and not self.early and text != [*held]):
                some = printable(", ".join(held)[:60])
                raise self.fail(
                    f"has tensors by the keys {some} in a model in another, which Keras counts in "
                    "an order that the file doesn't tell",
                    "give the model lists, or one mapping with names in alphabetical order",
                )
        for one in held.values() if isinstance(held, dict) else held:
            if isinstance(one, dict | list):
                self.require_order(one, inside or isinstance(held, dict))

    def handed(self, use: Use, takes: Any) -> list[Any]:
        """Return the tensors that a model in another is called on, in the order of its inputs.

        Args:
            takes: its inputs as it was made with them, which Keras compares with the call.
        """
        held = use.arguments[0] if len(use.arguments) == 1 else use.arguments
        self.require_order([held])
        where = [path for path, _ in leaves(held)]
        if isinstance(held, dict) and not isinstance(takes, dict):
            # inputs that have no keys are found by their names
            plain = [takes] if isinstance(takes, Ref) else takes
            names = [one.layer if isinstance(one, Ref) else "" for one in plain]
            if all(name in held for name in names):
                return [held[name] for name in names]
        elif where == [path for path, _ in leaves(takes)] or not any(
            isinstance(key, str) for path in where for key in path
        ):
            return [one for _, one in leaves(held)]
        name = printable(use.layer.name)
        raise self.fail(f"calls `{name}` on tensors by other names than those that it takes")

    def from_zero(self, known: Mapping[str, Layer], uses: Sequence[Use], outputs: Any) -> Any:
        """Count calls of models from 0, and return the outputs: making one is a call to Keras.

        Keras 3 counts it where it names outputs; Keras 2 everywhere, for models with an input.
        """
        models = {name for name, one in known.items() if one.model is not None}
        if not self.early:
            graphs = {name for name in models if known[name].kind != "Sequential"}
            return moved(outputs, graphs)
        first = {ref.layer for ref in refs([outputs, *(use.reads for use in uses)]) if not ref.call}
        for use in uses:
            use.arguments = moved(use.arguments, models - first)
            use.named = moved(use.named, models - first)
        return moved(outputs, models - first)

    # --- calls ----------------------------------------------------------------------------------

    def use(self, layer: Layer, number: int, node: Any) -> Use:
        """Return a call, as Keras 3 or Keras 2 writes it."""
        self.count += 1
        if self.count > 4 * MOST_LAYERS:
            raise self.fail(f"has more than {4 * MOST_LAYERS:,} calls of layers")
        use = Use(layer, number, [])
        if isinstance(node, dict) and ("args" in node or "kwargs" in node):
            arguments, named = node.get("args", []), node.get("kwargs", {})
            if not isinstance(arguments, list) or not isinstance(named, dict):
                raise self.fail(f"doesn't say what `{printable(layer.name)}` is called on")
            use.arguments = [self.value(one, use, 0) for one in arguments]
            use.named = {key: self.value(one, use, 0) for key, one in named.items()}
            return use
        if isinstance(node, list) and len(node) in (3, 4) and isinstance(node[0], str):
            node = [node]  # a single tensor, as some versions write it
        found = self.early_value(node, use, 0)
        use.arguments = found if isinstance(found, list) and len(found) < 2 else [found]
        return use

    def early_value(self, held: Any, use: Use, depth: int) -> Any:
        """Return what a layer is called on in Keras 2: tensors, as they are nested."""
        if is_place(held):
            if len(held) == 4 and isinstance(held[3], dict):
                use.named.update({key: self.place_in(value) for key, value in held[3].items()})
            return held[2] if held[0] == "_CONSTANT_VALUE" else Ref(*held[:3])
        if depth <= DEEPEST and isinstance(held, list):
            return [self.early_value(one, use, depth + 1) for one in held]
        if depth <= DEEPEST and isinstance(held, dict):
            return {key: self.early_value(one, use, depth + 1) for key, one in held.items()}
        raise self.fail(f"doesn't say what `{printable(use.layer.name)}` is called on")

    def place_in(self, value: Any) -> Any:
        """Return a named argument of Keras 2: a tensor is a list of a name and two numbers."""
        return Ref(*value) if is_place(value) and len(value) == 3 else value

    def value(self, held: Any, use: Use, depth: int) -> Any:
        """Return an argument of Keras 3."""
        if depth > DEEPEST:
            raise self.fail(f"nests what `{printable(use.layer.name)}` is called on too deep")
        if isinstance(held, list):
            return [self.value(one, use, depth + 1) for one in held]
        if not isinstance(held, dict):
            return held
        if held.get("class_name") == "__keras_tensor__":
            config = held.get("config")
            config = config if isinstance(config, dict) else {}
            place = config.get("keras_history")
            if not is_place(place) or not isinstance(place, list):
                raise self.fail(f"doesn't say what `{printable(use.layer.name)}` is called on")
            ref = Ref(*place[:3])
            for shape in shapes_in(config.get("shape")):
                use.said[ref] = shape
            return ref
        if held.get("class_name") == "__tuple__" and isinstance(held.get("items"), list):
            return [self.value(one, use, depth + 1) for one in held["items"]]
        return {key: self.value(one, use, depth + 1) for key, one in held.items()}

    def places(self, held: Any, depth: int = 0) -> Any:
        """Return the tensors that a model takes or gives, as they are nested."""
        if depth > DEEPEST:
            raise self.fail("nests its inputs or outputs too deep")
        if is_place(held):
            return Ref(*held[:3])
        if isinstance(held, list):
            return [self.places(one, depth + 1) for one in held]
        if isinstance(held, dict):
            return {key: self.places(one, depth + 1) for key, one in held.items()}
        if held is not None:
            raise self.fail("says nothing that can be read of its inputs or outputs")
        return []

    def ordered(self, uses: list[Use], inputs: list[Ref], outputs: list[Ref]) -> list[Use]:
        """Return the calls that the outputs need, each after those that it reads."""
        by = {(use.layer.name, use.number): place for place, use in enumerate(uses)}
        needed: set[int] = set()
        todo = [*outputs, *inputs]
        waits: dict[int, set[int]] = {}
        while todo:
            ref = todo.pop()
            place = by.get((ref.layer, ref.call))
            if place is None:
                name = printable(ref.layer[:200])
                raise self.fail(f"reads what `{name}` gives, which is nothing in this file")
            if place in needed:
                continue
            needed.add(place)
            reads = uses[place].reads
            waits[place] = {by[key] for one in reads if (key := (one.layer, one.call)) in by}
            todo += reads
        found = [uses[place] for place in after_others(waits)]
        if len(found) < len(needed):
            done = {id(one) for one in found}
            left = next(uses[n] for n in sorted(needed) if id(uses[n]) not in done)
            name = printable(left.layer.name)
            raise self.fail(f"goes in a circle: `{name}` needs what is made of it")
        return found


def moved(held: Any, models: Collection[str]) -> Any:
    """Return tensors with the calls of some models counted from 0 instead of 1."""
    if isinstance(held, Ref):
        return held._replace(call=held.call - 1) if held.layer in models else held
    if isinstance(held, list):
        return [moved(one, models) for one in held]
    if isinstance(held, dict):
        return {key: moved(one, models) for key, one in held.items()}
    return held


ROOTS = tuple({one.split(".")[0] for one in HOMES})


def is_model(said: Mapping[str, Any]) -> bool:
    """Tell whether a class of one's own is a model with the layers of a plain one."""
    config = said.get("config")
    return (
        isinstance(config, dict)
        and isinstance(config.get("layers"), list)
        and ("input_layers" in config)
    )


def is_place(held: Any) -> bool:
    """Tell whether something is a name and two numbers, as tensors are named."""
    if not isinstance(held, list) or len(held) not in (3, 4) or not isinstance(held[0], str):
        return False
    if held[0] == "_CONSTANT_VALUE":
        return True
    return all(type(one) is int and 0 <= one < LATEST for one in held[1:3])


def shapes_in(held: Any) -> list[Sizes]:
    """Return the shapes in what a file says of them."""
    if isinstance(held, dict):
        held = held.get("input_shape")
    if not isinstance(held, list):
        return []
    if all(one is None or type(one) is int for one in held):
        return [tuple(held)]
    return [shape for one in held if isinstance(one, list) for shape in shapes_in(one)[:1]]


def snake(name: str) -> str:
    """Return a class as Keras names what belongs to it: `Conv2D` is `conv2d`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def unique(taken: dict[str, int], name: str) -> str:
    """Return a name with a number where it was there before."""
    number = taken.get(name, -1) + 1
    taken[name] = number
    return f"{name}_{number}" if number else name
