"""The format of a file by its first bytes, whatever its name says."""

from __future__ import annotations

from PIL import AvifImagePlugin, Image

HEAD = 64  # bytes that tell the format

# Formats whose decoders run in this process and read pixels only (EPS, for one, starts Ghostscript). A phone's MPO
# opens as a JPEG. Without init() Pillow has registered only some of them; AVIF is not in every build.
Image.init()
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the clock counts one thread, and files are decoded side by side
READ: list[str] = [
    name
    for name in ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000")
    if name in Image.OPEN
]
SUFFIXES = {suffix for suffix, name in Image.registered_extensions().items() if name in READ} | {".heic", ".heif"}

_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    *((start, "TIFF") for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *((b"P" + kind, "PPM") for kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"f")),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
    *((size.to_bytes(4, "little"), "DIB") for size in (12, 40, 52, 56, 64, 108, 124)),
)
_BRANDS = {  # of files that begin with a box "ftyp"
    "AVIF": {b"avif", b"avis"},
    "HEIF": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"},
}
_NOT_READ = (  # people have them among their images
    (b"\xff\x0a", "unsupported image: JPEG XL, convert it to JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", "unsupported image: JPEG XL, convert it to JPEG or PNG"),
    *((b"PF" + space, "unsupported image: coloured PFM, convert it to TIFF") for space in (b"\n", b"\r", b" ")),
    (b"8BPS", "not an image: Photoshop document, export it as PNG or TIFF"),
    (b"%PDF", "not an image: PDF"),
    (b"version https://git-lfs", "not an image: Git LFS pointer, fetch the file by git lfs pull"),
    (b"\0\0\1\0", "unsupported image: icon, convert it to PNG"),
    (b"P7\n", "unsupported image: PAM, convert it to PNG"),
    (b"qoif", "unsupported image: QOI, convert it to PNG"),
    (b"v/1\x01", "unsupported image: OpenEXR, convert it to TIFF"),
    (b"II\xbc", "unsupported image: JPEG XR, convert it to TIFF"),
    (b"PK\x03\x04", "not an image: zip archive"),
    (b"\x1aE\xdf\xa3", "not an image: video"),
    (b"\0\0\x01\xba", "not an image: video"),
    (b"\0\0\x01\xb3", "not an image: video"),
)


class Undecodable(Exception):  # noqa: N818 (a finding about the file, not an error of the program)
    """Why a file cannot be decoded, in a few words: "<kind>" or "<kind>: <detail>"."""


def recognise(head: bytes) -> str:
    """The format that a file's first bytes (64 or more, or all) tell, as Pillow calls it.

    Raises:
        Undecodable: the file is empty, not an image, or an image of a format that is not read.
    """
    if not head:
        raise Undecodable("empty file")
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[:4] == b"RIFF":
        return _by_riff_type(head)
    for start, reason in _NOT_READ:
        if head.startswith(start):
            raise Undecodable(reason)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        raise Undecodable("not an image: web page")
    if text.startswith((b"<svg", b"<?xml")):
        raise Undecodable("not an image: XML or SVG")
    found = next((name for start, name in _STARTS if head.startswith(start)), None)
    if found is None:
        raise Undecodable("not an image")
    if found == "PNG" and head[12:16] == b"CgBI":
        raise Undecodable("unsupported image: PNG as Xcode packs it for iPhones, take the original")
    return _readable(found)


def _by_brand(head: bytes) -> str:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[place : place + 4] for place in range(16, size, 4))]
    found = next((name for brand in brands for name, known in _BRANDS.items() if brand in known - {b"mif1"}), None)
    if found is None and b"mif1" in brands:
        found = "HEIF"
    if found is None:
        raise Undecodable("not an image: camera raw file, export it" if b"crx " in brands else "not an image: video")
    return _readable(found)


def _by_riff_type(head: bytes) -> str:
    if head[8:12] == b"WEBP":
        return _readable("WEBP")
    raise Undecodable("not an image: video" if head[8:12] == b"AVI " else "not an image")


def _readable(name: str) -> str:
    if name == "HEIF":
        _read_heif()
    elif name not in READ:
        raise Undecodable(f"not an image: this build of Pillow does not read {name}")
    return name


def _read_heif() -> None:
    """Let Pillow read HEIC, which phones write."""
    if "HEIF" not in Image.OPEN:
        from pi_heif import register_heif_opener

        register_heif_opener(thumbnails=False, decode_threads=1)
