"""Spans of OpenTelemetry; without a provider, which `flows.tracing` sets up where it is wanted, they do nothing.

A span carries counts and names of the community file, never a value, an address or an error's words: these may name
people, and traces go to other machines.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from opentelemetry import context, trace
from opentelemetry.trace import Span, Status, StatusCode

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.contextmanager
def span(name: str, **attributes: str | int) -> Iterator[Span]:
    """A span around the block, below the one that stands; an error leaves its type's name.

    Args:
        name: such as `collect`.
        attributes: put under `slotfeed.`.
    """
    tracer = trace.get_tracer("slotfeed")
    named = {f"slotfeed.{key}": value for key, value in attributes.items()}
    with tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as opened:
        try:
            yield opened
        except BaseException as error:
            failed(opened, error)
            raise


def failed(opened: Span, error: BaseException) -> None:
    """Mark the span as failed, by the error's type."""
    opened.set_status(Status(StatusCode.ERROR, type(error).__name__))


def carried(function: Callable[P, T]) -> Callable[P, T]:
    """The function with the present span above its own, in whatever thread it is called."""
    here = context.get_current()

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        token = context.attach(here)
        try:
            return function(*args, **kwargs)
        finally:
            context.detach(token)

    return call
