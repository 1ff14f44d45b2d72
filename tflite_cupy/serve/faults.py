"""What a request is refused with. Both protocols say it as `{"error": text}`."""

from __future__ import annotations

from collections.abc import Mapping

from ..interpreter.errors import InputError, LimitError, TfliteError

CLIENT_CLOSED = 499
"""Counted where a client has left before its answer; nobody is sent it."""


MAX_TEXT = 2000
"""Characters of an error: what a request holds may be in it."""


class Refused(Exception):
    """A request that gets no result: the status and the text of its answer."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        text = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."
        super().__init__(text)
        self.status, self.text, self.headers = status, text, dict(headers or {})


class ClientGone(Exception):
    """The client has closed its connection: there is nobody to answer."""


def bad(text: str) -> Refused:
    """400: the client has to ask otherwise."""
    return Refused(400, text)


def not_now(text: str) -> Refused:
    """503: the client may ask again soon."""
    return Refused(503, text, {"Retry-After": "1"})


def too_late() -> Refused:
    """504: the request, its waiting included, took longer than it may."""
    return Refused(504, "the request was not done within its deadline.")


def refusal(error: TfliteError) -> Refused:
    """The runtime's error as an answer, in its own words: 400 for inputs and for sizes that they ask for, 500 for
    anything else. 504 for a call that was cut."""
    if isinstance(error, LimitError) and "deadline_ms" in error.what:
        return too_late()
    return Refused(400 if isinstance(error, InputError | LimitError) else 500, str(error))
