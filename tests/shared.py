"""Folders that several tests read: made once a run, by one process of the tests, and left as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


class Shared:
    """Makes folders under one root that all processes of a test run see.

    A test that wants to change such a folder copies it first (`shutil.copytree`).

    Args:
        root: the folder of folders; may be missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of that name. Where it is missing, `make` fills it, while whoever else wants it waits.

        Args:
            name: of the folder; the same name has the same content everywhere.
            make: gets the empty folder. If it raises, the next who asks tries again, in another folder.
        """
        record = self._root / f"{name}.json"
        with FileLock(self._root / f"{name}.lock"):
            if not record.is_file():
                attempts = len(list(self._root.glob(f"{name}.*.made")))
                folder = self._root / f"{name}.{attempts}.made"
                folder.mkdir()
                make(folder)
                record.write_text(json.dumps([folder.name, _files(folder)]), encoding="utf-8")
        made, _ = json.loads(record.read_text(encoding="utf-8"))
        return self._root / made

    def assert_unchanged(self) -> None:
        """No test may have written into what others read."""
        for record in self._root.glob("*.json"):
            name, before = json.loads(record.read_text(encoding="utf-8"))
            now = _files(self._root / name)
            changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
            assert not changed, f"a test has changed the shared folder {name}: {', '.join(changed[:10])}"


def _files(folder: Path) -> dict[str, list[int]]:
    """Size and time of every file, by its path in the folder."""
    found = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: [entry.st_size, entry.st_mtime_ns] for name, entry in found.items()}
