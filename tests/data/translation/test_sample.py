from __future__ import annotations

import hashlib
import lzma
import re
from importlib import resources
from pathlib import Path

import pytest

from tosmooth.data.translation.registry import PairRequest, read_pairs
from tosmooth.errors import DataError

EMBEDDED = resources.files("tosmooth.data") / "embedded"


@pytest.mark.parametrize(("language", "counts"), [("de", (19_949, 838, 857)), ("ru", (20_150, 832, 872))])
def test_the_embedded_sample(language: str, counts: tuple[int, int, int]) -> None:
    found = read_pairs("translation_sample", PairRequest(target_language=language))
    assert found.validation is not None
    assert (len(found.train), len(found.validation), len(found.test)) == counts
    assert found.test.sources[0].isascii()
    assert len(found.train.filled()) == counts[0]
    assert not set(found.train.sources) & set(found.test.sources)
    assert found.test.describe(0) == f"translation_en_{language}.tsv.xz, line 1"
    assert any("IWSLT" in note for note in found.notes)


@pytest.mark.parametrize("language", ["de", "ru"])
def test_the_files_are_those_of_the_readme_and_every_package_has_a_notice(language: str) -> None:
    content = lzma.decompress((EMBEDDED / f"translation_en_{language}.tsv.xz").read_bytes())
    readme = (EMBEDDED / "README.md").read_text(encoding="utf-8")
    assert f"`{hashlib.sha256(content).hexdigest()}`" in readme
    notices = (EMBEDDED / "translation_NOTICES.md").read_text(encoding="utf-8")
    packages = {line.split("\t")[1] for line in content.decode().splitlines()}
    assert len(packages) == 17
    for package in packages:
        name = {"vscode": "Visual Studio Code"}.get(package, package)
        assert re.search(rf"^\| {name}", notices, flags=re.MULTILINE), package


def test_what_the_sample_does_not_have() -> None:
    with pytest.raises(DataError, match="has en → de and en → ru, not de → en"):
        read_pairs("translation_sample", PairRequest(source_language="de", target_language="en"))
    with pytest.raises(DataError, match=r"data\.path: .* would not be read"):
        read_pairs("translation_sample", PairRequest(path=Path("x")))
    with pytest.raises(DataError, match=r"data\.options"):
        read_pairs("translation_sample", PairRequest(options={"a": 1}))
