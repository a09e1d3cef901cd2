"""generateImage: a placeholder file, described like a generated picture."""

import base64
import struct
import zlib

import pytest

from lib.vault.images import placeholder
from tests.vault_memory_support import make_memory_vault
from tests.vault_support import refused, succeeds

IMAGE = {"prompt": "A bed of beans", "provider": "google", "savePath": "Art/Beans.png"}


def test_an_image_is_saved_and_described():
    vault = make_memory_vault()
    data = succeeds(vault, "agentManager_generateImage", **IMAGE)["data"]
    assert data == {
        "imagePath": "Art/Beans.png",
        "prompt": "A bed of beans",
        "model": "imagen-4",
        "provider": "google",
        "dimensions": {"width": 1024, "height": 1024},
        "fileSize": vault.notes["Art/Beans.png"].size,
        "format": "png",
        "cost": {"totalCost": 0.04, "currency": "USD", "ratePerImage": 0.04},
        "usage": {"imagesGenerated": 1, "resolution": "1K", "model": "imagen-4", "provider": "google"},
        "metadata": {"simulated": True, "note": data["metadata"]["note"], "imagePaths": ["Art/Beans.png"]},
    }
    assert data["metadata"]["note"].startswith("Simulated")
    assert "Art" in vault.folders


def test_a_taken_name_gets_a_number_and_every_image_a_file():
    vault = make_memory_vault(notes={"Art/Beans.png": {"base64": base64.b64encode(b"x").decode()}})
    data = succeeds(vault, "agentManager_generateImage", **IMAGE, numberOfImages=2)["data"]
    assert data["metadata"]["imagePaths"] == ["Art/Beans 1.png", "Art/Beans 2.png"]
    assert data["cost"]["totalCost"] == 0.08
    assert vault.notes["Art/Beans.png"].data == b"x"
    assert vault.notes["Art/Beans 1.png"].data != vault.notes["Art/Beans 2.png"].data


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        ({"aspectRatio": "16:9"}, "dimensions", {"width": 1408, "height": 768}),
        ({"aspectRatio": "9:16", "sampleImageSize": "2K"}, "dimensions", {"width": 1536, "height": 2816}),
        ({"savePath": "Art/Beans.jpg"}, "format", "jpeg"),
        ({"model": "imagen-4-fast"}, "cost", {"totalCost": 0.02, "currency": "USD", "ratePerImage": 0.02}),
    ],
)
def test_shape_size_and_model_decide_dimensions_format_and_cost(arguments, key, value):
    assert succeeds(make_memory_vault(), "agentManager_generateImage", **{**IMAGE, **arguments})["data"][key] == value


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"prompt": " "}, "Parameter validation failed: prompt is blank"),
        ({"prompt": "a" * 2001}, "Parameter validation failed: prompt is longer than 2000 characters"),
        (
            {"model": "imagen-4-fast", "sampleImageSize": "2K"},
            "Parameter validation failed: sampleImageSize 2K does not go with imagen-4-fast",
        ),
        ({"savePath": "Garden/Beds.md/A.png"}, "Parent path is not a folder: Garden/Beds.md"),
    ],
)
def test_an_image_that_cannot_be_made_is_refused(arguments, error):
    assert refused(make_memory_vault(), "agentManager_generateImage", **{**IMAGE, **arguments}) == {"error": error}


def test_without_a_google_model_no_image_is_made():
    models = [{"provider": "openai", "model": "m", "name": "M", "contextWindow": 1, "maxOutput": 1}]
    result = refused(make_memory_vault(models=models), "agentManager_generateImage", **IMAGE)
    assert result["error"].startswith("No image generation providers available")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"savePath": "Art/Beans.gif"}, "savePath"),
        ({"savePath": "../Beans.png"}, "savePath"),
        ({"provider": "openai"}, "provider"),
        ({"numberOfImages": 5}, "numberOfImages"),
        ({"model": "imagen-3"}, "model"),
    ],
)
def test_an_image_request_against_its_schema_is_refused(arguments, named):
    assert named in refused(make_memory_vault(), "agentManager_generateImage", **{**IMAGE, **arguments})["error"]


def test_the_placeholder_is_a_whole_png_that_says_it_is_simulated():
    data, chunks, place = placeholder("Größe", "v"), {}, 8
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        place += 12 + length
    assert list(chunks) == [b"IHDR", b"iTXt", b"IDAT", b"IEND"]
    assert len(zlib.decompress(chunks[b"IDAT"])) == 8 * (1 + 8 * 3)
    assert chunks[b"iTXt"].endswith("[simulated] Größe".encode())
