"""Addresses of model servers, from flags, the environment, or the usual port."""

import pytest

from evaluator.addresses import server_url
from lib.errors import CannotRun


@pytest.mark.parametrize(
    "given, expected",
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        (":9000", "http://127.0.0.1:9000"),
        ("box", "http://box:11434"),
        ("box:9000", "http://box:9000"),
        ("192.168.1.5", "http://192.168.1.5:11434"),
        ("http://box:9000", "http://box:9000"),
        ("http://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("::", "http://[::1]:11434"),
        ('"box:9000"', "http://box:9000"),
        (" box ", "http://box:11434"),
    ],
)
def test_ollama_host_is_understood_in_all_its_forms(given, expected):
    assert server_url("ollama", environment={"OLLAMA_HOST": given}) == expected


def test_flags_go_before_the_environment():
    studio = {"LMSTUDIO_HOST": "box", "LMSTUDIO_PORT": "9000"}
    assert server_url("lmstudio", environment=studio) == "http://box:9000"
    assert server_url("lmstudio", port=7, environment=studio) == "http://box:7"
    assert server_url("lmstudio", url="http://else:5/v1", environment=studio) == "http://else:5/v1"
    assert server_url("ollama", host="here", environment={"OLLAMA_HOST": "there"}) == "http://here:11434"


@pytest.mark.parametrize("address", ["box:port", "ftp://box", "http://[::1", "box:99999"])
def test_address_that_is_none_is_refused_in_words(address):
    with pytest.raises(CannotRun, match=r"address|http"):
        server_url("openai", url=address)


def test_port_variable_that_is_no_number_is_refused_by_name():
    with pytest.raises(CannotRun, match="LMSTUDIO_PORT=abc"):
        server_url("lmstudio", environment={"LMSTUDIO_PORT": "abc"})
