"""All cases asked by a few threads, each attempt judged and written down; results in the order of the cases."""

import json
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace

from evaluator.bfcl import Question
from evaluator.cases import Case
from evaluator.checkers import judge
from evaluator.conversation import FORMATS, Asking, Conversation
from evaluator.goals import run_plan
from evaluator.journal import Calls, Journal
from evaluator.question_checker import judge_question
from lib.toolset import Toolset
from lib.transport import Fault
from lib.vault import diff, render_diff

SERVER_GONE = "server-gone"


def _blank(case: Case, number: int) -> dict:
    record = {"id": case.id, "attempt": number, "set": case.prompt_set, "tags": list(case.tags)}
    return record | {"tools": list(case.tools), "question": case.question}


def attempt(case: Case, asking: Asking, form: str, number: int = 1) -> dict:
    """The record of one attempt: what was sent and said, what the calls did, the verdict and the outcome.

    number: from 1; each attempt at a case samples with its own seed.
    """
    started = time.monotonic()
    sampling = replace(asking.sampling, seed=asking.sampling.seed + number - 1)
    asking = replace(asking, sampling=sampling)
    record = _blank(case, number) | {"seed": sampling.seed}
    try:
        talk = FORMATS[form](case, asking)
    except Fault as fault:
        return _infra(record, fault.code, fault.message, started)
    more = {"steps": talk.steps, "seconds": round(time.monotonic() - started, 3)}
    return record | verdict_on(case, talk, asking.toolset) | more


def verdict_on(case: Case, talk: Conversation, toolset: Toolset) -> dict:
    """The fields of a record that the checker decides: outcome, findings, the calls they are about, what these did."""
    if isinstance(case, Question):
        verdict = judge_question(case, talk.calls, talk.reply, talk.cut_off)
    else:
        verdict = judge(case, talk.calls, talk.reply, talk.vault, toolset, talk.cut_off)
    return {
        "outcome": "model_fail" if not verdict.passed else "server_lost" if talk.lost else "pass",
        "right_tool": verdict.right_tool,
        "valid_call": verdict.valid_call,
        "lost": talk.lost,
        "findings": [asdict(finding) for finding in verdict.findings],
        "calls": [{"name": call.name, "arguments": call.arguments, "source": call.source} for call in talk.calls],
        "reply": talk.reply,
        "used": len(talk.calls),
        "minimum": len(case.tools) if isinstance(case, Question) else case.minimum,
        **_effects(case, talk, toolset, verdict.passed),
    }


def _effects(case: Case, talk: Conversation, toolset: Toolset, passed: bool) -> dict[str, str]:
    """changes: what the calls did to the vault; wanted: what the gold plan does to it, where the answer failed.

    Both "" where calls are not run.
    """
    if not case.runs:
        return {"changes": "", "wanted": ""}
    found = {"changes": render_diff(diff(case.fresh_vault(), talk.vault, volatile=False)), "wanted": ""}
    if case.gold and not passed:
        vault = case.fresh_vault()
        run_plan(vault, list(case.gold), toolset)
        found["wanted"] = render_diff(diff(case.fresh_vault(), vault, volatile=False))
    return found


def _infra(record: dict, code: str, message: str, started: float) -> dict:
    finding = {"code": code, "message": message, "path": "server", "severity": "error"}
    blank = {"right_tool": False, "valid_call": False, "lost": False, "calls": [], "reply": "", "steps": []}
    return record | {
        "outcome": "infra",
        **blank,
        "findings": [finding],
        "seconds": round(time.monotonic() - started, 3),
    }


def in_order(cases: Sequence[Case | Question]) -> list[Case | Question]:
    """The cases as they are asked: those that offer the same tools one after the other, since these open the prompt
    and a server keeps its beginning; among them those with the most calls first, so that none is left alone at the end.
    """
    groups: dict[str, list] = {}
    for case in cases:
        groups.setdefault(json.dumps(case.functions) if case.functions else "", []).append(case)
    return [case for group in groups.values() for case in sorted(group, key=lambda case: -len(case.tools))]


class Runner:
    """Asks what the journal does not hold yet.

    gone: why the server can no longer be asked, "" while it can. settled: what settle(records so far) gives; once it is
    not "", no further case is asked, and those under way are kept.
    """

    def __init__(self, cases: list[Case], asking: Asking, form: str, journal: Journal, repeats: int = 1):
        # Every case once, then every case again: what an interrupted run has is as even as can be.
        ordered = in_order(cases)
        self.jobs = [(case, number) for number in range(1, repeats + 1) for case in ordered]
        self.cases = {case.id: case for case in cases}
        self.asking = asking
        self.form = form
        self.journal = journal
        self.calls = Calls(journal, asking.backend.key)
        self.settle: Callable[[Collection[dict]], str] = lambda records: ""
        self.gone = ""
        self.settled = ""
        wanted = {(case.id, number) for case, number in self.jobs}
        self.records: dict[tuple[str, int], dict] = {key: row for key, row in journal.done.items() if key in wanted}
        self._looking = threading.Lock()
        self._keeping = threading.Lock()
        self._stop = threading.Event()

    def run(self, parallel: int, on_record: Callable[[dict], None] = lambda record: None) -> None:
        """Makes every open attempt. On Ctrl-C it returns at once by raising; what is judged is in the journal."""
        waiting: queue.SimpleQueue[tuple[Case, int]] = queue.SimpleQueue()
        for case, number in self.jobs:
            if (case.id, number) not in self.records:
                waiting.put((case, number))
        finished: queue.SimpleQueue[dict | BaseException | None] = queue.SimpleQueue()
        workers = [
            # A daemon, so that a hanging request cannot keep an interrupted program alive.
            threading.Thread(target=self._work, args=(waiting, finished), daemon=True)
            for _ in range(max(1, parallel))
        ]
        self.settled = self.settle(self.records.values())
        self.asking.backend.http.tape = self.calls
        for worker in workers:
            worker.start()
        running = len(workers)
        try:
            while running:
                item = finished.get()
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    on_record(item)
        finally:
            self._stop.set()

    def _work(self, waiting: queue.SimpleQueue, finished: queue.SimpleQueue) -> None:
        try:
            while not (self._stop.is_set() or self.settled):
                try:
                    case, number = waiting.get_nowait()
                except queue.Empty:
                    break
                record = self._attempt(case, number)
                if self._stop.is_set():
                    break
                self.journal.add(record)
                with self._keeping:
                    self.records[case.id, number] = record
                    self.settled = self.settled or self.settle(self.records.values())
                finished.put(record)
        except BaseException as error:  # a bug: the main thread raises it
            finished.put(error)
        finally:
            finished.put(None)

    def _attempt(self, case: Case, number: int) -> dict:
        if self.gone:
            return _infra(_blank(case, number), SERVER_GONE, self.gone, time.monotonic())
        with self.calls.of(case.id, number):
            record = attempt(case, self.asking, self.form, number)
        if record["outcome"] == "infra" and not self.gone:
            self._look_for_server(record["findings"][0])
        return record

    def _look_for_server(self, finding: dict) -> None:
        """After a broken connection: is anybody there? If not, the rest is not even asked."""
        if finding["code"] != "connection":
            return
        with self._looking:
            if self.gone:
                return
            try:
                self.asking.backend.ready()
            except Fault as fault:
                self.gone = fault.message

    def results(self) -> list[dict]:
        """The records so far, in the order of the cases, the attempts at a case one after the other."""
        places = {case_id: place for place, case_id in enumerate(self.cases)}
        with self._keeping:
            return [self.records[key] for key in sorted(self.records, key=lambda key: (places[key[0]], key[1]))]
