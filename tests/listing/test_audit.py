"""`manage.py side_effects --audit`: what is found in a project's source, and that nothing of it is imported."""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from sideeffects.listing.audit import Audit
from sideeffects.listing.audit.learning import Learning
from sideeffects.listing.audit.source import Body
from tests.support.listed_project import listed_project, write_settings
from tests.support.projects import Project

COMMAND = ("manage.py", "side_effects", "--audit")


def ignore(number: int, count: int) -> None:
    """Nobody watches."""


@pytest.fixture
def audit(tmp_path: Path) -> Callable[..., dict[str, list[str]]]:
    """What each function of some modules calls, by its dotted path."""

    def read(declared: tuple[str, ...] = (), /, **sources: str) -> dict[str, list[str]]:
        files = {}
        for name, source in sources.items():
            path = tmp_path / f"{name}.py"
            path.write_text(textwrap.dedent(source))
            files[name.replace("__", ".")] = path
        found = Audit(files, declared, ignore)
        assert not found.unreadable
        return {f"{one.module}.{one.function}": [call.api for call in one.calls] for one in found.found}

    return read


@pytest.mark.parametrize(
    ("imports", "expression", "api"),
    [
        ("import requests", "requests.post(url)", "requests.post"),
        ("import requests as r", "r.post(url)", "requests.post"),
        ("from requests import post as send", "send(url)", "requests.post"),
        ("import requests", "requests.Session().get(url)", "requests.Session().get"),
        ("import httpx", "httpx.AsyncClient().post(url)", "httpx.AsyncClient().post"),
        ("import dns.resolver", "dns.resolver.Resolver().resolve(url)", "dns.resolver.Resolver().resolve"),
        ("import boto3.session", "boto3.session.Session().client('s3').put_object()", "boto3.client().put_object"),
        ("import urllib.request", "urllib.request.urlopen(url)", "urllib.request.urlopen"),
        ("from urllib.request import urlopen", "urlopen(url)", "urllib.request.urlopen"),
        ("import urllib3", "urllib3.PoolManager().request('GET', url)", "urllib3.PoolManager().request"),
        ("import boto3", "boto3.client('s3').put_object()", "boto3.client().put_object"),
        ("import boto3", "boto3.Session().client('s3').put_object()", "boto3.client().put_object"),
        ("import stripe", "stripe.Charge.create(amount=1)", "stripe.Charge.create"),
        ("from twilio.rest import Client", "Client().messages.create()", "twilio.rest.Client().messages.create"),
        ("import smtplib", "smtplib.SMTP(url).sendmail()", "smtplib.SMTP().sendmail"),
        ("from django.core.mail import send_mail", "send_mail()", "django.core.mail.send_mail"),
        ("from django.core import mail", "mail.EmailMessage().send()", "django.core.mail.EmailMessage().send"),
        ("import subprocess", "subprocess.run(url)", "subprocess.run"),
        ("import os", "os.system(url)", "os.system"),
        ("import redis", "redis.Redis.from_url(url).publish(1, 2)", "redis.Redis.from_url().publish"),
        ("import kombu", "kombu.Connection(url).Producer().publish({})", "kombu.Connection().Producer().publish"),
        ("import paramiko", "paramiko.SSHClient().exec_command(url)", "paramiko.SSHClient().exec_command"),
        ("import socket", "socket.create_connection(url)", "socket.create_connection"),
        ("import asyncio, requests", "asyncio.to_thread(requests.get, url)", "requests.get"),
        ("import socket", "socket.socket().sendmsg([url])", "socket.socket().sendmsg"),
        ("import webbrowser", "webbrowser.open(url)", "webbrowser.open"),
        ("import xmlrpc.client", "xmlrpc.client.ServerProxy(url).pay(1)", "xmlrpc.client.ServerProxy().pay"),
        ("import pty", "pty.spawn(url)", "pty.spawn"),
        ("import elasticsearch.helpers", "elasticsearch.helpers.bulk(url, [])", "elasticsearch.helpers.bulk"),
        ("import gnupg", "gnupg.GPG().encrypt_file(url)", "gnupg.GPG().encrypt_file"),
        ("import aio_pika", "aio_pika.connect_robust(url)", "aio_pika.connect_robust"),
        ("import redis", "redis.Redis().rpush('jobs', url)", "redis.Redis().rpush"),
        (
            "from azure.servicebus import ServiceBusClient",
            "ServiceBusClient().peek(url)",
            "azure.servicebus.ServiceBusClient().peek",
        ),
        (
            "from google.cloud import secretmanager",
            "secretmanager.SecretManagerServiceClient().access_secret_version(url)",
            "google.cloud.secretmanager.SecretManagerServiceClient().access_secret_version",
        ),
        ("from geopy.geocoders import Photon", "Photon().geocode(url)", "geopy.geocoders.Photon().geocode"),
        (
            "import typesense",
            "typesense.Client().collections['books'].documents.create(url)",
            "typesense.Client().collections.documents.create",
        ),
        ("import stripe", "url.lines.auto_paging_iter()", "stripe.ListObject().auto_paging_iter"),
        ("import aioapns", "aioapns.APNs().send_notification(url)", "aioapns.APNs().send_notification"),
        ("import suds.client", "suds.client.Client().service.Pay(url)", "suds.client.Client().service.Pay"),
        (
            "from libcloud.storage.providers import get_driver",
            "get_driver('s3')('key').get_object(url)",
            "libcloud.storage.providers.get_driver()().get_object",
        ),
        (
            "from google.cloud import storage",
            "storage.Client().bucket('b').blob('n').upload_from_file(url)",
            "google.cloud.storage.Client().bucket().blob().upload_from_file",
        ),
        (
            "import boto3",
            "boto3.resource('s3').Bucket('b').Object('n').upload_fileobj(url)",
            "boto3.resource().Bucket().Object().upload_fileobj",
        ),
    ],
)
def test_well_known_apis(audit: Callable[..., dict[str, list[str]]], imports: str, expression: str, api: str) -> None:
    """However they were imported."""
    assert audit(shop=f"{imports}\n\ndef call(url):\n    return {expression}\n") == {"shop.call": [api]}


def test_what_only_looks_like_it(audit: Callable[..., dict[str, list[str]]]) -> None:
    """Names of the project's own, what is not called, and what reaches nothing."""
    assert not audit(
        shop="""
            import functools, os, redis, requests, stripe, subprocess

            class Requests:
                def post(self, url): ...

            def post(requests_: Requests, url, process: subprocess.Popen):
                Requests().post(url)
                os.path.join(url)
                os.environ.get("HOME")
                redis.Redis().get(url)
                requests.Session().mount(url, None)
                stripe.api_key = "key"
                if isinstance(url, (subprocess.Popen, requests.Session)) or isinstance(url, subprocess.Popen):
                    raise stripe.error.CardError("no")
                except_ = requests.ConnectionError

            def timed():
                session = requests.Session()
                session.request = functools.partial(session.request, timeout=3)
                return session
        """
    )


def test_objects_are_followed_to_what_made_them(audit: Callable[..., dict[str, list[str]]]) -> None:
    """Names of the function, of the module, of another module and of `self`; annotations; what functions return."""
    assert audit(
        shop__clients="""
            import boto3
            import requests

            session = requests.Session()

            def get_s3():
                return boto3.client("s3")
        """,
        shop__use="""
            import httpx, smtplib
            from shop.clients import get_s3, session
            from shop import clients

            def local(url):
                with smtplib.SMTP(url) as server:
                    server.send_message(url)

            def of_another_module(url):
                session.post(url)
                clients.session.get(url)

            def returned():
                get_s3().put_object()
                s3 = clients.get_s3()
                s3.delete_object()

            def annotated(client: httpx.Client, url):
                client.get(url)

            class Gateway:
                shared = httpx.Client()

                def __init__(self):
                    self.client = httpx.Client()

                def send(self, url):
                    self.client.post(url)
                    self.shared.put(url)

                async def send_later(self, url):
                    async with httpx.AsyncClient() as client:
                        def inner():
                            return client.post(url)
                        await inner()
        """,
    ) == {
        "shop.use.local": ["smtplib.SMTP().send_message"],
        "shop.use.of_another_module": ["requests.Session().post", "requests.Session().get"],
        "shop.use.returned": ["boto3.client().put_object", "boto3.client().delete_object"],
        "shop.use.annotated": ["httpx.Client().get"],
        "shop.use.Gateway.send": ["httpx.Client().post", "httpx.Client().put"],
        "shop.use.Gateway.send_later.inner": ["httpx.AsyncClient().post"],
    }


def test_a_nested_function_is_named_itself(audit: Callable[..., dict[str, list[str]]]) -> None:
    """Declaring the outer one would do nothing; one that stands in a declared function is covered."""
    found = audit(
        shop__nested="""
            import boto3, requests
            from sideeffects import side_effect

            def install():
                def connect(url):
                    requests.get(url)
                return connect

            class Ses:
                def __init__(self):
                    self.client = boto3.client("ses")

                def later(self):
                    session = requests.Session()
                    def send():
                        def now():
                            session.post("https://example.com")
                        self.client.send_email()
                        return now
                    return send

            @side_effect
            def declared():
                def inner():
                    requests.get("https://example.com")
                inner()
        """
    )
    assert found == {
        "shop.nested.install.connect": ["requests.get"],
        "shop.nested.Ses.later.send": ["boto3.client().send_email"],
        "shop.nested.Ses.later.send.now": ["requests.Session().post"],
    }


def test_what_signs_and_checks_is_left_out(audit: Callable[..., dict[str, list[str]]]) -> None:
    """A client package has functions that reach nothing: they read a signature, or write one."""
    found = audit(
        shop__pure="""
            import boto3, braintree, stripe, suds.client
            from azure.storage.blob import BlobServiceClient
            from google.cloud import storage

            def checked(payload, signature):
                return stripe.Webhook.construct_event(payload, signature, "secret")

            def signed():
                return boto3.client("s3").generate_presigned_url("get_object")

            def configured(soap: suds.client.Client):
                braintree.Configuration.configure("sandbox")
                soap.set_options(soapheaders=[])
                return soap.factory.create("data:Card")

            def parts(azure: BlobServiceClient, s3: boto3.resource):
                container = azure.get_container_client("files")
                print(container.get_blob_client("a").url, s3.Bucket("b").name)
                return storage.Client().bucket("b"), s3.Bucket("b").Object("n"), container

            def handed_on(storage_: storage.Client):
                return str(storage_.bucket("b").blob("n").updated), Blob("n", storage_.bucket("b"))

            def charged():
                return stripe.Charge.create(amount=7)
        """
    )
    assert list(found) == ["shop.pure.charged"]


def test_objects_of_which_nothing_is_known_hold_others(audit: Callable[..., dict[str, list[str]]]) -> None:
    """`threading.local()` and its kin, in an attribute, in a module and in a function."""
    found = audit(
        shop="""
            import threading, types
            import boto3, paramiko, requests

            local = threading.local()

            def session():
                if not hasattr(local, "session"):
                    local.session = requests.Session()
                return local.session

            def post(url):
                session().post(url)

            def again(url):
                local.session.get(url)

            def own(url):
                held = types.SimpleNamespace()
                held.session = requests.Session()
                held.session.put(url)

            class Storage:
                def __init__(self):
                    self._connections = threading.local()

                @property
                def connection(self):
                    connection = getattr(self._connections, "s3", None)
                    if connection is None:
                        self._connections.s3 = boto3.Session().resource("s3")
                    return self._connections.s3

                def exists(self, name):
                    self.connection.meta.client.head_object(Key=name)

                def delete(self, name):
                    getattr(self._connections, "s3").Object("b", name).delete()

            class Files:
                def __init__(self, ssh: paramiko.SSHClient):
                    self.sftp = ssh.open_sftp()

                def remove(self, name):
                    self.sftp.remove(name)
        """
    )
    assert [name.removeprefix("shop.") for name in found] == [
        "post",
        "again",
        "own",
        "Storage.exists",
        "Storage.delete",
        "Files.__init__",
        "Files.remove",
    ]


def test_objects_are_followed_through_containers_and_classes(audit: Callable[..., dict[str, list[str]]]) -> None:
    """Dicts of what makes them, own classes as annotations, classes as attributes, properties, arguments, `super()`."""
    found = audit(
        shop__kinds="""
            import contextlib, functools, imaplib, requests, stripe
            from django.core.mail import get_connection

            SERVERS = {"imap": {"init": imaplib.IMAP4_SSL}}

            def read_mail(kind):
                SERVERS[kind]["init"]("mail.example.org", 993).login("a", "b")

            def connect(kind):
                return SERVERS.get(kind)["init"]("mail.example.org")

            class Event:
                def get_mail_backend(self):
                    return get_connection(fail_silently=False)

            class Base:
                stripe_class = None
                session = property(lambda self: None)

                @classmethod
                def create(cls, **options):
                    return cls.stripe_class.create(**options)

                @functools.cached_property
                def http(self):
                    return requests.Session()

                def ask(self, method):
                    self.http.get("https://example.com")
                    return getattr(requests, method)("https://example.com")

            class Charge(Base):
                stripe_class = stripe.Charge

            class Session(requests.Session):
                def post(self, url):
                    return super().post(url, timeout=5)

            @contextlib.contextmanager
            def opened():
                yield requests.Session()
        """,
        shop__uses="""
            from shop import kinds
            from shop.kinds import Event

            def annotated(event: "Event | None", mail):
                backend = event.get_mail_backend()
                backend.send_messages([mail])

            def by_name(organizer, mail):
                organizer.get_mail_backend().send_messages([mail])

            def handed():
                post(kinds.Session())

            def post(session):
                session.post("https://example.com")

            def in_block():
                with kinds.opened() as session, kinds.unknown() as other:
                    other.post("https://example.com")
                    for one in [session]:
                        one.put("https://example.com")

            def outer():
                class Sender:
                    def go(self, session=kinds.Session()):
                        session.delete("https://example.com")
                return Sender()

            def shadowed(requests):
                requests.post("https://example.com")
        """,
    )
    assert found == {
        "shop.kinds.read_mail": ["imaplib.IMAP4_SSL().login"],
        "shop.kinds.connect": ["imaplib.IMAP4_SSL"],
        "shop.kinds.Base.create": ["stripe.Charge.create"],
        "shop.kinds.Base.ask": ["requests.Session().get", "requests.*"],
        "shop.kinds.Session.post": ["requests.Session().post"],
        "shop.uses.annotated": ["django.core.mail.get_connection().send_messages"],
        "shop.uses.by_name": ["django.core.mail.get_connection().send_messages"],
        "shop.uses.in_block": ["requests.Session().put"],
        "shop.uses.outer.Sender.go": ["requests.Session().delete"],
    }


def test_a_comment_may_stand_on_any_line_of_the_call(audit: Callable[..., dict[str, list[str]]]) -> None:
    """Formatters break long calls and long signatures."""
    assert not audit(
        shop="""
            import subprocess

            def version():
                subprocess.check_output(
                    ["git", "describe"],
                )  # sideeffects: accepted

            def status(
                name,
                *more,  # sideeffects: accepted
            ):
                subprocess.run(["git", "status", name])
        """
    )


def test_files_of_which_nothing_is_recognised(tmp_path: Path) -> None:
    """They import a library for the network, and no call is known; what is known, declared or accepted is not named."""
    sources = {
        "unclear": "from requests.adapters import HTTPAdapter\n\ndef send(x: HTTPAdapter): x.send()\n",
        "declared": "import requests, sideeffects\n\n@sideeffects.side_effect\ndef get(): requests.get('x')\n",
        "accepted": "import requests  # sideeffects: accepted, for its errors\n",
        "other": "import os, json\n",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    found = Audit({name: tmp_path / f"{name}.py" for name in sources}, (), ignore)
    assert [(one.path.name, one.line, one.library) for one in found.unclear] == [("unclear.py", 1, "requests")]


def test_a_comment_accepts_a_call_or_a_function(audit: Callable[..., dict[str, list[str]]]) -> None:
    """On the line of the call, or on that of the `def`; what else the function calls is listed all the same."""
    found = audit(
        shop__accepted="""
            import subprocess

            def version():
                return subprocess.check_output(["git", "describe"])  # sideeffects: accepted, it changes nothing

            def both():  # sideeffects: accepted
                subprocess.run(["git", "status"])
                subprocess.run(["git", "log"])

            def one_of_two():
                subprocess.run(["git", "status"])  # sideeffects: accepted
                subprocess.call(["git", "push"])

            def none():
                subprocess.call(["git", "push"])  # it is accepted by the sideeffects of others
                subprocess.call("git push '# sideeffects: accepted'", shell=True)
        """
    )
    assert found == {
        "shop.accepted.one_of_two": ["subprocess.call"],
        "shop.accepted.none": ["subprocess.call", "subprocess.call"],
    }


def test_declared_functions_are_left_out(audit: Callable[..., dict[str, list[str]]]) -> None:
    """By the decorator, by one of the project's own, by `declare`, by the settings; and what only these use."""
    assert audit(
        ("shop.effects:by_settings", "subprocess:run"),
        shop__effects="""
            import functools, requests, subprocess
            import sideeffects as se
            from sideeffects import declare, side_effect

            def sms(**options):
                return side_effect(tags=["sms"], **options)

            declare("shop.effects:by_declare")

            @side_effect
            def bare(url): _post(url)

            @se.side_effect(name="x.y")
            async def named(url): requests.get(url)

            @sms()
            def by_own_decorator(url): requests.get(url)

            def by_declare(url): requests.get(url)

            def by_settings(url): requests.get(url)

            def runs(url): subprocess.run(url)

            def _post(url): return _post_again(url)

            def _post_again(url): requests.post(url)

            def _used_by_both(url): requests.put(url)

            class Gateway:
                @classmethod
                @side_effect
                def send(cls, url):
                    cls._send(url)
                    _used_by_both(url)

                @side_effect
                def ask(self, url):
                    return self._ask(url)

                def _ask(self, url): return requests.get(url)

                @classmethod
                def _send(cls, url): requests.post(url)

            def not_declared(url):
                _used_by_both(url)
                requests.post(url)
        """,
    ) == {"shop.effects._used_by_both": ["requests.put"], "shop.effects.not_declared": ["requests.post"]}


def test_what_importing_calls(audit: Callable[..., dict[str, list[str]]]) -> None:
    """It stands in no function that could be declared."""
    assert audit(
        shop="""
            import subprocess

            VERSION = subprocess.check_output(["git", "describe"])

            class Shop:
                names = [subprocess.getoutput(name) for name in ("a", "b")]
        """
    ) == {"shop.": ["subprocess.check_output", "subprocess.getoutput"]}


# -- the command

HOOKS = '''
    import requests

    raise AssertionError("this module was imported")


    def notify(url):
        """Tell a partner."""
        requests.post(url, timeout=5)
        requests.get(url, timeout=5)
'''


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = listed_project(tmp_path)
    project.write("shop/hooks.py", HOOKS)
    project.write("shop/start.py", "import os\nos.system('true')\n")
    project.write(
        "shop/effects_of_shop.py", "import requests\nfrom sideeffects import side_effect\nraise AssertionError"
    )
    return project


@pytest.mark.processes
def test_the_command_lists_each_with_the_line_to_write(project: Project) -> None:
    """Nothing of the project is imported: not what is found, nor what declares effects."""
    ran = project.run(*COMMAND)

    assert ran.stdout.splitlines() == [
        "WHERE            FUNCTION  CALLS",
        "shop/hooks.py:6  notify    requests.post, requests.get",
        '  @side_effect(name="shop.hooks.notify")',
        "shop/start.py:2            os.system",
        "  importing the module calls this: move it into a function, and declare that",
    ]
    assert ran.stderr.splitlines() == [
        "These files import a library for the network, and none of its calls was recognised. Look at them, too:",
        "  shop/effects_of_shop.py:1 (requests)",
    ]
    [hook, start] = json.loads(project.run(*COMMAND, "--format", "json").stdout)
    assert hook == {
        "function": "notify",
        "module": "shop.hooks",
        "app": "shop",
        "file": "shop/hooks.py",
        "line": 6,
        "calls": [{"api": "requests.post", "line": 8}, {"api": "requests.get", "line": 9}],
        "reads": False,
        "write": '@side_effect(name="shop.hooks.notify")',
    }
    assert (start["function"], start["line"]) == ("", 2)
    markdown = project.run(*COMMAND, "--format", "markdown", "--module", "shop.hooks").stdout.splitlines()
    assert markdown == [
        "| where | function | calls | line to write |",
        "| --- | --- | --- | --- |",
        '| `shop/hooks.py:6` | `notify` | `requests.post`, `requests.get` | `@side_effect(name="shop.hooks.notify")` |',
    ]


@pytest.mark.processes
def test_installed_packages_are_not_the_projects(project: Project) -> None:
    """Django's own app for users sends mail; nobody writes a decorator into it."""
    write_settings(project, 'INSTALLED_APPS += ["django.contrib.auth", "django.contrib.contenttypes"]')

    assert "django" not in project.run(*COMMAND).stdout


@pytest.mark.processes
def test_exit_codes(project: Project) -> None:
    """0 done, 1 with `--check` and something to declare, 2 when the question or a file is wrong."""
    check = project.run(*COMMAND, "--check", code=1)
    assert check.stdout.splitlines() == [
        "shop/hooks.py:6: notify calls requests.post, requests.get and is not declared",
        "shop/start.py:2: importing shop.start calls os.system",
    ]
    assert "2 functions to declare" in check.stderr
    assert "does not go with --tag, names" in project.run(*COMMAND, "sms.*", "--tag", "x", code=2).stderr
    assert "Did you mean 'shop'?" in project.run(*COMMAND, "--app", "shopp", code=2).stderr
    assert "no module of the project is called 'shop.x'" in project.run(*COMMAND, "--module", "shop.x", code=2).stderr
    baseline = ("--baseline", "accepted.json")
    assert (
        "there is no such file; write it anew with --update-baseline" in project.run(*COMMAND, *baseline, code=2).stderr
    )
    assert "2 functions are accepted" in project.run(*COMMAND, *baseline, "--update-baseline").stderr
    project.write("shop/hooks.py", HOOKS.replace("requests.get", "requests.put"))
    again = project.run(*COMMAND, *baseline, "--check", code=1)
    assert again.stdout == "shop/hooks.py:6: notify calls requests.put and is not declared\n"
    assert "1 entry means nothing any more" in again.stderr
    for name in ("shop/hooks.py", "shop/start.py"):
        (project.root / name).unlink()
    clean = project.run(*COMMAND, "--check")
    assert clean.stdout == ""
    assert "No undeclared call of a well-known outside API in" in clean.stderr
    project.write("shop/broken.py", "def (:\n")
    broken = project.run(*COMMAND, code=2)
    assert "the audit may be incomplete" in broken.stderr
    assert "shop/broken.py" in broken.stderr


def test_a_function_is_looked_at_again_only_when_more_is_known_of_what_it_asks_for(
    audit: Callable[..., dict[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that goes from hand to hand costs a look for each of them, whatever else says the same words."""
    looks: list[str] = []
    look = Learning._learn_from

    def counted(self: Learning, body: Body) -> None:
        looks.append(body.path)
        look(self, body)

    monkeypatch.setattr(Learning, "_learn_from", counted)
    number = 40
    chain = "\n".join(f"def step_{i}(client):\n    step_{i + 1}(client)\n" for i in range(number))
    others = "\n".join(f"def other_{i}(client):\n    client.post(1)\n    client.step()\n" for i in range(200))
    found = audit(
        shop__chain=f"import requests\n{chain}\ndef step_{number}(client):\n    client.post('/')\n"
        "def begin():\n    step_0(requests.Session())\n",
        shop__others=others,
    )
    assert found == {f"shop.chain.step_{number}": ["requests.Session().post"]}
    assert len(looks) <= 2 * (number + 200 + 5)


def test_what_else_a_common_package_has_is_not_followed(audit: Callable[..., dict[str, list[str]]]) -> None:
    """Of Django only mail reaches outside: nothing is known of its other objects, and mail is still found."""
    found = audit(
        shop__models="""
            from django.core import mail
            from django.db import models

            class Order(models.Model):
                def tell(self):
                    self.objects.send()
                    self.post()
                    message().send()

            def message():
                return mail.EmailMessage()
        """
    )
    assert found == {"shop.models.Order.tell": ["django.core.mail.EmailMessage().send"]}


def test_what_a_client_package_gives_reaches_outside_by_some_methods(
    audit: Callable[..., dict[str, list[str]]],
) -> None:
    """Stripe's objects save, cancel and fetch their next pages; what they hold is data."""
    found = audit(
        shop__billing="""
            import stripe

            class Payment:
                stripe_class = stripe.PaymentIntent

                def retrieve(self):
                    return self.stripe_class.retrieve(self.id)

                def cancel(self):
                    return self.retrieve().cancel()

                def pages(self, found):
                    for one in stripe.Charge.list().auto_paging_iter():
                        yield one.get("id")

                def amount(self):
                    intent = self.retrieve()
                    return intent.get("amount"), intent.amount.as_text()
        """
    )
    assert found == {
        "shop.billing.Payment.retrieve": ["stripe.PaymentIntent.retrieve"],
        "shop.billing.Payment.cancel": ["stripe.PaymentIntent.retrieve().cancel"],
        "shop.billing.Payment.pages": ["stripe.Charge.list().auto_paging_iter", "stripe.Charge.list"],
    }
