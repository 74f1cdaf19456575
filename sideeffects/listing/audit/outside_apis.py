"""Well-known functions and objects that reach the outside world, as the dotted paths by which code calls them.

Written down from the documentation of each package, as of their current versions.
"""

from __future__ import annotations

from typing import Final

_HTTP: Final = "delete get head options patch post put request"

#: Functions, as `module: names`.
_FUNCTIONS: Final = {
    "aiohttp": "request",
    "aiosmtplib": "send",
    "aiosmtplib.api": "send",
    "asyncio": "create_subprocess_exec create_subprocess_shell open_connection open_unix_connection",
    "asyncio.subprocess": "create_subprocess_exec create_subprocess_shell",
    "asyncssh": "connect",
    "celery.current_app": "send_task",
    "curl_cffi.requests": _HTTP,
    "dns.asyncresolver": "resolve",
    "dns.query": "https quic tcp tls udp",
    "dns.resolver": "query resolve",
    "dns.zone": "from_xfr",
    "django.core.mail": "mail_admins mail_managers send_mail send_mass_mail",
    "feedparser": "parse",
    "firebase_admin.auth": "create_user delete_user get_user get_user_by_email update_user verify_id_token",
    "firebase_admin.messaging": "send send_all send_each send_each_async send_each_for_multicast send_multicast "
    "subscribe_to_topic unsubscribe_from_topic",
    "git.Repo": "clone_from",
    "git.repo.Repo": "clone_from",
    "google.auth.transport.requests": "Request",
    "google.oauth2.id_token": "fetch_id_token verify_firebase_token verify_oauth2_token verify_token",
    "httpx": f"{_HTTP} stream",
    "invoke": "run sudo",
    "os": "popen posix_spawn posix_spawnp startfile system "
    "execl execle execlp execlpe execv execve execvp execvpe "
    "spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe",
    "paho.mqtt.publish": "multiple single",
    "pexpect": "run spawn",
    "pty": "spawn",
    "pywebpush": "webpush webpush_async",
    "requests": _HTTP,
    "requests.api": _HTTP,
    "socket": "create_connection getaddrinfo gethostbyaddr gethostbyname gethostbyname_ex",
    "ssl": "get_server_certificate",
    "subprocess": "Popen call check_call check_output getoutput getstatusoutput run",
    "treq": _HTTP,
    "urllib.request": "urlopen urlretrieve",
    "urllib3": "request",
    "webbrowser": "open open_new open_new_tab",
    "websocket": "create_connection",
    "websockets": "connect",
    "websockets.asyncio.client": "connect",
    "websockets.client": "connect",
    "websockets.sync.client": "connect",
    "whois": "whois",
}

#: Packages of which nearly every function reaches outside, by what they are called with.
_PACKAGES: Final = ("braintree", "mollie", "paypalrestsdk", "stripe")

#: What makes an object whose methods reach outside: those that are named, or (empty) all but a few.
_OBJECTS: Final = {
    "aio_pika.connect": "",
    "aio_pika.connect_robust": "",
    "aioboto3.Session": "",
    "aiohttp.ClientSession": f"{_HTTP} ws_connect",
    "aiokafka.AIOKafkaProducer": "",
    "aiosmtplib.SMTP": "connect login send_message sendmail",
    "algoliasearch.search_client.SearchClient.create": "",
    "anthropic.Anthropic": "",
    "anthropic.AsyncAnthropic": "",
    "apns2.client.APNsClient": "",
    "asyncssh.SSHClientConnection": "",
    "authlib.integrations.httpx_client.AsyncOAuth2Client": f"{_HTTP} fetch_token refresh_token send",
    "authlib.integrations.httpx_client.OAuth2Client": f"{_HTTP} fetch_token refresh_token send",
    "authlib.integrations.requests_client.OAuth1Session": f"{_HTTP} fetch_access_token fetch_request_token send",
    "authlib.integrations.requests_client.OAuth2Session": f"{_HTTP} fetch_token refresh_token revoke_token send",
    "azure.communication.email.EmailClient": "",
    "azure.communication.sms.SmsClient": "",
    "azure.storage.blob.BlobClient": "",
    "azure.storage.blob.BlobServiceClient": "",
    "azure.storage.blob.BlobServiceClient.from_connection_string": "",
    "azure.storage.blob.ContainerClient": "",
    "boto.connect_s3": "",
    "boto.connect_ses": "",
    "boto.ses.connect_to_region": "",
    "boto3.client": "",
    "boto3.resource": "",
    "botocore.session.get_session().create_client": "",
    "celery.Celery": "send_task",
    "channels.layers.get_channel_layer": "group_send send",
    "cloudscraper.create_scraper": _HTTP,
    "confluent_kafka.Producer": "produce flush",
    "consul.Consul": "",
    "curl_cffi.requests.AsyncSession": _HTTP,
    "curl_cffi.requests.Session": _HTTP,
    "django.core.mail.EmailMessage": "send",
    "django.core.mail.EmailMultiAlternatives": "send",
    "django.core.mail.backends.smtp.EmailBackend": "open send_messages",
    "django.core.mail.get_connection": "send_messages",
    "django.core.mail.message.EmailMessage": "send",
    "django.core.mail.message.EmailMultiAlternatives": "send",
    "django_redis.get_redis_connection": "publish xadd",
    "dns.asyncresolver.Resolver": "query resolve",
    "dns.resolver.Resolver": "query resolve",
    "docker.APIClient": "",
    "docker.DockerClient": "",
    "docker.from_env": "",
    "dropbox.Dropbox": "",
    "dropbox.dropbox.Dropbox": "",
    "elasticsearch.AsyncElasticsearch": "",
    "elasticsearch.Elasticsearch": "",
    "exchangelib.Account": "",
    "exchangelib.Message": "send send_and_save",
    "fabric.Connection": "",
    "facebook.GraphAPI": "",
    "ftplib.FTP": "",
    "ftplib.FTP_TLS": "",
    "geopy.geocoders.Nominatim": "geocode reverse",
    "github.Github": "",
    "gitlab.Gitlab": "",
    "google.auth.transport.requests.AuthorizedSession": _HTTP,
    "google.cloud.bigquery.Client": "",
    "google.cloud.firestore.Client": "",
    "google.cloud.pubsub_v1.PublisherClient": "",
    "google.cloud.storage.Client": "",
    "google.cloud.tasks.CloudTasksClient": "",
    "google.cloud.tasks_v2.CloudTasksClient": "",
    "google.cloud.translate.TranslationServiceClient": "",
    "google.cloud.translate_v2.Client": "",
    "google.cloud.vision.ImageAnnotatorClient": "",
    "googleapiclient.discovery.build": "",
    "googlemaps.Client": "",
    "gspread.authorize": "",
    "gspread.service_account": "",
    "http.client.HTTPConnection": "connect request",
    "http.client.HTTPSConnection": "connect request",
    "httplib2.Http": "request",
    "httpx.AsyncClient": f"{_HTTP} send stream",
    "httpx.Client": f"{_HTTP} send stream",
    "hvac.Client": "",
    "imaplib.IMAP4": "",
    "imaplib.IMAP4_SSL": "",
    "influxdb.InfluxDBClient": "",
    "influxdb_client.InfluxDBClient": "",
    "jenkins.Jenkins": "",
    "jira.JIRA": "",
    "kafka.KafkaProducer": "send flush",
    "kombu.Connection().Producer": "publish",
    "kombu.Connection().SimpleQueue": "put",
    "kombu.Producer": "publish",
    "kubernetes.client.AppsV1Api": "",
    "kubernetes.client.BatchV1Api": "",
    "kubernetes.client.CoreV1Api": "",
    "ldap.initialize": "",
    "ldap3.Connection": "",
    "mailchimp_marketing.Client": "",
    "mailchimp_transactional.Client": "",
    "mailjet_rest.Client": "",
    "meilisearch.Client": "",
    "messagebird.Client": "",
    "minio.Minio": "",
    "nats.connect": "",
    "nexmo.Client": "",
    "oauth2client.client.OAuth2WebServerFlow": "step2_exchange",
    "openai.AsyncOpenAI": "",
    "openai.OpenAI": "",
    "opensearchpy.OpenSearch": "",
    "oss2.Bucket": "",
    "paho.mqtt.client.Client": "connect connect_async publish reconnect subscribe",
    "paramiko.SFTPClient.from_transport": "",
    "paramiko.SSHClient": "connect exec_command invoke_shell open_sftp",
    "paramiko.SSHClient().open_sftp": "",
    "paramiko.Transport": "",
    "paramiko.client.SSHClient": "connect exec_command invoke_shell open_sftp",
    "pika.BlockingConnection": "",
    "plivo.RestClient": "",
    "poplib.POP3": "",
    "poplib.POP3_SSL": "",
    "postmarker.core.PostmarkClient": "",
    "praw.Reddit": "",
    "pusher.Pusher": "trigger trigger_batch",
    "pycurl.Curl": "perform perform_rb perform_rs",
    "pyfcm.FCMNotification": "",
    "pygsheets.authorize": "",
    "pysftp.Connection": "",
    "pysolr.Solr": "",
    "python_http_client.Client": "",
    "razorpay.Client": "",
    "redis.Redis": "publish xadd",
    "redis.Redis.from_url": "publish xadd",
    "redis.StrictRedis": "publish xadd",
    "redis.asyncio.Redis": "publish xadd",
    "redis.asyncio.from_url": "publish xadd",
    "redis.from_url": "publish xadd",
    "requests.Session": f"{_HTTP} send",
    "requests.session": f"{_HTTP} send",
    "requests.sessions.Session": f"{_HTTP} send",
    "requests_cache.CachedSession": f"{_HTTP} send",
    "requests_futures.sessions.FuturesSession": _HTTP,
    "requests_html.HTMLSession": _HTTP,
    "requests_oauthlib.OAuth1Session": f"{_HTTP} fetch_access_token fetch_request_token send",
    "requests_oauthlib.OAuth2Session": f"{_HTTP} fetch_token refresh_token send",
    "requests_toolbelt.sessions.BaseUrlSession": f"{_HTTP} send",
    "sendgrid.SendGridAPIClient": "",
    "sendgrid.sendgrid.SendGridAPIClient": "",
    "sib_api_v3_sdk.ContactsApi": "",
    "sib_api_v3_sdk.TransactionalEmailsApi": "",
    "slack.WebClient": "",
    "slack_sdk.WebClient": "",
    "slack_sdk.web.WebClient": "",
    "slack_sdk.web.async_client.AsyncWebClient": "",
    "slack_sdk.webhook.WebhookClient": "",
    "slackclient.SlackClient": "",
    "smtplib.SMTP": "",
    "smtplib.SMTP_SSL": "",
    "socket.socket": "connect connect_ex sendmsg sendto",
    "spotipy.Spotify": "",
    "square.client.Client": "",
    "stomp.Connection": "",
    "stripe.StripeClient": "",
    "suds.client.Client": "",
    "telebot.TeleBot": "",
    "telegram.Bot": "",
    "telnetlib.Telnet": "",
    "tornado.httpclient.AsyncHTTPClient": "fetch",
    "tornado.httpclient.HTTPClient": "fetch",
    "trello.TrelloClient": "",
    "tweepy.API": "",
    "tweepy.Client": "",
    "twilio.rest.Client": "",
    "typesense.Client": "",
    "urllib.request.OpenerDirector": "open",
    "urllib.request.build_opener": "open",
    "urllib.robotparser.RobotFileParser": "read",
    "urllib3.HTTPConnectionPool": "request urlopen",
    "urllib3.HTTPSConnectionPool": "request urlopen",
    "urllib3.PoolManager": "request urlopen",
    "urllib3.ProxyManager": "request urlopen",
    "urllib3.poolmanager.PoolManager": "request urlopen",
    "vonage.Client": "",
    "vonage.Vonage": "",
    "websocket.WebSocket": "connect send",
    "xmlrpc.client.Server": "",
    "xmlrpc.client.ServerProxy": "",
    "zeep.Client": "",
}

#: Methods of such objects, and functions of such packages, that reach nothing outside: they sign, check and describe.
_IDLE: Final = frozenset(
    """
    can_paginate close construct_event construct_from copy_with_options generate_presigned_post generate_presigned_url
    get_paginator get_waiter mount parse_event_notification parse_thin_event prepare_request quit set_debuglevel
    set_pasv verify_header with_options
    """.split()
)

#: What connects when it is made, if it is told where to.
_CONNECTING: Final = frozenset(
    """
    ftplib.FTP ftplib.FTP_TLS imaplib.IMAP4 imaplib.IMAP4_SSL jira.JIRA pika.BlockingConnection poplib.POP3
    poplib.POP3_SSL pysftp.Connection smtplib.SMTP smtplib.SMTP_SSL telnetlib.Telnet zeep.Client
    """.split()
)

#: Methods of such objects that give a part of them.
_PARTS: Final = frozenset("copy_with_options get_paginator get_queue_by_name get_waiter with_options".split())

#: Methods that say by their name alone what they do: of Django's users.
_SAID_BY_NAME: Final = {"email_user": "django.contrib.auth.models.AbstractUser().email_user"}

_REACHING: Final = frozenset(f"{module}.{name}" for module, names in _FUNCTIONS.items() for name in names.split())
_MAKING: Final = {path: frozenset(names.split()) for path, names in _OBJECTS.items()}
#: The same as methods of what another object gives: `boto3.Session().client(...)`.
_MAKING_ANYWAY: Final = {
    f"boto3.{session}().{made}": f"boto3.{made}"
    for session in ("Session", "session.Session")
    for made in ("client", "resource")
}
_FACTORIES: Final = frozenset(
    ("boto3.Session", "boto3.session.Session", "botocore.session.get_session", "kombu.Connection")
)
_ROOTS: Final = frozenset(path.partition(".")[0] for path in (*_FUNCTIONS, *_OBJECTS, *_PACKAGES, *_FACTORIES))
#: What is imported for hardly anything but to reach outside.
_NETWORK: Final = _ROOTS - frozenset(
    "asyncio celery channels django django_redis invoke os pty redis ssl subprocess webbrowser".split()
)
#: Packages of which a module imports something else as a rule.
_COMMON: Final = frozenset("asyncio celery channels django google http os urllib xmlrpc".split())
_LEADING_PACKAGES: Final = _ROOTS - _COMMON
_LEADING: Final = _LEADING_PACKAGES | {
    path.rsplit(".", cut)[0]
    for path in (*_OBJECTS, *(f"{module}.{name}" for module, names in _FUNCTIONS.items() for name in names.split()))
    for cut in range(path.count("."))
}
_NETWORK_MODULES: Final = {
    "urllib": ("urllib.request", "urllib.robotparser"),
    "http": ("http.client",),
    "xmlrpc": ("xmlrpc.client",),
    "google": ("google.auth.transport", "google.cloud", "google.oauth2"),
}


def is_known_package(path: str) -> bool:
    """Whether something of the package that the path is in reaches outside; of common packages, below the path."""
    root = path.partition(".")[0]
    return root in _ROOTS and (root not in _COMMON or path == root or path in _LEADING)


def may_lead_outside(imported: str) -> bool:
    """Whether an import may be of what makes objects that reach outside."""
    return imported in _LEADING or any(imported.startswith(f"{package}.") for package in _LEADING_PACKAGES)


def network_library(imported: str) -> str:
    """The name by which an import speaks of a library for the network; empty for any other import."""
    root = imported.partition(".")[0]
    if root not in _NETWORK:
        return ""
    modules = _NETWORK_MODULES.get(root)
    if modules is None:
        return root
    return next((module for module in modules if f"{imported}.".startswith(f"{module}.")), "")


def sends_mail(path: str) -> bool:
    """Whether it is an API of Django's mail, which can be declared as a whole."""
    return path.startswith("django.core.mail.") or path in _SAID_BY_NAME.values()


def said_by_name(method: str) -> str:
    """The API that a method of an unknown object is, by its name alone; empty for others."""
    return _SAID_BY_NAME.get(method, "")


def made_by(path: str) -> str | None:
    """The kind of object that calling this gives, if its methods may reach outside.

    Args:
        path: the dotted path of what is called; `()` stands for what a call gave.
    """
    known = _MAKING_ANYWAY.get(path, path)
    if known in _MAKING or known in _FACTORIES:
        return known
    kind, _ = _kind_of(known)
    last = known.rpartition(".")[2]
    # Parts of a client reach outside as it does; what its calls give is data.
    return known if kind and not _MAKING[kind] and (last in _PARTS or last[:1].isupper()) else None


def connects(path: str) -> bool:
    """Whether making the object, with arguments, reaches outside by itself."""
    return path in _CONNECTING


def reaches_outside(path: str) -> bool:
    """Whether calling this reaches the outside world."""
    if path in _REACHING:
        return True
    last = path.rpartition(".")[2]
    if last == "*":  # a name that is known only when it runs
        holder = path.removesuffix(".*")
        if not holder.endswith("()"):
            return holder in _ALL_OF_THEM
        wanted = _MAKING.get(holder.removesuffix("()"))
        return wanted is not None and (not wanted or "post" in wanted)
    kind, method = _kind_of(path)
    if kind:
        wanted = _MAKING[kind]
        return method in wanted if wanted else not last.startswith("_") and last not in _IDLE
    package, _, rest = path.partition(".")
    if "()" in path or package not in _PACKAGES or not rest:
        return False
    name = rest.rpartition(".")[2]
    return name.islower() and not name.startswith("_") and rest != name and name not in _IDLE


#: Modules of which every function that code asks for by a computed name reaches outside.
_ALL_OF_THEM: Final = frozenset(("httpx", "requests", "requests.api", "subprocess", "treq"))


def _kind_of(path: str) -> tuple[str, str]:
    """The known object that a path is of, and what is asked of that; empty for none."""
    made, is_method, method = path.partition("().")
    while is_method:
        if made in _MAKING:
            return made, method
        more, is_method, method = method.partition("().")
        made = f"{made}().{more}"
    return "", ""
