"""From the bytes that somebody sends to the pixels that the model takes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from classifier.model import SIDE

#: Decoders that are tried; Pillow has many more, of formats in which nobody sends pictures.
FORMATS = ("PNG", "JPEG", "WEBP")


# Pillow's own limit is a warning first, and another number: ours is looked at before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


class PictureError(Exception):
    """A picture that is not classified. status: of HTTP. code: for programs; the message is for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def pixels(data: bytes, max_pixels: int) -> Any:
    """SIDE x SIDE values, 0 for paper to 1 for ink. Raises `PictureError`."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size  # of the header: nothing is decoded yet
            if width * height > max_pixels:
                message = f"has {width} x {height} pixels; at most {max_pixels:,} are taken"
                raise PictureError(413, "too_many_pixels", message)
            grey = ImageOps.exif_transpose(picture).convert("L")
    except UnidentifiedImageError as error:
        raise PictureError(415, "unknown_format", f"must be one of {', '.join(FORMATS)}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError(400, "broken_picture", f"cannot be decoded: {error}") from error
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
    # Ink on paper or chalk on a board: the border is what nobody writes on.
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    return 1 - small if float(np.median(border)) > 0.5 else small
