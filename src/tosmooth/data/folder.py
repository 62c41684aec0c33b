"""Any folder of images with one sub-folder per class: under `train/` and `val/` (the ImageNet-1K layout), or alone."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path

from tosmooth.data.base import RawImages
from tosmooth.data.files import FileSplit
from tosmooth.data.folder_checks import SHOWN, refuse_twice, refuse_unclear, there_in
from tosmooth.data.image_tree import Unread, counted, entries_of, images_in, is_folder, is_image
from tosmooth.data.parting import parted
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.data.split_names import (
    KINDS,
    Kind,
    in_words,
    is_left_by_programs,
    kind_of,
    split_folders,
    unwrapped,
    visible_folders,
)
from tosmooth.errors import DataError, did_you_mean


@register_image_source("folder")
def image_folder(request: SourceRequest) -> RawImages:
    """`train/<class>/…` with `val/<class>/…`, `test/<class>/…` or both; or nothing but `<class>/…`.

    Splits are known in any case and by their usual synonyms (`Training`, `valid`, `test_images`, `seg_train`). In the
    ImageNet layout `val/` is what results are reported on, so it must not choose anything: it is the test split, and
    validation is split off training. Where there is a labelled `test/`, `val/` is validation; one of unlabelled images
    is left out. Images that nobody has parted are parted once and for all: the same files are always the same test
    split. Links are followed. What is not read is counted, in words (`RawImages.unread`).

    Raises:
        DataError: no such folder, a layout that is not this one or can be read in two ways, a class without images.
    """
    request.no_options("folder")
    root = request.need_path("folder", "a folder that holds train/ and val/, or one folder for each class")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    return _Reading(root, Unread(root)).images()


@dataclass
class _Reading:
    """One look at a data set's folder.

    Args:
        root: the folder.
        unread: the account of what is not read.
        read: class folders of all splits so far, none of which may be another one by a link.
    """

    root: Path
    unread: Unread
    read: list[Path] = field(default_factory=list)

    def images(self) -> RawImages:
        """The splits that are there, or those that are made of what is there."""
        splits = self._one_of_each()
        if "train" not in splits:
            return self._of_classes_alone(splits)
        train_folder = splits["train"]
        folders = self._class_folders(train_folder)
        if not folders:
            name = train_folder.name
            raise DataError(
                f"{train_folder}: holds no class folders; expected {name}/<class>/<image>. If {name} is one of your "
                "classes, give its folder another name"
            )
        refuse_unclear(train_folder, folders, whole=False)
        train = self._split(folders)
        self.read += folders.values()
        classes = tuple(folders)
        notes = self._leave_unlabelled(splits)
        held_out = {kind: self._held_out(splits[kind], folders) for kind in ("val", "test") if kind in splits}
        beside = self._beside()
        if not held_out:
            if with_classes := [folder for folder in beside if visible_folders(folder)]:
                raise DataError(
                    f"{self.root}: holds {train_folder.name}/ and {in_words(with_classes[:SHOWN])}, but no val/ or "
                    f"test/. Name the held-out images val/ or test/, or move away what is not of this data set; if "
                    f"{train_folder.name} is one of your classes, give its folder another name"
                )
            made = parted(train, classes, f"the images in {train_folder.name}/", list(folders.values()))
        elif "test" in held_out:
            made = RawImages(train, held_out["test"], classes, validation=held_out.get("val"))
        else:
            made = RawImages(train, held_out["val"], classes)
        notes += [f"not read, as no split: {in_words(beside)}"] if beside else []
        return replace(made, unread=(*notes, *self.unread.sentences()))

    def _one_of_each(self) -> dict[Kind, Path]:
        """The folder of each split.

        Raises:
            DataError: two name the same one.
        """
        found = split_folders(self.root)
        for kind in KINDS:
            if len(several := found.get(kind, [])) > 1:
                what = {"train": "training", "val": "validation", "test": "test"}[kind]
                raise DataError(
                    f"{self.root}: {' and '.join(f'{one.name}/' for one in several)} both name the {what} split; "
                    "keep one, and move the other away or into it"
                )
        for entry in entries_of(self.root):
            if kind_of(entry.name) is not None and entry.is_symlink() and not Path(entry.path).exists():
                raise DataError(f"{entry.path}: a link to nowhere ({Path(entry.path).readlink()}); mend or remove it")
        splits = {kind: unwrapped(folders[0]) for kind, folders in found.items()}
        refuse_twice(list(splits.values()))
        return splits

    def _of_classes_alone(self, splits: dict[Kind, Path]) -> RawImages:
        """Class folders alone: a share of the images becomes the test split."""
        if splits:
            name = next(iter(splits.values())).name
            raise DataError(
                f"{self.root}: holds {name}/ but no train/; expected train/<class>/<image> beside it, or class folders "
                f"alone. If {name} is one of your classes, give its folder another name"
            )
        folders = self._class_folders(self.root)
        if not folders:
            raise DataError(
                f"{self.root}: holds no class folders{there_in(self.root)}; expected <class>/<image>, or "
                "train/<class>/<image> and val/<class>/<image>"
            )
        refuse_unclear(self.root, folders, whole=True)
        whole = self._split(folders)
        made = parted(whole, tuple(folders), f"the images in {self.root.name}/", list(folders.values()))
        return replace(made, unread=self.unread.sentences())

    def _class_folders(self, folder: Path) -> dict[str, Path]:
        """Class names, in Unicode's composed form, and their folders, sorted; all else goes to the account.

        Raises:
            DataError: a link to nowhere where a class should be, or two folders of one name.
        """
        found: dict[str, Path] = {}
        for entry in entries_of(folder):
            path = folder / entry.name
            name = unicodedata.normalize("NFC", entry.name)
            if is_folder(entry) and not is_left_by_programs(entry.name):
                if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
                    raise DataError(f"{folder}: the class folder {entry.name!a} has a name that is no UTF-8; rename it")
                if name in found:
                    raise DataError(
                        f"{folder}: two folders of the name {name}, spelt with other code points; join them"
                    )
                found[name] = path
            elif entry.is_symlink() and not path.exists() and not path.suffix:
                # A class would be missing from the model, and from every figure.
                raise DataError(f"{path}: a link to nowhere ({path.readlink()}); mend or remove it")
            else:
                self._account(entry)
        refuse_twice(list(found.values()))
        return found

    def _account(self, entry: os.DirEntry[str]) -> None:
        """Count what lies beside class folders and splits."""
        if is_left_by_programs(entry.name):
            self.unread.ignore(entry)
        elif is_image(entry):
            self.unread.outside += 1
        else:
            self.unread.note(entry)

    def _held_out(self, folder: Path, classes: dict[str, Path]) -> FileSplit:
        """A split beside training, which must have the same classes."""
        train = next(iter(classes.values())).parent.name
        folders = self._class_folders(folder)
        if not folders:
            raise DataError(
                f"{folder}: holds no class folders{there_in(folder)}; expected {folder.name}/<class>/<image>: its "
                "images have to be sorted into class folders"
            )
        self.read += folders.values()
        refuse_twice(self.read)
        if unknown := [name for name in folders if name not in classes]:
            raise DataError(f"{folders[unknown[0]]}: not a class of {train}/; {did_you_mean(unknown[0], classes)}")
        if missing := [name for name in classes if name not in folders]:
            raise DataError(
                f"{folder}: has no folder for {len(missing)} classes of {train}/: {', '.join(missing[:SHOWN])}"
            )
        return self._split({name: folders[name] for name in classes})

    def _split(self, folders: dict[str, Path]) -> FileSplit:
        """All images of the class folders, labelled in their order."""
        paths: list[Path] = []
        labels: list[int] = []
        for index, folder in enumerate(folders.values()):
            files = images_in(folder, self.unread)
            if not files:
                raise DataError(
                    f"{folder}: holds no images that Pillow reads{there_in(folder)}; add some, or remove it"
                )
            paths += files
            labels += [index] * len(files)
        return FileSplit(paths, labels, self.root)

    def _leave_unlabelled(self, splits: dict[Kind, Path]) -> list[str]:
        """Take a test split of images without class folders out of the splits; what was left out, in words."""
        folder = splits.get("test")
        if folder is None or visible_folders(folder):
            return []
        count = sum(is_image(entry) for entry in entries_of(folder))
        if not count:
            return []
        del splits["test"]
        return [f"{folder.name}/ left out: {counted(count, 'image')} in no class folder, so without labels"]

    def _beside(self) -> list[Path]:
        """Folders beside the splits, which are not read; files there go to the account."""
        for entry in entries_of(self.root):
            if not is_folder(entry) or is_left_by_programs(entry.name):
                self._account(entry)
        return [folder for folder in visible_folders(self.root) if kind_of(folder.name) is None]
