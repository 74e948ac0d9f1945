"""A plugin of pytest: writes how each test ended as soon as it ends, so that a kill loses none."""

import json

import pytest

OPTION = "--outcomes"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, help="file to add a JSON object a line to: test and outcome")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # of pytest-xdist's workers the first process hears all
        config.pluginmanager.register(_Writer(config.getoption(OPTION)))


class _Writer:
    def __init__(self, path: str):
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self._write(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:  # a file that cannot be imported
            self._write(report)

    def _write(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        with open(self._path, "a") as file:
            print(json.dumps({"test": report.nodeid, "outcome": report.outcome}), file=file)
