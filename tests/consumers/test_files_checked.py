"""What may be sent: each file is judged by what is in it, and a picture is drawn again."""

from __future__ import annotations

import random
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.consumers.pictures import PDF, bomb, opened, picture, saved, with_location
from turnlog.consumers.attachments import drawing
from turnlog.consumers.attachments.checking import TEXT_CHARACTERS, checked
from turnlog.consumers.attachments.names import LONGEST, plain_name
from turnlog.consumers.attachments.refusals import Refused

pytestmark = pytest.mark.slow_once


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_picture_is_drawn_again_whatever_it_is_called(kind: str) -> None:
    file = checked("notes.txt", picture(kind, (80, 60)))
    assert (file.kind, file.width, file.height) == ("picture", 80, 60)
    assert file.mime_type == ("image/jpeg" if kind in ("JPEG", "WEBP") else "image/png")
    red, _, blue = opened(file.content).convert("RGB").getpixel((70, 30))  # type: ignore[misc]
    assert blue > 150 > red


def test_no_place_and_no_camera_stays_and_the_picture_is_upright() -> None:
    given_ = with_location()
    assert b"SECRET" in given_
    file = checked("photo.jpg", given_)
    image = opened(file.content)
    assert (file.width, file.height) == image.size == (6, 8)
    assert not dict(image.getexif())
    assert b"SECRET" not in file.content
    assert b"Exif" not in file.content


@pytest.mark.parametrize("kind", ["PNG", "GIF", "JPEG"])
def test_what_follows_a_picture_in_its_file_is_left_out(kind: str) -> None:
    hidden = b"<script>alert(1)</script>PK\x03\x04"
    assert hidden not in checked("a.html", picture(kind) + hidden).content


def test_a_large_picture_is_made_smaller(settings: Any) -> None:
    settings.TURNLOG = {"MAX_PICTURE_SIDE": 100}
    file = checked("wide.png", picture("PNG", (1_000, 30)))
    assert (file.width, file.height) == (100, 3)


def test_transparency_stays_and_an_animation_becomes_its_first_frame() -> None:
    clear = saved(Image.new("RGBA", (4, 4), (255, 0, 0, 100)), "PNG")
    assert opened(checked("a.png", clear).content).getpixel((1, 1)) == (255, 0, 0, 100)
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    moving = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    still = opened(checked("a.gif", moving).content)
    assert getattr(still, "n_frames", 1) == 1
    assert still.convert("RGB").getpixel((1, 1)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK", "RGBA"])
def test_pictures_of_all_modes_are_read(mode: str) -> None:
    made = Image.new(mode, (5, 4))
    file = checked("a", saved(made, "JPEG" if mode == "CMYK" else "PNG"))
    assert (file.width, file.height) == (5, 4)


def test_noise_stays_below_what_providers_take(settings: Any) -> None:
    noise = random.Random(1).randbytes(950 * 950 * 3)
    image = Image.frombytes("RGB", (950, 950), noise)
    image.putalpha(Image.frombytes("L", (950, 950), noise[: 950 * 950]))
    assert len(checked("noise.png", saved(image, "PNG")).content) <= 3_500_000


@pytest.mark.parametrize(
    ("size", "drawn"), [((6_400, 6_400), (2_048, 2_048)), ((60_000, 600), (2_048, 20))]
)
def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(
    size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    file = checked("a.jpg", saved(Image.new("L", size), "JPEG"))
    assert (file.width, file.height) == drawn


def test_so_many_pixels_are_not_decoded(settings: Any) -> None:
    """As they would be if a JPEG's size were kept."""
    settings.TURNLOG = {"MAX_PICTURE_SIDE": 6_000}
    with pytest.raises(Refused, match="6000 × 6000 pixels large; at most 25 million"):
        checked("a.jpg", saved(Image.new("L", (6_000, 6_000)), "JPEG"))


MEMORY = """
import sys
from turnlog.consumers.attachments.drawing import redrawn
def most():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024
data = open(sys.argv[1], "rb").read()
before = most()
redrawn(data, 2_048)
print(most() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what it took")
def test_a_pictures_pixels_are_not_copied_more_often_than_they_have_to(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    large = tmp_path / "large.png"
    large.write_bytes(saved(Image.new("RGB", (5_000, 5_000)), "PNG", exif=exif))
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, large], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 200  # MiB, of which the pixels are 95; three copies would be 286.


def test_one_picture_is_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []

    def look(data: bytes, longest_side: int) -> Any:
        taken.append(drawing._one_at_a_time.acquire(blocking=False))
        return drawing.Picture("image/png", data, 1, 1)

    monkeypatch.setattr(drawing, "_redrawn", look)
    checked("a.png", picture("PNG"))
    assert taken == [False]


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "blank": (b" \n", "empty"),
    "a picture that is none": (b"\x89PNG\r\n\x1a\n" + b"x" * 50, "damaged or cut off"),
    "half a picture": (picture("JPEG", (300, 300))[:600], "damaged or cut off"),
    "a bomb": (bomb(), "too many pixels|million pixels"),
    "a picture of a size that nobody has": (bomb(9_000), "9000 × 9000 pixels"),
    "many pixels in a small file": (bomb(5_001), "5001 × 5001 pixels large; at most 25 million"),
    "a progressive JPEG": (
        saved(Image.new("L", (5_001, 5_001)), "JPEG", progressive=True),
        "at most 25 million",
    ),
    "a JPEG with too many": (saved(Image.new("L", (65_000, 1_000)), "JPEG"), "at most 64 million"),
    "another kind of picture": (saved(Image.new("RGB", (4, 4)), "BMP"), "cannot be read here"),
    "a program": (b"\x7fELF\x02\x01\x01" + bytes(50), "cannot be read here"),
    "a zip": (b"PK\x03\x04" + bytes(40), "cannot be read here"),
    "half a PDF": (b"%PDF-1.4\n1 0 obj", "damaged or cut off"),
    "a locked PDF": (PDF.replace(b"/Root", b"/Encrypt 5 0 R/Root"), "locked"),
    "a long text": (b"a" * (TEXT_CHARACTERS + 1), "200001 characters"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_taken_is_refused_with_a_sentence(name: str) -> None:
    data, sentence = BAD[name]
    with pytest.raises(Refused, match=sentence) as refused:
        checked("holiday.jpg", data)
    assert str(refused.value).endswith(".")


def test_a_file_that_is_too_large_is_not_looked_at(settings: Any) -> None:
    settings.TURNLOG = {"MAX_FILE_SIZE": 100}
    with pytest.raises(Refused, match=r"101.*100"):
        checked("a.txt", b"a" * 101)


@given(st.binary(max_size=400))
def test_whatever_is_sent_is_taken_or_refused(data: bytes) -> None:
    for begin in (b"", b"\xff\xd8\xff", b"GIF89a", b"%PDF-", picture("PNG")[:40], b"\xff\xfe"):
        try:
            file = checked("a", begin + data)
        except Refused:
            continue
        assert file.content


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_a_text_is_read_in_the_codes_that_people_have(encoding: str) -> None:
    file = checked("이름.csv", "이름,나이\r\n에이다,36\n".encode(encoding))
    assert (file.kind, file.mime_type, file.name) == ("file", "text/plain", "이름.csv")
    assert file.content.decode() == "이름,나이\n에이다,36\n"


@pytest.mark.parametrize("text", ["<svg onload=alert(1)>", "<!doctype html><script>"])
def test_svg_and_html_are_texts(text: str) -> None:
    assert checked("a.svg", text.encode()).mime_type == "text/plain"


def test_a_pdf_is_taken_as_it_is() -> None:
    file = checked("report", PDF)
    assert (file.kind, file.name, file.content) == ("file", "report.pdf", PDF)


@pytest.mark.parametrize(
    ("given_", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\tax.pdf", "tax.pdf"),
        ("gpj.\u202eexe.txt", "gpj.exe.txt"),
        ("a\0b\r\n.txt", "ab.txt"),
        (" . ", "file"),
        ("", "file"),
        ("\ud800.png", "png"),
        ("사진\u1112\u1161\u11ab.png", "사진한.png"),
        ("x" * 10_000 + ".csv", "x" * (LONGEST - 5) + "….csv"),
        ("x" * 10_000, "x" * (LONGEST - 1) + "…"),
    ],
)
def test_a_name_is_one_short_line(given_: str, name: str) -> None:
    assert plain_name(given_, "file") == name


@given(st.text(max_size=300))
def test_a_name_hides_nothing(text: str) -> None:
    name = plain_name(text, "file")
    assert 0 < len(name) <= LONGEST
    assert not {"Cc", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, name))
    assert not set(name) & set("/\\\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert plain_name(name, "file") == name
