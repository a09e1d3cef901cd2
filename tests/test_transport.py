"""lib.transport: what only a remote server asks of it; replies and faults are tested with the evaluator's servers."""

import pytest

from lib.transport import Fault, Http, seconds_until, with_retries
from tests.loopback import serving

NOON = 1_762_171_200.0  # 2025-11-03 12:00:00 UTC


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Mon, 03 Nov 2025 12:00:30 GMT", 30.0),
        ("Mon, 03 Nov 2025 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header, expected):
    assert seconds_until(header, NOON) == expected


def test_a_fault_carries_the_wait_that_the_server_asks_for():
    busy = (429, {"error": "slow down"}, {"Retry-After": "9"})
    with serving(lambda path, body, number: busy) as server, pytest.raises(Fault) as caught:
        Http(server.url).post("/v1/chat/completions", {})
    assert (caught.value.code, caught.value.wait) == ("rate-limited", 9.0)


@pytest.mark.parametrize(("asked", "through"), [(True, "http://proxy:3128"), (False, None)])
def test_a_proxy_counts_only_when_asked_for(monkeypatch, asked, through):
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    assert Http("http://teacher.example", proxies=asked)._proxy() == through
    monkeypatch.setenv("http_proxy", "socks5://proxy:1080")
    if asked:
        with pytest.raises(Fault, match="only http:// ones"):
            Http("http://teacher.example", proxies=True).get("/")


def test_a_reply_that_drips_ends_at_the_deadline():
    with serving(lambda path, body, number: "drip") as server, pytest.raises(Fault) as caught:
        Http(server.url, timeout=0.3).post("/v1/chat/completions", {})
    assert (caught.value.code, caught.value.message) == (
        "timeout",
        "the reply was still coming when its time was over",
    )


def test_a_head_that_drips_ends_at_the_deadline_and_the_next_question_is_answered():
    with serving(lambda path, body, number: {"ok": 1} if number else "drip head") as server:
        http = Http(server.url, timeout=0.3)
        with pytest.raises(Fault) as caught:
            http.get("/")
        assert (caught.value.code, caught.value.retry) == ("timeout", False)
        assert http.get("/") == {"ok": 1}


@pytest.mark.parametrize(
    ("waits", "slept"), [([None], [0.5]), ([0.2], [0.5]), ([7.0], [7.0]), ([7.0, None, 59.0], [7.0, 1.0, 59.0])]
)
def test_a_server_gets_the_pause_it_asks_for(waits, slept):
    faults, pauses = [Fault("rate-limited", "slow down", 429, retry=True, wait=wait) for wait in waits], []

    def ask():
        if faults:
            raise faults.pop(0)
        return "answer"

    assert with_retries(ask, pauses.append) == "answer" and pauses == slept


def test_a_pause_of_an_hour_is_not_waited_for():
    def ask():
        raise Fault("rate-limited", "slow down", 429, retry=True, wait=3600.0)

    with pytest.raises(Fault):
        with_retries(ask, lambda seconds: pytest.fail("slept"))


def test_a_key_that_a_server_repeats_is_not_told():
    refusal = (401, {"error": {"message": "Incorrect API key provided: secret-key."}})
    with serving(lambda path, body, number: refusal) as server, pytest.raises(Fault) as caught:
        Http(server.url, headers={"Authorization": "Bearer secret-key"}).get("/v1/models")
    assert "secret-key" not in str(caught.value) and "Incorrect API key" in str(caught.value)
