"""JUnit XML: parsed back, the counts right, a fault of the server never a failure of the model."""

from xml.etree import ElementTree

from evaluator.junit import junit_report
from tests.page_support import HOSTILE, result


def parsed(*args, **more):
    return ElementTree.fromstring(junit_report(result(*args, **more)).encode())


def test_each_outcome_has_its_element():
    root = parsed("mine", "pfli")
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert list(cases) == ["c0", "c1", "c2", "c3"]
    assert list(cases["c0"]) == []
    failure = cases["c1"].find("failure")
    assert failure.get("type") == "wrong-tool" and failure.get("message") == "wrong-tool: called All done."
    assert "asked: Please do c1." in failure.text and "called: manager_All done." in failure.text
    assert [cases[name].find("error").get("type") for name in ("c2", "c3")] == ["server_lost", "infra"]
    assert "did not deliver" in cases["c2"].find("error").get("message")
    assert cases["c1"].find("system-out").text == "All done."


def test_counts_and_times_add_up():
    root = parsed("mine", "ppffli")
    for element in (root, root.find("testsuite")):
        assert [element.get(name) for name in ("tests", "failures", "errors", "time")] == ["6", "2", "2", "9.000"]
    assert root.find("testsuite").get("name") == "baseline"
    properties = {entry.get("name"): entry.get("value") for entry in root.iter("property")}
    assert properties["label"] == "mine" and properties["format"] == "native"


def test_hostile_words_are_words():
    root = parsed(HOSTILE, "fi", HOSTILE)
    assert [element.tag for element in root.iter()].count("testcase") == 2
    assert "</script>" in root.find(".//failure").text and "␀" in root.find(".//system-out").text


def test_a_reply_of_10_mb_is_shortened():
    text = junit_report(result("a", "f", "y" * 10_000_000))
    assert len(text) < 20_000 and "10,000,000 characters in all" in text


def test_attempts_have_names_of_their_own():
    assert [case.get("name") for case in parsed("a", "pf p").iter("testcase")] == [
        "c0, attempt 1", "c0, attempt 2", "c1, attempt 1",
    ]  # fmt: skip


def test_a_run_that_was_stopped_is_no_success():
    root = parsed("a", "p", stopped="interrupted")
    assert root.get("errors") == "1"
    assert root.find(".//testcase[@name='complete']/error").get("message") == "interrupted"
