"""Small datasets for the tests of the gates."""

import json
import random

from lib.synth.seeds import digest, dump_row
from tests import rows
from tests.rows import call_text

NAMES = ["Anna", "Boris", "Chen", "Dora", "Emil", "Fatima", "Gus", "Hana", "Ivo", "Jun"]


def good_row(number, request=None, **more):
    rng = random.Random(number)
    name = f"{rng.choice(NAMES)} {number}"
    context = rows.CONTEXT | {
        "sessionId": f"session_17621604{number:05d}_a1b2c3d4e",
        "sessionMemory": f"The user asked for {name}",
    }
    given = {"context": context, "filePath": f"Garden/{name}.md"}
    asked = request or f"{rng.choice(['What', 'Where', 'Who'])} is in Garden/{name}.md, {rng.choice(NAMES)} asks?"
    return rows.row(f"{call_text(args=given)}\n\nIt says: dig {number}.", asked, **more)


def written(folder, given, proofs=None, name="rows"):
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(map(dump_row, given)) + "\n", encoding="utf-8")
    if proofs is not None:
        (folder / f"{name}.proof.jsonl").write_text("\n".join(map(json.dumps, proofs)) + "\n")
    return path


def kto_rows(count=80):
    """True and False in turn; every other negative answers the request of a positive far away."""
    given = []
    for n in range(count):
        label = n % 2 == 0
        asked = f"Request {n - 35} for {NAMES[n % 7]}" if not label and n > 40 and n % 4 == 1 else f"Request {n} for me"
        given.append(
            good_row(n, asked.replace("for me", f"for {NAMES[(n + 35) % 7]}") if label else asked, label=label)
        )
    return given


def proofs_of(given, family="world"):
    return [
        {"label": row["label"], "row": digest(dump_row(row), length=32)}
        | ({} if row["label"] else {"family": family, "reason": "wrong-target", "proof": ["goal", "not reached"]})
        for row in given
    ]
