"""Pillow's images, where Pillow is installed."""

from __future__ import annotations

import io
from typing import Any

import pytest

from turnlog.core.codec import CodecError, decode, dumps, encode, loads

Image = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.slow_once


def picture(mode: str) -> Any:
    image = Image.effect_noise((9, 7), 90).convert("RGB")
    image.putpixel((0, 0), (1, 2, 3))
    if mode == "P":
        return image.quantize(17)
    if mode == "I;16":
        image = Image.new("I;16", (9, 7))
        image.putpixel((3, 3), 54321)
        return image
    image = image.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.effect_noise((9, 7), 50))
    return image


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_an_image_comes_back(mode: str) -> None:
    image = picture(mode)
    image.info = {"dpi": (72, 72), "icc_profile": b"\0", "gamma": 0.45455, 5: None}
    again = loads(dumps(image))
    assert type(again) is type(image)
    assert again == image  # mode, size, pixels, palette, info
    assert type(again.info["dpi"]) is tuple
    assert dumps(again) == dumps(image)


def test_transparency_is_kept() -> None:
    image = picture("P")
    image.info["transparency"] = 0
    assert loads(dumps(image)) == image


def test_the_png_is_a_png() -> None:
    body = encode(picture("RGB"))["_value"]
    data = decode({"_type": "bytes", "_value": body["png"]})
    with Image.open(io.BytesIO(data)) as opened:
        assert (opened.format, opened.mode, opened.size) == ("PNG", body["mode"], (9, 7))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_an_opened_file_comes_back_as_its_image(kind: str) -> None:
    file = io.BytesIO()
    picture("RGB").save(file, kind)
    with Image.open(file) as opened:
        again = loads(dumps(opened))
        assert type(again) is Image.Image
        assert again == opened.copy()


def test_what_png_does_not_keep_is_refused() -> None:
    see_through = picture("RGBA").quantize(5)
    assert see_through.palette.mode == "RGBA"
    for image in (picture("CMYK"), picture("F"), picture("HSV"), picture("YCbCr"), see_through):
        with pytest.raises(CodecError, match="RGBA") as caught:
            encode([image])
        assert caught.value.path == "$[0]"


def test_an_animation_is_refused() -> None:
    file = io.BytesIO()
    picture("L").save(file, "GIF", save_all=True, append_images=[Image.new("L", (9, 7))])
    with Image.open(file) as opened, pytest.raises(CodecError, match="frames"):
        encode(opened)


def test_a_file_that_is_cut_short_is_refused() -> None:
    file = io.BytesIO()
    picture("RGB").resize((200, 200)).save(file, "PNG")
    with Image.open(io.BytesIO(file.getvalue()[:-400])) as opened, pytest.raises(CodecError):
        encode(opened)


def test_unknown_info_is_refused_with_its_place() -> None:
    image = picture("L")
    image.info["exif"] = object()
    with pytest.raises(CodecError) as caught:
        encode(image)
    assert caught.value.path == "$.info.exif"


@pytest.mark.parametrize("change", [{"png": "AAAA"}, {"png": 5}, {"mode": "L"}, {"info": []}])
def test_malformed_images_are_refused(change: Any) -> None:
    document = encode(picture("RGB"))
    document["_value"] |= change
    with pytest.raises(CodecError):
        decode(document)


def test_other_formats_are_not_opened() -> None:
    """A stored value must not reach Pillow's other parsers."""
    file = io.BytesIO()
    picture("RGB").save(file, "BMP")
    document = encode(picture("RGB"))
    document["_value"]["png"] = encode(file.getvalue())["_value"]
    with pytest.raises(CodecError):
        decode(document)
