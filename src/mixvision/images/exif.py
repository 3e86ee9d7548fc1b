"""What EXIF says about a picture: how to turn it, the camera, and when it was taken."""

from __future__ import annotations

from datetime import datetime

from PIL import ExifTags, Image

ORIENTATION = 0x0112
SIDES_SWAPPED = (5, 6, 7, 8)
TURNS = {  # by orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def exif_of(image: Image.Image) -> tuple[object, tuple[str, str]]:
    """The orientation, 1 to 8 or whatever the file has in its place, and camera and time."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF does not make the picture unusable
        orientation = 1
    return orientation, camera_and_time(image)


def upright(picture: Image.Image, orientation: object) -> Image.Image:
    """The picture turned by its orientation, if this is one."""
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def camera_and_time(image: Image.Image) -> tuple[str, str]:
    """The camera's maker and model, and when the picture was taken (ISO 8601), as EXIF says; "" for what it lacks."""
    try:
        exif = image.getexif()
        details = exif.get_ifd(ExifTags.IFD.Exif) if exif else {}
    except Exception:  # damaged EXIF does not make the picture unusable
        return "", ""
    maker, model = (_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    camera = model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}".strip()
    try:
        taken = datetime.strptime(_text(details.get(ExifTags.Base.DateTimeOriginal)), "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:  # absent, or a camera whose clock was never set
        taken = ""
    return camera, taken


def _text(value: object) -> str:
    """A text of EXIF without the filling at its end; "" if it is not a text."""
    return " ".join(value.partition("\0")[0].split()) if isinstance(value, str) else ""
