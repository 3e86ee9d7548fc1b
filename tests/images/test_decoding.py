from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import ExifTags, Image
from scipy.fft import dctn

from mixvision.images import decoding as module
from mixvision.images.content import Clock
from mixvision.images.decoding import (
    LARGEST_MAX_PIXELS,
    Decoding,
    ImageRecord,
    decode_file,
    decode_files,
    decode_picture,
)
from mixvision.images.formats.colours import to_rgb
from mixvision.images.hashing import perceptual_hash

DECODING = Decoding(size=32)


def saved(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


def distance(left: int, right: int) -> int:
    return (left ^ right).bit_count()


def test_record_of_a_good_file(tmp_path, photo):
    record, pixels = decode_file(saved(photo, tmp_path / "a.png"), DECODING)
    assert (record.format, record.mode, record.width, record.height, record.reason) == ("PNG", "RGB", 96, 64, "")
    assert record.bytes == (tmp_path / "a.png").stat().st_size
    assert len(record.sha256) == len(record.pixels_sha256) == 64
    assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"This is not an image.", "not an image"),
        (
            b"\xff\xd8\xff\xe0 cut",
            "truncated image: Truncated File Read (ingestion.decoding.accept_truncated: true would keep what is there)",
        ),
    ],
)
def test_files_that_are_not_images(tmp_path, content, reason):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    record, pixels = decode_file(path, DECODING)
    assert pixels is None and record.reason == reason and record.bytes == len(content)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.gif", "a.tif"])
def test_every_format_and_its_truncation(tmp_path, photo, name):
    path = saved(photo, tmp_path / name)
    assert decode_file(path, DECODING)[0].reason == ""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    record, pixels = decode_file(path, DECODING)
    assert pixels is None
    # Pillow reports a GIF or TIFF that was cut in different ways
    assert record.reason.split(":")[0] in ("truncated image", "damaged image", "not an image")


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "lzw.tif", "a.webp", "a.png"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pictures_of_several_frames_cut_or_garbled_anywhere(tmp_path, photo, name):
    frames = [photo.transpose(turn) for turn in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)]
    options = {"compression": "tiff_lzw"} if name == "lzw.tif" else {}
    path = saved(photo.quantize(8) if name == "a.gif" else photo, tmp_path / name, save_all=True,
                 append_images=frames, **options)  # fmt: skip
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    for cut in range(0, len(content), max(1, len(content) // 150)):
        path.write_bytes(content[:cut])
        record, pixels = decode_file(path, DECODING)
        assert (pixels is None) == (record.reason != "")
        garbled = bytearray(content)
        garbled[cut : cut + 8] = generator.bytes(8)
        path.write_bytes(garbled)
        record, pixels = decode_file(path, DECODING)
        assert (pixels is None) == (record.reason != "")


def test_running_out_of_memory_is_not_a_fault_of_the_file(tmp_path, photo, monkeypatch):
    def exhausted(*arguments):
        raise MemoryError

    monkeypatch.setattr(module, "to_rgb", exhausted)
    with pytest.raises(MemoryError):
        decode_file(saved(photo, tmp_path / "a.png"), DECODING)


def test_the_reason_of_a_truncated_jpeg_is_that_it_is_truncated(tmp_path, photo):
    path = saved(photo, tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:-200])
    assert decode_file(path, DECODING)[0].reason.startswith("truncated image")


def test_a_missing_file_and_a_folder_are_unreadable(tmp_path):
    for path in (tmp_path / "absent.jpg", tmp_path):
        record, pixels = decode_file(path, DECODING)
        assert pixels is None and record.reason.startswith("unreadable file")


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_animated_pictures_are_refused(tmp_path, photo, name):
    flipped = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    record, pixels = decode_file(saved(photo, tmp_path / name, save_all=True, append_images=[flipped]), DECODING)
    assert pixels is None and record.reason == "animated or several pages: 2 or more"


def test_a_phones_mpo_uses_its_first_picture(tmp_path, photo):
    black = Image.new("RGB", photo.size)
    mpo = saved(photo, tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[black], quality=95)
    record, pixels = decode_file(mpo, DECODING)
    _, expected = decode_file(saved(photo, tmp_path / "b.jpg", quality=95), DECODING)
    assert record.format == "MPO" and record.reason == ""
    np.testing.assert_array_equal(pixels, expected)


def test_too_many_pixels_are_refused_before_decoding(tmp_path, photo):
    record, pixels = decode_file(saved(photo, tmp_path / "a.png"), Decoding(size=32, max_pixels=96 * 64 - 1))
    assert pixels is None and record.reason == "too many pixels: 96x64 is over max_pixels, 6143"
    assert decode_file(tmp_path / "a.png", Decoding(size=32, max_pixels=96 * 64))[0].reason == ""


def test_a_header_with_more_pixels_than_pillow_opens(tmp_path):
    header = b"BM" + (54).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    header += (40).to_bytes(4, "little") + (40000).to_bytes(4, "little") * 2 + b"\x01\x00\x18\x00" + bytes(24)
    (tmp_path / "bomb.bmp").write_bytes(header)
    record, pixels = decode_file(tmp_path / "bomb.bmp", DECODING)
    assert pixels is None and record.reason == f"too many pixels: over {LARGEST_MAX_PIXELS}"


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, photo, orientation, name):
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = photo.transpose(turns[orientation]) if orientation in turns else photo
    exif = Image.Exif()
    exif[0x0112] = orientation
    record, pixels = decode_file(saved(stored, tmp_path / name, exif=exif), DECODING)
    _, upright = decode_file(saved(photo, tmp_path / "b.png"), DECODING)
    assert (record.width, record.height) == (96, 64)
    np.testing.assert_array_equal(pixels, upright)


def test_modes_become_rgb(photo):
    expected = np.asarray(photo).astype(int)
    for mode in ("RGBA", "CMYK", "YCbCr"):
        assert np.abs(np.asarray(to_rgb(photo.convert(mode))) - expected).max() <= 3, mode
    palette = photo.quantize(200)
    assert np.abs(np.asarray(to_rgb(palette)) - expected).mean() < 8
    grey = np.asarray(photo.convert("L"))
    np.testing.assert_array_equal(np.asarray(to_rgb(photo.convert("L"))), np.repeat(grey[..., None], 3, axis=-1))
    assert set(np.unique(np.asarray(to_rgb(photo.convert("1"))))) == {0, 255}


@pytest.mark.parametrize("name", ["grey16.png", "grey16.tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, name):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    _, pixels = decode_file(saved(Image.fromarray(ramp), tmp_path / name), Decoding(size=64))
    np.testing.assert_allclose(pixels[..., 0], ramp / 257, atol=1)
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


def test_float_pictures_in_unit_range_are_scaled():
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    np.testing.assert_array_equal(np.asarray(to_rgb(Image.fromarray(ramp)))[..., 1].ravel(), np.arange(256))


def test_alpha_is_blended_onto_white():
    half = Image.new("RGBA", (8, 8), (200, 0, 0, 128))
    np.testing.assert_allclose(np.asarray(to_rgb(half))[0, 0], (227, 127, 127), atol=1)
    assert np.asarray(to_rgb(Image.new("LA", (8, 8), (0, 0)))).min() == 255


def test_a_transparent_palette_entry_becomes_white(tmp_path):
    image = Image.new("P", (32, 32), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    _, pixels = decode_file(saved(image, tmp_path / "a.png", transparency=1), DECODING)
    assert pixels.min() == 255


def test_crop_cuts_the_longer_sides_evenly(tmp_path):
    stripes = np.zeros((32, 96, 3), np.uint8)
    stripes[:, 32:64] = (10, 200, 30)
    for turned in (stripes, stripes.transpose(1, 0, 2)):
        _, pixels = decode_file(saved(Image.fromarray(turned), tmp_path / "a.png"), DECODING)
        np.testing.assert_array_equal(pixels, np.broadcast_to((10, 200, 30), (32, 32, 3)))


def test_resizing_is_antialiased_and_small_pictures_are_scaled_up(tmp_path):
    board = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    _, pixels = decode_file(saved(Image.fromarray(board), tmp_path / "a.png"), DECODING)
    assert np.abs(pixels.astype(int) - 128).max() <= 3  # without antialiasing: 0 or 255
    _, larger = decode_file(saved(Image.fromarray(board[:8, :8]), tmp_path / "b.png"), DECODING)
    assert larger.shape == (32, 32, 3)


def test_scaled_jpeg_decoding_makes_no_visible_difference(tmp_path, photo):
    large = photo.resize((1536, 1024), Image.Resampling.BICUBIC)
    scaled, pixels = decode_file(saved(large, tmp_path / "a.jpg", quality=95), DECODING)
    full, expected = decode_file(saved(Image.open(tmp_path / "a.jpg"), tmp_path / "a.png"), DECODING)
    assert np.abs(pixels.astype(int) - expected).mean() < 1
    assert distance(scaled.phash, full.phash) <= 2
    assert (scaled.width, scaled.height) == (1536, 1024)


@pytest.mark.parametrize("side", [64, 80, 128, 192, 256, 512])
def test_scaled_jpeg_decoding_keeps_details_of_the_stored_size(tmp_path, side):
    """Patches of one stored pixel each: decoding at less than the stored size would lose them."""
    patches = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    large = patches.resize((side, side), Image.Resampling.BICUBIC)
    _, pixels = decode_file(saved(large, tmp_path / "a.jpg", quality=95), DECODING)
    _, expected = decode_file(saved(Image.open(tmp_path / "a.jpg"), tmp_path / "a.png"), DECODING)
    assert np.abs(pixels.astype(int) - expected).mean() < expected.std() / 8


def test_hash_equals_its_definition(photo):
    grey = np.asarray(photo.convert("L").resize((32, 32), Image.Resampling.BOX)).astype(float)
    lowest = np.round(dctn(grey)[:8, :8], 6)
    bits = "".join("1" if value > np.median(lowest) else "0" for value in lowest.ravel())
    assert perceptual_hash(photo) == int(bits, 2)


def test_hash_survives_recompression_and_tells_pictures_apart(tmp_path, photo):
    record, _ = decode_file(saved(photo, tmp_path / "a.jpg", quality=60), DECODING)
    assert distance(record.phash, perceptual_hash(photo)) <= 4
    assert distance(perceptual_hash(photo), perceptual_hash(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))) > 12
    assert perceptual_hash(Image.new("RGB", (50, 40), "white")) == perceptual_hash(Image.new("RGB", (9, 9), "white"))


def test_decode_files_writes_only_the_given_rows(tmp_path, photo):
    saved(photo, tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    np.save(tmp_path / "pixels.npy", np.full((4, 32, 32, 3), 7, np.uint8))
    np.save(tmp_path / "thumbnails.npy", np.full((4, 16, 16, 3), 7, np.uint8))
    arrays = (tmp_path / "pixels.npy", tmp_path / "thumbnails.npy")
    records = decode_files(tmp_path, DECODING, arrays, [2, 3], ["a.png", "b.png"])
    thumbnails = np.load(tmp_path / "thumbnails.npy")
    squashed = np.asarray(photo.resize((16, 16), Image.Resampling.BOX))
    np.testing.assert_array_equal(thumbnails[2], squashed)
    assert (thumbnails[[0, 1, 3]] == 7).all() and records[0].thumbnail is None
    pixels = np.load(tmp_path / "pixels.npy")
    assert [record.reason for record in records] == ["", "empty file"]
    np.testing.assert_array_equal(pixels[2], decode_file(tmp_path / "a.png", DECODING)[1])
    assert (pixels[[0, 1, 3]] == 7).all()


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.bmp", "a.ppm", "a.tif", "a.jp2", "a.webp", "a.jpg"])
def test_large_files_are_read_as_small_ones_are(tmp_path, monkeypatch, name):
    """Their decoders are interrupted to look at the clock; a PNG has its pixels in several parts."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(Image.fromarray(noise), tmp_path / name, **options)
    small = decode_file(path, DECODING)
    monkeypatch.setattr(module, "QUICK_PIXELS", 0)
    large = decode_file(path, DECODING)
    assert large[0].reason == "" and large[0].pixels_sha256 == small[0].pixels_sha256
    np.testing.assert_array_equal(large[1], small[1])


@pytest.mark.parametrize("values", [{"size": 0}, {"size": 5000}, {"max_pixels": 0}, {"max_pixels": 10**9}])
def test_bad_parameters_are_refused_with_their_values(values):
    ((name, value),) = values.items()
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value}") + r"( pixels)?, but must be "):
        Decoding(**values)


def with_exif(photo: Image.Image, make: object, model: object, taken: object, suffix: str = "JPEG") -> bytes:
    exif = Image.Exif()
    for tag, value in ((ExifTags.Base.Make, make), (ExifTags.Base.Model, model)):
        if value is not None:
            exif[tag] = value
    if taken is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    stream = io.BytesIO()
    photo.save(stream, suffix, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("make", "model", "taken", "expected"),
    [
        ("NIKON", "D90", "2024:05:01 23:59:58", ("NIKON D90", "2024-05-01T23:59:58")),
        ("Canon", "Canon EOS 5D\0\0", "2024:05:01 12:00:00", ("Canon EOS 5D", "2024-05-01T12:00:00")),
        (None, "Pixel 7 ", None, ("Pixel 7", "")),
        ("HTC", None, "0000:00:00 00:00:00", ("HTC", "")),
        (None, None, "yesterday", ("", "")),
        (None, None, None, ("", "")),
    ],
)
@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP"])
def test_camera_and_time_come_from_exif(photo, make, model, taken, expected, suffix):
    record = ImageRecord()
    decode_picture(with_exif(photo, make, model, taken, suffix), Decoding(size=16), record, Clock(30))
    assert (record.camera, record.taken) == expected


def test_damaged_exif_gives_no_camera_and_harms_nothing(photo, tmp_path):
    content = bytearray(with_exif(photo, "NIKON", "D90", "2024:05:01 12:00:00"))
    start = content.index(b"Exif\0\0") + 6
    content[start + 4 : start + 8] = b"\xff\xff\xff\xff"  # the directory is said to lie behind the end of the file
    (tmp_path / "odd.jpg").write_bytes(content)
    record, pixels = decode_file(tmp_path / "odd.jpg", Decoding(size=16))
    assert (record.camera, record.taken, record.reason) == ("", "", "") and pixels is not None
