"""A reader of a page who does what it says: writes its files, types its commands, uses a browser.

The page is read as rendered. A sentence that tells the reader to do something has one of the forms
in `_SENTENCES`; a file is what the words above a block of code say.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.docs.rendered import Code, Text, parts

from .places import answers, free_port, wait_for_port

_NOT_PASSED_ON = ("DJANGO_", "OPENAI_", "PG", "PYTHON", "SQL", "TURNLOG_", "VIRTUAL_ENV")
PORT = "8000"
_PATIENCE = 40_000  # Milliseconds.


class Reader:
    """Follows a page in a folder. `browser` is a page of a browser, `environment` what the shell
    has in addition."""

    def __init__(self, folder: Path, browser: Page, environment: dict[str, str]) -> None:
        self._home = folder
        self._browser = browser
        self._state = folder / ".shell"
        # What other people have open on their machine must not fail the test.
        self._port = str(free_port()) if answers(int(PORT)) else PORT
        self._server: subprocess.Popen[bytes] | None = None
        self._server_log = folder / ".server.log"
        self._printed = ""
        self._looks_at: Callable[[str], None] = self._sees_in_terminal
        self.done: list[str] = []
        commands = folder / ".bin"
        commands.mkdir()
        # `python` as somebody has it who is in no environment.
        (commands / "python").symlink_to(os.path.realpath(sys.executable))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_PASSED_ON)}
        path = os.pathsep.join([str(commands), "/usr/local/bin", "/usr/bin", "/bin"])
        local = {"NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"}
        self._environment = {**inherited, "PATH": path, **local, **environment}

    def follow(self, text: str) -> None:
        """Do everything that a page says."""
        for part in parts(text.replace(f":{PORT}/", f":{self._port}/")):
            if isinstance(part, Text):
                self._obey(part)
            elif part.language == "shell":
                self.type(part.code)
            elif part.language == "text":
                self._looks_at(part.code)
            else:
                self._write(part)

    def close(self) -> None:
        """End a server that is still running."""
        if self._server is not None:
            self._stop()

    # In the shell

    def type(self, commands: str) -> None:
        """Type commands into the terminal; `runserver`, if it is the last, keeps running."""
        if commands.strip().endswith("manage.py runserver"):
            *before, _ = commands.strip().splitlines()
            self._run("\n".join(before))
            self._start_server()
        else:
            self._run(commands)
        self._looks_at = self._sees_in_terminal

    def _shell(self, commands: str) -> list[str]:
        """A shell that goes on where the one before it was."""
        state = shlex.quote(str(self._state))
        before = f"if [ -f {state} ]; then . {state}; fi; set -e\n"
        return ["/bin/sh", "-c", before + commands]

    def _run(self, commands: str) -> None:
        state = shlex.quote(str(self._state))
        after = f'\nexport -p > {state}; echo "cd \\"$(pwd)\\"" >> {state}'
        done = subprocess.run(
            self._shell(commands + after),
            cwd=self._home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        self._printed = done.stdout
        self.done.append("typed")

    def _start_server(self) -> None:
        port = "" if self._port == PORT else self._port
        with self._server_log.open("wb") as log:
            self._server = server = subprocess.Popen(
                self._shell(f"exec python manage.py runserver {port}"),
                cwd=self._home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = wait_for_port(int(self._port), lambda: server.poll() is None)
        assert started, self._server_log.read_text()

    def _stop(self) -> None:
        """Ctrl+C, which a terminal sends to the server and to the process that it runs in."""
        server, self._server = self._server, None
        assert server is not None, "the page stops a server that it has not started"
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
        log = self._server_log.read_text()
        assert "Traceback" not in log, log
        self.done.append("stopped")

    def _sees_in_terminal(self, shown: str) -> None:
        """Each line that the page shows, in order; `...` stands for anything."""
        pieces = [re.escape(line).replace(r"\.\.\.", ".*?") for line in shown.splitlines()]
        seen = r"\s*[^\n]*?\n(?:.*\n)*?\s*".join(pieces)
        printed = self._printed if self._server is None else self._server_log.read_text()
        assert re.search(seen, printed), f"the page shows\n{shown}\nand there is\n{printed}"
        self.done.append("seen")

    # In the editor

    def _write(self, block: Code) -> None:
        assert block.file, f"no words above say where this goes:\n{block.code}"
        path = self._folder() / block.file
        said = block.above.words
        if "at the end of" in said:
            path.write_text(f"{path.read_text()}\n{block.code}")
        elif re.search(rf"[Cc]reate `{re.escape(block.file)}`", said):
            assert not path.exists(), f"{block.file} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
        else:
            assert f"Replace `{block.file}` with this" in said, said
            assert path.exists(), f"{block.file} is not there yet"
            path.write_text(block.code)
        self.done.append("written")

    def _edit(self, file: str, before: str, after: str) -> None:
        path = self._folder() / file
        text = path.read_text()
        assert before in text, f"{file} has no {before}"
        path.write_text(text.replace(before, after))

    def _folder(self) -> Path:
        return Path(subprocess.check_output(self._shell("pwd"), cwd=self._home, text=True).strip())

    # In the browser

    def _obey(self, text: Text) -> None:
        found = [
            (match.start(), do, match.groups())
            for sentence, do in _SENTENCES
            for match in re.finditer(sentence, text.words)
        ]
        for _, do, arguments in sorted(found, key=lambda one: one[0]):
            do(self, *arguments)
            self.done.append(do.__name__.strip("_"))

    def _open(self, address: str) -> None:
        self._browser.goto(address)
        self._looks_at = self._sees_on_page

    def _log_in(self, name: str, password: str) -> None:
        self._browser.get_by_label("Username").fill(name)
        self._browser.get_by_label("Password").fill(password)
        self._browser.get_by_role("button", name="Log in").click()

    def _say(self, words: str) -> None:
        box = self._browser.get_by_role("textbox", name="Message")
        box.fill(words)
        # People take longer to write than the page to connect.
        expect(self._browser.get_by_role("button", name="Send")).to_be_enabled(timeout=_PATIENCE)
        box.press("Enter")
        self._looks_at = self._sees_on_page

    def _enter_title(self, title: str) -> None:
        box = self._browser.get_by_label("Title")
        box.fill(title)
        box.press("Enter")

    def _reload(self) -> None:
        log = self._browser.locator("#turnlog-log > li")
        before = log.all_inner_texts()
        self._browser.reload()
        expect(log).to_have_text(before, use_inner_text=True, timeout=_PATIENCE)

    def _sees_on_page(self, shown: str) -> None:
        seen = self._browser.get_by_text(shown.strip(), exact=True)
        expect(seen).to_be_visible(timeout=_PATIENCE)
        self.done.append("seen")


_SENTENCES: list[tuple[str, Callable[..., None]]] = [
    (r"Open <(http[^>]+)>", Reader._open),
    (r"Log in as `([^`]+)` with the password `([^`]+)`", Reader._log_in),
    (r"Stop the server with Ctrl\+C", Reader._stop),
    (r"Reload the page", Reader._reload),
    (r"Enter `([^`]+)` as the title", Reader._enter_title),
    (r"[Ww]rite `([^`]+)`", Reader._say),
    (r"In `([^`]+)`, replace `([^`]+)` with `([^`]+)`", Reader._edit),
]
