"""A Chromium without a window, driven through its debugging pipe: keys, clicks, files and what the page shows."""

import base64
import json
import os
import select
import shlex
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from agrifm.assess.pdf import find_browser
from agrifm.errors import AssessmentError

BY_SOFTWARE = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
"""Arguments with which WebGL draws without a graphics card."""
PATIENCE = 60
"""Seconds to wait for the browser."""


def installed() -> bool:
    """Whether there is a Chromium or Chrome."""
    try:
        find_browser()
    except AssessmentError:
        return False
    return True


class Browser:
    """One page in a browser with a profile of its own; its messages are JSON that end with a zero byte."""

    def __init__(
        self, downloads: Path, width: int = 1200, height: int = 900, *, draws_maps: bool = False, dark: bool = False
    ) -> None:
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command_out, self.commands = os.pipe()
        self.answers, answers_in = os.pipe()
        arguments = [
            str(find_browser()), "--headless", "--no-sandbox", *(BY_SOFTWARE if draws_maps else ["--disable-gpu"]),
            "--disable-background-networking", "--no-first-run", f"--user-data-dir={self.profile.name}",
            "--remote-debugging-pipe",
            f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip
        line = f"exec {shlex.join(arguments)} 3<&{command_out} 4>&{answers_in}"
        self.process = subprocess.Popen(
            ["bash", "-c", line], pass_fds=(command_out, answers_in), stderr=subprocess.DEVNULL
        )
        os.close(command_out)
        os.close(answers_in)
        self.left, self.number, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call("Network.enable")
        self.call("Log.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        if dark:
            scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
            self.call("Emulation.setEmulatedMedia", features=scheme)
        session, self.session = self.session, None
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads), eventsEnabled=True)
        self.session = session

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        os.close(self.commands)
        os.close(self.answers)
        self.profile.cleanup()

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self.left:
            assert select.select([self.answers], [], [], PATIENCE)[0], "the browser says nothing"
            part = os.read(self.answers, 1 << 20)
            assert part, "the browser has ended"
            self.left += part
        message, _, self.left = self.left.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and return its result; events are kept in `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def wait(self, event: str) -> dict[str, Any]:
        """Return the parameters of the next event of this name."""
        while True:
            found = next((one for one in self.events if one.get("method") == event), None)
            if found:
                self.events.remove(found)
                return found["params"]
            self.events.append(self._receive())

    def open(self, page: Path | str) -> None:
        """Open a file, or an address."""
        self.events.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.wait("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).textContent.trim()")

    def until(self, script: str, seconds: float = PATIENCE) -> None:
        """Wait until an expression in the page is true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys one after the other: characters, or names such as ArrowRight."""
        for key in keys:
            more = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            codes = {"windowsVirtualKeyCode": {"Enter": 13, "Escape": 27}.get(key, 0)}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more, **codes)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **codes)

    def click(self, x: float, y: float, count: int = 1) -> None:
        """Click a place of the window, or double-click it."""
        for number in range(1, count + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=number)

    def complaints(self) -> list[str]:
        """Errors and warnings of the page so far, and requests that failed."""
        self.call("Runtime.evaluate", expression="0")
        found = []
        for event in self.events:
            match event:
                case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                    found.append(str(details.get("exception", details).get("description", details)))
                case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning", "args": args}}:
                    found.append(" ".join(str(one.get("value", one.get("description"))) for one in args))
                case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning"} as entry}}:
                    found.append(f"{entry['text']} {entry.get('url', '')}")
        return found

    def write(self, text: str) -> None:
        """Type a text into the focused field."""
        self.call("Input.insertText", text=text)

    def choose_file(self, selector: str, file: Path) -> None:
        """Choose a file in an input of the page."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def picture(self, out: Path, whole: bool = True) -> None:
        """Save a screenshot."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        out.write_bytes(base64.b64decode(found["data"]))
