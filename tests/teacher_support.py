"""A teacher for tests: it answers over HTTP as a good model would, for two tools of the boat world."""

import json
import random
import re

import yaml

from tests.loopback import chat
from tests.synth_support import APPEND, LOOK_UP, MOVE, QUOTAS, READ, WORDS, WORLD

APPENDS, FOLDERS = "contentManager_appendContent", "vaultManager_createFolder"
NOUNS = re.findall(
    r"\w+",
    """
anchor ballast compass dinghy engine fender gasket halyard ignition jib keel ladder mast nozzle oar paddle quay rudder
sail tiller valve winch yard zinc bilge cleat deck flag galley hatch lamp mooring pump rope stove
""",
)
CONTEXT = {
    "sessionDescription": "Getting the boat ready for the season",
    "sessionMemory": "The user told what is wanted",
    "toolContext": "This tool does just that",
    "primaryGoal": "Do what the user asked for",
    "subgoal": "Make the one change",
}


def write_material(folder, worlds=("boat",)):
    """A scenario folder with the boat world under some names."""
    for part in ("worlds", "intents", "words"):
        (folder / part).mkdir(parents=True)
    for name in worlds:
        (folder / "worlds" / f"{name}.yaml").write_text(WORLD, encoding="utf-8")
    intents = [yaml.safe_load(text) for text in (APPEND, MOVE, LOOK_UP, READ)]
    (folder / "intents" / "all.yaml").write_text(yaml.safe_dump(intents), encoding="utf-8")
    for name, words in WORDS.items():
        (folder / "words" / f"{name}.yaml").write_text(yaml.safe_dump(words), encoding="utf-8")
    (folder / "quotas.yaml").write_text(yaml.safe_dump(QUOTAS), encoding="utf-8")
    return folder


def call(tool, **arguments):
    return {"tool": tool, "arguments": {"context": CONTEXT, **arguments}}


def appended(words, path="Boat/Log.md"):
    """A row of kind act: request, call and goal."""
    return {
        "request": f'Add the line "{words}" to {path}',
        "calls": [call(APPENDS, filePath=path, content=f"\n{words}")],
        "goal": [{"ends": [path, words]}],
    }


def first_reply(kind, tool, words):
    """The first answer for a row of this kind."""
    if kind == "cannot":
        return {"request": f"Phone the yard about {words}", "answer": "I cannot phone anyone; no tool does that."}
    if kind == "direct":
        return {"request": f"What do people mean by {words}?", "answer": "Those are parts and gear of a boat."}
    if kind == "ask":
        both = (
            [call(APPENDS, filePath=path, content=f"\n{words}") for path in ("Boat/Log.md", "Boat/Jobs.md")]
            if tool == APPENDS
            else [call(FOLDERS, path=f"{place}/new") for place in ("Archive", "Boat")]
        )
        asked = f"Note {words} in the right file" if tool == APPENDS else f"We need a folder for {words}"
        return {"request": asked, "readings": both, "answer": "Where shall it go?"}
    if tool == FOLDERS:
        path = f"Archive/{words}"
        return {
            "request": f"Please make the folder {path}",
            "calls": [call(FOLDERS, path=path)],
            "goal": [{"exists": path}],
        }
    if kind == "lookup":
        find = call("vaultLibrarian_searchContent", query="winch")
        add = appended(words, "Boat/Jobs.md")
        return {**add, "request": f'Add "{words}" to the note that speaks of the winch', "calls": [find, *add["calls"]]}
    if kind == "repair":
        wrong = call(APPENDS, filePath="Boat/To do.md", content=f"\n{words}")
        goal = [{"ends": ["Boat/Jobs.md", words]}]
        return {"request": f'Put "{words}" under Boat/To do.md, or what it is called', "calls": [wrong], "goal": goal}
    return appended(words)


def words_for(seed):
    return " ".join(random.Random(seed).sample(NOUNS, 5))


def good_reply(body):
    """What a good model says to a request body, as an object."""
    asked, words = body["messages"][-1]["content"], words_for(body["seed"])
    if '{"closing": text}' in asked:
        return {"closing": "That is done now."}
    if "The last call failed" in asked:
        look = call("vaultManager_listDirectory", path="Boat")
        return {"calls": [look, call(APPENDS, filePath="Boat/Jobs.md", content=f"\n{words}")]}
    kind = re.search(r"one example of kind (\w+)\.", asked)[1]
    tool = re.search(r"^(\w+): .*\n\{\"properties\"", asked, re.MULTILINE)
    return first_reply(kind, tool and tool[1], words)


def good_teacher(path, body, number):
    """The answer of a loopback server."""
    return chat(json.dumps(good_reply(body)), tokens=100)
