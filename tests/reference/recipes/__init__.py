"""Recipes of every operator that can run alone."""

from ..drafts import RECIPES
from . import elementwise, layout, products, recurrent

__all__ = ["RECIPES", "elementwise", "layout", "products", "recurrent"]
