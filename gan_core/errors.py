"""The two failures a caller can do something about; every other exception is a fault of this project."""


class InvalidInput(Exception):
    """The user's mistake: a bad parameter, path or file. The message states the rule and ends `Received: …`."""


class TryAgain(Exception):
    """The outside world failed: a full disk, a server that does not answer. The same call may succeed later."""
