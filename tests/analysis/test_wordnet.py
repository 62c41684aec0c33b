from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tosmooth.analysis.class_groups import groups_by_label
from tosmooth.analysis.wordnet import is_synset, parent_labels, read_parents, synsets_of

HEADER = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.0.dtd">
<LexicalResource xmlns:dc="http://purl.org/dc/elements/1.1/">
  <Lexicon id="omw-en" label="a few fish" language="en" email="nobody@example.org" license="none" version="1.4">
"""
# Offsets and hypernyms as WordNet 3.0 has them: tench, goldfish → cyprinid; great white shark → mackerel shark.
FISH = {
    "01440764-n": ["01439514-n"],
    "01443537-n": ["01439514-n", "01439808-n"],
    "01484850-n": ["01483522-n"],
    "01439514-n": [],
    "01439808-n": [],
    "01483522-n": [],
}


def write_wordnet(path: Path, hypernyms: Mapping[str, list[str]] = FISH, prefix: str = "omw-en-") -> Path:
    """A small WordNet in the WN-LMF format."""
    synsets = []
    for name, parents in hypernyms.items():
        relations = "".join(f'<SynsetRelation relType="hypernym" target="{prefix}{parent}"/>' for parent in parents)
        relations += f'<SynsetRelation relType="hyponym" target="{prefix}{name}"/>'
        synsets.append(f'<Synset id="{prefix}{name}" ili="" partOfSpeech="n">{relations}</Synset>')
    path.write_text(HEADER + "\n".join(synsets) + "\n</Lexicon></LexicalResource>\n", encoding="utf-8")
    return path


def test_names_of_classes_and_their_synsets():
    assert synsets_of(["n01440764", "n01443537"]) == ["n01440764", "n01443537"]
    assert synsets_of(["tench, Tinca tinca", "Goldfish", "n01484850"]) == ["n01440764", "n01443537", "n01484850"]
    assert synsets_of(["crane", "tench"]) == [None, "n01440764"], "two classes of ImageNet are called crane"
    assert not is_synset("n0144076")
    assert not is_synset("n01440764\n")
    with pytest.raises(ValueError, match=r"2 of 3 class names are no synset ids.*'goldfsh'.*did you mean 'goldfish'"):
        synsets_of(["tench", "goldfsh", "<script>"])


def test_classes_of_one_parent_are_a_group():
    pytest.importorskip("wn")
    parents = {name: tuple(above) for name, above in {"n01": ["n10"], "n02": ["n10", "n11"], "n03": []}.items()}
    labels = parent_labels(["n01", "n02", "n03", None], parents)
    assert labels == ["n10", "n10", None, None]
    assert groups_by_label(labels) == [[0, 1]]
    with pytest.raises(ValueError, match=r"1 of 2 synsets .* n99; .*WordNet 3\.0"):
        parent_labels(["n01", "n99"], parents)


def test_parents_are_read_from_a_file(tmp_path: Path):
    pytest.importorskip("wn")
    parents = read_parents(write_wordnet(tmp_path / "wordnet.xml"))
    assert parents["n01443537"] == ("n01439514", "n01439808")
    assert parents["n01439514"] == ()
    labels = parent_labels(synsets_of(["tench", "goldfish", "n01484850"]), parents)
    assert groups_by_label(labels) == [[0, 1], [2]]


def test_files_that_are_no_wordnet(tmp_path: Path):
    pytest.importorskip("wn")
    path = tmp_path / "wordnet.xml"
    bomb = '<?xml version="1.0"?><!DOCTYPE L [<!ENTITY a "aaaaaaaaaa">]><L>&a;</L>'
    for text in ("", "not XML", "<a/>", HEADER, bomb):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="not readable as WN-LMF"):
            read_parents(path)
    with pytest.raises(ValueError, match="not readable as WN-LMF"):
        read_parents(tmp_path)
    write_wordnet(path, {"tench": []}, prefix="oewn-")
    with pytest.raises(ValueError, match="no synset is named by its offset"):
        read_parents(path)
