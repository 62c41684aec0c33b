from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from scripts import fetch_emoji
from scripts.fetch_emoji import Drawing, FetchError, Package
from tosmooth.data.registry import load_image_data


def entry(code: str, subcategory: str, category: str, tones: tuple[str, ...] = ()) -> dict[str, Any]:
    def one(unified: str) -> dict[str, Any]:
        return {
            "unified": unified,
            "image": f"{unified.lower()}.png",
            "has_img_google": True,
            "has_img_twitter": True,
        }

    variations = {tone: one(f"{code}-{tone}") for tone in tones}
    return {
        **one(code),
        "subcategory": subcategory,
        "category": category,
        **({"skin_variations": variations} if tones else {}),
    }


def emoji_json() -> list[dict[str, Any]]:
    birds = [entry(f"1F40{i}", "animal-bird", "Animals & Nature") for i in range(6)]
    frogs = [entry("1F438", "animal-amphibian", "Animals & Nature")]
    reptiles = [entry(f"1F98{i}", "animal-reptile", "Animals & Nature") for i in range(3)]
    surfers = [
        entry(code, "person-sport", "People & Body", tones=("1F3FB", "1F3FF"))
        for base in ("1F3C4", "1F6B4", "1F6B5", "1F3CA")
        for code in (base, f"{base}-200D-2640-FE0F", f"{base}-200D-2642-FE0F")
    ]
    return [*birds, *frogs, *reptiles, *surfers, entry("1F3FB", "skin-tone", "Component")]


def png(colour: tuple[int, int, int, int], size: int = 64) -> bytes:
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    image.putpixel((0, 0), colour)
    packed = io.BytesIO()
    image.save(packed, "PNG")
    return packed.getvalue()


def write_archive(root: Path, hand: str, emoji: list[dict[str, Any]], image: bytes) -> Package:
    """A real npm archive under `root`, where a registry would have it, with a member that must never be unpacked."""
    members = {"package/LICENSE": b"MIT, in a test", "package/emoji.json": json.dumps(emoji).encode()}
    for item in emoji:
        for variant in (item, *item.get("skin_variations", {}).values()):
            members[f"package/img/{hand}/64/{variant['image']}"] = image
    members["../../escaped.txt"] = b"out of the folder"
    name = f"emoji-datasource-{hand}"
    path = root / name / "-" / f"{name}-1.0.0.tgz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    return Package(name, "1.0.0", hand, f"sha512-{digest}", {"google": "Apache-2.0", "twitter": "CC-BY-4.0"}[hand])


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A registry on this machine: its address, and the folder it serves."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    root = tmp_path / "registry"
    root.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", root
        server.shutdown()
        thread.join()


def packages(root: Path) -> tuple[Package, Package]:
    return (
        write_archive(root, "google", emoji_json(), png((255, 0, 0, 255))),
        write_archive(root, "twitter", emoji_json(), png((0, 0, 255, 128))),
    )


def test_variants_of_an_emoji_share_its_motif():
    assert fetch_emoji.motif_of("1F3C4-200D-2640-FE0F") == fetch_emoji.motif_of("1F3C4") == "1F3C4"
    assert fetch_emoji.motif_of("1F468-200D-1F692") == fetch_emoji.motif_of("1F9D1-200D-1F692") == "1F692"
    assert fetch_emoji.motif_of("1F468") == "1F468"


def test_classes_are_subcategories_merged_or_left_out():
    assert fetch_emoji.class_of("animal-bird") == "animal-bird"
    assert fetch_emoji.class_of("light & video") == "light-and-video"
    assert fetch_emoji.class_of("hotel") == "place-other"
    assert fetch_emoji.class_of("skin-tone") is None
    for hostile in ("../etc", "a/b", "", ".hidden", "Loud"):
        with pytest.raises(FetchError, match="no plain name"):
            fetch_emoji.class_of(hostile)


def test_every_merged_class_goes_into_one_that_stays():
    assert not {*fetch_emoji.MERGED.values()} & {*fetch_emoji.MERGED, *fetch_emoji.LEFT_OUT}


def test_a_split_is_a_function_of_the_seed_and_no_motif_is_on_two_sides():
    drawings = [Drawing(f"m{i}", f"m{i}-{v}", f"{i}.png", "birds", "Animals") for i in range(20) for v in range(3)]
    splits = fetch_emoji.split_motifs(drawings, seed=0)
    counts = [sorted(splits.values()).count(name) for name in ("train", "val", "test")]
    assert counts == [14, 3, 3]
    assert splits == fetch_emoji.split_motifs(reversed(drawings), seed=0)
    assert splits != fetch_emoji.split_motifs(drawings, seed=1)


def test_a_class_too_small_for_three_splits_is_named():
    with pytest.raises(FetchError, match=r"'birds' has 2 motifs"):
        fetch_emoji.split_motifs([Drawing(m, m, f"{m}.png", "birds", "Animals") for m in "ab"], seed=0)


def test_transparency_becomes_white():
    with Image.open(io.BytesIO(fetch_emoji.on_white(png((0, 0, 255, 128))))) as image:
        assert (image.mode, image.size) == ("RGB", (64, 64))
        assert image.getpixel((0, 0)) == (127, 127, 255)
        assert image.getpixel((5, 5)) == (255, 255, 255)
    with Image.open(io.BytesIO(fetch_emoji.on_white(png((0, 0, 0, 255)), 32))) as image:
        assert image.size == (32, 32)
        assert image.getpixel((0, 0)) == pytest.approx((191.25,) * 3, abs=1), "the mean of four pixels"
    with pytest.raises(FetchError, match="32 × 32"):
        fetch_emoji.on_white(png((0, 0, 0, 255), size=32))
    with pytest.raises(FetchError, match="not readable as PNG"):
        fetch_emoji.on_white(b"GIF89a")


def test_the_whole_folder_and_what_the_data_source_makes_of_it(tmp_path: Path, registry: tuple[str, Path]):
    address, root = registry
    target = tmp_path / "new" / "emoji"
    written = fetch_emoji.build(target, address, packages=packages(root))
    data = load_image_data("folder", path=target)
    assert data.classes == ("animal-bird", "animal-reptile", "person-sport")
    assert written == {"train": len(data.train), "val": len(data.validation), "test": len(data.test)}
    assert sum(written.values()) == 2 * (6 + 4 + 12 * 3)
    where = {"train": data.train, "val": data.validation, "test": data.test}
    motifs = {
        name: {Path(s.describe(i)).name.split(".")[0].split("-")[0] for i in range(len(s))} for name, s in where.items()
    }
    assert not motifs["train"] & motifs["test"]
    assert not motifs["train"] & motifs["val"]
    assert not motifs["val"] & motifs["test"]
    assert all(len(list((target / "train" / "person-sport").glob(f"*.{hand}.png"))) for hand in ("google", "twitter"))
    groups = yaml.safe_load((target / "superclasses.yaml").read_text(encoding="utf-8"))
    assert groups == {"Animals & Nature": ["animal-bird", "animal-reptile"], "People & Body": ["person-sport"]}
    assert "CC-BY-4.0" in (target / "SOURCE.txt").read_text(encoding="utf-8")
    assert {file.name for file in (target / "LICENSES").iterdir()} >= {"google-Apache-2.0.txt", "twitter-CC-BY-4.0.txt"}
    assert len((target / "images.csv").read_text(encoding="utf-8").splitlines()) == 1 + sum(written.values())
    assert not list(tmp_path.rglob("escaped.txt"))
    assert [entry.name for entry in target.parent.iterdir()] == ["emoji"], "nothing temporary is left"


def test_a_second_call_finds_the_folder_and_another_seed_is_refused(tmp_path: Path, registry: tuple[str, Path]):
    address, root = registry
    made = packages(root)
    written = fetch_emoji.build(tmp_path / "emoji", address, packages=made)
    assert fetch_emoji.build(tmp_path / "emoji", "http://127.0.0.1:1", packages=made) == written
    with pytest.raises(FetchError, match="not made with these settings"):
        fetch_emoji.build(tmp_path / "emoji", address, packages=made, seed=1)


def test_what_goes_wrong_is_said_and_leaves_nothing(tmp_path: Path, registry: tuple[str, Path]):
    address, root = registry
    google, twitter = packages(root)
    target = tmp_path / "emoji"
    wrong = google._replace(integrity="sha512-AAAA")
    for reason, where, chosen in (
        (r"checksum is sha512-.*expected sha512-AAAA", address, (wrong, twitter)),
        ("answered 404", address, (google._replace(version="9.9.9"), twitter)),
        ("cannot be fetched.*network", "http://127.0.0.1:1", (google, twitter)),
        ("no http address", "file:///etc", (google, twitter)),
    ):
        with pytest.raises(FetchError, match=reason):
            fetch_emoji.build(target, where, packages=chosen)
        assert [entry.name for entry in tmp_path.iterdir()] == ["registry"]


def test_a_damaged_or_incomplete_archive_is_refused(tmp_path: Path):
    path = tmp_path / "a.tgz"
    path.write_bytes(b"not gzip")
    with pytest.raises(FetchError, match=r"not readable as a \.tgz"):
        fetch_emoji.read_members(path, frozenset({"emoji.json"}))
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("package/emoji.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(FetchError, match="no plain file"):
        fetch_emoji.read_members(path, frozenset({"emoji.json"}))
    with pytest.raises(FetchError, match="1 files are missing, the first is LICENSE"):
        fetch_emoji.read_members(path, frozenset({"LICENSE"}))


def test_a_name_that_leads_elsewhere_is_refused():
    for hostile in ({"image": "../../1f400.png"}, {"unified": "../../1F400"}):
        with pytest.raises(FetchError, match="no file name of an emoji"):
            fetch_emoji.read_drawings([entry("1F400", "animal-bird", "Animals & Nature") | hostile], ["google"])
    with pytest.raises(FetchError, match=r"emoji\.json is not as expected"):
        fetch_emoji.read_drawings([{"subcategory": "animal-bird"}], ["google"])
    with pytest.raises(FetchError, match=r"emoji\.json is not as expected"):
        fetch_emoji.read_drawings({"a": 1}, ["google"])
