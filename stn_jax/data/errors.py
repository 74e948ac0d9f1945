"""What a person can mend about a data set as a whole."""


class DataError(ValueError):
    """A set of photos that cannot be trained on, with what to change in the message."""
