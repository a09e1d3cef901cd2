"""Headless Chromium for tests, driven over the pipe of its own DevTools protocol: no driver, no library, no port."""

import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
PATIENCE = 60  # seconds for one answer of a browser on a busy machine
FLAGS = (
    "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
)  # fmt: skip
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), " ": (32, " ")}


def find() -> str | None:
    """The path of a Chromium: the one that CHROMIUM names, else one on PATH, else macOS's Chrome."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or (str(MAC) if MAC.is_file() else None)


class Browser:
    """One page in one browser. `events`: everything it told since the page was opened."""

    def __init__(self, program: str, folder: Path):
        self.events: list[dict] = []
        self._session, self._count, self._buffer = "", 0, b""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # Above the numbers that the browser is given, so that neither is overwritten.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs_in, theirs_out)]
        actions = [(os.POSIX_SPAWN_DUP2, high[0], 3), (os.POSIX_SPAWN_DUP2, high[1], 4)]
        actions += [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        line = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self._pid = os.posix_spawn(program, line, os.environ, file_actions=actions, setpgroup=0)
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params) -> dict:
        """The answer to one command."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        data = json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while True:
            told = self._next()
            if told.get("id") == self._count:
                assert "error" not in told, f"{method}: {told['error']}"
                return told["result"]
            self.events.append(told)

    def _next(self) -> dict:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        told, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(told)

    def open(self, path: Path, width: int = 1200, dark: bool = False) -> None:
        """Shows a file in a window of this width, and waits until it is loaded."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def js(self, expression: str):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, selector: str) -> None:
        """Waits until something on the page fits the selector."""
        end = time.monotonic() + PATIENCE
        while not self.js(f"document.querySelector({json.dumps(selector)}) !== null"):
            assert time.monotonic() < end, f"no {selector} appears"
            time.sleep(0.01)

    def press(self, key: str) -> None:
        code, text = KEYS[key]
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **typed)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def complaints(self) -> list:
        """What went to the console as an error or warning, uncaught exceptions, and what the page's policy blocked."""
        self.js("new Promise(done => setTimeout(done))")
        bad = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            level = params.get("type") if method == "Runtime.consoleAPICalled" else params.get("entry", {}).get("level")
            if method == "Runtime.exceptionThrown" or level in ("error", "warning", "assert"):
                bad.append(params)
        return bad

    def requested(self) -> list[str]:
        """Every address that was asked for since the page was opened."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def close(self) -> None:
        """Ends the browser and all that it started."""
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        for fd in (self._in, self._out):
            os.close(fd)
