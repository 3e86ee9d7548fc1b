"""Links in archives: each becomes what it leads to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mixvision.images.archive_members import Member, nothing

LINKS_IN_A_ROW = 40
ALIASES_PER_FILE = 20  # links to folders may repeat the files at most so often


def follow_links(members: Sequence[Member]) -> list[Member]:
    """The members with every link replaced by the file it leads to, or by all that the folder has that it leads to.

    Raises:
        ValueError: links repeat the archive's files too often.
    """
    links = {member.path: member.link for member in members if member.link is not None}
    files = {member.path: member for member in members if member.link is None}
    found = list(files.values())
    if not links:
        return list(members)
    tree = _Tree(files, links, _by_folder(members))
    most = ALIASES_PER_FILE * (len(members) + 50)
    for path in links:
        for member in _leads_to(path, tree, (path.parent,)):
            found.append(member)
            if len(found) > most:
                raise ValueError("its links repeat its files too often")
    return found


@dataclass(frozen=True)
class _Tree:
    """Files and links by path, and the paths of both by each of the folders above them."""

    files: Mapping[PurePosixPath, Member]
    links: Mapping[PurePosixPath, PurePosixPath]
    within: Mapping[PurePosixPath, Sequence[PurePosixPath]]


def _by_folder(members: Sequence[Member]) -> dict[PurePosixPath, list[PurePosixPath]]:
    within = defaultdict(list)
    for path in dict.fromkeys(member.path for member in members):
        for folder in path.parents:
            within[folder].append(path)
    return within


def _leads_to(path: PurePosixPath, tree: _Tree, above: tuple[PurePosixPath, ...]) -> Iterator[Member]:
    """The files that a link stands for, with the link's path before theirs.

    Args:
        path: of the link.
        tree: of all members.
        above: the folders that the way here begins in and leads through.
    """
    target = _resolved(path, tree.links)
    if target is None:
        yield Member(path, 0, nothing, reason="unreadable file: a link that leads back to itself")
    elif target in tree.files:
        yield replace(tree.files[target], path=path)
    elif path.is_relative_to(target) or any(folder.is_relative_to(target) for folder in above):
        yield Member(path, 0, nothing, reason="unreadable file: a link to a folder that contains it")
    elif len(above) == LINKS_IN_A_ROW:
        yield Member(path, 0, nothing, reason=f"unreadable file: over {LINKS_IN_A_ROW} links in a row")
    elif not tree.within.get(target):
        yield Member(path, 0, nothing, reason=f"unreadable file: a link to nothing: {tree.links[path]}")
    else:
        for inside in tree.within[target]:
            reached = path / inside.relative_to(target)
            if inside in tree.files:
                yield replace(tree.files[inside], path=reached)
            else:
                for member in _leads_to(inside, tree, (*above, target)):
                    yield replace(member, path=reached / member.path.relative_to(inside))


def _resolved(path: PurePosixPath, links: Mapping[PurePosixPath, PurePosixPath]) -> PurePosixPath | None:
    """Where a path leads when all links in it are followed; None if they go round in circles."""
    for _ in range(LINKS_IN_A_ROW):
        upwards = next((place for place in (*reversed(path.parents), path) if place in links), None)
        if upwards is None:
            return path
        path = links[upwards] / path.relative_to(upwards)
    return None
