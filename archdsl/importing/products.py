"""Says products of matrices, and sums of products of tensors, wherever the batch is."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters, ascii_lowercase
from typing import Any

from archdsl.importing.forms import Form
from archdsl.importing.making import MOVED, Unsayable
from archdsl.importing.record import Call, Value
from archdsl.importing.reshaping import Reshaping


class Products(Reshaping):
    """What multiplies tensors and sums the products up: one method for what torch calls a thing."""

    def on_matmul(self, call: Call, left: Any, right: Any) -> None:
        if len(left.shape) < 2 or len(right.shape) < 2:
            raise Unsayable("`matmul` of vectors")
        if left in self.forms and self.is_shared(right):
            if len(right.shape) == 2:
                self.mapped(left, right, call.result)
            else:
                self.mapped_apart(left, right, call.result)
            return
        if len(left.shape) != len(right.shape) and not any(map(self.is_shared, (left, right))):
            raise Unsayable("`matmul` of tensors of different rank")
        if not self.sharing and len(left.shape) == len(right.shape) == 2:
            # a row for each sample, which has to be a matrix
            rows = self.fresh((left.shape[0], 1, left.shape[1]), left.dtype)
            made = self.fresh((left.shape[0], 1, right.shape[1]), left.dtype)
            self.stage("unsqueeze", [self.batched(left)], rows, dim=1)
            self.each("matmul", [rows, right], made)
            self.stage("squeeze", [made], self.whole(call.result), dim=1)
            return
        self.each("matmul", [left, right], call.result)

    on_bmm = on_mm = on_matmul

    def mapped(self, left: Value, matrix: Value, result: Value) -> None:
        """Say a product with a matrix that all samples share, wherever these are."""
        base, groups = self.settled(left)
        last = len(base.shape) - 1
        if groups[-1] != (last,) or last == 0:
            raise Unsayable(MOVED)
        made = self.fresh((*base.shape[:-1], matrix.shape[1]), result.dtype)
        matrix.alone = matrix.alone or bool(matrix.own)
        self.stage("matmul", [base, matrix], made)
        self.become_form(result, Form(made, groups))

    def mapped_apart(self, left: Value, matrices: Value, result: Value) -> None:
        """Say a product with a matrix for each place of some axes, wherever the samples are."""
        base, groups = self.form(left)
        before = len(groups) - len(matrices.shape)
        letters = ascii_lowercase[: len(base.shape)]
        wide, *free = [*ascii_lowercase[len(base.shape) :]]
        if before < 0 or len(groups[-1]) != 1 or groups[-1] == (0,):
            raise Unsayable(MOVED)
        inner = groups[-1][0]
        names = ""
        for size, group in zip(matrices.shape[:-2], groups[before:-2], strict=True):
            if size > 1 and (len(group) > 1 or group == (0,)):
                raise Unsayable(MOVED)
            names += letters[group[0]] if size > 1 else free.pop()
        shape = [*base.shape]
        shape[inner] = matrices.shape[-1]
        made = self.fresh(shape, result.dtype)
        after = letters.replace(letters[inner], wide)
        equation = f"{letters},{names}{letters[inner]}{wide}->{after}"
        matrices.alone = matrices.alone or bool(matrices.own)
        self.stage("einsum", [base, matrices], made, equation=equation)
        self.become_form(result, Form(made, groups))

    def on_rmatmul(self, call: Call, left: Any, right: Any) -> None:
        self.on_matmul(call, right, left)

    def on_einsum(self, call: Call, equation: str, *operands: Any) -> None:
        listed = operands[0] if len(operands) == 1 and isinstance(operands[0], list) else operands
        text = equation.replace(" ", "")
        if "->" not in text or "." in text:
            text = written_out(text, [len(one.shape) for one in listed])
        if any(one in self.forms for one in listed):
            self.einsum_moved(text, listed, call.result)
        else:
            self.each("einsum", [*listed], call.result, equation=text)

    def einsum_moved(self, equation: str, operands: Sequence[Value], result: Value) -> None:
        """Say a sum of products wherever the batch is: a letter for each axis that is joined."""
        left, _, right = equation.partition("->")
        free = [one for one in ascii_letters if one not in equation]
        wide: dict[str, str] = {}
        sizes: dict[str, int] = {}
        bases, terms, first = [], [], ""
        for term, value in zip(left.split(","), operands, strict=True):
            form = None if self.is_shared(value) else self.settled(value)
            value.alone = value.alone or (form is None and bool(value.own))
            groups = form.groups if form else tuple((axis,) for axis in range(len(term)))
            base = form.base if form else value
            names = dict.fromkeys(range(len(base.shape)), "")
            for letter, group in zip(term, groups, strict=True):
                if letter not in wide:
                    new = [free.pop() for _ in group[1:]]
                    wide[letter] = "".join([letter, *new])
                if len(wide[letter]) != len(group):
                    raise Unsayable(MOVED)
                names.update(zip(group, wide[letter], strict=True))
            for axis, name in names.items():
                if not name or sizes.setdefault(name, base.shape[axis]) != base.shape[axis]:
                    raise Unsayable(MOVED)
            if form is not None:
                first = first or names[0]
            if (form is not None and names[0] != first) or (form is None and first in term):
                raise Unsayable(MOVED)  # samples would meet others
            bases.append(base)
            terms.append("".join(names.values()))
        if first not in (flat := "".join(wide[one] for one in right)):
            raise Unsayable(MOVED)
        order = first + flat.replace(first, "")
        made = self.fresh([sizes[one] for one in order], result.dtype)
        self.stage("einsum", bases, made, equation=f"{','.join(terms)}->{order}")
        after = tuple(tuple(order.index(one) for one in wide[letter]) for letter in right)
        self.become_form(result, Form(made, after))

    def on_linear(self, call: Call, input: Any, weight: Any, bias: Any = None) -> None:
        """Say a linear map whose weights are a module's; what isn't is added or multiplied."""
        home = weight.own.rpartition(".")[0]
        alone = bias is None or (bool(bias.own) and bias.own == f"{home}.bias")
        # a layer has all the parameters of its module, or is given them all
        given = bias is not None and f"{home}.bias" in self.whose.get(bias, ())
        if not home or alone or given:
            if home:
                self.as_layer(call, "linear", [input, weight], {"bias": bias})
                return
            turned = self.fresh(weight.shape[::-1], weight.dtype)
            self.stage("permute", [weight], turned, dims=(1, 0))
            made = call.result if bias is None else self.fresh(call.result.shape, input.dtype)
            self.alone.add(turned)
            inner = Call(call.path, "matmul", None, None, (input, turned), {})
            inner.result = made
            self.on_matmul(inner, input, turned)
        else:
            made = call.result if bias is None else self.fresh(call.result.shape, input.dtype)
            inner = Call(call.path, "linear", None, call.function, (input, weight), {})
            inner.result = made
            self.as_layer(inner, "linear", [input, weight], {})
        if bias is not None:
            bases, whole = self.alike([made, bias], call.result)
            self.merge("add", bases, whole)

    def heads(self, value: Value, shape: Sequence[int]) -> Value:
        """Return keys or values with as many heads as there are of queries."""
        if value.shape[:-2] == tuple(shape) or len(value.shape) != len(shape) + 2:
            return value
        wide = self.fresh((*shape, *value.shape[-2:]), value.dtype)
        sizes = [-1 if a == b else b for a, b in zip(value.shape, wide.shape, strict=True)][1:]
        self.stage("expand", [self.batched(value)], self.whole(wide), shape=tuple(sizes))
        return wide

    def on_scaled_dot_product_attention(
        self,
        call: Call,
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        if not enable_gqa and query.shape[:-2] != key.shape[:-2]:
            key, value = (self.heads(one, query.shape[:-2]) for one in (key, value))
        given = [query, key, value] + ([] if attn_mask is None else [attn_mask])
        how: dict[str, Any] = {"dropout": dropout_p, "causal": is_causal, "grouped": enable_gqa}
        if scale is not None and abs(scale - query.shape[-1] ** -0.5) > 1e-12:
            how["scale"] = scale
        self.each("scaled_dot_product_attention", given, call.result, **how)


def written_out(equation: str, ranks: Sequence[int]) -> str:
    """Return an equation of einsum with letters for `...`, and with its right side."""
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    free = [one for one in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if one not in equation]
    most = max(rank - len(p.replace(".", "")) for p, rank in zip(parts, ranks, strict=True))
    names = "".join(free[: max(most, 0)])
    found: list[str] = []
    for part, rank in zip(parts, ranks, strict=True):
        count = rank - len(part.replace(".", ""))
        found.append(part.replace("...", names[len(names) - count :] if count else ""))
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        once = sorted(one for one in {*letters} if letters.count(one) == 1)
        right = "..." + "".join(once)
    return f"{','.join(found)}->{right.replace('...', names)}"
