"""What Django sets going: requests and management commands, as the origin of the calls that are made in them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sideeffects._core.calls.origins import originating


class _Request:
    """A request as the origin of calls: its method, its route and its view, but not its path, which may hold secrets.

    Args:
        request: the request; which route it takes is known only later.
    """

    __slots__ = ("_request", "_text")

    def __init__(self, request: Any) -> None:
        self._request = request
        self._text = ""

    def __str__(self) -> str:
        return self._text or _text_of(self._request)

    def settle(self) -> None:
        """The request is over: calls that somebody keeps must not keep the request."""
        self._text = str(self)
        self._request = None


def _text_of(request: Any) -> str:
    match = request.resolver_match or _resolved(request)
    if match is None:
        return f"{request.method} (no route)"
    return f"{request.method} /{match.route} ({match._func_path})"  # noqa: SLF001 - what Django's own pages show


def _resolved(request: Any) -> Any:
    """The route that a request will take, for calls that middleware makes."""
    from django.urls import resolve

    try:
        return resolve(request.path_info, getattr(request, "urlconf", None))
    except Exception:  # noqa: BLE001 - what is wrong with it, Django says when it comes to it
        return None


def hook_requests(module: Any) -> None:
    """Let all that answers a request know it, middleware included; under WSGI, ASGI and in the test client."""
    handler = module.BaseHandler
    if "_side_effects_hooked" not in vars(handler):
        handler._side_effects_hooked = True  # noqa: SLF001 - ours
        handler.get_response = _answering(handler.get_response)
        handler.get_response_async = _answering_async(handler.get_response_async)


def _answering(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get_response(self: Any, request: Any) -> Any:
        origin = _Request(request)
        try:
            with originating(origin):
                return original(self, request)
        finally:
            origin.settle()

    return get_response


def _answering_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def get_response_async(self: Any, request: Any) -> Any:
        origin = _Request(request)
        try:
            with originating(origin):
                return await original(self, request)
        finally:
            origin.settle()

    return get_response_async


def hook_commands(module: Any) -> None:
    """Let management commands say their name, those called by `call_command` too."""
    command = module.BaseCommand
    if "_side_effects_hooked" not in vars(command):
        command._side_effects_hooked = True  # noqa: SLF001 - ours
        command.execute = _executing(command.execute)


def _executing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def execute(self: Any, *args: Any, **options: Any) -> Any:
        with originating(f"command {type(self).__module__.rpartition('.')[2]}"):
            return original(self, *args, **options)

    return execute
