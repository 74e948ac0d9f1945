"""What can go wrong with a run, in words for the person who started it."""


class WorkdirError(ValueError):
    """A workdir that cannot be used as asked, with the way out in the message."""


class CheckpointError(RuntimeError):
    """A checkpoint that could not be written, with what to do in the message."""


class NonFiniteError(RuntimeError):
    """The loss or its gradient is no longer a number; nothing of it has been saved."""


class CollapseError(RuntimeError):
    """The transformer has collapsed; the last checkpoint is from before."""


class Interrupted(BaseException):
    """The person or the machine asked to stop.

    Not an `Exception`, like KeyboardInterrupt: libraries that try one thing and, `except
    Exception`, another must not swallow it.
    """
