"""Work in a process of its own."""

import concurrent.futures
import multiprocessing
from collections.abc import Callable
from typing import Any


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a new process, which inherits nothing of what this one has done."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
