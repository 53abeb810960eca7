"""Says norms, variances and normalizations that are functions, and no modules."""

from __future__ import annotations

from math import prod
from typing import Any

from archdsl.importing.making import Unsayable, bound
from archdsl.importing.record import Call
from archdsl.importing.reshaping import Reshaping


class Norms(Reshaping):
    """What sums numbers up to measure them, or to bring them to one measure."""

    def on_var(self, call: Call, value: Any, dim: Any = None, unbiased: Any = True,
               keepdim: bool = False, correction: Any = None) -> None:  # fmt: skip
        given = {"dim": dim, "keepdim": keepdim}
        given["correction"] = int(unbiased) if correction is None else correction
        self.as_layer(call, call.name, [value], given)

    on_std = on_var

    def on_norm(self, call: Call, value: Any, ord: Any = 2, dim: Any = None,
                keepdim: bool = False, p: Any = None, **how: Any) -> None:  # fmt: skip
        order = ord if p is None else p
        if order not in (2, "fro"):
            raise Unsayable(f"a norm of the order {order}: there are those of order 2")
        if dim is None:
            whole = "parameters" if self.sharing else "a whole batch"
            raise Unsayable(f"a norm of all numbers of {whole}: it takes `dim`")
        squares = self.fresh(value.shape, value.dtype)
        sums = self.fresh(call.result.shape, value.dtype)
        self.each("square", [value], squares)
        given = Call(call.path, "sum", None, None, (squares,), {})
        given.result = sums
        self.as_layer(given, "sum", [squares], {"dim": dim, "keepdim": keepdim})
        self.each("sqrt", [sums], call.result)

    on_linalg_vector_norm = on_vector_norm = on_linalg_norm = on_norm

    def on_batch_norm(self, call: Call, *arguments: Any, **named: Any) -> None:
        """Say a normalization of weights, as standardized convolutions do it, without statistics.

        The one sample is a matrix with a row for each channel, so each row is normalized by itself.
        """
        given = bound(call.function, [*arguments], named)
        value, kept = given["input"], (given["running_mean"], given["running_var"])
        if not self.sharing or any(one is not None for one in kept) or value.shape[0] != 1:
            self.as_layer(call, call.name, [*arguments], named)
            return
        count = value.shape[1]
        rows = self.fresh((1, count, prod(value.shape[2:])), value.dtype)
        self.reshaped(value, rows)
        made = self.fresh(rows.shape, value.dtype)
        eps = given.get("eps", 1e-5)
        self.stage("layernorm", [self.find(rows)], made, eps=eps, elementwise_affine=False)
        for word, key in (("mul", "weight"), ("add", "bias")):
            if given.get(key) is not None:
                column = self.fresh((count, 1), value.dtype)
                self.reshaped(given[key], column)
                before, made = made, self.fresh(rows.shape, value.dtype)
                self.merge(word, [before, column], made)
        self.reshaped(made, call.result)
