"""All cases asked by a few threads, each attempt judged and written down; results in the order of the cases."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict

from evaluator.cases import Case
from evaluator.checkers import judge
from evaluator.conversation import FORMATS, Asking
from evaluator.journal import Journal
from lib.transport import Fault

SERVER_GONE = "server-gone"


def attempt(case: Case, asking: Asking, form: str) -> dict:
    """The record of one case: what was sent and said, what the calls did, the verdict and the outcome."""
    started = time.monotonic()
    record = {"id": case.id, "set": case.prompt_set, "tags": list(case.tags), "tools": list(case.tools)}
    record["question"] = case.question
    try:
        talk = FORMATS[form](case, asking)
    except Fault as fault:
        return _infra(record, fault.code, fault.message, started)
    verdict = judge(case, talk.calls, talk.reply, talk.vault, asking.toolset, talk.cut_off)
    outcome = "model_fail" if not verdict.passed else "server_lost" if talk.lost else "pass"
    return record | {
        "outcome": outcome,
        "right_tool": verdict.right_tool,
        "valid_call": verdict.valid_call,
        "lost": talk.lost,
        "findings": [asdict(finding) for finding in verdict.findings],
        "calls": [{"name": call.name, "arguments": call.arguments, "source": call.source} for call in talk.calls],
        "reply": talk.reply,
        "steps": talk.steps,
        "seconds": round(time.monotonic() - started, 3),
    }


def _infra(record: dict, code: str, message: str, started: float) -> dict:
    finding = {"code": code, "message": message, "path": "server", "severity": "error"}
    blank = {"right_tool": False, "valid_call": False, "lost": False, "calls": [], "reply": "", "steps": []}
    return record | {
        "outcome": "infra",
        **blank,
        "findings": [finding],
        "seconds": round(time.monotonic() - started, 3),
    }


class Runner:
    """Asks what the journal does not hold yet. `gone` says why the server can no longer be asked, "" while it can."""

    def __init__(self, cases: list[Case], asking: Asking, form: str, journal: Journal):
        self.cases = cases
        self.asking = asking
        self.form = form
        self.journal = journal
        self.gone = ""
        self.records: dict[str, dict] = {case.id: journal.done[case.id] for case in cases if case.id in journal.done}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def run(self, parallel: int, on_record: Callable[[dict], None] = lambda record: None) -> None:
        """Asks every open case. On Ctrl-C it returns at once by raising; what is judged is in the journal."""
        waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in self.cases:
            if case.id not in self.records:
                waiting.put(case)
        finished: queue.SimpleQueue[dict | BaseException | None] = queue.SimpleQueue()
        workers = [
            # A daemon, so that a hanging request cannot keep an interrupted program alive.
            threading.Thread(target=self._work, args=(waiting, finished), daemon=True)
            for _ in range(max(1, parallel))
        ]
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
                    self._keep(item)
                    on_record(item)
        finally:
            self._stop.set()

    def _keep(self, record: dict) -> None:
        self.records[record["id"]] = record
        self.journal.add(record)

    def _work(self, waiting: queue.SimpleQueue, finished: queue.SimpleQueue) -> None:
        try:
            while not self._stop.is_set():
                try:
                    case = waiting.get_nowait()
                except queue.Empty:
                    break
                record = self._not_asked(case) if self.gone else attempt(case, self.asking, self.form)
                if record["outcome"] == "infra" and not self.gone:
                    self._look_for_server(record["findings"][0])
                if not self._stop.is_set():
                    finished.put(record)
        except BaseException as error:  # a bug: the main thread raises it
            finished.put(error)
        finally:
            finished.put(None)

    def _look_for_server(self, finding: dict) -> None:
        """After a broken connection: is anybody there? If not, the rest is not even asked."""
        if finding["code"] != "connection":
            return
        with self._lock:
            if self.gone:
                return
            try:
                self.asking.backend.ready()
            except Fault as fault:
                self.gone = fault.message

    def _not_asked(self, case: Case) -> dict:
        record = {"id": case.id, "set": case.prompt_set, "tags": list(case.tags), "tools": list(case.tools)}
        return _infra(record | {"question": case.question}, SERVER_GONE, self.gone, time.monotonic())

    def results(self) -> list[dict]:
        """The records so far, in the order of the cases."""
        return [self.records[case.id] for case in self.cases if case.id in self.records]
