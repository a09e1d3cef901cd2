"""lib.teacher: patience, refusals, budget, replay, and that no key gets out."""

import threading

import pytest

from lib.cassette import Cassette
from lib.env import key_from
from lib.errors import CannotRun
from lib.teacher import (
    DELAYS,
    KEY_NAMES,
    LOST_IN_A_ROW,
    Ledger,
    NoAnswer,
    Settings,
    Stopped,
    Teacher,
    make_teacher,
    teacher_url,
)
from lib.transport import Http
from tests.loopback import chat, serving

KEY = "sk-secret-0123456789"
PATH = "/v1/chat/completions"
SCHEMA = {"type": "object"}
SETTINGS = Settings("m", max_tokens=100)


def asks(text="Hello"):
    return [{"role": "user", "content": text}]


def hired(server, folder, timeout=5, **ledger):
    """A teacher whose waits are noted instead of waited for."""
    waits = []
    http = Http(f"{server.url}/v1", timeout, {"Authorization": f"Bearer {KEY}"})
    teacher = Teacher(http, SETTINGS, Cassette(folder), Ledger(**ledger), sleep=waits.append)
    teacher.waits = waits
    return teacher


def replies(*answers):
    """A server that gives these answers in turn, the last one for ever."""
    return serving(lambda path, body, number: answers[min(number, len(answers) - 1)])


def test_a_question_is_sent_with_settings_schema_and_key(tmp_path):
    with replies(chat("yes")) as server:
        answer = hired(server, tmp_path).ask(asks(), SCHEMA, seed=7)
    assert (answer.text, answer.cut) == ("yes", False)
    [body] = server.asked(PATH)
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    assert body == {"model": "m", "messages": asks(), "temperature": 0.9, "max_tokens": 100, "seed": 7} | {
        "response_format": form
    }
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_what_was_answered_is_not_asked_again_and_an_edit_is_one_miss(tmp_path):
    with replies(chat("yes")) as server:
        for edited in (None, None, 3):
            teacher = hired(server, tmp_path)
            for number in range(6):
                teacher.ask(asks(f"{number}!" if number == edited else str(number)), SCHEMA, seed=number)
        assert len(server.requests) == 7
    assert (teacher.ledger.calls, teacher.ledger.replayed) == (1, 5)


def test_offline_answers_from_the_cassette_alone(tmp_path):
    with replies(chat("yes")) as server:
        hired(server, tmp_path).ask(asks(), SCHEMA, seed=1)
    offline = Teacher(None, SETTINGS, Cassette(tmp_path), Ledger())
    assert offline.ask(asks(), SCHEMA, seed=1).text == "yes"
    for number in range(LOST_IN_A_ROW + 1):
        with pytest.raises(NoAnswer, match="not in the cassette"):
            offline.ask(asks(), SCHEMA, seed=2 + number)


# ------------------------------------------------------------------------------------- patience

BUSY = (429, {"error": {"message": "slow down"}})


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (BUSY, "rate-limited"),
        ((500, {"error": "oops"}), "server-error"),
        ((503, b""), "unavailable"),
        ((529, {"error": "overloaded"}), "http-529"),
        ("close", "connection"),
        ("early close", "connection"),
        ("hang", "timeout"),
        ("drip", "timeout"),
    ],
)
def test_a_passing_fault_is_outlasted_and_a_lasting_one_is_no_answer(tmp_path, first, code):
    timeout = 0.2 if code == "timeout" else 5
    with replies(first, first, chat("yes")) as server:
        teacher = hired(server, tmp_path / "passing", timeout)
        assert teacher.ask(asks(), SCHEMA, seed=1).text == "yes"
        assert len(server.requests) == 3
    with replies(first) as server:
        teacher = hired(server, tmp_path / "lasting", timeout)
        with pytest.raises(NoAnswer, match=code):
            teacher.ask(asks(), SCHEMA, seed=1)
        assert len(server.requests) == len(DELAYS) + 1
    assert teacher.ledger.calls == 0
    assert not (tmp_path / "lasting").exists()


def test_waits_grow_and_a_rate_limit_says_how_long(tmp_path):
    with replies((500, {"error": "oops"})) as server:
        teacher = hired(server, tmp_path)
        with pytest.raises(NoAnswer):
            teacher.ask(asks(), SCHEMA, seed=1)
    assert teacher.waits == list(DELAYS) == sorted(set(DELAYS))
    with replies((*BUSY, {"Retry-After": "9"}), chat("yes")) as server:
        teacher = hired(server, tmp_path)
        teacher.ask(asks(), SCHEMA, seed=1)
    assert len(teacher.waits) == 1
    assert 8 < teacher.waits[0] <= 9


def test_a_rate_limit_holds_every_thread_back(tmp_path):
    with replies((*BUSY, {"Retry-After": "9"}), chat("yes")) as server:
        teacher = hired(server, tmp_path)
        teacher.ask(asks(), SCHEMA, seed=1)
        teacher.ask(asks(), SCHEMA, seed=2)
    assert len(teacher.waits) == 2


def test_a_server_that_wants_hours_of_peace_stops_the_run(tmp_path):
    with replies((*BUSY, {"Retry-After": "3600"})) as server:
        teacher = hired(server, tmp_path)
        with pytest.raises(Stopped, match="left alone for 3600 seconds"):
            teacher.ask(asks(), SCHEMA, seed=1)
        assert len(server.requests) == 1


def test_a_server_that_never_answers_is_given_up(tmp_path):
    with replies((500, {"error": "oops"})) as server:
        teacher = hired(server, tmp_path)
        for number in range(LOST_IN_A_ROW):
            with pytest.raises(NoAnswer):
                teacher.ask(asks(), SCHEMA, seed=number)
        with pytest.raises(Stopped, match="in a row had no answer, the last: server-error: oops"):
            teacher.ask(asks(), SCHEMA, seed=99)


def test_one_answer_between_two_losses_keeps_the_run_going(tmp_path):
    bad = (400, {"error": "no"})
    with serving(lambda path, body, number: chat("yes") if body["messages"] == asks("good") else bad) as server:
        teacher = hired(server, tmp_path)
        for number in range(2 * LOST_IN_A_ROW):
            with pytest.raises(NoAnswer):
                teacher.ask(asks(), SCHEMA, seed=number)
            teacher.ask(asks("good"), SCHEMA, seed=number)
    assert teacher.stopped == ""


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_cannot_get_better_stops_at_once(tmp_path, status):
    with replies((status, {"error": {"message": f"bad key {KEY}"}})) as server:
        teacher = hired(server, tmp_path)
        with pytest.raises(Stopped) as caught:
            teacher.ask(asks(), SCHEMA, seed=1)
        assert len(server.requests) == 1
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)
    assert ("TEACHER_API_KEY" in str(caught.value)) == (status in (401, 403))


def test_nobody_at_the_address_is_told_at_once(tmp_path):
    with replies(chat("yes")) as server:
        pass
    teacher = hired(server, tmp_path)
    with pytest.raises(Stopped, match="no server listens"):
        teacher.ask(asks(), SCHEMA, seed=1)
    assert teacher.waits == []


def test_a_redirect_is_not_followed_with_the_key(tmp_path):
    with replies("redirect") as server, pytest.raises(Stopped, match="not the final address"):
        hired(server, tmp_path).ask(asks(), SCHEMA, seed=1)


# ------------------------------------------------------------------------------------- refusals


def test_a_refused_response_format_is_left_out_from_then_on(tmp_path):
    def answer(path, body, number):
        return (400, {"error": "response_format is not supported"}) if "response_format" in body else chat("yes")

    with serving(answer) as server:
        teacher = hired(server, tmp_path)
        for seed in (1, 2):
            assert teacher.ask(asks(), SCHEMA, seed=seed).text == "yes"
        assert len(server.requests) == 3
        again = hired(server, tmp_path)
        assert again.ask(asks(), SCHEMA, seed=1).text == "yes"
        assert len(server.requests) == 3, "the answer is kept under the question as it was meant"


@pytest.mark.parametrize(
    "refusal", [(400, {"error": "bad grammar"}), (500, {"error": "JSON schema conversion failed"})]
)
def test_one_refused_schema_is_left_out_once(tmp_path, refusal):
    def answer(path, body, number):
        form = body.get("response_format")
        return refusal if form and form["json_schema"]["schema"] == {"odd": True} else chat("yes")

    with serving(answer) as server:
        teacher = hired(server, tmp_path)
        teacher.ask(asks(), {"odd": True}, seed=1)
        teacher.ask(asks(), SCHEMA, seed=2)
    sent = ["response_format" in body for body in server.asked(PATH)]
    assert sent == [True, False, True]


def test_settings_a_model_refuses_are_dropped_or_renamed(tmp_path):
    def answer(path, body, number):
        refused = next((name for name in ("max_tokens", "temperature", "seed") if name in body), None)
        return (400, {"error": {"message": f"Unsupported parameter: '{refused}'"}}) if refused else chat("yes")

    with serving(answer) as server:
        hired(server, tmp_path).ask(asks(), SCHEMA, seed=1)
    last = server.asked(PATH)[-1]
    assert set(last) == {"model", "messages", "response_format", "max_completion_tokens"}
    assert last["max_completion_tokens"] == 100


def test_a_refusal_without_end_ends(tmp_path):
    with replies((400, {"error": "response_format seed temperature max_tokens: all wrong"})) as server:
        with pytest.raises(NoAnswer, match="all wrong"):
            hired(server, tmp_path).ask(asks(), SCHEMA, seed=1)
        assert len(server.requests) == 5


# ---------------------------------------------------------------------------------- odd replies


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (chat(None), ""),
        (chat(None, finish="content_filter"), ""),
        ({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}, 3]}}]}, "ab"),
        ({"choices": [{"message": {"content": 5}}]}, ""),
    ],
)
def test_odd_content_is_text_or_nothing(tmp_path, body, text):
    with replies(body) as server:
        assert hired(server, tmp_path).ask(asks(), SCHEMA, seed=1).text == text


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [3]}, {"choices": [{"message": "hi"}]}])
def test_a_reply_without_a_message_is_no_answer_and_not_kept(tmp_path, body):
    with replies(body) as server, pytest.raises(NoAnswer, match="no-choices"):
        hired(server, tmp_path).ask(asks(), SCHEMA, seed=1)
    assert list(tmp_path.iterdir()) == []


def test_a_reply_cut_at_the_limit_says_so_and_keeps_saying_it(tmp_path):
    with replies(chat("half", finish="length")) as server:
        assert hired(server, tmp_path).ask(asks(), SCHEMA, seed=1).cut is True
        assert hired(server, tmp_path).ask(asks(), SCHEMA, seed=1).cut is True
        assert len(server.requests) == 1


# ---------------------------------------------------------------------------------- the ledger


def test_tokens_and_money_are_counted_from_the_answers(tmp_path):
    with replies(chat("yes", tokens=1000)) as server:
        teacher = hired(server, tmp_path, price_in=2.0, price_out=10.0)
        for seed in (1, 1, 2):
            teacher.ask(asks(), SCHEMA, seed=seed)
    assert teacher.ledger.to_dict() == {
        "calls": 2, "replayed": 1, "tokens_in": 100, "tokens_out": 2000, "unmetered": 0,
        "price_in": 2.0, "price_out": 10.0, "budget": None, "spent": 0.0202,
    }  # fmt: skip


def test_an_answer_without_usage_is_estimated_from_above(tmp_path):
    with replies({"choices": [{"message": {"content": "yes"}}], "usage": {"prompt_tokens": "many"}}) as server:
        teacher = hired(server, tmp_path)
        teacher.ask(asks("x" * 1000), SCHEMA, seed=1)
    assert (teacher.ledger.unmetered, teacher.ledger.tokens_in, teacher.ledger.tokens_out) == (1, 600, 100)


def test_the_budget_stops_before_the_call_that_could_pass_it(tmp_path):
    # A call is feared to cost .0202 (102 tokens in, 100 out) and costs .007; after three, .021 + .0202 is too much.
    with replies(chat("yes", tokens=20)) as server:
        teacher = hired(server, tmp_path, price_in=100.0, price_out=100.0, budget=0.04)
        for seed in (1, 2, 3):
            teacher.ask(asks(), SCHEMA, seed=seed)
        for _ in range(2):
            with pytest.raises(Stopped, match=r"could pass the budget of 0\.04"):
                teacher.ask(asks(), SCHEMA, seed=4)
        assert teacher.ask(asks(), SCHEMA, seed=1).text == "yes", "what is kept costs nothing"
        assert len(server.requests) == 3
    assert teacher.ledger.spent == pytest.approx(0.021)
    assert teacher.ledger.reserved == 0


def test_calls_under_way_count_against_the_budget(tmp_path):
    ready, go = threading.Barrier(5), threading.Event()

    def answer(path, body, number):
        ready.wait(10)
        go.wait(10)
        return chat("yes", tokens=100)

    stopped = []
    with serving(answer) as server:
        teacher = hired(server, tmp_path, price_out=100.0, budget=0.04)

        def ask(seed):
            try:
                teacher.ask(asks(), SCHEMA, seed)
            except Stopped:
                stopped.append(seed)

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        ready.wait(10)  # four calls at .01 each are on their way
        ask(9)
        go.set()
        for thread in threads:
            thread.join()
    assert stopped == [9]
    assert teacher.ledger.spent == pytest.approx(0.04)


# ------------------------------------------------------------------------------- address and key


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"),
        ("https://host/v1/", "https://host/v1"),
        ("https://host/api/v1/chat/completions", "https://host/api/v1"),
        (" https://host/v1beta/openai ", "https://host/v1beta/openai"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_the_address_is_read_as_people_give_it(given, used):
    assert teacher_url(given) == used


@pytest.mark.parametrize("bad", ["", "host:80", "ftp://host", "http://", "https://host/v1?key=abc"])
def test_a_useless_address_is_refused(bad):
    with pytest.raises(CannotRun, match="must look like"):
        teacher_url(bad)


def test_a_password_in_the_address_is_refused_and_not_shown():
    with pytest.raises(CannotRun) as caught:
        teacher_url(f"https://me:{KEY}@host/v1")
    assert KEY not in caught.value.message


def test_the_teachers_key_goes_before_openais():
    assert key_from(KEY_NAMES, {"TEACHER_API_KEY": " a ", "OPENAI_API_KEY": "b"}) == "a"
    assert key_from(KEY_NAMES, {"TEACHER_API_KEY": "", "OPENAI_API_KEY": "b"}) == "b"
    assert key_from(KEY_NAMES, {}) == ""


@pytest.mark.parametrize("bad", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(bad):
    with pytest.raises(CannotRun) as caught:
        key_from(KEY_NAMES, {"OPENAI_API_KEY": bad})
    assert bad not in caught.value.message


def test_a_server_that_repeats_the_key_spreads_it_nowhere(tmp_path):
    answers = [chat(f"your key is {KEY}"), (500, {"error": KEY}), (400, {"error": KEY})]
    with serving(lambda path, body, number: answers[body["seed"]]) as server:
        teacher = make_teacher(server.url, SETTINGS, Cassette(tmp_path), Ledger(), KEY, 5)
        teacher._sleep = lambda seconds: None
        assert teacher.ask(asks(), SCHEMA, seed=0).text == "your key is ***"
        for seed in (1, 2):
            with pytest.raises(NoAnswer) as caught:
                teacher.ask(asks(), SCHEMA, seed)
            assert KEY not in str(caught.value)
    assert KEY not in repr(teacher.http)
    assert all(KEY not in path.read_text() for path in tmp_path.iterdir())
