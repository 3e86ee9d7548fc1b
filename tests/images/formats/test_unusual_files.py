"""Files that viewers show although something is wrong with them, and small files that would take for ever."""

from __future__ import annotations

import base64
import io
import os
import socket
import struct
import time
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from mixvision.images.decoding import Decoding, decode_file

DECODING = Decoding(size=32)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


HEIC = base64.b64decode(  # written by pillow-heif; the reader that is installed cannot write any
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAb5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9j"
    "AAAAAERAAAIAAQAAAAAB4gABAAAAAAAAALQAAgAAAAAClgABAAAAAAAAADYAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAA"
    "ABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNg"
    "AAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZE"
    "AcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAIAAAAAEAAAAAAAAAAv///+AA"
    "AAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAABppcmVmAAAAAAAAAA5jZHNjAAIAAQABAAAA8m1kYXQAAACw"
    "KAGvBjg9MfKzf0K9AzL/MnPf/+Zk9l+HFZqrfzlv7/8Szm/sXk8LAABF/42pfBF1hpTddRbIBt0n7VPJubHwh9r/yB+6N/OLo//36RPyfUHX"
    "BXe+MMYuF8BsIypOkM4W/vCz7lumwBBUST+3NZia56rvi132WiK9SEX/iG1FNcxifUPQaKiJPDUMMYn4GhIu9q/WTjCljR9PkEDfbWd2ahBa"
    "0cf5Kw79J5CEJbonPT4AAAAGRXhpZgAATU0AKgAAAAgAAgEPAAIAAAAGAAAAJgESAAMAAAABAAYAAAAAAABNYWtlcgA="
)


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, data: bytes, crc: int | None = None) -> bytes:
    crc = zlib.crc32(name + data) if crc is None else crc
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def with_chunk(content: bytes, extra: bytes, before: bytes) -> bytes:
    place = content.index(before) - 4
    return content[:place] + extra + content[place:]


def decode(tmp_path, content: bytes, decoding: Decoding = DECODING):
    (tmp_path / "picture").write_bytes(content)
    return decode_file(tmp_path / "picture", decoding)


def assert_like(tmp_path, content: bytes, original: bytes) -> None:
    expected = decode(tmp_path, original)[1]
    record, pixels = decode(tmp_path, content)
    assert record.reason == ""
    np.testing.assert_array_equal(pixels, expected)


BIG = zlib.compress(bytes(80_000_000))
EXTRA_CHUNKS = {
    "a large compressed text": chunk(b"zTXt", b"Comment\0\0" + BIG),
    "a large international text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + BIG),
    "a large profile": chunk(b"iCCP", b"icc\0\0" + BIG),
    "a damaged profile": chunk(b"iCCP", b"icc\0\0no zlib stream"),
    "a text with a wrong checksum": chunk(b"tEXt", b"Comment\0hello", crc=1),
    "a time of wrong length": chunk(b"tIME", b"\0"),
    "a wrong resolution": chunk(b"pHYs", b"\0"),
    "EXIF with a wrong checksum": chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0", crc=1),
}


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("name", EXTRA_CHUNKS)
def test_chunks_beside_the_pixels_do_no_harm(tmp_path, photo, name, before):
    original = encoded(photo, "PNG")
    assert_like(tmp_path, with_chunk(original, EXTRA_CHUNKS[name], before), original)


def test_a_wrong_checksum_of_pixels_is_damage(tmp_path, photo):
    content = encoded(photo, "PNG")
    place = content.index(b"IDAT") + 10
    damaged = content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]
    assert decode(tmp_path, damaged)[0].reason.startswith("damaged image")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole(tmp_path, photo, progressive, subsampling, cut):
    content = encoded(photo, "JPEG", progressive=progressive, subsampling=subsampling)
    assert_like(tmp_path, content[:-cut], content)


def test_a_jpeg_that_is_cut_where_a_restart_is_due_is_cut(tmp_path, photo):
    """The decoder skips what follows up to the next marker, so that no ending changes the picture."""
    whole = encoded(photo, "JPEG", restart_marker_rows=1)
    places = [place for place in range(len(whole) - 1) if whole[place] == 0xFF and 0xD0 <= whole[place + 1] <= 0xD7]
    assert len(places) > 2
    for place in places:
        assert decode(tmp_path, whole[:place])[0].reason.startswith("truncated image"), place
    assert_like(tmp_path, whole[:-2], whole)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_any_byte_of_its_pixels_is_cut(tmp_path, photo, progressive):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for picture in (photo, noise):
        content = encoded(picture, "JPEG", progressive=progressive)
        for lacking in (3, 4, 5, 8, 40, len(content) // 3):
            reason = decode(tmp_path, content[:-lacking])[0].reason
            assert reason.startswith("truncated image") and "accept_truncated: true" in reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_cut_files_are_kept_where_the_study_accepts_them(tmp_path, photo, kind):
    content = encoded(photo.resize((300, 200)), kind)
    accepting = Decoding(size=32, accept_truncated=True)
    expected = decode(tmp_path, content, accepting)[1]
    cut = content[: len(content) * 3 // 4]
    record, pixels = decode(tmp_path, cut, accepting)
    if kind in ("JPEG", "PNG"):
        assert record.reason == ""
        np.testing.assert_array_equal(pixels[:12], expected[:12])  # the upper part
    assert decode(tmp_path, cut)[0].reason != ""


def test_a_phones_heic(tmp_path):
    """64x32 pixels: the left half red with a white corner, the right half blue."""
    record, pixels = decode(tmp_path, HEIC, Decoding(size=16))
    assert (record.format, record.width, record.height, record.camera, record.reason) == ("HEIF", 64, 32, "Maker", "")
    assert np.abs(pixels[:, 10:].astype(int) - (20, 20, 250)).max() < 20
    assert np.abs(pixels[:, :6].astype(int) - (250, 20, 20)).max() < 20


@pytest.mark.parametrize("name", ["avif", "jp2", "j2k"])
def test_formats_of_phones_and_scanners(tmp_path, photo, name):
    kind = {"avif": "AVIF", "jp2": "JPEG2000", "j2k": "JPEG2000"}[name]
    stream = io.BytesIO()
    stream.name = f"a.{name}"
    photo.save(stream, kind, **({"quality": 95} if name == "avif" else {"no_jp2": name == "j2k"}))
    record, pixels = decode(tmp_path, stream.getvalue())
    assert (record.format, record.reason) == (kind, "")
    expected = decode(tmp_path, encoded(photo, "PNG"))[1]
    assert np.abs(pixels.astype(int) - expected).mean() < 4


NOT_READ = {
    b"\xff\x0a\xfa\x1f": "unsupported image: JPEG XL, convert it to JPEG or PNG",
    b"\0\0\0\x0cJXL \r\n\x87\n": "unsupported image: JPEG XL, convert it to JPEG or PNG",
    b"\0\0\0\x20ftypisom\0\0\2\0isomiso2": "not an image: video",
    b"\0\0\0\x18ftypcrx \0\0\0\1crx isom": "not an image: camera raw file, export it",
    b"RIFF\0\0\0\0AVI LIST": "not an image: video",
    b"\xef\xbb\xbf\n<!DOCTYPE html><html>": "not an image: web page",
    b"<svg xmlns=''/>": "not an image: XML or SVG",
    b"8BPS\0\1": "not an image: Photoshop document, export it as PNG or TIFF",
    b"%PDF-1.7": "not an image: PDF",
    b"version https://git-lfs.github.com/spec/v1\noid": "not an image: Git LFS pointer, fetch the file by git lfs pull",
    b"\0\0\1\0\1\0": "unsupported image: icon, convert it to PNG",
    b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI": "unsupported image: PNG as Xcode packs it for iPhones, take the original",
    b"P7\nWIDTH 4": "unsupported image: PAM, convert it to PNG",
    b"qoif\0\0": "unsupported image: QOI, convert it to PNG",
    b"v/1\x01\2": "unsupported image: OpenEXR, convert it to TIFF",
    b"II\xbc\1": "unsupported image: JPEG XR, convert it to TIFF",
    b"file,label\n": "not an image",
}


@pytest.mark.parametrize("start", NOT_READ)
def test_other_files_are_named(tmp_path, start):
    assert decode(tmp_path, start + bytes(100))[0].reason == NOT_READ[start]


def test_a_long_file_that_is_no_image_is_not_read(tmp_path):
    """The file has holes: 5 GB that take no room on the disk."""
    with (tmp_path / "video.mp4").open("wb") as file:
        file.write(b"\0\0\0\x20ftypisom")
        file.truncate(5 * 10**9)
    start = time.thread_time()
    record, _ = decode_file(tmp_path / "video.mp4", DECODING)
    assert (record.reason, record.bytes, record.sha256) == ("not an image: video", 5 * 10**9, "")
    assert time.thread_time() - start < 0.5


def test_a_file_over_the_limit_is_not_read_whole(tmp_path, photo):
    content = encoded(photo, "PNG")
    with (tmp_path / "a.png").open("wb") as file:
        file.write(content)
        file.truncate(5 * 10**9)
    record, _ = decode_file(tmp_path / "a.png", Decoding(size=32, max_bytes=10**6))
    assert record.reason == "too many bytes: 5000000000 is over max_bytes, 1000000"
    assert decode(tmp_path, content, Decoding(size=32, max_bytes=len(content)))[0].reason == ""
    assert decode(tmp_path, content, Decoding(size=32, max_bytes=len(content) - 1))[0].reason.startswith("too many")


def test_pipes_sockets_and_devices_are_not_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert decode_file(tmp_path / "pipe.jpg", DECODING)[0].reason == "unreadable file: a named pipe, not a regular file"
    monkeypatch.chdir(tmp_path)  # names of sockets must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        reason = decode_file(tmp_path / "socket.jpg", DECODING)[0].reason
    assert reason == "unreadable file: a socket, not a regular file"
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    assert decode_file(tmp_path / "device.jpg", DECODING)[0].reason == "unreadable file: a device, not a regular file"


def test_a_narrow_picture_of_80_million_rows_is_refused(tmp_path):
    header = struct.pack(">IIBBBBB", 1, 70_000, 8, 0, 0, 0, 0)
    content = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(140_000))) + chunk(b"IEND", b"")
    assert decode(tmp_path, content)[0].reason == "too many pixels: 1x70000 has a side over max_side, 65535"


def test_hundreds_of_scans_are_refused(tmp_path, photo):
    content = encoded(photo, "JPEG", progressive=True)
    place = content.rindex(b"\xff\xda")
    slow = content[:place] + content[place:-2] * 300 + b"\xff\xd9"
    assert decode(tmp_path, slow)[0].reason == "too many scans: over 100 in a JPEG"


def test_scans_are_counted_in_the_picture_only(tmp_path, photo):
    """Not in a text before it, nor in the video that a phone writes after it."""
    content = encoded(photo, "JPEG")
    text = b"\xff\xfe" + (2 + 600).to_bytes(2, "big") + b"\xff\xda" * 300
    video = np.random.default_rng(0).bytes(2**21) + b"\xff\xda" * 300
    assert_like(tmp_path, content[:2] + text + content[2:] + video, content)


@pytest.mark.parametrize("samples", [5, 60_000, 65_283])
def test_a_small_file_that_asks_for_terabytes_is_refused(tmp_path, samples):
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((8, 8), np.uint16), metadata=None)
    content = bytearray(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        places = {tag.code: tag.valueoffset for tag in file.pages[0].tags}
    for code, value in ((277, samples), (256, 8000), (257, 8000)):
        content[places[code] : places[code] + 2] = value.to_bytes(2, "little")
    reason = decode(tmp_path, bytes(content))[0].reason
    assert reason == f"unusual samples: {samples} x uint16, but only colours and opacity can be used"


def test_a_camera_raw_file_is_not_its_thumbnail(tmp_path):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(np.zeros((16, 16), np.uint8), subfiletype=1, subifds=1)
        file.write(np.zeros((64, 64), np.uint16), photometric=32803, extratags=[(33421, 3, 2, (2, 2), True)])
    assert decode(tmp_path, stream.getvalue())[0].reason == "not an image: camera raw file, export it"


def test_a_file_of_very_many_pages_is_refused_at_the_second(tmp_path):
    """The directory of the second page is its own successor, so that counting the pages would not end."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        for _ in range(3000):
            file.write(np.zeros((8, 8), np.uint8), contiguous=False)
    start = time.thread_time()
    assert decode(tmp_path, stream.getvalue())[0].reason == "animated or several pages: 2 or more"
    assert time.thread_time() - start < 1


def test_decoding_stops_when_its_time_is_up(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), "PNG", compress_level=1)
    reason = decode(tmp_path, content, Decoding(size=32, max_seconds=1e-6))[0].reason
    assert reason == "too slow: decoding took over max_seconds, 1e-06"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_large_transparent_pictures_are_blended_in_parts(tmp_path, mode):
    """Taller than a part, and not a multiple of it."""
    picture = Image.new("RGBA", (40, 2100), (200, 0, 100, 128))
    picture.paste((10, 20, 30, 255), (0, 1000, 40, 1100))
    picture = picture.convert(mode)
    _, pixels = decode(tmp_path, encoded(picture.crop((0, 1000, 40, 1040)), "PNG"))
    whole = decode(tmp_path, encoded(picture, "PNG"))[1]
    np.testing.assert_array_equal(whole[16], np.broadcast_to(pixels[16, 0], (32, 3)))


def bitmap(colours: np.ndarray, alpha: np.ndarray) -> bytes:
    """A BMP of 32 bits a pixel with a mask for its opacity, as Windows' clipboard makes it."""
    rows = np.dstack([colours[..., ::-1], alpha])[::-1].astype(np.uint8).tobytes()
    sizes = struct.pack("<IiiHHIIiiII", 108, colours.shape[1], colours.shape[0], 1, 32, 3, len(rows), 0, 0, 0, 0)
    header = sizes + struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(68, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows


def test_an_empty_opacity_of_a_bitmap_is_ignored_as_viewers_do(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    halved = np.full((32, 32), 128)
    assert (decode(tmp_path, bitmap(colours, np.zeros((32, 32))))[1] == colours).all()
    expected = np.rint(colours * (128 / 255) + 127)
    assert np.abs(decode(tmp_path, bitmap(colours, halved))[1] - expected).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("scale", [1, 257])
def test_a_tiffs_palette_may_have_8_bits(tmp_path, bits, scale):
    """The standard wants 16; old programs wrote 8."""
    colours = np.random.default_rng(bits).integers(0, 256, (3, 2**bits), dtype=np.uint16)
    places = np.arange(32 * 32).reshape(32, 32) % 2**bits
    single = (places[..., None] >> np.arange(bits)[::-1]) & 1
    pixels = np.packbits(single.astype(np.uint8).reshape(32, -1), axis=1).tobytes()
    tags = {256: 32, 257: 32, 258: bits, 259: 1, 262: 3, 273: 8, 277: 1, 278: 32, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    entries += struct.pack("<HHII", 320, 3, colours.size, 8 + len(pixels) + 2 + 12 * 10 + 4)
    palette = (colours * scale).astype("<u2").tobytes()
    content = (
        b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", 10) + entries + bytes(4) + palette
    )
    record, decoded = decode(tmp_path, content)
    assert record.reason == "" and (decoded == np.moveaxis(colours, 0, -1)[places]).all()


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "P", "1"])
def test_a_png_without_its_last_rows_is_cut_unless_they_are_black(tmp_path, kind):
    """Its data are complete for zlib, so that Pillow has nothing to complain of."""
    picture = Image.new(kind, (32, 32))
    picture.paste(1, (0, 0, 32, 16))
    whole = encoded(picture, "PNG")
    assert decode(tmp_path, whole)[0].reason == ""
    place = whole.index(b"IDAT") + 4
    rows = zlib.decompress(whole[place : whole.index(b"IEND") - 8])
    short = whole[: place - 8] + chunk(b"IDAT", zlib.compress(rows[: len(rows) // 2])) + chunk(b"IEND", b"")
    assert decode(tmp_path, short)[0].reason.startswith("truncated image: its last rows are missing (")
    assert decode(tmp_path, short, Decoding(size=32, accept_truncated=True))[0].reason == ""


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_that_does_not_say_what_white_is_has_its_lowest_value_black(tmp_path, bits):
    stream = io.BytesIO()
    ramp = np.arange(1024, dtype=f"u{bits // 8}").reshape(32, 32) * (257 if bits == 16 else 1)
    tifffile.imwrite(stream, ramp, photometric="miniswhite", metadata=None)
    said = stream.getvalue()
    place = said.index(struct.pack("<HHI", 262, 3, 1))
    unsaid = said[:place] + struct.pack("<HHI", 263, 3, 1) + said[place + 8 :]  # Threshholding, which says nothing
    dark, light = (decode(tmp_path, content)[1].astype(int) for content in (unsaid, said))
    assert (dark + light == 255).all() and dark[0, 0, 0] == 0


def test_a_png_whose_palette_is_missing_is_damaged(tmp_path):
    content = encoded(Image.new("P", (32, 32)), "PNG")
    content = content[: content.index(b"PLTE") - 4] + content[content.index(b"IDAT") - 4 :]
    assert decode(tmp_path, content)[0].reason.startswith("damaged image: its parts do not fit together")
