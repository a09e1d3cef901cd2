"""executePrompt, batchExecutePrompt and generateImage: simulated, deterministic, and really written."""

import json

import pytest

from lib.vault.answers import MARK, answer
from tests.vault_memory_support import CRITIC, GARDEN, UNKNOWN_WORKSPACE, kinds, make_memory_vault
from tests.vault_support import call, refused, succeeds

ASK = {"prompt": "How many beds of beans are there?", "provider": "openai", "model": "gpt-5"}
IMAGE = {"prompt": "A bed of beans", "provider": "google", "savePath": "Art/Beans.png"}
TEXT_ITEM = {"type": "text", **ASK}
IMAGE_ITEM = {"type": "image", "model": "imagen-4", **IMAGE}

# ------------------------------------------------------------ the simulated answer


def test_an_answer_says_it_is_simulated_and_quotes_the_best_sentences():
    sources = [
        ("A.md", "---\nkey: 1\n---\n# Rain\nThe sky is grey. Beans need water! Nothing else."),
        ("B.md", "Water beans daily."),
    ]
    assert answer("water for beans", sources) == (
        "[simulated] Answer to: water for beans\n- Rain (A.md)\n- Beans need water! (A.md)\n- Water beans daily. (B.md)"
    )  # fmt: skip


def test_an_answer_without_sources_says_so():
    assert answer("Hello", [], agent="Editor") == (
        "[simulated] Answer by Editor to: Hello\nNo files were given with the request."
    )
    assert answer("Hello", [("A.md", "  \n")]).endswith("Nothing to quote in: A.md")


@pytest.mark.parametrize("cap", [1, 3, 10, 0.5, 0, -1])
def test_an_answer_keeps_its_mark_under_any_token_cap(cap):
    text = answer("word " * 50, [("A.md", "one. two. three.")], max_tokens=cap)
    assert text.startswith(MARK)
    assert cap < 1 or len(text) <= max(cap * 4, len(MARK))


# ------------------------------------------------------------ executePrompt


def run(vault, **arguments):
    return succeeds(vault, "agentManager_executePrompt", **{**ASK, **arguments})


def test_a_prompt_is_answered_from_its_files_with_usage_and_cost():
    result = run(make_memory_vault(), filepaths=["/Garden/Beds.md"], agent="Editor")
    assert kinds(result["recommendations"]) == ["simulation"]
    assert result["data"] == {
        "response": "[simulated] Answer by Editor to: How many beds of beans are there?\n"
        "- Two beds of beans. (Garden/Beds.md)",
        "model": "gpt-5",
        "provider": "openai",
        "agentUsed": "Editor",
        "usage": {"promptTokens": 19, "completionTokens": 26, "totalTokens": 45},
        "cost": {"inputCost": 2.375e-05, "outputCost": 0.00026, "totalCost": 0.00028375, "currency": "USD"},
        "filesIncluded": ["Garden/Beds.md"],
    }


def test_without_an_agent_the_default_is_named():
    data = run(make_memory_vault())["data"]
    assert data["agentUsed"] == "default"
    assert "filesIncluded" not in data and "actionPerformed" not in data


def test_a_model_without_a_known_price_costs_nothing():
    assert run(make_memory_vault(), model="gpt-99")["data"]["cost"]["totalCost"] == 0


def test_max_tokens_caps_the_answer():
    data = run(make_memory_vault(), filepaths=["Garden/Beds.md"], maxTokens=5)["data"]
    assert (len(data["response"]), data["usage"]["completionTokens"]) == (20, 5)


def test_the_answer_can_be_kept_back():
    result = run(make_memory_vault(), returnContent=False, action={"type": "create", "targetPath": "A.md"})
    assert result["data"]["response"] == "[Content not returned]"
    assert kinds(result["recommendations"]) == ["simulation"]


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ({"type": "create"}, None, "{answer}"),
        ({"type": "append"}, "old\n", "old\n{answer}"),
        ({"type": "prepend"}, "old\n", "{answer}old\n"),
        ({"type": "replace"}, "old\n", "{answer}"),
        ({"type": "replace", "position": 2}, "one\ntwo\nthree", "one\n{answer}\nthree"),
        ({"type": "findReplace", "findText": "x"}, "x x", "{answer} x"),
        ({"type": "findReplace", "findText": "X", "replaceAll": True, "caseSensitive": False}, "x", "{answer}"),
        ({"type": "findReplace", "findText": "x", "replaceAll": True}, "x x", "{answer} {answer}"),
        ({"type": "findReplace", "findText": "x", "wholeWord": True}, "xx x", "xx {answer}"),
    ],
)  # fmt: skip
def test_the_answer_is_really_written(action, before, after):
    vault = make_memory_vault(notes={} if before is None else {"Out/A.md": before})
    data = run(vault, action={**action, "targetPath": "Out/A.md"})["data"]
    assert data["actionPerformed"] == {"type": action["type"], "targetPath": "Out/A.md", "success": True}
    assert vault.notes["Out/A.md"].text == after.replace("{answer}", data["response"])


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ({"type": "create", "targetPath": "Garden/Beds.md"}, "File already exists: Garden/Beds.md"),
        ({"type": "append", "targetPath": "No.md"}, "File not found: No.md"),
        ({"type": "prepend", "targetPath": "No.md"}, "File not found: No.md"),
        ({"type": "replace", "targetPath": "No.md"}, "File not found: No.md"),
        ({"type": "replace", "targetPath": "Garden"}, "Not a file: Garden"),
        (
            {"type": "replace", "targetPath": "Garden/Beds.md", "position": 9},
            "Start line cannot be greater than end line",
        ),
        ({"type": "findReplace", "targetPath": "Garden/Beds.md"}, "findText is required for findReplace"),
        ({"type": "findReplace", "targetPath": "Garden/Beds.md", "findText": "peas"}, "findText not found in file"),
    ],
)
def test_a_write_that_fails_is_told_and_changes_nothing(action, error):
    vault = make_memory_vault()
    notes = dict(vault.notes)
    performed = run(vault, action=action)["data"]["actionPerformed"]
    assert performed == {"type": action["type"], "targetPath": action["targetPath"], "success": False, "error": error}
    assert vault.notes == notes


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"prompt": " "}, "Prompt is required"),
        ({"agent": "editor"}, "Custom prompt agent 'editor' not found"),
        ({"agent": CRITIC}, f"Custom prompt agent '{CRITIC}' not found"),
        ({"agent": "Critic"}, "Custom prompt agent 'Critic' is disabled"),
        ({"agent": "Critic", "provider": "acme"}, "Custom prompt agent 'Critic' is disabled"),
        (
            {"provider": "acme"},
            "Provider 'acme' is not available. Available providers: "
            "openai, anthropic, google, openrouter, ollama, lmstudio",
        ),
        ({"filepaths": ["Garden/No.md"]}, "File not found: Garden/No.md"),
    ],
)
def test_a_prompt_that_cannot_be_run_is_refused(arguments, error):
    assert refused(make_memory_vault(), "agentManager_executePrompt", **{**ASK, **arguments}) == {"error": error}


def test_a_vault_without_models_runs_no_prompt():
    result = refused(make_memory_vault(models=[]), "agentManager_executePrompt", **ASK)
    assert result["error"] == "Provider 'openai' is not available. Available providers: none"


# ------------------------------------------------------------ batchExecutePrompt


def batch(vault, *prompts, **arguments):
    return succeeds(vault, "agentManager_batchExecutePrompt", prompts=list(prompts), **arguments)["data"]


def test_a_batch_answers_texts_and_images():
    vault = make_memory_vault()
    data = batch(vault, {**TEXT_ITEM, "id": "beds", "contextFiles": ["Garden/Beds.md"], "agent": "Editor"}, IMAGE_ITEM)
    text, image = data["results"]
    assert (text["id"], text["agent"], text["success"], text["filesIncluded"]) == (
        "beds",
        "Editor",
        True,
        ["Garden/Beds.md"],
    )
    assert "Two beds of beans." in text["response"]
    assert image == {
        "type": "image",
        "id": "request_2",
        "prompt": "A bed of beans",
        "success": True,
        "imagePath": "Art/Beans.png",
        "provider": "google",
        "model": "imagen-4",
        "executionTime": 0,
    }
    assert "Art/Beans.png" in vault.notes
    assert data["success"] is True
    assert data["stats"] == {
        "totalExecutionTimeMS": 0,
        "promptsExecuted": 2,
        "promptsFailed": 0,
        "avgExecutionTimeMS": 0,
        "tokensUsed": text["usage"]["totalTokens"],
    }


def test_a_batch_runs_by_round_then_group_then_place():
    items = [
        {**TEXT_ITEM, "id": "late", "sequence": 2},
        {**TEXT_ITEM, "id": "zebra", "sequence": 1, "parallelGroup": "zebra"},
        {**TEXT_ITEM, "id": "ant", "sequence": 1, "parallelGroup": "ant"},
        {**TEXT_ITEM, "id": "plain", "sequence": 1},
        {**TEXT_ITEM, "id": "named", "sequence": 1, "parallelGroup": "default"},
        {**TEXT_ITEM, "id": "first"},
    ]
    data = batch(make_memory_vault(), *items)
    assert [result["id"] for result in data["results"]] == ["first", "plain", "named", "ant", "zebra", "late"]
    assert (data["results"][4]["sequence"], data["results"][4]["parallelGroup"]) == (1, "zebra")


@pytest.mark.parametrize(
    ("wanted", "quoted"),
    [
        ({}, []),
        ({"includePreviousResults": True}, ["one", "two"]),
        ({"contextFromSteps": ["two"]}, ["two"]),
        ({"contextFromSteps": ["nothing"]}, []),
    ],
)
def test_earlier_answers_are_fed_in_when_asked_for(wanted, quoted):
    items = [{**TEXT_ITEM, "id": "one"}, {**TEXT_ITEM, "id": "two"}]
    last = batch(make_memory_vault(), *items, {**TEXT_ITEM, "sequence": 1, **wanted})["results"][-1]
    assert [name for name in ("one", "two") if f"({name})" in last["response"]] == quoted


def test_a_workspace_lends_a_request_its_purpose_and_goal():
    [result] = batch(make_memory_vault(), {**TEXT_ITEM, "workspace": GARDEN})["results"]
    assert "Grow vegetables (workspace Garden)" in result["response"]


def test_merged_answers_are_one_text():
    merged = batch(make_memory_vault(), TEXT_ITEM, IMAGE_ITEM, mergeResponses=True)["merged"]
    assert merged["combinedResponse"].startswith(MARK)
    assert merged["combinedResponse"].endswith("\n\nImage: Art/Beans.png")
    del merged["combinedResponse"]
    assert merged == {"totalPrompts": 2, "successfulPrompts": 2, "providersUsed": ["openai", "google"]}


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ({**TEXT_ITEM, "agent": "Nobody"}, "Custom prompt agent 'Nobody' not found"),
        ({**TEXT_ITEM, "provider": "acme"}, "Provider 'acme' is not available. Available providers: "),
        ({**TEXT_ITEM, "contextFiles": ["No.md"]}, "File not found: No.md"),
        ({**TEXT_ITEM, "workspace": UNKNOWN_WORKSPACE}, f"Workspace not found: {UNKNOWN_WORKSPACE}"),
        ({**IMAGE_ITEM, "prompt": "a" * 2001}, "Parameter validation failed: prompt is longer than 2000 characters"),
    ],
)
def test_one_failing_request_does_not_fail_the_batch(item, error):
    data = batch(make_memory_vault(), item, TEXT_ITEM)
    assert [result["success"] for result in data["results"]] == [False, True]
    assert data["results"][0]["error"].startswith(error)
    assert (data["stats"]["promptsExecuted"], data["stats"]["promptsFailed"]) == (1, 1)


def test_a_write_of_a_batch_is_really_done():
    vault = make_memory_vault()
    [result] = batch(vault, {**TEXT_ITEM, "action": {"type": "create", "targetPath": "A.md"}})["results"]
    assert result["actionPerformed"]["success"] is True
    assert vault.notes["A.md"].text == result["response"]


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ([TEXT_ITEM, {**TEXT_ITEM, "prompt": " "}], "Parameter validation failed: prompts[1]: prompt is blank"),
        (
            [{**IMAGE_ITEM, "model": "imagen-4-fast"}, {**TEXT_ITEM, "prompt": "\n"}],
            "Parameter validation failed: prompts[0]: model must be imagen-4 or imagen-4-ultra for images; "
            "prompts[1]: prompt is blank",
        ),
    ],
)
def test_a_batch_with_a_faulty_request_is_refused_as_a_whole(items, error):
    assert refused(make_memory_vault(), "agentManager_batchExecutePrompt", prompts=items) == {"error": error}


@pytest.mark.parametrize(
    "items",
    [
        [],
        [TEXT_ITEM] * 101,
        [{**TEXT_ITEM, "prompt": "a" * 32001}],
        [{**IMAGE_ITEM, "provider": "openai"}],
        [{**IMAGE_ITEM, "savePath": "../Beans.png"}],
        [{key: value for key, value in IMAGE_ITEM.items() if key != "savePath"}],
    ],
    ids=["none", "too many", "long prompt", "image provider", "path leaves", "no path"],
)
def test_a_batch_against_its_schema_is_refused(items):
    assert "prompts" in refused(make_memory_vault(), "agentManager_batchExecutePrompt", prompts=items)["error"]


# ------------------------------------------------------------ all three


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("agentManager_executePrompt", {**ASK, "filepaths": ["Garden/Beds.md"]}),
        ("agentManager_batchExecutePrompt", {"prompts": [TEXT_ITEM, IMAGE_ITEM]}),
        ("agentManager_generateImage", IMAGE),
    ],
)
def test_the_same_request_gives_the_same_bytes(tool, arguments):
    runs = []
    for _ in range(2):
        vault = make_memory_vault()
        runs.append(json.dumps([call(vault, tool, **arguments), vault.to_dict()]))
    assert runs[0] == runs[1]


def test_the_temperature_does_not_change_an_answer():
    cold, hot = (run(make_memory_vault(), temperature=value)["data"] for value in (0, 1))
    assert cold == hot
