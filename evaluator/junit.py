"""JUnit XML of a run, for CI: one test case an attempt; a fault of the server is an error, never a failure."""

from collections.abc import Sequence

from evaluator.shown import shown

LINE = 300  # characters of a message


def junit_report(result: dict) -> str:
    """The XML: a suite for each prompt set, with the settings as its properties.

    model_fail is a <failure> with the first finding's code as type; server_lost and infra are <error>s of those types.
    A run that was stopped has one more error, so that what was not asked does not look like success.
    """
    from xml.etree import ElementTree

    records = result.get("records", [])
    stopped = bool(result.get("stopped"))
    root = ElementTree.Element("testsuites", {"name": line_of(result.get("label", ""))} | counts(records, stopped))
    for name in dict.fromkeys(record.get("set", "") for record in records):
        group = [record for record in records if record.get("set", "") == name]
        add_suite(root, name, group, result)
    if stopped:
        suite = ElementTree.SubElement(root, "testsuite", {"name": "evaluation"} | counts([], True))
        case = ElementTree.SubElement(suite, "testcase", {"classname": "evaluation", "name": "complete", "time": "0"})
        ElementTree.SubElement(case, "error", {"type": "stopped", "message": line_of(result["stopped"])})
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def counts(records: Sequence[dict], stopped: bool = False) -> dict[str, str]:
    """The attributes that a suite and the whole file have in common."""
    outcomes = [record["outcome"] for record in records]
    failures, passed = outcomes.count("model_fail"), outcomes.count("pass")
    return {
        "tests": str(len(outcomes) + stopped),
        "failures": str(failures),
        "errors": str(len(outcomes) - failures - passed + stopped),
        "skipped": "0",
        "time": f"{sum(record.get('seconds') or 0 for record in records):.3f}",
    }


def add_suite(root, name: str, records: Sequence[dict], result: dict) -> None:
    """The prompt set as a suite below root."""
    from xml.etree.ElementTree import SubElement

    suite = SubElement(root, "testsuite", {"name": line_of(name)} | counts(records))
    if result.get("finished"):
        suite.set("timestamp", line_of(result["finished"]))
    properties = SubElement(suite, "properties")
    for key, value in {"label": result.get("label", ""), **result.get("settings", {})}.items():
        SubElement(properties, "property", {"name": line_of(key), "value": line_of(value)})
    several = any(record.get("attempt", 1) > 1 for record in records)
    for record in records:
        add_case(suite, name, record, several)


def add_case(suite, name: str, record: dict, several: bool) -> None:
    """One attempt as a test case, with what is held against it, and what the model said."""
    from xml.etree.ElementTree import SubElement

    title = f"{record['id']}, attempt {record.get('attempt', 1)}" if several else record["id"]
    seconds = f"{record.get('seconds') or 0:.3f}"
    case = SubElement(suite, "testcase", {"classname": line_of(name), "name": line_of(title), "time": seconds})
    outcome, findings = record["outcome"], record.get("findings", [])
    if outcome == "pass":
        return
    said = [f"{finding['code']}: {shown(finding['message'], LINE)}" for finding in findings]
    if outcome == "server_lost":
        said.insert(0, "the server did not deliver a call that the model's text holds")
    failed = outcome == "model_fail"
    kind = findings[0]["code"] if failed and findings else outcome
    message = line_of(said[0] if said else outcome)
    tag = SubElement(case, "failure" if failed else "error", {"type": line_of(kind), "message": message})
    tag.text = "\n".join([*said, *called(record)])
    if record.get("reply"):
        SubElement(case, "system-out").text = shown(record["reply"])


def called(record: dict) -> list[str]:
    """The question and the calls, a line each."""
    lines = [f"asked: {shown(record.get('question', ''), LINE)}"]
    for call in record.get("calls", [])[:20]:
        lines.append(f"called: {line_of(call['name'])} {line_of(call.get('arguments'))}")
    return lines


def line_of(value: object) -> str:
    """A value on one line, shortened."""
    return " ".join(shown(value, LINE).split())
