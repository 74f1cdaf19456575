"""Well-known functions and objects that reach the outside world, as the dotted paths by which code calls them.

Written down from the documentation of each package, as of their current versions.
"""

from __future__ import annotations

from typing import Final

_HTTP: Final = "delete get head options patch post put request"

#: Functions, as `module: names`.
_FUNCTIONS: Final = {
    "aiohttp": "request",
    "asyncio": "create_subprocess_exec create_subprocess_shell open_connection",
    "asyncssh": "connect",
    "celery.current_app": "send_task",
    "dns.asyncresolver": "resolve",
    "dns.resolver": "query resolve",
    "django.core.mail": "mail_admins mail_managers send_mail send_mass_mail",
    "firebase_admin.messaging": "send send_all send_each send_each_for_multicast send_multicast",
    "httpx": f"{_HTTP} stream",
    "os": "popen posix_spawn posix_spawnp startfile system "
    "execl execle execlp execlpe execv execve execvp execvpe "
    "spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe",
    "pty": "spawn",
    "pywebpush": "webpush",
    "requests": _HTTP,
    "requests.api": _HTTP,
    "socket": "create_connection",
    "subprocess": "Popen call check_call check_output getoutput getstatusoutput run",
    "urllib.request": "urlopen urlretrieve",
    "urllib3": "request",
    "webbrowser": "open open_new open_new_tab",
    "websocket": "create_connection",
    "websockets": "connect",
    "websockets.sync.client": "connect",
}

#: Packages of which nearly every function reaches outside, by what they are called with.
_PACKAGES: Final = ("braintree", "mollie", "stripe")

#: What makes an object whose methods reach outside: those that are named, or (empty) all but a few.
_OBJECTS: Final = {
    "aioboto3.Session": "",
    "aiohttp.ClientSession": f"{_HTTP} ws_connect",
    "algoliasearch.search_client.SearchClient.create": "",
    "anthropic.Anthropic": "",
    "anthropic.AsyncAnthropic": "",
    "asyncssh.SSHClientConnection": "",
    "boto3.client": "",
    "boto3.resource": "",
    "celery.Celery": "send_task",
    "confluent_kafka.Producer": "produce flush",
    "django.core.mail.EmailMessage": "send",
    "dns.asyncresolver.Resolver": "query resolve",
    "dns.resolver.Resolver": "query resolve",
    "django.core.mail.EmailMultiAlternatives": "send",
    "django.core.mail.get_connection": "send_messages",
    "django.core.mail.message.EmailMessage": "send",
    "django_redis.get_redis_connection": "publish xadd",
    "fabric.Connection": "",
    "ftplib.FTP": "",
    "ftplib.FTP_TLS": "",
    "google.cloud.pubsub_v1.PublisherClient": "",
    "google.cloud.storage.Client": "",
    "google.cloud.tasks_v2.CloudTasksClient": "",
    "http.client.HTTPConnection": "connect request",
    "http.client.HTTPSConnection": "connect request",
    "httpx.AsyncClient": f"{_HTTP} send stream",
    "httpx.Client": f"{_HTTP} send stream",
    "imaplib.IMAP4": "",
    "imaplib.IMAP4_SSL": "",
    "kafka.KafkaProducer": "send flush",
    "kombu.Producer": "publish",
    "kombu.Connection().Producer": "publish",
    "kombu.Connection().SimpleQueue": "put",
    "openai.AsyncOpenAI": "",
    "openai.OpenAI": "",
    "paramiko.SFTPClient.from_transport": "",
    "paramiko.SSHClient": "connect exec_command invoke_shell open_sftp",
    "paramiko.Transport": "",
    "pika.BlockingConnection": "",
    "poplib.POP3": "",
    "poplib.POP3_SSL": "",
    "pusher.Pusher": "trigger trigger_batch",
    "redis.Redis": "publish xadd",
    "redis.StrictRedis": "publish xadd",
    "redis.asyncio.Redis": "publish xadd",
    "redis.asyncio.from_url": "publish xadd",
    "redis.from_url": "publish xadd",
    "redis.Redis.from_url": "publish xadd",
    "requests.Session": f"{_HTTP} send",
    "requests.session": f"{_HTTP} send",
    "sendgrid.SendGridAPIClient": "",
    "slack_sdk.WebClient": "",
    "slack_sdk.webhook.WebhookClient": "",
    "slack_sdk.web.async_client.AsyncWebClient": "",
    "smtplib.SMTP": "",
    "smtplib.SMTP_SSL": "",
    "socket.socket": "connect connect_ex sendmsg sendto",
    "stripe.StripeClient": "",
    "twilio.rest.Client": "",
    "urllib.request.build_opener": "open",
    "urllib3.HTTPConnectionPool": "request urlopen",
    "urllib3.HTTPSConnectionPool": "request urlopen",
    "urllib3.PoolManager": "request urlopen",
    "xmlrpc.client.ServerProxy": "",
}

#: Methods of such objects, and functions of such packages, that reach nothing outside: they sign, check and describe.
_IDLE: Final = frozenset(
    """
    can_paginate close construct_event construct_from copy_with_options generate_presigned_post generate_presigned_url
    get_paginator get_waiter mount parse_event_notification parse_thin_event prepare_request quit set_debuglevel
    set_pasv verify_header with_options
    """.split()
)

_REACHING: Final = frozenset(f"{module}.{name}" for module, names in _FUNCTIONS.items() for name in names.split())
_MAKING: Final = {path: frozenset(names.split()) for path, names in _OBJECTS.items()}
#: The same as methods of what another object gives: `boto3.Session().client(...)`.
_MAKING_ANYWAY: Final = {
    f"boto3.{session}().{made}": f"boto3.{made}"
    for session in ("Session", "session.Session")
    for made in ("client", "resource")
}
_FACTORIES: Final = frozenset(("boto3.Session", "boto3.session.Session", "kombu.Connection"))


def made_by(path: str) -> str | None:
    """The kind of object that calling this gives, if its methods may reach outside.

    Args:
        path: the dotted path of what is called; `()` stands for what a call gave.
    """
    known = _MAKING_ANYWAY.get(path, path)
    return known if known in _MAKING or known in _FACTORIES else None


def reaches_outside(path: str) -> bool:
    """Whether calling this reaches the outside world."""
    if path in _REACHING:
        return True
    made, is_method, method = path.partition("().")
    while is_method and made not in _MAKING and "()." in method:
        more, _, method = method.partition("().")
        made = f"{made}().{more}"
    last = method.rpartition(".")[2]
    if is_method:
        if made not in _MAKING or not last or last.startswith("_"):
            return False
        wanted = _MAKING[made]
        return method in wanted if wanted else last not in _IDLE
    package, _, rest = path.partition(".")
    if package not in _PACKAGES or not rest:
        return False
    name = rest.rpartition(".")[2]
    return name.islower() and not name.startswith("_") and rest != name and name not in _IDLE
