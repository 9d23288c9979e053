"""What commands say in the terminal: errors in one line, and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fastcaps.training.errors import InputError

__all__ = ["one_line_errors", "parse_numbers", "progress_bar", "table_console"]

WIDEST_TABLE = 140


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with exit code 2 and one line where the user's input cannot be used."""
    try:
        yield
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def parse_numbers(name: str, text: str) -> list[int]:
    """The numbers in a text like "1,2,4".

    Raises:
        InputError: it holds something else.
    """
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise InputError(f"{name}: expected numbers as 1,2,4, got {text!r}") from error


def table_console() -> Console:
    """Wide enough for a column of each action unit or method, whatever the terminal."""
    return Console(width=max(Console().width, WIDEST_TABLE))


@contextmanager
def progress_bar(what: str, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """What is told how far the work is, done and in all, and shows it where that is wanted."""
    if not shown:
        yield lambda done, total: None
        return
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
