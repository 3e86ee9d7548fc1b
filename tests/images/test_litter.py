"""What systems leave among images is left out; what a person may have named is not."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath

import pytest

from mixvision.images.litter import is_ignored
from mixvision.images.sources import open_source


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/1.jpg", "lost+found/1.jpg", ".AppleDouble/1.jpg", "._1.jpg",
        "System Volume Information/1.jpg", "$RECYCLE.BIN/1.jpg", "apple/Thumbs.db", "@Recycle/1.jpg", ".@__thumb/1.jpg",
        "__MACOSX/apple/._1.jpg", "apple/ehthumbs.db", "apple/.ipynb_checkpoints/1.jpg", "THUMBS.DB", "Icon\r",
        "PaxHeader/1.jpg", "PaxHeaders.1234/1.jpg", "_gsdata_/1.jpg", "@appdata/1.jpg", "LOST.DIR/1.jpg",
        "@Trash/1.jpg", "apple/_vti_cnf/1.jpg", "@SynoResource/1.jpg", "@SynoFinder-log/1.jpg", "$WinREAgent/1.jpg",
        "found.000/1.jpg", "Previews.lrdata/1/2.jpg", "apple/1.jpg:Zone.Identifier", "apple/~$1.docx",
        "RECYCLER/S-1-5-21-1/Dc1.jpg", "Recycled/Dc12.jpg", "RECYCLED/INFO2",
    ],
)  # fmt: skip
def test_litter_of_systems_is_ignored(name):
    assert is_ignored(PurePosixPath("shots") / name) and not is_ignored(PurePosixPath("shots/apple/1.jpg"))


@pytest.mark.parametrize(
    "name",
    [
        "recycle bin/1.jpg", "Recycled/1.jpg", "recycler/1.jpg", "Recycled/dc comics.jpg", "apple/found.01.jpg",
        "foundry/1.jpg", "FOUND.0/1.jpg", "@home/1.jpg", "$5/1.jpg", "PaxHeadersmith/1.jpg", "thumbs/1.jpg",
        "RECYCLED/more/1.jpg", "apple/RECYCLER",
    ],
)  # fmt: skip
def test_names_that_people_give_are_not_ignored(name):
    assert not is_ignored(PurePosixPath("shots") / name)


def test_folders_with_doubtful_names_are_kept_with_a_warning(tmp_path, caplog):
    for name in ("Recycled/1.png", "Recycled/2.png", "apple/1.png", "apple/thumbs/1.png"):
        path = tmp_path / "shots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def opened(layout: list[str] | None = None) -> list[str]:
        folder = tmp_path / "data" / "study" / "nice"
        files = open_source(str(tmp_path / "shots"), "nice", folder, layout=layout).files
        return [path for category, path in files if category]

    with caplog.at_level(logging.WARNING):
        assert len(opened()) == 4
    assert (
        "names programs give, too (numbers of files): thumbs (1), Recycled (2). To leave them out, set nice.layout to "
        '["!**/thumbs/**", "!Recycled/**", "{category}/**"].' in caplog.text
    )
    assert opened(["!**/thumbs/**", "!Recycled/**", "{category}/**"]) == ["apple/1.png"]
