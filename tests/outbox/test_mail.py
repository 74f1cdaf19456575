"""Held mail: a message is kept with what is attached to it, and sent as it was."""

from email.mime.text import MIMEText
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from django.test import override_settings

from sideeffects import SideEffectBlocked, declare, hold

BACKEND = "django.core.mail.backends.filebased.EmailBackend"


def test_a_held_message_is_sent_when_it_is_released(outbox: Any, tmp_path: Path) -> None:
    """By its backend, with its headers, alternatives and attachments; nothing before."""
    from sideeffects.outbox import actions

    declare("django.core.mail", name="mail.send")
    with override_settings(EMAIL_BACKEND=BACKEND, EMAIL_FILE_PATH=str(tmp_path / "mails")):
        message = EmailMultiAlternatives("Invoice", "Dear Ann", "shop@x.test", ["ann@x.test"], headers={"X-A": "1"})
        message.attach_alternative("<p>Dear Ann</p>", "text/html")
        message.attach("a.pdf", b"%PDF\xff", "application/pdf")
        message.attach("a.txt", "text", "text/plain")
        with hold("mail.*"):
            assert message.send() == 1
            assert get_connection().send_messages([EmailMessage("Second", "x", "shop@x.test", ["ben@x.test"])]) == 1
        assert list((tmp_path / "mails").iterdir()) == []
        row = outbox.order_by("pk").first()
        assert (row.effect, row.arguments["to"]) == ("mail.send", ["ann@x.test"])
        assert row.arguments["attachments"][0] == {"name": "a.pdf", "type": "application/pdf", "size": 5}
        with hold("mail.*"):
            result = actions.release([one.pk for one in outbox.all()], by="eve")
    assert result.done == 2
    sent = "".join(file.read_text() for file in (tmp_path / "mails").iterdir())
    parts = ["To: ann@x.test", "X-A: 1", "<p>Dear Ann</p>", "JVBERv8=", 'filename="a.txt"', "To: ben@x.test"]
    assert [sent.count(part) for part in parts] == [1] * len(parts)


def test_messages_that_say_more_than_their_call_are_refused(outbox: Any) -> None:
    """Those of other classes, whose extras nobody could keep."""

    class Template(EmailMessage):
        template_id = 7

    declare("django.core.mail", name="mail.send")
    with hold("mail.*"), pytest.raises(SideEffectBlocked, match="only Django's own messages can be kept"):
        Template("a", "b", "c@x.test", ["d@x.test"]).send()
    strange = EmailMessage("a", "b", "c@x.test", ["d@x.test"])
    for attachment, told in (("x", 7, "text/plain"), "the attachment 'x' is a int"), (MIMEText("a"), "a MIME part is"):
        strange.attachments = [attachment]
        with hold("mail.*"), pytest.raises(SideEffectBlocked, match=told):
            strange.send()


def test_mail_that_is_no_effect_any_more_is_kept(outbox: Any) -> None:
    """The row says so."""
    from sideeffects import side_effect
    from sideeffects.outbox import actions
    from sideeffects.testing import isolated_registry

    declare("django.core.mail", name="mail.send")
    with hold("mail.*"):
        EmailMessage("a", "b", "c@x.test", ["d@x.test"]).send()
    with isolated_registry():
        assert actions.release([outbox.get().pk], by="eve").kept == 1
        assert "this code declares no mail as 'mail.send'" in outbox.get().error
        side_effect(name="mail.send")(lambda: None)
        assert actions.release([outbox.get().pk], by="eve").kept == 1
        assert "no mail any more" in outbox.get().error
