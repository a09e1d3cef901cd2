"""scripts/bench_eval.py: its server plays the gold plans, both legs make the same requests, verdicts are compared."""

import json
import threading

from evaluator.cases import load_cases
from lib.toolset import load_toolset
from scripts import bench_eval
from scripts.bench_eval import Leg, answer_to, bare_requests, differing, newest_model, ours
from tests.loopback import serving


def played(names, limit):
    toolset = load_toolset()
    cases = load_cases(names, toolset, limit)
    known = {case.question: case for case in cases}
    return cases, lambda path, body, number: answer_to(body, known, toolset)


def test_our_leg_and_the_bare_one_make_the_same_requests():
    cases, answer = played(["tool_combos"], 6)
    with serving(answer) as server:
        leg = ours(server.url, cases, 3)
        first = [json.dumps(body) for _, body in server.requests]
        server.requests.clear()
        wall, cpu, written = bare_requests(server.url, leg.chains, 3)
        again = [json.dumps(body) for _, body in server.requests]
    assert sorted(first) == sorted(again) and leg.requests == len(first) > len(cases)
    assert written == leg.written == 20 * len(first) and wall > 0 and leg.wall > 0 and cpu > 0
    assert list(leg.verdicts) == [case.id for case in cases]
    assert "pass" in {verdict[0] for verdict in leg.verdicts.values()}


def test_a_verdict_that_depends_on_concurrency_is_told(capsys):
    same = Leg(1.0, verdicts={"a": ("pass",), "b": ("pass",)})
    assert differing({1: same, 4: same}) == [] and "0 of 2 differ" in capsys.readouterr().out
    other = Leg(1.0, verdicts={"a": ("pass",), "b": ("model_fail", "wrong-tool")})
    assert differing({1: same, 4: other}) == ["1 verdicts depend on the concurrency, such as b"]


def test_its_server_answers_no_more_at_once_than_it_has_slots(monkeypatch):
    """Served here in a thread: six questions of 50 ms at two slots take three turns."""
    monkeypatch.setattr(bench_eval, "SLOTS", 2)
    got, most = [], []

    class Ports:
        ready = threading.Event()

        def put(self, port):
            got.append(port)
            self.ready.set()

    running, lock = [0], threading.Lock()

    def counted(body, cases, toolset):
        with lock:
            running[0] += 1
            most.append(running[0])
        try:
            return answer_to(body, cases, toolset)
        finally:
            threading.Event().wait(0.02)
            with lock:
                running[0] -= 1

    monkeypatch.setattr(bench_eval, "answer_to", counted)
    threading.Thread(target=bench_eval.play, args=(["full_coverage"], Ports()), daemon=True).start()
    assert Ports.ready.wait(30)
    cases = load_cases(["full_coverage"], load_toolset(), 6)
    ours(f"http://127.0.0.1:{got[0]}", cases, 6)
    assert max(most) == 2


def test_the_newest_model_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert newest_model() is None
    base = tmp_path / "build" / "toolset-tiny-base" / "gguf" / "toolset-tiny-base-f16.gguf"
    base.parent.mkdir(parents=True)
    base.write_bytes(b"GGUF")
    assert newest_model().name == base.name
