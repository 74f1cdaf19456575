"""`reads=True` is proposed for what plainly only reads, in the table, as JSON and in the patch; in doubt it is not."""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from sideeffects.listing.audit import Audit, as_json, as_lines, as_markdown, as_table, writing

READS = {
    "import requests": (
        "requests.get(url, params={'page': 1})",
        "requests.head(url)",
        "requests.request('GET', url)",
        "requests.Session().options(url)",
    ),
    "import httpx": ("httpx.get(url)", "httpx.AsyncClient().get(url)", "httpx.stream('GET', url)"),
    "import aiohttp": ("aiohttp.ClientSession().get(url)", "aiohttp.request('HEAD', url)"),
    "import asyncio, requests": ("asyncio.to_thread(requests.get, url)",),
    "import urllib3": ("urllib3.PoolManager().request('GET', url)",),
    "import http.client": ("http.client.HTTPSConnection(url).request('GET', '/')",),
    "from urllib.request import Request, urlopen": (
        "urlopen(url)",
        "urlopen(url, timeout=3)",
        "urlopen(url, data=None)",
        "urlopen(Request(url, headers={}))",
    ),
    "import boto3": (
        "boto3.client('s3').get_object(Key=url)",
        "boto3.client('s3').list_objects_v2()",
        "boto3.client('ec2').describe_instances()",
        "boto3.client('s3').get_paginator('list_objects_v2').paginate()",
        "boto3.resource('dynamodb').Table(url).query()",
    ),
    "import imaplib": (
        "imaplib.IMAP4_SSL(url).search(None, 'UNSEEN')",
        "imaplib.IMAP4(url).uid('search', None, 'ALL')",
        "imaplib.IMAP4(url).fetch('1', '(BODY.PEEK[])')",
        "imaplib.IMAP4(url).fetch('1', '(RFC822.SIZE)')",
        "imaplib.IMAP4(url)",
    ),
    "import socket, dns.resolver": (
        "socket.getaddrinfo(url, 443)",
        "socket.gethostbyname(url)",
        "dns.resolver.resolve(url, 'MX')",
    ),
    "import stripe": ("stripe.Charge.retrieve(url)", "stripe.Charge.list()"),
}
DOES_MORE = {
    "import requests": (
        "requests.post(url)",
        "requests.request(url, 'GET')",
        "requests.get('https://sms.example/send?to=1')",
        "requests.get(url) and requests.delete(url)",
        "requests.request('GET', url) or requests.request('POST', url)",
        "getattr(requests, url)(url)",
    ),
    "import asyncio, requests, urllib.request": (
        "asyncio.to_thread(requests.request, 'GET', url)",
        "asyncio.to_thread(urllib.request.urlopen, url)",
    ),
    "from urllib.request import Request, urlopen, urlretrieve": (
        "urlopen(url, b'data')",
        "urlopen(url, data=url)",
        "urlopen(url, **url)",
        "urlopen(Request(url, url))",
        "urlopen(Request(url, method='DELETE'))",
        "urlretrieve(url)",
    ),
    "import boto3": (
        "boto3.client('s3').put_object()",
        "boto3.client('sqs').receive_message()",
        "boto3.client('s3').download_file(url)",
    ),
    "import imaplib": (
        "imaplib.IMAP4(url).store('1', '+FLAGS', 'Deleted')",
        "imaplib.IMAP4(url).fetch('1', '(RFC822)')",
        "imaplib.IMAP4(url).fetch('1', url)",
        "imaplib.IMAP4(url).uid('store', '1')",
    ),
    "import smtplib": ("smtplib.SMTP(url)",),
    "import stripe, subprocess, telebot": (
        "stripe.Charge.create(amount=1)",
        "subprocess.run(url)",
        "telebot.TeleBot(url).get_updates()",
    ),
}


def _cases(cases: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(imports, expression) for imports, expressions in cases.items() for expression in expressions]


@pytest.fixture
def audit(tmp_path: Path) -> Callable[[str], Audit]:
    """The audit of one module."""

    def read(source: str) -> Audit:
        path = tmp_path / "shop.py"
        path.write_text(textwrap.dedent(source).lstrip())
        return Audit({"shop": path}, (), lambda number, count: None)

    return read


@pytest.mark.parametrize(("imports", "expression"), _cases(READS))
def test_what_plainly_reads(audit: Callable[[str], Audit], imports: str, expression: str) -> None:
    """However it is called."""
    [found] = audit(f"{imports}\n\ndef ask(url):\n    return {expression}\n").found
    assert found.only_reads
    assert all(call.reads for call in found.calls)


@pytest.mark.parametrize(("imports", "expression"), _cases(DOES_MORE))
def test_what_does_more(audit: Callable[[str], Audit], imports: str, expression: str) -> None:
    """Also where that cannot be told."""
    [found] = audit(f"{imports}\n\ndef ask(url):\n    return {expression}\n").found
    assert not found.only_reads


def test_functions_that_also_write_get_none(audit: Callable[[str], Audit]) -> None:
    """By themselves, by a function that they use, by what is accepted or declared, or by what they are called."""
    found = audit(
        """
        import requests
        from sideeffects import side_effect

        def rate(url):
            with open("currencies.txt") as file:
                headers = {}
                headers.update(file.read())
            return requests.get(url, headers=headers)

        def both_rates(url):
            return requests.get(url), rate(url)

        def rows(url):
            Rate.objects.update(value=requests.get(url).json())

        def file(url):
            open("rate.txt", "w").write(requests.get(url).text)

        def path(url, path):
            with path.open("wb") as opened:
                opened.truncate(len(requests.get(url).content))

        def unknown_mode(url, mode):
            return open(requests.get(url).text, mode)

        def messages(url):
            work.delay(requests.get(url).json())

        def accepted(url):
            requests.post(url)  # sideeffects: accepted
            return requests.get(url)

        def notify(url):
            requests.get(url)

        def tell(url):
            requests.post(url)

        def indirectly(url):
            again(url)
            return requests.get(url)

        def again(url):
            tell(url)
            indirectly(url)

        @side_effect(name="bank")
        def bank(): ...

        def charging(url):
            bank()
            return requests.get(url)

        requests.get("https://example.com")
        """
    ).found
    assert [one.function for one in found if one.only_reads] == ["rate", "both_rates"]
    assert len(found) == 13


def test_it_is_proposed_everywhere(audit: Callable[[str], Audit]) -> None:
    """In the table, in Markdown, as JSON, in the lines for CI not, and in the decorator that is written."""
    read = audit("import requests\n\n\ndef rate(url):\n    return requests.get(url)\n")
    line = '@side_effect(name="shop.rate", reads=True)'
    assert line in as_table(read.found)
    assert line in as_markdown(read.found)
    assert "reads" not in as_lines(read.found)
    [data] = json.loads(as_json(read.found, str))
    assert (data["reads"], data["write"]) == (True, line)
    [edit], left = writing.edits_of(read.found, read.digests)
    assert f"+{line}" in writing.diff_of([edit]).splitlines()
    assert not left
