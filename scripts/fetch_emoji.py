"""Fetch some 7,500 emoji drawings by two hands and sort them into an image folder with 88 classes.

    python scripts/fetch_emoji.py data/emoji --pixels 32
    tosmooth study emoji data.path=data/emoji

The npm packages emoji-datasource-google (Noto, Apache-2.0) and emoji-datasource-twitter (Twemoji, CC-BY-4.0) hold
every emoji as a PNG of 64 × 64 pixels. Their versions are pinned, and their archives must have the checksums below.
Classes are the Unicode sub-categories ("animal-bird"), groups of classes the Unicode categories ("Animals & Nature").

Training, validation and test share no motif: both hands, all skin tones and all genders of "surfer" lie in one of them.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from PIL import Image

DEFAULT_REGISTRY = "https://registry.npmjs.org"
SIZE = 64  # side of a drawing in the packages, pixels
LARGEST_MEMBER = 64 * 2**20  # bytes of one member of an archive
SHARES = {"test": 0.15, "val": 0.15}  # of the motifs of each class; the rest is training

# Sub-categories with fewer than five motifs (ten drawings by two hands): into the nearest one of the same category, …
MERGED = {
    "animal-amphibian": "animal-reptile",
    "face-glasses": "face-costume",
    "face-hat": "face-costume",
    "hand-prop": "hands",
    "hotel": "place-other",
    "person-resting": "person-activity",
    "subdivision-flag": "country-flag",
}
# … or left out where none is near. "skin-tone" holds five plain swatches, and is alone in its category.
LEFT_OUT = frozenset({"currency", "gender", "monkey-face", "skin-tone"})

# Man, woman, person, the two signs, joiner, variation selector, "facing right": what makes variants of one motif.
_VARIANT = frozenset({"1F468", "1F469", "1F9D1", "2640", "2642", "200D", "FE0F", "27A1"})


class FetchError(Exception):
    """What went wrong and what would be right, in one sentence."""


class Package(NamedTuple):
    """A pinned npm package."""

    name: str
    version: str
    hand: str  # who drew: the folder of the images in the archive
    integrity: str  # "sha512-" and the base64 digest of the archive, as npm writes it
    licence: str


PACKAGES = (
    Package(
        "emoji-datasource-google",
        "16.0.0",
        "google",
        "sha512-ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
        "Apache-2.0",
    ),
    Package(
        "emoji-datasource-twitter",
        "16.0.0",
        "twitter",
        "sha512-7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
        "CC-BY-4.0",
    ),
)


@dataclass(frozen=True)
class Drawing:
    """One emoji in one skin tone; each hand has drawn it."""

    motif: str
    code: str  # lower-case code points, joined by "-"
    image: str  # file name in the package
    class_name: str
    category: str


def motif_of(unified: str) -> str:
    """The code points of an emoji without gender, joiners and direction: what its variants have in common."""
    points = unified.split("-")
    return "-".join([point for point in points if point not in _VARIANT] or points)


def class_of(subcategory: str) -> str | None:
    """The class a Unicode sub-category belongs to, as a folder name; None where it is left out.

    Raises:
        FetchError: the name could not be a folder's.
    """
    name = subcategory.replace(" & ", "-and-")
    if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name):
        raise FetchError(f"emoji.json: the sub-category {subcategory!r} is no plain name")
    return None if name in LEFT_OUT else MERGED.get(name, name)


def read_drawings(emoji: Any, hands: Iterable[str]) -> list[Drawing]:
    """All drawings that every hand has, from the parsed emoji.json.

    Raises:
        FetchError: the file is not as expected.
    """
    found = []
    try:
        for entry in emoji:
            class_name = class_of(entry["subcategory"])
            if class_name is None:
                continue
            for variant in (entry, *entry.get("skin_variations", {}).values()):
                if not all(variant[f"has_img_{hand}"] for hand in hands):
                    continue
                code = variant["unified"].lower()
                for name in (variant["image"], f"{code}.png"):
                    if not re.fullmatch(r"[0-9a-f]+(-[0-9a-f]+)*\.png", name):
                        raise FetchError(f"emoji.json: {name!r} is no file name of an emoji")
                found.append(Drawing(motif_of(entry["unified"]), code, variant["image"], class_name, entry["category"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise FetchError(f"emoji.json is not as expected: {type(error).__name__} {error}") from None
    return found


def split_motifs(drawings: Iterable[Drawing], seed: int) -> dict[tuple[str, str], str]:
    """The split of each (class, motif): "train", "val" or "test", by the order of a seeded hash within the class.

    Raises:
        FetchError: a class has fewer than three motifs, one for each split.
    """
    motifs: dict[str, set[str]] = defaultdict(set)
    for drawing in drawings:
        motifs[drawing.class_name].add(drawing.motif)
    splits = {}
    for name, members in motifs.items():
        if len(members) < 3:
            raise FetchError(f"class {name!r} has {len(members)} motifs, and needs 3; merge it or leave it out")
        order = sorted(members, key=lambda motif: hashlib.sha256(f"{seed}/{name}/{motif}".encode()).digest())
        test, val = (max(1, round(share * len(order))) for share in SHARES.values())
        for place, motif in enumerate(order):
            splits[name, motif] = "test" if place < test else "val" if place < test + val else "train"
    return splits


def superclasses(drawings: Iterable[Drawing]) -> dict[str, list[str]]:
    """Unicode category → its classes, both sorted."""
    groups: dict[str, set[str]] = defaultdict(set)
    for drawing in drawings:
        groups[drawing.category].add(drawing.class_name)
    return {category: sorted(groups[category]) for category in sorted(groups)}


def on_white(png: bytes, pixels: int = SIZE) -> bytes:
    """A PNG with transparency as an RGB PNG on white, `pixels` wide and high.

    Raises:
        FetchError: not a PNG of 64 × 64 pixels.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if image.size != (SIZE, SIZE):
                raise FetchError(f"an image has {image.width} × {image.height} pixels, expected {SIZE} × {SIZE}")
            drawn = image.convert("RGBA")
    except OSError as error:
        raise FetchError(f"an image is not readable as PNG: {error}") from None
    white = Image.new("RGBA", drawn.size, "white")
    packed = io.BytesIO()
    flat = Image.alpha_composite(white, drawn).convert("RGB")
    if pixels != SIZE:
        flat = flat.resize((pixels, pixels), Image.Resampling.BOX)
    flat.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def registry_address() -> str:
    """The npm registry of the environment, of npm's own settings, or the public one."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(name):
            return os.environ[name]
    npm = shutil.which("npm")
    if npm:
        answer = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip().startswith(("https://", "http://")):
            return answer.stdout.strip()
    return DEFAULT_REGISTRY


def download(package: Package, registry: str, folder: Path) -> Path:
    """The package's archive in `folder`, its checksum verified.

    Raises:
        FetchError: no network, no such package, a broken transfer, or other bytes than the pinned ones.
    """
    if not registry.startswith(("https://", "http://")):
        raise FetchError(f"the registry {registry!r} is no http address; give one with --registry")
    base = registry.rstrip("/")
    url = f"{base}/{package.name}/-/{package.name}-{package.version}.tgz"
    path, digest, done = folder / f"{package.name}.tgz", hashlib.sha512(), 0
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, path.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(2**20):
                file.write(block)
                digest.update(block)
                done += len(block)
                progress(f"{package.name} {package.version}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
    except urllib.error.HTTPError as error:
        raise FetchError(f"{url}: the registry answered {error.code} {error.reason}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise FetchError(f"{url}: cannot be fetched ({reason}); is there a network? See also --registry") from None
    found = "sha512-" + base64.b64encode(digest.digest()).decode()
    if found != package.integrity:
        raise FetchError(f"{url}: the checksum is {found}, expected {package.integrity}; nothing of it was used")
    return path


def read_members(archive: Path, names: frozenset[str]) -> dict[str, bytes]:
    """The named members of an npm archive. They are read, never unpacked: no path in it reaches the disk.

    Raises:
        FetchError: no readable archive, a member is missing, too large, or no plain file.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                name = member.name.removeprefix("package/")
                if name not in names:
                    continue
                file = members.extractfile(member) if member.isfile() else None
                if file is None or member.size > LARGEST_MEMBER:
                    raise FetchError(f"{archive.name}: {name} is no plain file of up to {LARGEST_MEMBER:,} bytes")
                found[name] = file.read()
                progress(f"{archive.name}: {len(found)} of {len(names)} files")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"{archive.name}: not readable as a .tgz archive: {error}") from None
    if missing := sorted(names - found.keys()):
        raise FetchError(f"{archive.name}: {len(missing)} files are missing, the first is {missing[0]}")
    return found


def build(
    target: Path, registry: str, *, seed: int = 0, pixels: int = SIZE, packages: tuple[Package, ...] = PACKAGES
) -> dict[str, int]:
    """Make the folder `target`, whole or not at all; a second call with the same settings finds it and does nothing.

    Returns:
        Images per split.

    Raises:
        FetchError: see `download`, `read_members` and `read_drawings`, or `target` holds something else.
    """
    pinned = {package.name: f"{package.version} {package.integrity}" for package in packages}
    stamp = {"seed": seed, "pixels": pixels, "packages": pinned, "layout": 1}
    if (target / "build.json").is_file():
        record = json.loads((target / "build.json").read_text(encoding="utf-8"))
        if record["made_from"] == stamp:
            counts: dict[str, int] = record["images"]
            return counts
    if target.exists():
        raise FetchError(f"{target}: exists, and was not made with these settings; remove it or give another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the rename stays on one file system.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        archives = {package.hand: download(package, registry, Path(temporary)) for package in packages}
        drawn = Path(temporary) / "folder"
        written = write_images(drawn, archives, seed, pixels)
        write_notices(drawn, archives, packages, stamp, written)
        record = json.dumps({"made_from": stamp, "images": written}, indent=2)
        (drawn / "build.json").write_text(record + "\n", encoding="utf-8")
        try:
            drawn.rename(target)
        except OSError as error:
            raise FetchError(f"{target}: cannot be put in place: {error.strerror}") from None
    return written


def write_images(folder: Path, archives: Mapping[str, Path], seed: int, pixels: int) -> dict[str, int]:
    """Write `<split>/<class>/<code>.<hand>.png`, `superclasses.yaml` and `images.csv`; images per split."""
    first = next(iter(archives.values()))
    emoji = json.loads(read_members(first, frozenset({"emoji.json"}))["emoji.json"])
    drawings = read_drawings(emoji, archives)
    splits = split_motifs(drawings, seed)
    for split, name in {(split, name) for (name, _), split in splits.items()}:
        (folder / split / name).mkdir(parents=True)
    rows = []
    for hand, archive in archives.items():
        images = read_members(archive, frozenset(f"img/{hand}/{SIZE}/{drawing.image}" for drawing in drawings))
        for number, drawing in enumerate(drawings, start=1):
            split = splits[drawing.class_name, drawing.motif]
            path = f"{split}/{drawing.class_name}/{drawing.code}.{hand}.png"
            (folder / path).write_bytes(on_white(images[f"img/{hand}/{SIZE}/{drawing.image}"], pixels))
            rows.append((path, split, drawing.class_name, drawing.category, drawing.motif, hand))
            progress(f"{hand}: {number} of {len(drawings)} images")
    groups = yaml.safe_dump(superclasses(drawings), sort_keys=False, allow_unicode=True)
    (folder / "superclasses.yaml").write_text(groups, encoding="utf-8")
    with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("path", "split", "class", "category", "motif", "hand"))
        table.writerows(sorted(rows))
    return dict(sorted(Counter(row[1] for row in rows).items()))


def write_notices(
    folder: Path,
    archives: Mapping[str, Path],
    packages: tuple[Package, ...],
    stamp: Mapping[str, Any],
    written: Mapping[str, int],
) -> None:
    """Write SOURCE.txt, and under LICENSES/ whose drawings these are and on which terms."""
    (folder / "LICENSES").mkdir()
    terms = {
        "google": "Noto Emoji, drawings by Google Inc. and contributors (https://github.com/googlefonts/noto-emoji).\n"
        "Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0\n",
        "twitter": "Twemoji, drawings by Twitter, Inc. and other contributors (https://github.com/jdecked/twemoji).\n"
        "Creative Commons Attribution 4.0: https://creativecommons.org/licenses/by/4.0/\n",
    }
    changes = "Changed: made smaller where asked for, put on white, sorted. Pass these lines on with the drawings.\n"
    for package in packages:
        notice = f"Files *.{package.hand}.png ({package.licence})\n\n{terms[package.hand]}\n{changes}"
        (folder / "LICENSES" / f"{package.hand}-{package.licence}.txt").write_text(notice, encoding="utf-8")
        text = read_members(archives[package.hand], frozenset({"LICENSE"}))["LICENSE"]
        (folder / "LICENSES" / f"{package.name}-MIT.txt").write_bytes(text)
    source = [
        f"Emoji drawings of {stamp['pixels']} pixels a side, on white. Made by scripts/fetch_emoji.py.",
        "",
        *(f"{p.name} {p.version} ({p.licence} images, MIT data)\n  {p.integrity}" for p in packages),
        "",
        f"Split by motif, seed {stamp['seed']}: {', '.join(f'{split} {n} images' for split, n in written.items())}.",
        f"Sub-categories merged: {', '.join(f'{old} into {new}' for old, new in sorted(MERGED.items()))}.",
        f"Left out: {', '.join(sorted(LEFT_OUT))}.",
        "superclasses.yaml: Unicode category to classes. images.csv: one line per image.",
    ]
    (folder / "SOURCE.txt").write_text("\n".join(source) + "\n", encoding="utf-8")


def progress(text: str) -> None:
    """One line that is written over, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Build the folder; 0 if it is there, 1 with one sentence if not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split by motif (default: 0)")
    parser.add_argument("--pixels", type=int, default=SIZE, choices=(16, 32, 64), help="side of an image (default: 64)")
    parser.add_argument("--registry", help=f"npm registry (default: npm's own setting, else {DEFAULT_REGISTRY})")
    arguments = parser.parse_args()
    try:
        registry = arguments.registry or registry_address()
        written = build(arguments.target, registry, seed=arguments.seed, pixels=arguments.pixels)
    except (FetchError, OSError) as error:
        progress("")
        print(f"error: {error}", file=sys.stderr)
        return 1
    progress("")
    counts = ", ".join(f"{split} {count}" for split, count in written.items())
    classes = sum(entry.is_dir() for entry in (arguments.target / "train").iterdir())
    print(f"{arguments.target}: {classes} classes, {sum(written.values())} images ({counts})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
