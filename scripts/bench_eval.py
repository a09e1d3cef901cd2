"""Measure what the evaluator adds to the time that a model server takes, and whether concurrency changes a verdict.

\b
    python -m scripts.bench_eval
    python -m scripts.bench_eval --gguf runs/20251122_110000-kto-tiny/gguf/toolset-tiny-kto-f16.gguf --rounds 5

First against a server on this machine with 4 slots that answers after 50 ms: the wall time beside the ideal one
(requests x 50 ms / 4), and the evaluator's own time a case. That is the CPU time of this process, user's and system's,
all threads: HTTP, JSON, the simulator, judging, the journal. The server is another process, so its time is not in it,
nor is the waiting; CPU time and not wall time, because the server's own delays beyond 50 ms are in the wall time.
Then against llama-server: the wall time beside that of the bare requests, the same ones in the same order from as many
threads, without judging or journal. The two take turns, each on a server of its own. Exit 1 when a limit is missed.
"""

import json
import multiprocessing
import queue
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import click

from lib.cli import command, log, option

SLOTS, DELAY = 4, 0.05  # of the server that only waits
WALL_LIMIT, OWN_LIMIT, BARE_LIMIT = 1.15, 0.002, 1.05  # times ideal; seconds a case; times the bare requests


@dataclass
class Leg:
    """One run over all cases. wall and cpu: seconds; verdicts: case id -> outcome and codes of the findings;
    chains: the exchanges of each attempt, in its order; written: tokens."""

    wall: float
    cpu: float = 0.0
    written: int = 0
    verdicts: dict[str, tuple] = field(default_factory=dict)
    chains: list[list[tuple[str, bytes]]] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(map(len, self.chains))


@command(help=__doc__)
@option("--prompts", default="full_coverage,tool_combos", help="Prompt sets for the server that only waits.")
@click.option("--gguf", type=click.Path(path_type=Path), help="Model for llama-server. Default: the newest run's f16.")
@option("--cases", type=click.IntRange(min=4), default=24, help="Cases of full_coverage that the model is asked.")
@option("--rounds", type=click.IntRange(min=1), default=3, help="How often model and bare requests take turns.")
@option("--max-tokens", type=click.IntRange(min=1), default=96, help="Longest answer of the model.")
@click.pass_context
def main(ctx, prompts, gguf, cases, rounds, max_tokens):
    failed = waiting_server(prompts.split(","))
    gguf = gguf or newest_model()
    if gguf is None:
        log("No model file, so llama-server is not measured. Make one: make gguf.")
    else:
        failed += real_server(gguf, cases, rounds, max_tokens)
    for why in failed:
        log(f"Not met: {why}")
    ctx.exit(1 if failed else 0)


def newest_model() -> Path | None:
    """The f16 file of the newest finished run, else that of the untrained base."""
    from lib.gguf_source import base_folder
    from lib.runs import newest

    run = newest(None)
    folders = [run / "gguf"] if run else []
    found = [path for folder in [*folders, base_folder("tiny", "none")] for path in sorted(folder.glob("*-f16.gguf"))]
    return found[0] if found else None


def waiting_server(prompts: list[str]) -> list[str]:
    """Prints how close to the ideal the evaluator comes on a server that only waits; the limits that it misses."""
    from evaluator.cases import load_cases
    from lib.toolset import load_toolset

    cases = load_cases(prompts, load_toolset())
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    process = context.Process(target=play, args=(prompts, ports), daemon=True)
    process.start()
    try:
        url = f"http://127.0.0.1:{ports.get(timeout=60)}"
        ours(url, cases[:4], 4)  # opens what is opened once
        legs = {parallel: ours(url, cases, parallel, keep=False) for parallel in (1, 2, SLOTS)}
    finally:
        process.terminate()
    click.echo(f"{len(cases)} cases, {SLOTS} slots, {DELAY * 1000:.0f} ms an answer")
    click.echo(f"{'at once':>8}{'requests':>10}{'wall s':>9}{'ideal s':>9}{'ratio':>7}{'own ms a case':>15}")
    failed = differing(legs)
    for parallel, leg in legs.items():
        ideal = leg.requests * DELAY / parallel
        ratio, own = leg.wall / ideal, leg.cpu / len(cases)
        click.echo(f"{parallel:>8}{leg.requests:>10}{leg.wall:>9.2f}{ideal:>9.2f}{ratio:>7.3f}{own * 1000:>15.2f}")
        if ratio > WALL_LIMIT:
            failed.append(f"{ratio:.3f} times the ideal wall time at {parallel}, limit {WALL_LIMIT}")
        if own > OWN_LIMIT:
            failed.append(f"{own * 1000:.2f} ms of its own a case at {parallel}, limit {OWN_LIMIT * 1000:g}")
    return failed


def real_server(gguf: Path, count: int, rounds: int, max_tokens: int) -> list[str]:
    """Prints our wall time beside that of the bare requests on llama-server; the limits that are missed."""
    from evaluator.cases import load_cases
    from lib.toolset import load_toolset

    cases = load_cases(["full_coverage"], load_toolset(), count)
    click.echo(f"{gguf.name}, {len(cases)} cases, answers of at most {max_tokens} tokens, {SLOTS} at once")
    walls, failed = {"ours": [], "bare": []}, []
    for number in range(rounds):
        leg = on_llama_server(gguf, lambda url: ours(url, cases, SLOTS, max_tokens))
        bare = on_llama_server(gguf, lambda url, chains=leg.chains: Leg(*bare_requests(url, chains, SLOTS)))
        walls["ours"].append(leg.wall)
        walls["bare"].append(bare.wall)
        click.echo(
            f"round {number + 1}: ours {leg.wall:.2f} s ({leg.requests} requests, {leg.written} tokens, "
            f"{1000 * leg.cpu / len(cases):.2f} ms of its own a case), bare {bare.wall:.2f} s ({bare.written} tokens)"
        )
    ratio = sum(walls["ours"]) / sum(walls["bare"])
    click.echo(f"ours/bare {ratio:.3f}, limit {BARE_LIMIT}")
    if ratio > BARE_LIMIT:
        failed.append(f"{ratio:.3f} times the wall time of the bare requests, limit {BARE_LIMIT}")
    legs = {n: on_llama_server(gguf, lambda url, n=n: ours(url, cases, n, max_tokens)) for n in (1, 2)}
    return failed + differing({**legs, SLOTS: leg})


def on_llama_server(gguf: Path, measure):
    """What measure(url) gives on a llama-server of its own."""
    from lib.server import serve

    with serve(gguf, parallel=SLOTS) as server:
        return measure(server.url)


def ours(url: str, cases: list, parallel: int, max_tokens: int = 512, keep: bool = True) -> Leg:
    """All cases asked by the evaluator's own runner, judged and written to a journal. keep: the bodies that it sent."""
    from evaluator.conversation import Asking
    from evaluator.journal import Calls, Journal
    from evaluator.llama_server import LlamaCpp
    from evaluator.replies import Sampling
    from evaluator.runner import Runner
    from lib.toolset import load_toolset

    chains = defaultdict(list)

    class Noting(Calls):
        def __call__(self, path, body, key, ask):
            chains[self._local.attempt["id"]].append((path, body if keep else b""))
            return super().__call__(path, body, key, ask)

    asking = Asking(LlamaCpp(url), load_toolset(), Sampling(max_tokens=max_tokens))
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder), {}, False) as journal:
        runner = Runner(cases, asking, "native", journal)
        runner.calls = Noting(journal)
        start, cpu = time.perf_counter(), time.process_time()
        runner.run(parallel)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    records = runner.results()
    verdicts = {r["id"]: (r["outcome"], *sorted({found["code"] for found in r["findings"]})) for r in records}
    written = sum(step["reply_tokens"] or 0 for record in records for step in record["steps"])
    return Leg(wall, cpu, written, verdicts, [chains[case.id] for case, _ in runner.jobs])


def bare_requests(url: str, chains: list, parallel: int) -> tuple[float, float, int]:
    """(wall seconds, CPU seconds, tokens written) of the same exchanges and nothing else."""
    import requests

    waiting, written = queue.SimpleQueue(), []
    for chain in chains:
        waiting.put(chain)

    def work():
        with requests.Session() as session:
            session.trust_env = False
            while True:
                try:
                    chain = waiting.get_nowait()
                except queue.Empty:
                    return
                for path, body in chain:
                    answer = session.post(url + path, data=body, headers={"Content-Type": "application/json"})
                    usage = json.loads(answer.content).get("usage") or {}
                    written.append(usage.get("completion_tokens") or 0)

    threads = [threading.Thread(target=work) for _ in range(parallel)]
    start, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, time.process_time() - cpu, sum(written)


def differing(legs: dict[int, Leg]) -> list[str]:
    """Cases whose verdict is not the same at every concurrency, as one sentence."""
    first, *others = legs.values()
    cases = [case for case in first.verdicts if any(leg.verdicts[case] != first.verdicts[case] for leg in others)]
    click.echo(f"verdicts at {', '.join(map(str, legs))} at once: {len(cases)} of {len(first.verdicts)} differ")
    return [f"{len(cases)} verdicts depend on the concurrency, such as {cases[0]}"] if cases else []


def play(prompts: list[str], ports) -> None:
    """Serves a model that does what the gold plan of the asked case says: SLOTS answers at once, DELAY each."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from evaluator.cases import load_cases
    from lib.toolset import load_toolset

    toolset = load_toolset()
    cases = {case.question: case for case in load_cases(prompts, toolset)}
    slots = threading.BoundedSemaphore(SLOTS)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with slots:
                until = time.perf_counter() + DELAY
                content = json.dumps(answer_to(body, cases, toolset)).encode()
                time.sleep(max(0.0, until - time.perf_counter()))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ports.put(server.server_address[1])
    server.serve_forever()


def answer_to(body: dict, cases: dict, toolset) -> dict:
    """The next call of the gold plan, or a last word, as llama-server writes it."""
    from evaluator.cases import filled
    from evaluator.goals import with_context

    case = cases[body["messages"][0]["content"]]
    results = [json.loads(message["content"]) for message in body["messages"] if message["role"] == "tool"]
    message = {"role": "assistant", "content": "Done."}
    if len(results) < len(case.gold):
        call = case.gold[len(results)]
        arguments = with_context(toolset.tools[call["name"]], filled(call["arguments"], results), toolset)
        function = {"name": call["name"], "arguments": json.dumps(arguments)}
        message = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}
    tokens = sum(len(str(sent.get("content"))) for sent in body["messages"])
    usage = {"prompt_tokens": tokens, "completion_tokens": 20}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


if __name__ == "__main__":
    main()
