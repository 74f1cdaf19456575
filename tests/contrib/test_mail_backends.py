"""Mail by the backends of django-anymail, django-ses and django-post_office, each against a service on this machine."""

import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import override_settings
from pytest_httpserver import HTTPServer
from werkzeug import Response

from sideeffects import Mode, capture, declare, dry_run, force_run, redirect
from sideeffects.contrib.mail import backends

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
#: What the service has been asked to send: the bodies of the requests.
asked: list[str] = []


@pytest.fixture
def service(httpserver: HTTPServer) -> HTTPServer:
    """A service that takes whatever it is sent."""
    asked.clear()

    def take(request: Any) -> Response:
        asked.append(request.get_data(as_text=True))
        if "Action=" in asked[-1]:
            answer = "<SendRawEmailResponse><SendRawEmailResult><MessageId>7</MessageId></SendRawEmailResult>"
            return Response(
                f"{answer}<ResponseMetadata><RequestId>8</RequestId></ResponseMetadata></SendRawEmailResponse>"
            )
        to = json.loads(asked[-1])["To"]
        answer = {"To": to, "MessageID": "7", "ErrorCode": 0, "Message": "OK", "SubmittedAt": "2026-01-01T00:00:00Z"}
        return Response(json.dumps(answer), content_type="application/json")

    httpserver.expect_request("/email").respond_with_handler(take)
    httpserver.expect_request("/").respond_with_handler(take)
    return httpserver


def of_anymail(service: HTTPServer) -> dict[str, Any]:
    pytest.importorskip("anymail")
    postmark = {"POSTMARK_SERVER_TOKEN": "x", "POSTMARK_API_URL": service.url_for("/")}
    return {"EMAIL_BACKEND": "anymail.backends.postmark.EmailBackend", "ANYMAIL": postmark}


def of_ses(service: HTTPServer) -> dict[str, Any]:
    pytest.importorskip("django_ses")
    return {
        "EMAIL_BACKEND": "django_ses.SESBackend",
        "AWS_SES_REGION_NAME": "eu-west-1",
        "AWS_SES_REGION_ENDPOINT_URL": service.url_for("/"),
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_SES_AUTO_THROTTLE": None,
    }


@pytest.fixture(params=[of_anymail, of_ses], ids=["anymail", "ses"])
def send(
    request: pytest.FixtureRequest, service: HTTPServer, own_registry: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], object]]:
    """Sends a mail by the backend; all mail is declared."""
    monkeypatch.setattr(backends, "_effects", [])
    monkeypatch.setattr(mail, "outbox", [], raising=False)
    declare("django.core.mail", name="mail.send")
    with override_settings(**request.param(service)):
        for name in ("django_ses.conf", "django_ses"):  # it reads the settings when it is imported
            if request.param is of_ses:
                importlib.reload(importlib.import_module(name))
        yield lambda: mail.send_mail("Your bill", "Body", "shop@example.com", ["ben@example.org"])


def test_in_a_test_run_it_is_sent_when_a_test_names_it(send: Callable[[], object]) -> None:
    """Recorded, the service hears nothing, and the outbox has it; forced, it is one call and one request."""
    with capture() as calls:
        assert send() == 1
    assert calls.one("mail.send").mode is Mode.RECORD
    assert (asked, [one.to for one in mail.outbox]) == ([], [["ben@example.org"]])
    with force_run("mail.send"), capture() as calls:
        assert send() == 1
    calls.assert_called("mail.send", to=["ben@example.org"], subject="Your bill", times=1)
    assert len(asked) == 1


def test_outside_of_one_the_rules_hold(send: Callable[[], object], production: None) -> None:
    """`MODE: RECORD` and a dry run send nothing, and the plan has recipient and subject; a redirect sends elsewhere."""
    with override_settings(SIDE_EFFECTS={"MODE": "RECORD"}):
        assert send() == 1
    with dry_run() as plan:
        send()
    assert "ben@example.org" in str(plan)
    assert "Your bill" in str(plan)
    assert asked == []
    with override_settings(SIDE_EFFECTS={"POLICY": {"mail.*": redirect(to=["qa@example.com"], subject="QA")}}):
        assert send() == 1
    assert len(asked) == 1
    assert send() == 1
    assert len(asked) == 2


@pytest.mark.django_db(transaction=True)
def test_what_post_office_queues_is_a_call_and_what_it_sends_is_another(
    own_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its backend writes a row; the mail goes later, by another backend. Recorded, no row is written."""
    pytest.importorskip("post_office")
    monkeypatch.setattr(backends, "_effects", [])
    monkeypatch.setattr(mail, "outbox", [], raising=False)
    declare("django.core.mail", name="mail.send")
    locmem = "django.core.mail.backends.locmem.EmailBackend"
    with override_settings(
        INSTALLED_APPS=["post_office"],
        EMAIL_BACKEND="post_office.EmailBackend",
        POST_OFFICE={"BACKENDS": {"default": locmem}, "CELERY_ENABLED": False},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
    ):
        models = importlib.import_module("post_office.models")
        tables = (models.EmailTemplate, models.Email, models.Attachment, models.Log)
        with connection.schema_editor() as editor:
            for model in tables:
                editor.create_model(model)
        with capture() as calls:
            mail.send_mail("Hi", "Body", "shop@example.com", ["ben@example.org"])
            assert models.Email.objects.count() == 0
            with force_run("mail.send"):
                mail.send_mail("Hi", "Body", "shop@example.com", ["ben@example.org"])
            queued = models.Email.objects.get()
            assert queued.to == ["ben@example.org"]
            queued.dispatch()
        assert [call.mode for call in calls] == [Mode.RECORD, Mode.EXECUTE, Mode.RECORD]
        assert calls[2].arguments["backend"] == locmem
        with connection.schema_editor() as editor:
            for model in reversed(tables):
                editor.delete_model(model)
