"""The model's view: what is trained, what is not, and that the text is the template's own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.chat import example_from_row
from lib.errors import CannotRun
from lib.rendering import HOST_IDS, IGNORED, TRAINED, check_trained_share, render, tokenize
from tests.tiny_model import row, write_tiny_model

SESSION, WORKSPACE = "session_1700000000000_abcdef123", "ws_1711111111111_zyxwvu987"
CONTEXT = f'"context": {{"sessionId": "{SESSION}", "workspaceId": "{WORKSPACE}", "subgoal": "Read it"}}'
ONE = (
    f'tool_call: noteKeeper_read\narguments: {{{CONTEXT}, "path": "a.md"}}\n\n'
    f'Result: {{"success": true, "text": "milk", "sessionId": "{SESSION}"}}\n\nIt says milk.'
)
TWO = ONE.replace("It says milk.", ONE)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(write_tiny_model(tmp_path_factory.mktemp("tiny")))


def rendered(tokenizer, answer, format, question="What is in a.md?"):
    example, faults = example_from_row(row(question, answer))
    assert faults == []
    return render(example, tokenizer, format)


def decoded(tokenizer, result, role):
    wanted = TRAINED if role == "trained" else (role,)
    return tokenizer.decode([t for t, r in zip(result.input_ids, result.roles, strict=True) if r in wanted])


@pytest.mark.parametrize("format", ["native", "text"])
def test_the_tokens_are_the_template_text_and_labels_are_ids_or_ignored(tokenizer, format):
    result = rendered(tokenizer, ONE, format)
    assert tokenizer.decode(result.input_ids) == result.text
    assert len(result.labels) == len(result.input_ids)
    assert all(label in (IGNORED, token) for label, token in zip(result.labels, result.input_ids, strict=True))


@pytest.mark.parametrize("format", ["native", "text"])
def test_call_closing_text_and_end_of_turn_are_trained_prompt_and_result_are_not(tokenizer, format):
    result = rendered(tokenizer, ONE, format)
    trained = decoded(tokenizer, result, "trained")
    assert "noteKeeper_read" in trained and '"path": "a.md"' in trained and "It says milk." in trained
    assert trained.endswith("<|im_end|>")
    assert "What is in" not in trained and '"text": "milk"' not in trained and '"success"' not in trained


@pytest.mark.parametrize("format", ["native", "text"])
def test_a_row_can_be_cut_behind_the_name_of_its_first_call(tokenizer, format):
    result = rendered(tokenizer, TWO, format)
    cut = result.first(result.name_end)
    text = tokenizer.decode(cut.input_ids)
    assert "noteKeeper_read" in text and "context" not in text and "What is in a.md?" in text
    assert text.removesuffix("\n").endswith(("noteKeeper_read", 'noteKeeper_read"', 'noteKeeper_read",'))
    assert "noteKeeper_read" in decoded(tokenizer, cut, "trained") and cut.trained < result.trained / 4
    assert rendered(tokenizer, "It cannot be read.", format).name_end == 0


def test_native_calls_are_in_tool_call_tags_and_results_are_tool_turns(tokenizer):
    result = rendered(tokenizer, ONE, "native")
    assert '<tool_call>\n{"name": "noteKeeper_read", "arguments": {"context"' in result.text
    assert '<|im_start|>tool\n{"success": true' in result.text
    assert decoded(tokenizer, result, "trained").count("<|im_end|>") == 2


def test_the_text_form_trains_the_words_that_hand_over_to_the_tool(tokenizer):
    result = rendered(tokenizer, ONE, "text")
    assert "}\n\nResult:\n\nIt says milk." in decoded(tokenizer, result, "trained")
    assert decoded(tokenizer, result, "result").startswith(' {"success": true')


@pytest.mark.parametrize("format", ["native", "text"])
def test_context_ids_that_nothing_shows_become_the_host_ids_which_are_trained(tokenizer, format):
    result = rendered(tokenizer, ONE, format)
    assert SESSION not in result.text and WORKSPACE not in result.text and "id" not in result.roles
    trained = decoded(tokenizer, result, "trained")
    assert f'"sessionId": "{HOST_IDS["sessionId"]}", "workspaceId": "{HOST_IDS["workspaceId"]}"' in trained


@pytest.mark.parametrize("format", ["native", "text"])
def test_other_ids_are_trained_only_where_an_earlier_result_shows_them(tokenizer, format):
    unknown, shown = "prompt_1700000000000_unknown01", "prompt_1700000000000_shown0001"
    answer = ONE.replace("a.md", unknown).replace("milk", shown) + "\n\n" + ONE.replace("a.md", shown)
    result = rendered(tokenizer, answer, format)
    assert decoded(tokenizer, result, "id") == "1700000000000unknown01"
    assert decoded(tokenizer, result, "trained").count(f'"path": "{shown}"') == 1


@pytest.mark.parametrize("format", ["native", "text"])
def test_ids_in_the_prompt_stay_and_are_trained(tokenizer, format):
    question = f"Session {SESSION}, workspace {WORKSPACE}: what is in a.md?"
    result = rendered(tokenizer, ONE, format, question)
    assert "id" not in result.roles
    assert SESSION in decoded(tokenizer, result, "trained") and WORKSPACE in decoded(tokenizer, result, "trained")


def test_a_malformed_id_stays_as_it_is(tokenizer):
    result = rendered(tokenizer, ONE.replace(SESSION, "session_12_x"), "native")
    assert "session_12_x" in decoded(tokenizer, result, "trained")


def test_every_assistant_turn_of_a_longer_conversation_is_trained(tokenizer):
    turns = row("One?", "First answer.")["conversations"] + row("Two?", "Second answer.")["conversations"]
    example, _ = example_from_row({"conversations": turns})
    trained = decoded(tokenizer, render(example, tokenizer), "trained")
    assert trained == "First answer.<|im_end|>Second answer.<|im_end|>"


def test_the_prompt_length_is_where_the_server_starts_to_generate(tokenizer):
    result = rendered(tokenizer, ONE, "native")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is in a.md?"}], tokenize=False, add_generation_prompt=True
    )
    assert result.input_ids[: result.prompt_length] == tokenizer(prompt, add_special_tokens=False)["input_ids"]


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_any_words_are_rendered_whole_and_only_the_answer_is_trained(tokenizer, question, answer):
    example, _ = example_from_row(row(question, answer))
    result = render(example, tokenizer)
    start = result.text.index("<|im_start|>assistant\n") + len("<|im_start|>assistant\n")
    expected = tokenizer(result.text[start:].rstrip("\n"), add_special_tokens=False)["input_ids"]
    assert [label for label in result.labels if label != IGNORED][: len(expected)] == expected


def test_a_tokenizer_without_chat_template_is_refused(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(CannotRun, match="no chat template"):
        rendered(tokenizer, ONE, "native")


def test_a_template_that_rewrites_what_stands_before_is_searched_for_the_answer(tokenizer, monkeypatch):
    rewriting = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    monkeypatch.setattr(tokenizer, "chat_template", rewriting)
    result = rendered(tokenizer, "Hello.", "native")
    assert result.text == "2What is in a.md?Hello." and decoded(tokenizer, result, "trained") == "Hello."


def test_call_ids_are_of_nine_letters_and_digits_whatever_the_row_has(tokenizer, monkeypatch):
    shown = "{% for m in messages %}{% for c in m.tool_calls or [] %}<{{ c.id }}{{ c.function.name }}>{% endfor %}"
    shown += "{{ m.tool_call_id }}{{ m.content }};{% endfor %}"
    monkeypatch.setattr(tokenizer, "chat_template", shown)
    function = {"name": "noteKeeper_read", "arguments": '{"path": "a.md"}'}
    turns = [
        {"role": "user", "content": "Read."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "{}"},
        {"role": "assistant", "content": "Done."},
    ]
    example, _ = example_from_row({"messages": turns})
    text = render(example, tokenizer).text
    assert "<call00001noteKeeper_read>" in text and "call00001{}" in text and "call_1" not in text


def test_pieces_are_encoded_apart_only_where_the_whole_has_no_edge_between_them():
    def tokenizer(text, **_):  # a blank goes before every text, as SentencePiece does; "aa" is one token
        found, place = [("_", 0, 0)], 0
        while place < len(text):
            step = 2 if text[place : place + 2] == "aa" else 1
            found.append((text[place : place + step], place, place + step))
            place += step
        return {"input_ids": [token for token, _, _ in found], "offset_mapping": [(a, b) for _, a, b in found]}

    assert tokenize(tokenizer, "xaa", [1])[0] == ["_", "x", "aa"]
    assert tokenize(tokenizer, "xaa", [2])[0] == ["_", "x", "a", "_", "a"]


def test_a_template_that_raises_is_quoted(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", "{{ raise_exception('only one call') }}")
    with pytest.raises(CannotRun, match="only one call"):
        rendered(tokenizer, ONE, "native")


def test_a_mask_that_trains_everything_or_nothing_is_refused(tokenizer):
    result = rendered(tokenizer, ONE, "native")
    for role, said in (("trained", "100 %"), ("prompt", "0 %")):
        result.roles[:] = [role] * len(result.roles)
        with pytest.raises(CannotRun, match=said):
            check_trained_share([result])


@pytest.mark.parametrize("format, end", [("native", "</tool_call><|im_end|>"), ("text", '"a.md"}\n\nResult:')])
def test_a_row_can_end_with_its_first_call(tokenizer, format, end):
    for answer in (ONE, TWO):
        result = rendered(tokenizer, answer, format)
        short = result.first(result.first_call_end)
        assert tokenizer.decode(short.input_ids).endswith(end)
        assert short.labels[-1] == short.input_ids[-1] and len(short.roles) == len(short.labels)
        assert tokenizer.decode(short.input_ids).count("noteKeeper_read") == 1


@pytest.mark.parametrize("format", ["native", "text"])
def test_a_row_without_a_result_stays_whole(tokenizer, format):
    for answer in ("Which note do you mean?", ONE.split("\n\nResult:")[0]):
        result = rendered(tokenizer, answer, format)
        kept = result.first(result.first_call_end)
        assert tokenizer.decode(kept.input_ids) == result.text.rstrip()  # but the template's last line break


@pytest.mark.parametrize("format", ["native", "text"])
def test_context_objects_of_calls_have_a_role_and_can_be_left_out_of_the_loss(tokenizer, format):
    result = rendered(
        tokenizer, TWO.replace("Read it", "Read {it} twice"), format, question='What is "context": {"a": 1}?'
    )
    context = decoded(tokenizer, result, "context")
    assert context.count('"subgoal": "Read {it} twice"}') == 2 and context.count("sessionId") == 2
    assert "a.md" not in context and "milk" not in context and '"a": 1' not in context
    thinned = result.without_context
    kept = tokenizer.decode([label for label in thinned.labels if label != IGNORED])
    assert kept.count('"context": {') == 2 and "subgoal" not in kept and kept.count('"path": "a.md"') == 2
    assert thinned.input_ids == result.input_ids and thinned.trained + context_size(result) == result.trained


def context_size(result):
    return result.roles.count("context")
