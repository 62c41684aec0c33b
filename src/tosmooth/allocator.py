"""Where the memory of tensors comes from on a CPU: the C library's own allocator, or tcmalloc where it is preloaded.

The C library gives the memory of large tensors back to the system and asks for it again, step after step; tcmalloc
keeps it. The numbers are the same.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

LIBRARY = "libtcmalloc_minimal.so.4"
PACKAGE = "libtcmalloc-minimal4"  # Debian's and Ubuntu's
_NAMED = re.compile(rb"/[^\0\n]*/libtcmalloc(?:_minimal)?\.so\.4(?=[.\0\n]|$)")
_LINKER_CACHE, _MAPPED = Path("/etc/ld.so.cache"), Path("/proc/self/maps")
_FOLDERS = (f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/lib64", "/usr/lib", "/usr/local/lib")


def preloaded() -> bool:
    """Whether this process works with tcmalloc."""
    return _MAPPED.is_file() and _NAMED.search(_MAPPED.read_bytes()) is not None


def installed() -> Path | None:
    """A tcmalloc library of this machine that this Python can load; None where there is none, and on other systems.

    Looked for in the dynamic linker's cache and in the usual folders; nothing is started for it.
    """
    if sys.platform != "linux":
        return None
    cached = _NAMED.findall(_LINKER_CACHE.read_bytes()) if _LINKER_CACHE.is_file() else []
    found = [Path(path.decode(errors="replace")) for path in cached] + [Path(folder, LIBRARY) for folder in _FOLDERS]
    return next((path for path in found if _is_of_this_machine(path)), None)


def _is_of_this_machine(path: Path) -> bool:
    """Whether a library is of the processor and word size of this Python: a 32-bit one may lie beside it."""

    def kind(file: Path) -> bytes:
        with file.open("rb") as stream:
            header = stream.read(20)
        return header[4:6] + header[18:20]  # ELF: class and byte order, machine

    try:
        return kind(path) == kind(Path(sys.executable))
    except OSError:
        return False
