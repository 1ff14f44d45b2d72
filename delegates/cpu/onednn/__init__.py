"""The fast CPU path: primitives of oneDNN, where the extra `fast` is installed."""
