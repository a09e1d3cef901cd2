"""generateImage: a placeholder PNG that says what was asked for, saved like a generated picture."""

import struct
import zlib
from hashlib import sha256

from lib.vault import files
from lib.vault.answers import MARK
from lib.vault.call import Context, ToolError
from lib.vault.paths import clean
from lib.vault.state import Vault

PROVIDER = "google"
DEFAULT_MODEL = "imagen-4"
BATCH_MODELS = ("imagen-4", "imagen-4-ultra")
PRICES = {"imagen-4": 0.04, "imagen-4-ultra": 0.06, "imagen-4-fast": 0.02}  # dollars an image
SIZES = {"1:1": (1024, 1024), "3:4": (896, 1280), "4:3": (1280, 896), "9:16": (768, 1408), "16:9": (1408, 768)}
MAX_PROMPT = 2000
TILE = 8  # pixels a side of the placeholder
NOTICE = f"Simulated: no model was called; the file is a placeholder PNG of {TILE} x {TILE} pixels."


def generate_image(vault: Vault, args: dict, context: Context) -> dict:
    """One or more placeholder images at savePath; names that are taken get a number."""
    return {"data": make_images(vault, args)}


def make_images(vault: Vault, args: dict) -> dict:
    """The data of an image request, its files made."""
    if all(model.provider != PROVIDER for model in vault.models):
        raise ToolError("No image generation providers available. Add a Google model first.")
    model, resolution = args.get("model", DEFAULT_MODEL), args.get("sampleImageSize", "1K")
    faults = []
    if not args["prompt"].strip():
        faults.append("prompt is blank")
    if len(args["prompt"]) > MAX_PROMPT:
        faults.append(f"prompt is longer than {MAX_PROMPT} characters")
    if resolution == "2K" and model == "imagen-4-fast":
        faults.append("sampleImageSize 2K does not go with imagen-4-fast")
    if faults:
        raise ToolError(f"Parameter validation failed: {'; '.join(faults)}")
    count = int(args.get("numberOfImages", 1))
    paths = []
    for number in range(count):
        data = placeholder(args["prompt"], f"{model}/{args.get('aspectRatio', '1:1')}/{number}")
        path = files.free_path(vault, clean(args["savePath"]))
        files.create_file(vault, path, "", data)
        paths.append(path)
    width, height = (side * (2 if resolution == "2K" else 1) for side in SIZES[args.get("aspectRatio", "1:1")])
    extension = paths[0].rpartition(".")[2]
    return {
        "imagePath": paths[0],
        "prompt": args["prompt"],
        "model": model,
        "provider": PROVIDER,
        "dimensions": {"width": width, "height": height},
        "fileSize": vault.notes[paths[0]].size,
        "format": "jpeg" if extension == "jpg" else extension,
        "cost": {"totalCost": round(PRICES[model] * count, 4), "currency": "USD", "ratePerImage": PRICES[model]},
        "usage": {"imagesGenerated": count, "resolution": resolution, "model": model, "provider": PROVIDER},
        "metadata": {"simulated": True, "note": NOTICE, "imagePaths": paths},
    }


def placeholder(prompt: str, variant: str) -> bytes:
    """A PNG of one colour, drawn from a digest of the request, with the request as its description."""
    colour = sha256(f"{variant}\n{prompt}".encode()).digest()[:3]
    rows = (b"\x00" + colour * TILE) * TILE
    # A stored deflate block, because compressed bytes differ between zlib builds.
    block = b"\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows
    stream = b"\x78\x01" + block + struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", TILE, TILE, 8, 2, 0, 0, 0)
    text = b"Description\x00\x00\x00\x00\x00" + f"{MARK} {prompt}".encode()
    chunks = ((b"IHDR", header), (b"iTXt", text), (b"IDAT", stream), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


TOOLS = {"agentManager_generateImage": generate_image}
