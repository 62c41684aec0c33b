"""Recipes: studies as YAML files that come with the package."""

from __future__ import annotations

from importlib import resources

from tosmooth.errors import ConfigError, did_you_mean

DEFAULT_RECIPE = "fashion-mnist"
OWN_IMAGES = "own-images"  # of a folder of the user's, which it may part itself
OWN_IMAGES_SCRATCH = "own-images-scratch"  # the same, with a student that starts from nothing
OWN_DATA = "path: null"  # in the text of a recipe whose data are the user's


def recipe_names() -> list[str]:
    """Names of the recipes, sorted."""
    folder = resources.files(__name__)
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """The YAML of a recipe, header comments included.

    Raises:
        ConfigError: there is no such recipe.
    """
    if name not in recipe_names():
        raise ConfigError([f"unknown recipe {name!r}; {did_you_mean(name, recipe_names())}"])
    return (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
