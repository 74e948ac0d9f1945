"""The name of the experiment, and folders that an option names."""

from typing import Any

from stn_jax.config.errors import ConfigError, flag


def check_names(config: Any) -> None:
    """Refuses an experiment and folders without a name, which an empty variable of a shell makes.

    Raises:
      ConfigError: naming the option.
    """
    refuse_unnamed("--name", config.name)
    for option in ("root", "default_root", "cache_dir"):
        refuse_unnamed(flag("data", option), getattr(config.data, option))
    refuse_unnamed(flag("train", "init_from"), config.train.init_from)


def refuse_unnamed(option: str, folder: str | None) -> None:
    """Refuses a folder whose name is empty; the experiment's name is that of one, too.

    Raises:
      ConfigError: naming the option.
    """
    if folder == "":
        raise ConfigError(f"{option} is empty: name a folder, or leave it out")
