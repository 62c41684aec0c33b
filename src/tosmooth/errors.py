"""The exceptions tosmooth raises on purpose, and the sentence that helps with a misspelt name."""

from __future__ import annotations

import difflib
import re
import signal
from collections.abc import Iterable

_CREDENTIALS = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]+:/{1,2})[^/\s?#]+@")  # one slash: what a path makes of an address


def without_secrets(text: str) -> str:
    """The text with the user and password of addresses left out: `http://user:secret@host` → `http://…@host`."""
    return _CREDENTIALS.sub(r"\1…@", text) if ":/" in text else text


class TosmoothError(Exception):
    """Root of every error a user can mend. The command line prints its text without a traceback.

    No address in it has a password, whoever catches it and writes it somewhere.
    """

    def __init__(self, text: object = "") -> None:
        super().__init__(without_secrets(str(text)))


class ConfigError(TosmoothError):
    """A study's configuration is wrong. Carries every mistake found, not only the first."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = [without_secrets(mistake) for mistake in mistakes]
        count = len(self.mistakes)
        head = "1 mistake" if count == 1 else f"{count} mistakes"
        super().__init__("\n".join([f"{head} in the configuration:", *(f"  - {m}" for m in self.mistakes)]))


class DataError(TosmoothError):
    """Data that cannot be read, or that is not what its layout promises."""


class ModelError(TosmoothError):
    """A model that cannot be built, loaded, or that does not fit the data."""


class OtherModelError(ModelError):
    """Weights that are of another architecture: tensors are missing, unexpected or of other shapes."""


class UnfetchedError(ModelError):
    """Published weights, or a published configuration, that could not be fetched.

    Args:
        model: the model's name.
        reason: what happened, in a sentence.
        remedy: what can be done; None: a file, in a study's words.
    """

    def __init__(self, model: str, reason: str, remedy: str | None = None) -> None:
        self.model, self.reason = model, reason
        way = remedy or "give the file to the model's setting checkpoint, with pretrained: false"
        super().__init__(
            f"{reason.rstrip('.')}. If this machine cannot fetch it: fetch it on another, and {way}; or set "
            "HF_ENDPOINT to a mirror of the Hugging Face hub"
        )


class MissingLibraryError(TosmoothError, ImportError):
    """An optional library that is asked for is not installed; the text says how to install it."""


class LossInputError(TosmoothError, ValueError):
    """Logits or labels that a loss means nothing to."""


class StudyError(TosmoothError):
    """A study directory that cannot be used: another study's, unfinished, or not writable."""


class CacheError(TosmoothError):
    """A teacher cache that cannot be used: another teacher's, damaged, or not writable."""


class DrawingError(TosmoothError):
    """A figure that the renderer could not draw, or the renderer itself that ended."""


class CheckpointError(TosmoothError):
    """A checkpoint that cannot be used: damaged, or of another model."""


class NonFiniteError(TosmoothError):
    """A loss or gradient became NaN or infinite; the text names the run, the epoch and the step."""


class Interrupted(TosmoothError):
    """A signal asked the run to end; what was reached is saved."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(
            f"stopped by {signal.Signals(signal_number).name}; all progress is saved, and the same command goes on "
            "from it"
        )


class PeerError(TosmoothError):
    """Another process of this run failed; `told` says whether that one has reported why."""

    def __init__(self, text: str, *, told: bool) -> None:
        self.told = told
        super().__init__(text)


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """The tail of an error message about an unknown name: nearest match first, then what is allowed.

    Returns:
        For example ``"did you mean 'cifar10'? Allowed: cifar10, cifar100"``.
    """
    options = sorted(allowed)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    listing = f"Allowed: {', '.join(options)}" if len(options) <= 30 else f"{len(options)} names are allowed"
    return f"did you mean {near[0]!r}? {listing}" if near else listing
