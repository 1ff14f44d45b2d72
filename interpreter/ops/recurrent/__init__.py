"""Recurrent layers; importing this registers them."""

from . import bidirectional, lstm, rnn, svdf

__all__ = ["bidirectional", "lstm", "rnn", "svdf"]
