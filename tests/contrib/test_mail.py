"""All mail of Django is one effect, whichever way it goes and whichever backend sends it."""

import logging
from collections.abc import Iterator
from email.mime.text import MIMEText
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend
from django.core.mail.backends.smtp import EmailBackend as SMTPBackend
from django.db import transaction
from django.test import override_settings
from django.utils.functional import lazystr
from django.utils.log import AdminEmailHandler

from sideeffects import (
    Mode,
    SideEffectBlocked,
    capture,
    declare,
    dry_run,
    forbid,
    force_run,
    record,
    redirect,
    registry,
    stub,
)
from sideeffects._core.calls import registry as registry_module
from sideeffects.contrib.mail import backends
from sideeffects.errors import DeclarationError
from sideeffects.testing import isolated_registry

# Django 6.1 has mailers, and warns of what was there before.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
delivered: list[Any] = []


class Deliverer(BaseEmailBackend):
    """A backend that really sends, as far as these tests can tell."""

    def send_messages(self, email_messages):
        delivered.extend(email_messages)
        return len(email_messages)


@pytest.fixture(autouse=True)
def mail_declared(own_registry: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All mail is declared, for one test; the outbox and what was delivered are empty."""
    monkeypatch.setattr(backends, "_effects", [])
    monkeypatch.setattr(mail, "outbox", [], raising=False)
    delivered.clear()
    declare("django.core.mail", name="mail.send")
    with override_settings(EMAIL_BACKEND=f"{__name__}.Deliverer", ADMINS=[("Ada", "ada@example.com")]):
        yield


def message(to: str = "ben@example.org", subject: str = "Hi", **options: Any) -> mail.EmailMessage:
    return mail.EmailMessage(subject, "Body", "shop@example.com", [to], **options)


def log_an_error() -> None:
    record_ = logging.LogRecord("django.request", logging.ERROR, __file__, 1, "it broke", (), None)
    AdminEmailHandler().emit(record_)


WAYS = {
    "send_mail": lambda: mail.send_mail("Hi", "Body", "shop@example.com", ["ben@example.org"]),
    "send_mass_mail": lambda: mail.send_mass_mail([("Hi", "Body", "shop@example.com", ["ben@example.org"])]),
    "mail_admins": lambda: mail.mail_admins("Hi", "Body"),
    "EmailMessage.send": lambda: message().send(),
    "EmailMultiAlternatives": lambda: mail.EmailMultiAlternatives("Hi", "Body", None, ["ben@example.org"]).send(),
    "send_messages": lambda: mail.get_connection().send_messages([message()]),
    "AdminEmailHandler": log_an_error,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_goes_through_the_decision(way: str) -> None:
    """Recorded in a test run: nothing is delivered, and the outbox has it."""
    with capture() as calls:
        WAYS[way]()
    assert calls.one("mail.send").mode is Mode.RECORD
    assert not delivered
    assert len(mail.outbox) == 1
    with force_run("mail.send"), capture() as calls:
        WAYS[way]()
    assert calls.one("mail.send").mode is Mode.EXECUTE
    assert len(delivered) == 1
    with forbid("mail.send"), pytest.raises(SideEffectBlocked):
        WAYS[way]()
    assert len(delivered) == 1


@pytest.mark.parametrize("target", ["django.core.mail:EmailMessage.send", "django.core.mail.message:EmailMessage.send"])
def test_a_method_of_messages_means_all_mail_as_well(target: str) -> None:
    """It is what pages of others recommend."""
    declare(target, name="mail.send")
    assert registry["mail.send"].dotted_path == "django.core.mail:EmailMessage.send"
    with capture() as calls:
        mail.send_mass_mail([("Hi", "Body", None, ["ben@example.org"])] * 2)
    assert calls.count("mail.send") == 2
    assert not delivered


def test_a_second_name_is_refused() -> None:
    """One place has one name."""
    with pytest.raises(DeclarationError, match=r"already, named 'mail\.send'"):
        declare("django.core.mail", name="post.send")


def test_a_call_has_the_message_and_what_a_policy_asks_for() -> None:
    """Content of attachments is left out: 50 MB of it are neither copied nor kept."""
    part = MIMEText("text")
    sent = message(
        cc=["cy@example.org"], bcc=["dan@example.org"], reply_to=["shop@example.com"], headers={"X-Order": "7"}
    )
    sent.attach("bill.pdf", b"x" * 50_000_000, "application/pdf")
    sent.attach(part)
    with record("mail.send"), capture() as calls:
        sent.send()
    call = calls.one("mail.send")
    assert call.instance is sent
    arguments = dict(call.arguments)
    assert arguments.pop("attachments") == [
        {"name": "bill.pdf", "type": "application/pdf", "size": 50_000_000},
        {"name": None, "type": "text/plain", "size": len(part.get_payload())},
    ]
    assert arguments == {
        "to": ["ben@example.org"],
        "cc": ["cy@example.org"],
        "bcc": ["dan@example.org"],
        "subject": "Hi",
        "body": "Body",
        "from_email": "shop@example.com",
        "reply_to": ["shop@example.com"],
        "headers": {"X-Order": "7"},
        "alternatives": [],
        "backend": f"{__name__}.Deliverer",
    }
    assert call.caller.startswith(f"{__file__}:")


def our_own_people(effect: Any, arguments: Any) -> str:
    everybody = [*arguments["to"], *arguments["cc"], *arguments["bcc"]]
    return "EXECUTE" if all(to.endswith("@example.com") for to in everybody) else "RECORD"


def test_a_policy_on_recipients_sends_some_and_records_others(production: None) -> None:
    """As staging needs it. What is returned counts both, and nothing lands in an outbox."""
    with override_settings(SIDE_EFFECTS={"MODE": "RECORD", "POLICY": {"mail.*": our_own_people}}), capture() as calls:
        count = mail.get_connection().send_messages([message("a@example.com"), message(), message("c@example.com")])
    assert count == 3
    assert [call.mode for call in calls] == [Mode.EXECUTE, Mode.RECORD, Mode.EXECUTE]
    assert [sent.to for sent in delivered] == [["a@example.com"], ["c@example.com"]]
    assert not mail.outbox


def test_in_production_mail_is_sent_as_ever(production: None) -> None:
    """In one piece, when nobody watches."""
    assert mail.send_mass_mail([("Hi", "Body", None, ["ben@example.org"])] * 3) == 3
    assert len(delivered) == 3


def test_all_are_decided_before_the_first_is_sent() -> None:
    """A refusal of the last one is raised, under `fail_silently` too, and none has been sent."""

    def refuse_the_last(effect: Any, arguments: Any) -> str:
        return "RAISE" if arguments["subject"] == "last" else "RECORD"

    messages = [message(), message(subject="last")]
    with (
        override_settings(SIDE_EFFECTS={"POLICY": {"mail.*": refuse_the_last}}),
        capture() as calls,
        pytest.raises(SideEffectBlocked),
    ):
        mail.get_connection(fail_silently=True).send_messages(messages)
    assert [call.mode for call in calls] == [Mode.RECORD, Mode.RAISE]
    assert not delivered
    assert not mail.outbox


def test_what_fails_on_the_way_says_so_for_each() -> None:
    """Those that were not tried any more have the same error."""

    class Failing(BaseEmailBackend):
        def send_messages(self, email_messages):
            if email_messages[0].subject == "bad":
                raise ConnectionError("no network")
            return 1

    with force_run("mail.send"), capture() as calls, pytest.raises(ConnectionError):
        Failing().send_messages([message(), message(subject="bad"), message(subject="never")])
    assert [repr(call.outcome.error) if call.outcome else "" for call in calls] == [
        "None",
        "ConnectionError('no network')",
        "ConnectionError('no network')",
    ]


def test_a_backend_that_hands_on_makes_no_second_call() -> None:
    """Neither does one that copies on the way; another recipient is another mail."""
    import copy

    class HandsOn(BaseEmailBackend):
        def send_messages(self, email_messages):
            return Deliverer().send_messages([copy.copy(one) for one in email_messages])

    class Archives(HandsOn):
        def send_messages(self, email_messages):
            message("archive@example.com").send()
            return super().send_messages(email_messages)

    with force_run("mail.send"), capture() as calls:
        HandsOn().send_messages([message()])
    assert calls.count("mail.send") == 1
    assert len(delivered) == 1
    with force_run("mail.send"), capture() as calls:
        Archives().send_messages([message()])
    assert [call.arguments["to"] for call in calls] == [["ben@example.org"], ["archive@example.com"]]


@pytest.mark.parametrize("name", ["to", "cc", "bcc"])
def test_a_backend_that_changes_the_recipients_makes_a_second_call(name: str, production: None) -> None:
    """A policy may let the first ones through and not the others. Another subject makes none."""
    added: list[str] = []

    class Changes(BaseEmailBackend):
        def send_messages(self, email_messages):
            for one in email_messages:
                one.subject = f"[shop] {one.subject}"
                getattr(one, name).extend(added)
            return Deliverer().send_messages(email_messages)

    with override_settings(SIDE_EFFECTS={"MODE": "RECORD", "POLICY": {"mail.*": our_own_people}}), capture() as calls:
        Changes().send_messages([message("a@example.com")])
        added.append("eve@example.net")
        Changes().send_messages([message("c@example.com")])
    assert [call.mode for call in calls] == [Mode.EXECUTE, Mode.EXECUTE, Mode.RECORD]
    assert "eve@example.net" in calls[2].arguments[name]
    assert [sent.recipients() for sent in delivered] == [["a@example.com"]]


def test_backends_that_extend_nothing_are_hooked_when_django_makes_them() -> None:
    """Duck typing is enough for Django."""
    with override_settings(EMAIL_BACKEND=f"{__name__}.Duck"), capture() as calls:
        mail.send_mail("Hi", "Body", None, ["ben@example.org"])
    assert calls.one("mail.send").arguments["backend"].endswith(".Duck")
    assert not delivered


class Duck:
    def __init__(self, **options):
        pass

    def send_messages(self, email_messages):
        delivered.extend(email_messages)
        return len(email_messages)


@pytest.mark.skipif(not hasattr(mail, "mailers"), reason="mailers came with Django 6.1")
def test_mailers_are_decided() -> None:
    """Whether a message names one or the default sends it."""
    mailers = {"default": {"BACKEND": f"{__name__}.Deliverer"}, "duck": {"BACKEND": f"{__name__}.Duck"}}
    with override_settings(MAILERS=mailers), capture() as calls:
        del settings.EMAIL_BACKEND
        message().send()
        message().send(using="duck")
        mail.mailers["duck"].send_messages([message()])
    assert [call.arguments["backend"].rpartition(".")[2] for call in calls] == ["Deliverer", "Duck", "Duck"]
    assert not delivered


def test_djangos_backend_in_memory_keeps_its_outbox() -> None:
    """A suite that reads `mail.outbox` stays green: each message is in it once, recorded or forced."""
    with override_settings(EMAIL_BACKEND=LOCMEM):
        assert mail.send_mail("one", "Body", None, ["ben@example.org"]) == 1
        with force_run("mail.send"):
            mail.send_mail("two", "Body", None, ["ben@example.org"])
    assert [sent.subject for sent in mail.outbox] == ["one", "two"]


class SendsAsWell(EmailBackend):
    """Extends the backend in memory, and reaches somebody."""

    def send_messages(self, messages):
        delivered.extend(messages)
        return super().send_messages(messages)


def test_a_backend_that_extends_the_one_in_memory_sends_nothing_that_is_recorded() -> None:
    """The outbox has the message, by Django's own class alone; forced, it is sent, by one call."""
    with capture() as calls:
        assert SendsAsWell().send_messages([message()]) == 1
    assert not delivered
    assert [one.to for one in mail.outbox] == [["ben@example.org"]]
    assert calls.one("mail.send").mode is Mode.RECORD
    with force_run("mail.send"), capture() as calls:
        SendsAsWell().send_messages([message()])
    assert (calls.count("mail.send"), len(delivered), len(mail.outbox)) == (1, 1, 2)


def test_what_a_call_says_does_not_change_with_the_message() -> None:
    """Nor with what a lazy subject or a list of one's own becomes: those that cannot be copied are marked."""
    lazy = lazystr("Hi")
    sent = message(headers={"X-Order": "7"}, subject=lazy)  # type: ignore[arg-type]
    with capture() as calls:
        sent.send()
        message(headers={"X-Order": "7"}).send()
        sent.to.append("eve@example.org")
        sent.extra_headers["X-Order"] = "8"
    for call in calls:
        assert (call.arguments["to"], call.arguments["headers"]) == (["ben@example.org"], {"X-Order": "7"})
    assert [call.by_reference for call in calls] == [("subject",), ()]


def test_a_connection_that_cannot_be_copied_is_left_out_of_the_outbox() -> None:
    """Django's own SMTP backend has a lock, and a message keeps the connection that it was given."""
    connection = SMTPBackend(host="192.0.2.1")
    assert message(connection=connection).send() == 1
    assert mail.outbox[0].to == ["ben@example.org"]


def test_one_connection_serves_all_messages() -> None:
    """Though each is sent, and noted, by itself."""
    opened: list[str] = []

    class Counting(EmailBackend):
        def open(self):
            opened.append("open")
            return True

        def close(self):
            opened.append("close")

    with force_run("mail.send"), capture() as calls:
        assert Counting().send_messages([message(), message("cy@example.org")]) == 2
    assert opened == ["open", "close"]
    assert [call.outcome.result for call in calls if call.outcome] == [1, 1]


def test_stubs_answer_for_one_message() -> None:
    """A stub's number is the message's part of the count; its exception is raised."""
    with stub("mail.send", returns=0):
        assert mail.get_connection().send_messages([message(), message("cy@example.org")]) == 0
    with stub("mail.send", raises=ConnectionError("down")), pytest.raises(ConnectionError):
        message().send()


def test_no_messages_and_no_recipients_are_no_calls() -> None:
    """As Django has it."""
    with capture() as calls:
        assert not mail.get_connection().send_messages([])
        assert mail.EmailMessage("Hi", "Body", None, []).send() == 0
    assert not calls


def test_a_dry_run_names_recipient_and_subject(production: None) -> None:
    """And sends nothing."""
    with dry_run() as plan:
        message(subject="Your bill").send()
    assert "ben@example.org" in str(plan)
    assert "Your bill" in str(plan)
    assert not delivered


@pytest.mark.django_db(transaction=True)
def test_mail_may_wait_for_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted at once, and sent when the transaction commits."""
    monkeypatch.setattr(backends, "_effects", [])
    declare("django.core.mail", name="late.send", on_commit=True)
    with force_run("late.send"):
        with transaction.atomic():
            assert message().send() == 1
            assert not delivered
        assert len(delivered) == 1


def test_it_ends_with_the_registry_that_declared_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is declared in an `isolated_registry` block is no effect afterwards; what was before it stays one inside."""
    with isolated_registry():
        message().send()
        assert not delivered
    monkeypatch.setattr(backends, "_effects", [])
    with isolated_registry():
        declare("django.core.mail", name="mail.send")
        message().send()
        assert not delivered
    monkeypatch.setattr(registry_module.store, "isolations", 0)  # as outside this test's own block
    message().send()
    assert [sent.to for sent in delivered] == [["ben@example.org"]]
    declare("django.core.mail", name="mail.other")
    message().send()
    assert len(delivered) == 1


def test_a_redirected_message_goes_to_nobody_else(production: None) -> None:
    """No copies either; the caller's own message stays as it is, and what was not redirected as well."""
    sent = message(cc=["cc@example.org"], bcc=["bcc@example.org"], reply_to=["re@example.org"], headers={"X-A": "1"})
    sent.attach("a.txt", b"abc")
    with override_settings(SIDE_EFFECTS={"POLICY": {"mail.*": redirect(to="qa@example.com")}}):
        assert sent.send() == 1
        with capture() as calls:
            assert mail.get_connection().send_messages([message(), message("qa@example.com")]) == 2
    assert delivered[0].recipients() == ["qa@example.com"]
    assert delivered[0].attachments == sent.attachments
    assert (delivered[0].reply_to, delivered[0].extra_headers) == (["re@example.org"], {"X-A": "1"})
    assert sent.recipients() == ["ben@example.org", "cc@example.org", "bcc@example.org"]
    assert calls[0].arguments["to"] == "qa@example.com"
    assert calls[0].asked is not None
    assert calls[0].asked["to"] == ["ben@example.org"]
    assert [one.to for one in delivered[1:]] == [["qa@example.com"]] * 2


def test_everything_else_of_a_message_may_be_redirected(production: None) -> None:
    """Copies that the redirect names are kept; headers are the message's extra ones."""
    other = redirect(
        to=["qa@example.com"],
        cc=lambda arguments: arguments["to"],
        subject=lambda arguments: f"[staging] {arguments['subject']}",
        headers={"X-Staging": "1"},
    )
    with override_settings(SIDE_EFFECTS={"POLICY": {"mail.*": other}}):
        message(bcc=["bcc@example.org"]).send()
    assert delivered[0].recipients() == ["qa@example.com", "ben@example.org"]
    assert delivered[0].subject == "[staging] Hi"
    assert delivered[0].extra_headers == {"X-Staging": "1"}


@pytest.mark.parametrize("name", ["attachments", "backend"])
def test_attachments_and_backend_cannot_be_redirected(name: str, production: None) -> None:
    """What the arguments say of them is not what is sent."""
    with (
        override_settings(SIDE_EFFECTS={"POLICY": {"mail.*": redirect(**{name: "x"})}}),
        pytest.raises(SideEffectBlocked, match=f"'{name}' of mail.send cannot be redirected"),
    ):
        message().send()
    assert not delivered


def test_a_redirect_leaves_the_outbox_of_a_test_alone() -> None:
    """It never counts in a test run."""
    with override_settings(SIDE_EFFECTS={"POLICY": {"mail.*": redirect(to="qa@example.com")}}), capture() as calls:
        message().send()
    assert calls.one("mail.send").asked is None
    assert mail.outbox[0].to == ["ben@example.org"]
