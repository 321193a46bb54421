from __future__ import annotations

import datetime as dt
import json
import math
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.color import Style, color_style, no_style
from django.utils import timezone

from ....core import codec
from ....core.codec.blobs import whole
from ....core.commands import TurnlogCommand
from ....events.erasure.past import Erasure, erasures_of
from ....events.models import Event
from ....events.moments import moment_of
from ...travel.moments import replay
from ...travel.prompts import ModelInput, prompt_of, prompt_of_turn
from ...travel.replaying import Line, Teller, given_lines
from ...travel.speakers import Speakers
from ...travel.states import ConversationState

_STYLES = {
    "human": "MIGRATE_HEADING",
    "ai": "SUCCESS",
    "tool": "WARNING",
}

_LONGEST = 365 * 86_400.0
"""Seconds; sleep() refuses much longer times."""


class _ReaderGone(Exception):
    """Nobody reads what is still to be shown."""


class Command(TurnlogCommand):
    help = (
        "Show a conversation as it happened, event by event, up to a version or a time; calls no"
        " model and no tool. Ctrl+C ends it."
    )

    # Tests replace these.
    wait: Callable[[float], Any] = staticmethod(time.sleep)
    wait_for_enter: Callable[[], Any] = staticmethod(input)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django gives every command a --version; ours replaces it.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("conversation", type=int, metavar="PK")
        parser.add_argument("--version", type=int, metavar="N", help="stop after this version")
        parser.add_argument(
            "--at",
            metavar="TIME",
            help="stop at this time, in ISO 8601 with the zone: 2026-11-22T20:09:00+09:00",
        )
        parser.add_argument(
            "--speed",
            default="1",
            metavar="X",
            help="X times the original pace (default: 1); without a terminal there are no pauses",
        )
        parser.add_argument(
            "--prompt",
            metavar="TURN|VERSION",
            help="show instead what the model was given: in a turn, by its id, or in the last turn"
            " that had begun at a version",
        )
        parser.add_argument(
            "--call", type=int, metavar="N", help="with --prompt: in the turn's Nth call of a model"
        )
        parser.add_argument("--step", action="store_true", help="wait for Enter at each pause")

    def run(
        self,
        *,
        conversation: int,
        version: int | None,
        at: str | None,
        speed: str,
        step: bool,
        prompt: str | None,
        call: int | None,
        **options: Any,
    ) -> None:
        if prompt is not None:
            self._show_prompt(_prompt(conversation, prompt, call, version, at), **options)
            return
        if call is not None:
            raise CommandError("--call: expected --prompt beside it, found none", returncode=2)
        pace = _pace(speed)
        until = moment_of(conversation, version, None if at is None else _time(at))
        states = replay(conversation, until.version)
        try:
            if options["json"]:
                # ASCII, unlike other commands: what people wrote must not control a terminal.
                self.print_line(json.dumps(_facts(until, states, erasures_of(conversation))))
            else:
                teller = Teller(erasures_of(conversation))
                self._show(teller, states, pace, step, self._style(**options))
                self._write(f"conversation {conversation} at version {until.version} of its log")
                if teller.unreadable:
                    raise teller.unreadable[0]
        except (KeyboardInterrupt, EOFError):
            self.print_line("")
        except _ReaderGone:
            pass  # The pager was closed.

    def _show(
        self,
        teller: Teller,
        states: Iterator[ConversationState],
        pace: float,
        step: bool,
        style: Style,
    ) -> None:
        before: dt.datetime | None = None
        for state in states:
            lines = teller.lines(state.event)
            if lines and before is not None:
                self._pause((state.at - before).total_seconds() / pace, step)
            for line in lines:
                before = line.at
                self._write(_rendered(line, style))

    def _show_prompt(self, given: ModelInput, **options: Any) -> None:
        if options["json"]:
            self.print_line(json.dumps(_given_facts(given)))
            return
        style = self._style(**options)
        with suppress(_ReaderGone):
            for who, text, wrong in given_lines(given):
                self._write(f"{_styled(who, style, wrong)}  {_indented(text)}".rstrip())
            self._write(
                f"call {given.call} of turn {given.turn_id}, which began at version {given.version}"
                f" of conversation {given.conversation_id}"
            )

    def _pause(self, seconds: float, step: bool) -> None:
        if step:
            self.wait_for_enter()
        elif seconds > 0 and self.stdout.isatty():
            self.wait(min(seconds, _LONGEST))

    def _write(self, text: str) -> None:
        # A character that the terminal's encoding lacks is shown as its number.
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        if not self.print_line(text.encode(encoding, "backslashreplace").decode(encoding)):
            raise _ReaderGone

    def _style(self, *, force_color: bool, no_color: bool, **options: Any) -> Style:
        # Django's own choice looks at sys.stdout, and not at NO_COLOR (no-color.org).
        on_terminal = self.stdout.isatty() and not os.environ.get("NO_COLOR")
        coloured = force_color or (on_terminal and not no_color)
        return color_style(force_color=True) if coloured else no_style()


def _rendered(line: Line, style: Style) -> str:
    when = timezone.localtime(line.at).strftime("%Y-%m-%d %H:%M:%S")
    who = _styled(line.who, style, line.wrong) + line.by
    return f"{line.version:>4}  {when}  {who}  {_indented(line.text)}".rstrip()


def _styled(who: str, style: Style, wrong: bool) -> str:
    name = "ERROR" if wrong else _STYLES.get(who, "HTTP_INFO")
    styled: str = getattr(style, name)(who)
    return styled


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def _prompt(
    conversation: int, asked: str, call: int | None, version: int | None, at: str | None
) -> ModelInput:
    if version is not None or at is not None:
        raise CommandError(
            "--prompt: expected neither --version nor --at beside it; give it the version itself",
            returncode=2,
        )
    try:
        if asked.isdecimal():
            return prompt_of(conversation, moment_of(conversation, int(asked)).version, call)
        return prompt_of_turn(conversation, uuid.UUID(asked), call)
    except ValueError:
        raise CommandError(
            f"--prompt: expected a version, such as 12, or a turn's id, found {asked!r}",
            returncode=2,
        ) from None


def _given_facts(given: ModelInput) -> dict[str, Any]:
    return {
        "conversation": given.conversation_id,
        "turn_id": str(given.turn_id),
        "version": given.version,
        "call": given.call,
        "model": given.model,
        "parameters": dict(given.parameters),
        "system_prompt": given.system_prompt,
        "messages": [codec.encode(message) for message in given.messages],
        "tools": list(given.tools),
    }


def _facts(
    until: Event, states: Iterator[ConversationState], erasures: Mapping[int, Erasure]
) -> dict[str, Any]:
    events = []
    speakers = Speakers()
    for state in states:
        event = state.event
        told = _event(event, erasures.get(event.version))
        events.append({**told, "username": speakers.username(event.actor_id)})
    return {
        "conversation": until.stream_id,
        "version": until.version,
        "at": until.recorded_at.isoformat(),
        "events": events,
        "messages": [json.loads(whole(entry.content)) for entry in state.entries],
    }


def _event(event: Event, erasure: Erasure | None) -> dict[str, Any]:
    erased = None
    if event.payload is None and erasure is not None:
        by = erasure.by and str(erasure.by)
        erased = {"at": erasure.at.isoformat(), "by": by, "reason": erasure.reason}
    return {
        "version": event.version,
        "type": event.type,
        "schema": event.schema,
        "turn_id": event.turn_id and str(event.turn_id),
        "actor_id": event.actor_id and str(event.actor_id),
        "recorded_at": event.recorded_at.isoformat(),
        "payload": None if event.payload is None else json.loads(whole(event.payload)),
        "metadata": event.meta,
        "erased": erased,
    }


def _pace(speed: str) -> float:
    try:
        pace = float(speed)
    except ValueError:
        pace = math.nan
    if not (math.isfinite(pace) and pace > 0):
        raise CommandError(
            f"--speed: expected a finite number above 0, found {speed!r}; 10 is ten times faster",
            returncode=2,
        )
    return pace


def _time(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            "--at: expected a time in ISO 8601 with its zone, such as 2026-11-22T20:09:00+09:00,"
            f" found {text!r}",
            returncode=2,
        ) from None
