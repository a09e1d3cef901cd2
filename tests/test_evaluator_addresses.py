"""Addresses of model servers, from flags, the environment, or the usual port."""

import pytest

from evaluator.addresses import server_key, server_url, windows_host
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
        ("'box:9000'", "http://box:9000"),
        ('" 1.2.3.4 "', "http://1.2.3.4:11434"),
        ("1.2.3.4:0", "http://1.2.3.4:11434"),
        ("1.2.3.4:66000", "http://1.2.3.4:11434"),
        ("1.2.3.4:-1", "http://1.2.3.4:11434"),
        ("box:port", "http://box:11434"),
        ("http://box:port", "http://box:80"),
        ("[::1]:66000", "http://[::1]:11434"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("http://box:9000/", "http://box:9000"),
        ("ollama.com", "https://ollama.com:443"),
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


def test_each_server_has_its_own_key_and_none_is_shown():
    environment = {"OPENAI_API_KEY": "o", "LM_API_TOKEN": " t\n", "LLAMA_API_KEY": "a b"}
    assert [server_key(name, environment) for name in ("openai", "vllm", "lmstudio", "ollama")] == ["o", "o", "t", ""]
    with pytest.raises(CannotRun, match="LLAMA_API_KEY holds blanks") as caught:
        server_key("llamacpp", environment)
    assert "a b" not in caught.value.message


def test_a_password_in_an_address_is_refused_without_being_shown():
    with pytest.raises(CannotRun) as caught:
        server_url("openai", url="http://me:secret@box")
    assert "secret" not in caught.value.message


ROUTES = "Iface\tDestination\tGateway\neth0\t0000FEA9\t00000000\neth0\t00000000\t01E017AC\n"


@pytest.mark.parametrize(
    ("version", "routes", "expected"),
    [
        ("Linux version 5.15.153.1-microsoft-standard-WSL2", ROUTES, "172.23.224.1"),
        ("Linux version 6.1.0-21-amd64", ROUTES, ""),
        ("Linux version 5.15.153.1-microsoft-standard-WSL2", "Iface\n", ""),
        ("Linux version 5.15.153.1-microsoft-standard-WSL2", "Iface\nlo\n", ""),
        (None, None, ""),
    ],
)
def test_the_windows_host_is_the_gateway_of_wsl(tmp_path, version, routes, expected):
    if version:
        (tmp_path / "net").mkdir()
        (tmp_path / "version").write_text(version)
        (tmp_path / "net" / "route").write_text(routes)
    assert windows_host(tmp_path) == expected
