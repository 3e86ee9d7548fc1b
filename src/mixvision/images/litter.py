"""What operating systems, network storage and programs leave among people's files."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath

logger = logging.getLogger(__name__)

# Names of files and folders that only systems give, in lower case; none that a category may have.
LITTER = {
    *("thumbs.db", "ehthumbs.db", "zbthumbnail.info", "desktop.ini", "picasa.ini", "icon\r"),  # desktops
    *("__macosx", "desktop db", "desktop df", "thefindbycontentfolder"),
    *("$recycle.bin", "system volume information", "lost+found", "lost.dir"),  # disks
    *("$winreagent", "$sysreset", "$getcurrent", "$windows.~bt", "$windows.~ws", "$extend"),
    *("#recycle", "@recycle", "@trash", "@quarantine", "@tmp", "@__thumb", "@transcode"),  # storage in networks
    *("@database", "@docker", "@download", "@downloads"),
    *("@appdata", "@appstore", "@appconf", "@apphome", "@appshare", "@apptemp"),
    *("#snapshot", "~snapshot", "@recently-snapshot", "@sharesnap", "@sharebin", "aquota.user"),
    *("network trash folder", "temporary items", "thevolumesettingsfolder", "_gsdata_"),
    *("__pycache__", "node_modules"),  # programs
}
STARTS = (".", "@eaDir", "@Syno", "_vti_", "~$")
_VARIED = re.compile(r"paxheaders?(\.\d+)?|found\.\d{3}|.*\.lrdata|.*:zone\.identifier", re.IGNORECASE | re.DOTALL)
# The bins of old versions of Windows have names that a category may have; what lies in them tells.
OLD_BINS = {"RECYCLER", "RECYCLED"}
_BINNED = re.compile(r"S-1-5-.*|D[a-z]\d+(\..*)?|INFO2?|desktop\.ini", re.DOTALL)
# Names that programs give, and people, too.
DOUBTFUL = {"recycle bin", "recycler", "recycled", "thumb", "thumbs", "thumbnails", "_thumb", "_thumbs", "_thumbnails"}


def litter_in(path: PurePosixPath) -> str:
    """The first part of a path that is hidden, or was left by an operating system or network storage; or ""."""
    for part in path.parts:
        if part.startswith(STARTS) or part.lower() in LITTER or _VARIED.fullmatch(part):
            return part
    bins = (part for part, inside in pairwise(path.parts) if part.upper() in OLD_BINS and _BINNED.fullmatch(inside))
    return next(bins, "")


def is_ignored(path: PurePosixPath) -> bool:
    """Whether a file is hidden, or was left by an operating system or network storage."""
    return bool(litter_in(path))


def warn_of_doubtful_folders(paths: Iterable[str], domain: str) -> None:
    """Name folders that are read although programs, too, give such names: to what was deleted, or to thumbnails.

    Args:
        paths: of files below the root.
        domain: for the message.
    """
    found = Counter[str]()
    for path in paths:
        folders = PurePosixPath(path).parts[:-1]
        place = next((place for place, folder in enumerate(folders) if folder.lower() in DOUBTFUL), None)
        if place is not None:
            found[f"**/{folders[place]}" if place else folders[place]] += 1
    if found:
        names = ", ".join(f"{name.removeprefix('**/')} ({count})" for name, count in sorted(found.items()))
        layouts = ", ".join(f'"!{name}/**"' for name in sorted(found))
        text = "%s: folders are read whose names programs give, too (numbers of files): %s. To leave them out, set %s"
        logger.warning(text + '.layout to [%s, "{category}/**"].', domain, names, domain, layouts)
