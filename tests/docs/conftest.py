from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
os.environ["NO_MKDOCS_2_WARNING"] = "1"  # read when the theme is imported


def build(target: Path, config: Path = ROOT / "mkdocs.yml") -> Path:
    """The site as `make docs` builds it: every warning is an error."""
    from mkdocs.commands.build import build as build_site
    from mkdocs.config import load_config

    build_site(load_config(str(config), site_dir=str(target), strict=True))
    return target


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built once with the network out of reach. Do not write into it."""

    def refuse(*arguments: object) -> None:
        raise AssertionError(f"building the site asked for the network: {arguments[1:]}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        return build(tmp_path_factory.mktemp("site"))
