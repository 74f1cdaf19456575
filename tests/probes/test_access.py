"""Who may see the probes: tokens, addresses, the public, and what invalid settings do."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from sideeffects.probes import ProbeOutcome, ProbeResult, Results
from sideeffects.probes.access import Access
from sideeffects.probes.running import failed_to_run
from sideeffects.probes.views import IndexView, asked_for
from sideeffects.project.checks import check_settings

TOKEN = "s3cret-t0ken"


class Page(IndexView):
    """It tells whether it got as far as running probes; nothing else of it is changed."""

    runs = 0

    def get_results(self, request: HttpRequest) -> Results:
        type(self).runs += 1
        bad = failed_to_run("what went wrong")
        one = ProbeResult("a.B.test_c", "a", "a", "B", "test_c", ProbeOutcome.FAILED, "what failed", "Traceback: here")
        return replace(bad, probes=(*bad.probes, one), notes=("a note",))


def ask(rules: Any, *, user: Any = None, path: str = "/", address: str = "203.0.113.9", **headers: str) -> HttpResponse:
    """What the view answers under these settings; and no probe is run for those who may not come in."""
    meta = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    request = RequestFactory().get(path, REMOTE_ADDR=address, **meta)
    if user is not None:
        request.user = user
    Page.runs = 0
    with override_settings(SIDE_EFFECTS={"PROBES": rules}):
        response: HttpResponse = Page.as_view()(request)
    assert Page.runs == (response.status_code != 403)
    assert response["Cache-Control"] == "private, no-store, max-age=0"
    return response


def comes_in(rules: Any, **more: Any) -> bool:
    return ask(rules, **more).status_code != 403


@pytest.mark.parametrize("rules", [{}, {"TOKEN": None}, {"PUBLIC": False, "ALLOWED_IPS": []}, {"TOKEN": []}])
def test_nobody_comes_in_by_default(rules: Any) -> None:
    """From no address, not even from this machine, and with no token."""
    for address in ("127.0.0.1", "::1", ""):
        assert not comes_in(rules, address=address)
    for value in ("Bearer None", "Bearer", "Bearer ", "bearer x", "None"):
        assert not comes_in(rules, authorization=value)


def test_a_token_comes_in_by_its_header() -> None:
    """Whole, as a bearer; the kind's case does not matter, as RFC 9110 has it."""
    for given in (TOKEN, ["other", TOKEN], (TOKEN,)):
        rules = {"TOKEN": given}
        assert comes_in(rules, authorization=f"Bearer {TOKEN}")
        assert comes_in(rules, authorization=f"bearer  {TOKEN} ")
        for wrong in (TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "", "é", "\udcff", f"{TOKEN}, {TOKEN}"):
            assert not comes_in(rules, authorization=f"Bearer {wrong}")
        assert not comes_in(rules, authorization=TOKEN)
        assert not comes_in(rules, authorization=f"Token {TOKEN}")
        assert not comes_in(rules, path=f"/?token={TOKEN}&authorization=Bearer+{TOKEN}")


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, by what the standard library has for that, even when the first one fits."""
    import hmac

    compared: list[bytes] = []
    original = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert comes_in({"TOKEN": ["one", "two", "three"]}, authorization="Bearer one")
    assert compared == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    ("networks", "address", "expected"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.1.2.3/8"], "10.9.9.9", True),
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["::1", "fd00::/8"], "fd12::7", True),
        (["fd00::/8"], "fe12::7", False),
        (["10.0.0.0/8"], "::ffff:10.1.1.1", True),
        (["::ffff:0:0/96"], "10.1.1.1", False),
        (["0.0.0.0/0"], "::1", False),
        (["10.0.0.0/8"], "", False),
        (["10.0.0.0/8"], "unix:", False),
        (["10.0.0.0/8"], "10.1.1.1, 10.1.1.2", False),
    ],
)
def test_addresses_come_in_by_their_network(networks: list[str], address: str, expected: bool) -> None:
    """Of both families, also where a server that listens to both writes IPv4 as IPv6."""
    assert comes_in({"ALLOWED_IPS": networks}, address=address) is expected


@pytest.mark.parametrize(
    ("trust", "address", "forwarded", "expected"),
    [
        (None, "203.0.113.9", "10.0.0.1", False),
        (False, "203.0.113.9", "10.0.0.1", False),
        (False, "10.0.0.1", "203.0.113.9", True),
        (True, "203.0.113.9", "10.0.0.1", True),
        (True, "203.0.113.9", "198.51.100.1, 10.0.0.1", True),
        # The visitor wrote the first one; the proxy, what it saw.
        (True, "203.0.113.9", "10.0.0.1, 198.51.100.1", False),
        (True, "10.0.0.1", "198.51.100.1", False),
        (True, "10.0.0.1", "", False),
        (2, "203.0.113.9", "10.0.0.1, 198.51.100.1", True),
        (2, "203.0.113.9", "10.0.0.1, 198.51.100.1, 198.51.100.2", False),
        (2, "203.0.113.9", "10.0.0.1", False),
        (True, "203.0.113.9", "10.0.0.1:443", False),
    ],
)
def test_what_proxies_say_counts_only_when_they_are_trusted(
    trust: Any, address: str, forwarded: str, expected: bool
) -> None:
    """Then as many addresses from the right as there are proxies, and never one that a visitor may have written."""
    rules = {"ALLOWED_IPS": ["10.0.0.0/8"], "TRUST_X_FORWARDED_FOR": trust}
    assert comes_in(rules, address=address, x_forwarded_for=forwarded) is expected


def test_active_staff_comes_in() -> None:
    """A member of staff who is not active does not; whoever cannot be told, since the sessions are down, does not."""

    class Unknown:
        @property
        def is_active(self) -> bool:
            raise OSError("no sessions")

    assert comes_in({}, user=SimpleNamespace(is_active=True, is_staff=True))
    assert not comes_in({}, user=SimpleNamespace(is_active=False, is_staff=True))
    assert not comes_in({}, user=SimpleNamespace(is_active=True, is_staff=False))
    assert not comes_in({}, user=SimpleNamespace(is_active=True, is_staff=False, is_superuser=True))
    assert not comes_in({}, user=Unknown())
    assert comes_in({"TOKEN": TOKEN}, user=Unknown(), authorization=f"Bearer {TOKEN}")


def test_a_view_may_decide_by_itself() -> None:
    """What it answers counts, and nothing else."""

    class Open(Page):
        def get_access(self, request: HttpRequest) -> Access:
            return Access[request.headers["Level"]]

    request = RequestFactory().get("/", headers={"Level": "NOTHING", "Authorization": f"Bearer {TOKEN}"})
    with override_settings(SIDE_EFFECTS={"PROBES": {"TOKEN": TOKEN}}):
        assert Open.as_view()(request).status_code == 403
        for level, expected in (("OUTCOMES", False), ("EVERYTHING", True)):
            response = Open.as_view()(RequestFactory().get("/", headers={"Level": level}))
            assert ("what failed" in response.text) is expected


@pytest.mark.parametrize("form", ["text", "json", "html", "junit", "openmetrics"])
def test_the_public_learns_outcomes_only(form: str) -> None:
    """No messages, no tracebacks, no notes; who has a token sees them on the same page."""
    rules = {"PUBLIC": True, "TOKEN": TOKEN}
    public = ask(rules, path=f"/?format={form}")
    assert public.status_code == (200 if form == "openmetrics" else 500)
    assert not re.search("what (failed|went wrong)|Traceback: here|a note", public.text)
    assert "test_c" in public.text.replace("<wbr>", "")
    if form != "openmetrics":
        known = ask(rules, path=f"/?format={form}", authorization=f"Bearer {TOKEN}")
        assert "what failed" in known.text


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"TOKEN": 7}, "TOKEN must be a string, or a list of strings"),
        ({"TOKEN": ""}, "TOKEN must consist of printable ASCII characters"),
        ({"TOKEN": ["good", "not good"]}, "TOKEN must consist of printable ASCII characters"),
        ({"ALLOWED_IPS": "10.0.0.1"}, "ALLOWED_IPS must be a list of addresses and networks, not '10.0.0.1'"),
        ({"ALLOWED_IPS": ["10.0.0.1/99"]}, "ALLOWED_IPS has '10.0.0.1/99', which is no address and no network"),
        ({"PUBLIC": "yes"}, "PUBLIC must be True or False, not 'yes'"),
        ({"CACHE_SECONDS": -1}, "CACHE_SECONDS must be a number of seconds, not -1"),
        ({"TRUST_X_FORWARDED_FOR": "all"}, "TRUST_X_FORWARDED_FOR must be True, False, or how many proxies"),
        ({"ALLOWED_IP": []}, "has no key 'ALLOWED_IP'; did you mean 'ALLOWED_IPS'?"),
        (["PUBLIC"], "must be a dict, not ['PUBLIC']"),
    ],
)
def test_invalid_settings_let_nobody_in(rules: Any, sentence: str) -> None:
    """Not even those whom the valid ones would: the view raises, and `manage.py check` says what is wrong (E011)."""
    if isinstance(rules, dict):
        rules = {"PUBLIC": True, **rules}
    with override_settings(SIDE_EFFECTS={"PROBES": rules}):
        (message,) = check_settings(None)
        assert message.id == "sideeffects.E011"
        assert sentence in message.msg
        assert TOKEN not in message.msg
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)):
        ask(rules)
    assert Page.runs == 0


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text"),
        ("*/*", "text"),
        ("text/*", "text"),
        ("image/png", "text"),
        ("application/json", "json"),
        ("application/json, text/javascript, */*; q=0.01", "json"),
        ("application/json, text/plain, */*", "json"),
        ("text/plain;q=0.5, application/json;q=0.4", "text"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("TEXT/HTML", "html"),
        ("application/xml", "junit"),
        ("text/xml;q=nonsense, application/json;q=0.1", "json"),
        ("application/json;q=0", "text"),
        # As Prometheus asks.
        (
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
            ),
            "openmetrics",
        ),
    ],
)
def test_the_header_accept_chooses_the_format(accept: str, expected: str) -> None:
    """The format that it names with the highest quality; text when it names none."""
    assert asked_for(RequestFactory().get("/", HTTP_ACCEPT=accept)) == expected


def test_a_message_that_utf8_cannot_hold_is_shown_all_the_same() -> None:
    """Names of files may have such halves of characters."""

    class Odd(IndexView):
        def get_results(self, request: HttpRequest) -> Results:
            return failed_to_run("no file \udcff.txt")

    with override_settings(SIDE_EFFECTS={"PROBES": {"ALLOWED_IPS": ["127.0.0.1"]}}):
        for form in ("text", "html", "json", "junit"):
            response = Odd.as_view()(RequestFactory().get(f"/?format={form}"))
            assert response.status_code == 500
            assert "no file" in response.text
