"""Archives of every origin: links, names, sizes, and what is not an archive at all."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from mixvision.images.archives import Unpacking, read_unpacking
from mixvision.images.sources import RawImages, open_source


@pytest.fixture
def source(tmp_path):
    """Opens an archive as a source: `source(path)`."""

    def opened(archive: Path, **options) -> RawImages:
        return open_source(str(archive), "nice", tmp_path / "data" / "study" / "nice", **options)

    return opened


def picture(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (16, 16), shade).save(stream, "PNG")
    return stream.getvalue()


def tar_of(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None, kind=tarfile.SYMTYPE) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return path


def zip_of(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o120777 << 16
            archive.writestr(info, target)
    return path


FILES = {"top/apple/1.png": picture(10), "top/pear/1.png": picture(20), "top/pear/2.png": picture(30)}


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_links_within_an_archive_become_what_they_lead_to(tmp_path, source, pack):
    links = {
        "top/apple/2.png": "../pear/1.png",  # to a file
        "top/apple/3.png": "2.png",  # to a link
        "top/plum": "pear",  # to a folder
        "top/apple/4.png": "../plum/2.png",  # through a link
    }
    images = source(pack(tmp_path / f"a.{pack.__name__[:3]}", FILES, links))
    expected = {
        "apple/1.png": 10, "apple/2.png": 20, "apple/3.png": 20, "apple/4.png": 30,
        "pear/1.png": 20, "pear/2.png": 30, "plum/1.png": 20, "plum/2.png": 30,
    }  # fmt: skip
    assert {path: Image.open(images.root / path).getpixel((0, 0)) for _, path in images.files} == expected
    assert not images.refused and not any((images.root / path).is_symlink() for path in expected)


def test_hard_links_in_a_tar_name_their_target_from_the_top(tmp_path, source):
    images = source(tar_of(tmp_path / "a.tar", FILES, {"top/apple/2.png": "top/pear/1.png"}, tarfile.LNKTYPE))
    assert Image.open(images.root / "apple/2.png").getpixel((0, 0)) == 20


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_other_links_are_refused_by_name(tmp_path, source, pack):
    (tmp_path / "secret.png").write_bytes(picture(99))
    links = {
        "top/apple/out.png": "../../../secret.png",
        "top/apple/absolute.png": f"{tmp_path}/secret.png",
        "top/apple/nowhere.png": "absent.png",
        "top/apple/round.png": "round.png",
        "top/apple/up": "..",
    }
    images = source(pack(tmp_path / f"a.{pack.__name__[:3]}", FILES, links))
    assert images.refused == {
        "apple/out.png": "unreadable file: a link out of the archive: ../../../secret.png",
        "apple/absolute.png": f"unreadable file: a link out of the archive: {tmp_path}/secret.png",
        "apple/nowhere.png": "unreadable file: a link to nothing: top/apple/absent.png",
        "apple/round.png": "unreadable file: a link that leads back to itself",
        "apple/up": "unreadable file: a link to a folder that contains it",
    }
    assert {path for _, path in images.files} == {name.removeprefix("top/") for name in FILES} | set(images.refused)


def test_links_that_multiply_files_are_refused(tmp_path, source):
    files = {f"top/apple/{number}.png": b"x" for number in range(100)}
    links = {f"top/c{number}": "apple" for number in range(100)}
    with pytest.raises(ValueError, match=r"a\.tar is damaged, encrypted or unsafe \(its links repeat its files too"):
        source(tar_of(tmp_path / "a.tar", files, links))


class Unflagged(zipfile.ZipInfo):
    """A member whose name is written as these bytes, without the flag for UTF-8, as macOS and old programs do."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name.decode("cp437"))
        self.raw = name

    def _encodeFilenameFlags(self):  # noqa: N802
        return self.raw, 0


def test_names_in_utf_8_without_the_flag(tmp_path, source):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(Unflagged("Pêche/Ä1.png".encode()), picture(1))
        archive.writestr(Unflagged("梨/1.png".encode()), picture(2))
    assert source(tmp_path / "a.zip").files == (("Pêche", "Pêche/Ä1.png"), ("梨", "梨/1.png"))


def test_names_in_the_old_code_page_stay_and_a_unicode_field_counts(tmp_path, source):
    raw = "Käse".encode("cp437")
    field = b"\1" + zlib.crc32(b"P?re/1.png\xff").to_bytes(4, "little") + "Père/1.png".encode()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(Unflagged(raw + b"/1.png"), picture(1))
        other = Unflagged(b"P?re/1.png\xff")
        other.extra = b"\x75\x70" + len(field).to_bytes(2, "little") + field
        archive.writestr(other, picture(2))
    assert source(tmp_path / "a.zip").files == (("Käse", "Käse/1.png"), ("Père", "Père/1.png"))


def test_backslashes_in_a_zip_separate_folders(tmp_path, source):
    archive = zip_of(tmp_path / "a.zip", {"photos\\apple\\1.png": picture(1), "photos\\pear\\1.png": picture(2)})
    assert source(archive).files == (("apple", "apple/1.png"), ("pear", "pear/1.png"))


@pytest.mark.parametrize("name", ["..\\..\\escaped.png", "C:\\escaped.png", "\\escaped.png"])
def test_backslashes_do_not_lead_out(tmp_path, source, name):
    with pytest.raises(ValueError, match="would lie outside the folder it is unpacked to"):
        source(zip_of(tmp_path / "a.zip", {"apple/1.png": picture(1), name: b"x"}))
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_colons_in_names_are_no_drives(tmp_path, source, pack):
    archive = pack(
        tmp_path / "a.tar", {"a: apples/1.png": picture(1), "b:/1.png": picture(2), "C:pears/1.png": picture(3)}
    )
    with pytest.raises(ValueError, match=r"'b:/1\.png' would lie outside the folder it is unpacked to"):
        source(archive)
    archive = pack(tmp_path / "b.tar", {"a: apples/1.png": picture(1), "C:pears/1.png": picture(3)})
    assert source(archive).files == (("C:pears", "C:pears/1.png"), ("a: apples", "a: apples/1.png"))


LINKED = {"pool/0.png": picture(10), "pool/1.png": picture(20)}


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize("link_first", [True, False])
def test_a_folder_link_includes_the_links_in_the_folder(tmp_path, source, pack, link_first):
    inner = {"v1/a/0.png": "../../pool/0.png", "v1/b/1.png": "../../pool/1.png"}
    links = {"latest": "v1", **inner} if link_first else {**inner, "latest": "v1"}
    links["newest"] = "latest"  # a link to a link to a folder of links
    links["v1/c"] = "../pool"  # a link to a folder in it
    images = source(pack(tmp_path / "a.tar", LINKED, links), layout="newest/{category}/*")
    found = {path: category for category, path in images.files if category}
    assert found == {"newest/a/0.png": "a", "newest/b/1.png": "b", "newest/c/0.png": "c", "newest/c/1.png": "c"}
    assert Image.open(images.root / "newest/b/1.png").getpixel((0, 0)) == 20 and not images.refused


def test_folders_in_an_archive_that_link_to_each_other_end(tmp_path, source):
    files = {"a/0.png": picture(10), "b/0.png": picture(20)}
    images = source(tar_of(tmp_path / "a.tar", files, {"a/x": "../b", "b/y": "../a", "c": "a"}))
    assert set(images.refused) == {"a/x/y", "b/y/x", "c/x/y"}
    assert set(images.refused.values()) == {"unreadable file: a link to a folder that contains it"}
    assert {path for _, path in images.files} - set(images.refused) == {
        "a/0.png", "a/x/0.png", "b/0.png", "b/y/0.png", "c/0.png", "c/x/0.png"
    }  # fmt: skip


@pytest.mark.parametrize("leaf", ["../a", "../absent"])
def test_folder_links_that_multiply_at_each_step_are_refused_soon(tmp_path, source, leaf):
    links = {f"d{step}/{name}": f"../d{step - 1}" if step else leaf for step in range(30) for name in "xy"}
    with pytest.raises(ValueError, match="its links repeat its files too often"):
        source(tar_of(tmp_path / "a.tar", {"a/0.png": b"x", "z/0.png": b"x"}, links))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_local_tar_without_its_end_is_read_with_a_warning(tmp_path, source, caplog, pack):
    with tarfile.open(tmp_path / "a", "w") as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        end = archive.offset
    content = (tmp_path / "a").read_bytes()
    for ends, has_end in ((end, False), (end + 512, True), (len(content), True)):
        (tmp_path / "a.tar").write_bytes(pack(content[:ends]))
        caplog.clear()
        assert len(source(tmp_path / "a.tar").files) == 3
        assert ("has no end: files may be missing" in caplog.text) is not has_end


@pytest.mark.parametrize(("encoding", "name"), [("cp932", "林檎"), ("latin-1", "Pêche"), ("cp866", "яблоко")])
def test_names_in_an_unknown_code_page_are_named(tmp_path, source, caplog, encoding, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(Unflagged(name.encode(encoding) + b"/1.png"), picture(1))
        archive.writestr("pear/1.png", picture(2))
    source(tmp_path / "a.zip")
    wrong = name.encode(encoding).decode("cp437")
    assert f"1 names are in an unknown code page and read as that of DOS, such as {wrong + '/1.png'!r}" in caplog.text
    caplog.clear()
    source(zip_of(tmp_path / "b.zip", {f"{name}/1.png": picture(1), "pear/1.png": picture(2)}))
    assert not caplog.records


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_tars_behind_each_other_are_read_whole(tmp_path, source, caplog, pack):
    parts = [
        tar_of(tmp_path / "part", {f"{name}/1.png": picture(1), f"{name}/2.png": picture(2)}).read_bytes()
        for name in ("apple", "pear", "plum")
    ]
    (tmp_path / "a.tar").write_bytes(b"".join(map(pack, parts)))
    images = source(tmp_path / "a.tar")
    assert [path for _, path in images.files] == [
        f"{name}/{n}.png" for name in ("apple", "pear", "plum") for n in (1, 2)
    ]
    (tmp_path / "a.tar").write_bytes(pack(parts[0] + bytes(5 * 2**19) + parts[1]))
    assert len(source(tmp_path / "a.tar").files) == 4 and not caplog.records
    (tmp_path / "a.tar").write_bytes(pack(parts[0] + parts[1][:1024] + b"?" + parts[1][1025:]))
    with pytest.raises(ValueError, match=r"a\.tar is damaged, .*\(a header in it is damaged\)"):
        source(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(pack(parts[0] + parts[1] + b"some more" * 1000))
    assert len(source(tmp_path / "a.tar").files) == 4
    assert "has something behind its end that is no tar: it is left out" in caplog.text


TEXTS = (b"<!DOCTYPE html>", b"\n\n <html>" + b" " * 5000, b'{"message": "denied"}', b"Not found", b"Acc\xe8s non")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("content", TEXTS)
def test_pages_and_texts_are_named_even_if_compressed(tmp_path, source, pack, content):
    (tmp_path / "a.tar.gz").write_bytes(pack(content))
    with pytest.raises(ValueError, match=r"a web page or a text, not an archive: .* It begins with '(<|{|Not f|Acc)"):
        source(tmp_path / "a.tar.gz")


def test_brotli_is_named(tmp_path, source):
    (tmp_path / "a.tar.br").write_bytes(bytes(range(250)))
    with pytest.raises(ValueError, match=r"a\.tar\.br is compressed by Brotli, which is not supported"):
        source(tmp_path / "a.tar.br")


OTHERS = {
    b"\x28\xb5\x2f\xfd rest": "is compressed by Zstandard, which is not supported: unpack it",
    b"7z\xbc\xaf\x27\x1c rest": "is a 7z archive, which is not supported: unpack it",
    b"Rar!\x1a\x07\x01\0": "is a RAR archive, which is not supported: unpack it",
    b"\x5d\x2a\x4d\x18\4\0\0\0": "is compressed by Zstandard or LZ4, which is not supported: unpack it",
    b"\x04\x22\x4d\x18 rest": "is compressed by LZ4, which is not supported: unpack it",
    b"\x1f\x9d\x90 rest": "is compressed by compress (.Z), which is not supported: unpack it (tar -xf)",
    b"LZIP\1\x0c rest": "is compressed by lzip, which is not supported: unpack it (tar --lzip -xf)",
    b"\x89LZO\0\r\n\x1a\n rest": "is compressed by lzop, which is not supported: unpack it (tar --lzop -xf)",
    b"\xff\x06\0\0sNaPpY rest": "is compressed by Snappy, which is not supported: unpack it",
    b"LRZI\0\6 rest": "is compressed by lrzip, which is not supported: unpack it (lrzuntar)",
    b"MSCF rest": "is a cabinet, which is not supported: unpack it",
    b"PAR1 rest": "is a Parquet file, which is not supported: unpack it",
    b"PK\x07\x08PK\x03\x04": "is one part of several: join them",
    b"\n <html><body>404": "is a web page or a text, not an archive",
    b"hello": "is damaged: download or copy it again",
    b"\xbd<\xa5\x97H\x06\x1b-S\x11\x98": "is damaged: download or copy it again",
}


@pytest.mark.parametrize("start", OTHERS)
def test_what_is_no_archive_is_named(tmp_path, source, start):
    archive = tmp_path / "a.tar.zst"
    archive.write_bytes(start + bytes(1000))
    with pytest.raises(ValueError, match=re.escape(str(archive)) + ".*" + re.escape(OTHERS[start])):
        source(archive)


def with_fields(archive: Path, members: range, *fields: tuple[int, int]) -> Path:
    """Set 16-bit fields, by their places in a member's central header, of some members of a zip."""
    content, starts = bytearray(archive.read_bytes()), []
    while (start := content.find(b"PK\x01\x02", starts[-1] + 1 if starts else 0)) >= 0:
        starts.append(start)
    for member in members:
        for place, value in fields:
            content[starts[member] + place : starts[member] + place + 2] = value.to_bytes(2, "little")
    archive.write_bytes(content)
    return archive


METHOD, FLAGS = 10, 8
UNREADABLE = [
    ([(METHOD, 9)], "compressed by Deflate64, which is not supported"),
    ([(METHOD, 95)], "compressed by XZ, which is not supported"),
    ([(METHOD, 77)], "compressed by method 77, which is not supported"),
    ([(FLAGS, 1)], "encrypted in the archive"),
    ([(METHOD, 99), (FLAGS, 1)], "encrypted in the archive"),
]


@pytest.mark.parametrize(("fields", "why"), UNREADABLE)
def test_files_in_a_zip_that_cannot_be_read_are_named(tmp_path, source, fields, why):
    archive = with_fields(zip_of(tmp_path / "a.zip", FILES), range(1), *fields)
    assert source(archive).refused == {"apple/1.png": f"unreadable file: {why}"}
    with_fields(archive, range(3), *fields)
    message = (
        rf"No file of the archive .*a\.zip can be unpacked, such as 'top/apple/1\.png': {why}\. Unpack it yourself"
    )
    with pytest.raises(ValueError, match=message):
        source(archive)


def test_a_zip_within_another_archive_and_a_name_like_a_mark_do_not_mislead(tmp_path, source):
    inner = zip_of(tmp_path / "inner.zip", FILES).read_bytes()
    (tmp_path / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + inner)
    with pytest.raises(ValueError, match=r"a\.7z is a 7z archive"):
        source(tmp_path / "a.7z")
    (tmp_path / "a.tar.lz").write_bytes(b"LZIP\1\x0c" + bytes(600))  # the old LZMA would read it as zeros
    with pytest.raises(ValueError, match=r"a\.tar\.lz is compressed by lzip"):
        source(tmp_path / "a.tar.lz")
    named = {"LZIP/1.png": picture(1), "xar!/1.png": picture(2)}
    assert len(source(tar_of(tmp_path / "a.tar", named)).files) == 2


@pytest.mark.parametrize("name", ["a.zip.001", "a.tar.gz.002", "a.z01", "a.tar.part1"])
def test_parts_of_archives_are_named(tmp_path, source, name):
    archive = tmp_path / name
    archive.write_bytes(b"PK\x03\x04" + bytes(range(256)))
    with pytest.raises(ValueError, match=rf"{re.escape(name)} is one part of several: join them"):
        source(archive)


def test_a_zip_of_zeros_does_not_fill_the_disk(tmp_path, source):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("apple/1.png", picture(1))
        archive.writestr("pear/1.png", picture(2))
        archive.writestr("pear/zeros.bmp", bytes(20_000_000))
        archive.writestr("pear/small.bmp", bytes(9_000_000))
    images = source(tmp_path / "bomb.zip")
    (reason,) = images.refused.values()
    assert re.fullmatch("too many bytes: compressed [0-9]{3,4}-fold, over unpacking.max_ratio, 200", reason)
    assert {path.name for path in images.root.rglob("*") if path.is_file()} == {
        "1.png", "small.bmp", ".source.json", ".refused.json"
    }  # fmt: skip


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_large_files_in_an_archive_are_left_out(tmp_path, source, pack):
    archive = pack(tmp_path / f"a.{pack.__name__[:3]}", FILES | {"top/apple/large.png": bytes(5000)})
    images = source(archive, unpacking=Unpacking(max_file_bytes=4999))
    assert images.refused == {"apple/large.png": "too many bytes: 5000 is over unpacking.max_file_bytes, 4999"}
    assert not source(archive, unpacking=Unpacking(max_file_bytes=5000)).refused


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_an_archive_of_too_many_bytes_is_refused_before_it_is_unpacked(tmp_path, source, pack):
    total = sum(map(len, FILES.values()))
    archive = pack(tmp_path / f"a.{pack.__name__[:3]}", FILES)
    with pytest.raises(ValueError, match=f"take {total} bytes, over unpacking.max_bytes, {total - 1}: raise it"):
        source(archive, unpacking=Unpacking(max_bytes=total - 1))
    assert len(source(archive, unpacking=Unpacking(max_bytes=total)).files) == 3


def test_a_compressed_tar_of_zeros_is_refused_by_its_ratio(tmp_path, source):
    plain = tar_of(tmp_path / "plain.tar", FILES | {f"top/apple/{n}.bmp": bytes(4_000_000) for n in range(5)})
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.tar\.gz unpacks to over 200 times its size, the limit unpacking\."):
        source(tmp_path / "a.tar.gz")
    assert len(source(tmp_path / "a.tar.gz", unpacking=Unpacking(max_ratio=5000)).files) == 8


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path, source, kind, is_first):
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 2**20 + 1
    content = tar_of(tmp_path / "plain.tar", {} if is_first else FILES).read_bytes().rstrip(b"\0")
    content += bytes(-len(content) % 512) + header.tobuf() + bytes(2**20 + 512) + bytes(2048)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=r"unsafe \(a header in it has 1048577 bytes, but at most 1048576 are read\)"):
        source(tmp_path / "a.tar.gz")


def test_long_names_and_attributes_are_read(tmp_path, source):
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            for name in ("apple/" + "x" * 150 + "/1.png", "pear/1.png"):
                info = tarfile.TarInfo(name)
                info.pax_headers = {"SCHILY.xattr.user.note": "x" * 100_000}
                archive.addfile(info)
        assert len(source(tmp_path / "a.tar").files) == 2


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, source, monkeypatch):
    archive = tar_of(tmp_path / "a.tar", FILES)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr("mixvision.images.archives.shutil.disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match=r"but the disk of .* has only 0\.0 GB left: make room"):
        source(archive)


def test_devices_in_a_tar_are_refused(tmp_path, source):
    images = source(tar_of(tmp_path / "a.tar", FILES, {"top/apple/pipe.png": ""}, tarfile.FIFOTYPE))
    assert images.refused == {"apple/pipe.png": "unreadable file: a device or a named pipe"}


def test_wrong_limits_are_refused(tmp_path):
    assert read_unpacking(None) == Unpacking()
    assert read_unpacking({"max_ratio": 5}) == Unpacking(max_ratio=5)
    with pytest.raises(ValueError, match="unpacking is {'ratio': 5}, but must be a mapping of some of max_bytes, "):
        read_unpacking({"ratio": 5})
    with pytest.raises(ValueError, match=r"unpacking\.max_ratio is 0, but must be above 0"):
        read_unpacking({"max_ratio": 0})


def test_many_small_files_of_zeros_are_too_much_together(tmp_path, source):
    files = {f"apple/{number}.bmp": bytes(9_000_000) for number in range(5)}
    with pytest.raises(ValueError, match=r"a\.zip unpacks to over 200 times its size, the limit unpacking\.max_ratio"):
        source(zip_of(tmp_path / "a.zip", files | {"pear/1.png": picture(1)}))


def test_names_that_the_file_system_does_not_take_are_recorded(tmp_path, source):
    long = f"apple/{'x' * 300}.png"
    images = source(zip_of(tmp_path / "a.zip", {"apple/1.png": picture(1), long: picture(2), "pear/1.png": picture(3)}))
    ((path, reason),) = images.refused.items()
    assert (
        path == f"apple/{'x' * 100}..."
        and reason == "unreadable file: its name cannot be used here: File name too long"
    )
    assert len(images.files) == 3


def test_a_name_that_is_a_file_and_a_folder(tmp_path, source):
    files = {"d/apple": picture(1), "d/apple/1.png": picture(2), "d/pear/1.png": picture(3)}
    (reason,) = source(zip_of(tmp_path / "a.zip", files)).refused.values()
    assert reason.startswith("unreadable file: its name cannot be used here: ")


@pytest.mark.parametrize("content", [b"\x1f\x8b", b"\x1f\x8b\x08\0", b"BZh9", b"\xfd7zXZ\0"])
def test_the_beginning_of_a_compressed_archive_is_damaged(tmp_path, source, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.tar\.gz is damaged: download or copy it again"):
        source(tmp_path / "a.tar.gz")


def test_a_line_break_in_a_name_is_part_of_it(tmp_path, source):
    images = source(zip_of(tmp_path / "a.zip", {"apple/1\n2.png": picture(1), "pear/1.png": picture(2)}))
    assert images.files == (("apple", "apple/1\n2.png"), ("pear", "pear/1.png"))
