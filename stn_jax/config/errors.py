"""What is raised for a configuration that cannot work, and how it names an option."""


class ConfigError(ValueError):
    """A configuration that cannot work, with what to change in the message."""


def flag(part: str, option: str) -> str:
    """Spells an option as on the command line, `--train.batch-size`."""
    return f"--{part}.{option}".replace("_", "-")
