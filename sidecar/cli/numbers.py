"""Options that take numbers; what is wrong with one is said in words that a person uses."""

from __future__ import annotations

import click


class Number(click.FloatRange):
    """A number, within bounds where there are any."""

    name = "number"


class WholeNumber(click.IntRange):
    """The same without a fraction."""

    name = "whole number"
