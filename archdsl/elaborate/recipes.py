"""Recipes: how the numbers of a body follow from those that it is given, as its statements did.

The variants of a sweep use a block with other widths, and decide the same in it: which branch of an
`if`, how many turns, which layers. So while a body is worked out each statement may leave a step
that does again what hangs on values, and nothing else: no labels, scopes or places. A step either
decides something, whose answer has to be the same again, or it sets names or makes a node. What
the statements make follows from the answers, in the order in which they were given; hence bodies
are looked up by them. Whoever can't leave such a step gives the recipe up.

Any error ends it without a word: then the statements are worked out, and say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from archdsl.diagnostics import ArchError
from archdsl.elaborate.bodies import Body, Made
from archdsl.elaborate.errors import Spoiled
from archdsl.layers.base import ArgumentErrors, Facts, Layer, LayerError

MOST_RECIPES = 2_000
MOST_TRIES = 12  # each has one more answer in common with what is asked for


Frame = TypeVar("Frame")  # which stands above recipes


class Otherwise(Exception):
    """Something is decided otherwise than it was in the recipe."""


class Unfit(Exception):
    """It can't be made by a recipe."""


class Step(Protocol):
    """What hangs on values in a statement."""

    def again(self, made: Remade) -> None:
        """Do it for other values."""


@dataclass(slots=True, eq=False)
class Recipe(Generic[Frame]):
    """What a body was made by.

    Attributes:
        frames: in which its statements stood, that of the body itself first.
        steps: that are to be done again, in their order.
        answers: to all that was decided, in the order in which they were given.
        cost: in steps of work, of all that is done again.
        body: that was made; None as long as it is under way.
        usable: whether every statement could leave its steps.
    """

    frames: list[Frame]
    steps: list[Step] = field(default_factory=list)
    answers: list[Hashable] = field(default_factory=list)
    cost: int = 0
    body: Body | None = None
    usable: bool = True

    def decided(self, answer: Hashable) -> None:
        """Keep an answer that must be the same again."""
        self.answers.append(answer)

    def add(self, step: Step, cost: int) -> None:
        """Keep a step, which took so many steps of work."""
        self.steps.append(step)
        self.cost += cost


class Remade:
    """A body that is made by a recipe.

    Attributes:
        uses: bodies of blocks that it has used, by what they follow from, with what it cost in
            steps to give them their parameters, and what must live as long as its id is known.
    """

    def __init__(self, body: Body, expected: list[Hashable]) -> None:
        self.body = body
        self.answers: list[Hashable] = []
        self.uses: dict[Hashable, tuple[Body, int, object]] = {}
        self._expected = expected

    def decide(self, answer: Hashable) -> None:
        """Go on if the answer is what it was.

        Raises:
            Otherwise: it is another one.
        """
        answers = self.answers
        answers.append(answer)
        if self._expected[len(answers) - 1] != answer:
            raise Otherwise

    def node(self, at: int, number: int, layer: Layer, facts: Facts) -> None:
        """Make a node, which is the item `at` of the body, with another layer and facts."""
        old = self.body.items[at]
        assert type(old) is Made
        self.body.keep_facts(number, facts)
        if layer is not old.layer or facts is not old.facts:
            self.body.items[at] = Made(
                old.tail, old.label, layer, old.inputs, facts, old.scope, old.span, old.way,
                position=old.position,
            )  # fmt: skip


class _Choice(Generic[Frame]):
    """The recipes with the same first answers: one of them, and all by the next answer."""

    __slots__ = ("after", "recipe")

    def __init__(self, recipe: Recipe[Frame]) -> None:
        self.recipe = recipe
        self.after: dict[Hashable, _Choice[Frame]] = {}


class Recipes(Generic[Frame]):
    """All recipes, by what they are for and by the answers in them."""

    def __init__(self) -> None:
        self._choices: dict[Hashable, _Choice[Frame]] = {}
        self._likely: dict[Hashable, _Choice[Frame]] = {}
        self.count = 0

    def keep(self, key: Hashable, recipe: Recipe[Frame], body: Body) -> None:
        """Keep the recipe of a body that is whole now."""
        if not recipe.usable or body.ordered or self.count >= MOST_RECIPES:
            return
        self.count += 1
        recipe.body, body.recipe = body, recipe
        choice = self._choices.setdefault(key, _Choice(recipe))
        for answer in recipe.answers:
            choice = choice.after.setdefault(answer, _Choice(recipe))

    def make(
        self,
        key: Hashable,
        hint: Hashable,
        given: Body,
        begin: Callable[[Recipe[Frame], Body], None],
    ) -> Frame | None:
        """Make a body by the recipe that fits it, if there is one.

        Its `steps` are those of the body of the recipe, less those that were taken again.

        Args:
            hint: the recipe that was right for it the last time is tried first.
            given: what the body is given.
            begin: prepares the frames of a recipe to work on a body.

        Returns:
            The frame in which its statements would have stood.
        """
        choice = self._likely.get((key, hint)) or self._choices.get(key)
        for _ in range(MOST_TRIES):
            if choice is None:
                return None
            recipe = choice.recipe
            assert recipe.body is not None
            new = given.made_like(recipe.body)
            made = Remade(new, recipe.answers)
            try:
                begin(recipe, new)
                for step in recipe.steps:
                    step.again(made)
            except Otherwise:
                choice = self._choices[key]
                for answer in made.answers:
                    choice = choice.after.get(answer) if choice else None
            except (ArchError, ArgumentErrors, LayerError, Spoiled, Unfit):
                return None
            else:
                new.steps -= recipe.cost
                self._likely[key, hint] = choice
                return recipe.frames[0]
        return None
