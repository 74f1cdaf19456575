"""Well-known functions and objects that reach the outside world, as the dotted paths by which code calls them.

Written down from the documentation of each package, as of their current versions.
"""

from __future__ import annotations

from typing import Final

_HTTP: Final = "delete get head options patch post put request"

#: Functions, as `module: names`.
FUNCTIONS: Final = {
    "aio_pika": "connect connect_robust",
    "aiohttp": "request",
    "aiosmtplib": "send",
    "aiosmtplib.api": "send",
    "ansible_runner": "run run_async",
    "asyncio": "create_subprocess_exec create_subprocess_shell open_connection open_unix_connection",
    "asyncio.subprocess": "create_subprocess_exec create_subprocess_shell",
    "asyncssh": "connect",
    "celery.current_app": "send_task",
    "celery.current_app.control": "broadcast inspect ping purge revoke",
    "cloudinary.uploader": "destroy explicit rename upload upload_image upload_large upload_resource",
    "curl_cffi.requests": _HTTP,
    "delegator": "run",
    "django.core.mail": "mail_admins mail_managers send_mail send_mass_mail",
    "dns.asyncresolver": "resolve",
    "dns.query": "https quic tcp tls udp",
    "dns.resolver": "query resolve",
    "dns.zone": "from_xfr",
    "dulwich.porcelain": "clone fetch pull push",
    "elasticsearch.helpers": "async_bulk bulk parallel_bulk reindex scan streaming_bulk",
    "feedparser": "parse",
    "ffmpeg": "probe run",
    "firebase_admin.auth": "create_user delete_user get_user get_user_by_email update_user verify_id_token",
    "firebase_admin.messaging": "send send_all send_each send_each_async send_each_for_multicast send_multicast "
    "subscribe_to_topic unsubscribe_from_topic",
    "git.Repo": "clone_from",
    "git.repo.Repo": "clone_from",
    "google.auth.transport.requests": "Request",
    "google.oauth2.id_token": "fetch_id_token verify_firebase_token verify_oauth2_token verify_token",
    "httpx": f"{_HTTP} stream",
    "huggingface_hub": "hf_hub_download snapshot_download",
    "imgkit": "from_file from_string from_url",
    "invoke": "run sudo",
    "litellm": "acompletion aembedding completion embedding",
    "nats": "connect",
    "niquests": _HTTP,
    "ollama": "chat embed embeddings generate pull",
    "openai.ChatCompletion": "acreate create",
    "openai.Completion": "acreate create",
    "openai.Embedding": "create",
    "openai.Image": "create",
    "opensearchpy.helpers": "async_bulk bulk parallel_bulk reindex scan streaming_bulk",
    "os": "popen posix_spawn posix_spawnp startfile system "
    "execl execle execlp execlpe execv execve execvp execvpe "
    "spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe",
    "paho.mqtt.publish": "multiple single",
    "pdfkit": "from_file from_string from_url",
    "pexpect": "run spawn",
    "ping3": "ping",
    "posthog": "capture identify",
    "pty": "spawn",
    "pygit2": "clone_repository",
    "pypandoc": "convert_file convert_text",
    "pywebpush": "webpush webpush_async",
    "replicate": "run",
    "requests": _HTTP,
    "requests.api": _HTTP,
    "resend.Emails": "cancel get send update",
    "sarge": "capture_stdout run",
    "segment.analytics": "group identify page track",
    "socket": "create_connection getaddrinfo gethostbyaddr gethostbyname gethostbyname_ex",
    "ssl": "get_server_certificate",
    "subprocess": "Popen call check_call check_output getoutput getstatusoutput run",
    "treq": _HTTP,
    "urlfetch": _HTTP,
    "urllib.request": "urlopen urlretrieve",
    "urllib3": "request",
    "wakeonlan": "send_magic_packet",
    "webbrowser": "open open_new open_new_tab",
    "websocket": "create_connection",
    "websockets": "connect",
    "websockets.asyncio.client": "connect",
    "websockets.client": "connect",
    "websockets.sync.client": "connect",
    "whois": "whois",
    "wikipedia": "page search summary",
}

#: Packages whose functions nearly all reach outside, by their first name.
PACKAGES: Final = ("braintree", "mollie", "paypalrestsdk", "stripe")

#: Methods of what such functions give: all else is data.
OF_RESULTS: Final = frozenset(
    """
    approve attach auto_paging_iter auto_paging_iter_async cancel capture confirm decline delete delete_discount detach
    finalize_invoice next_page pay previous_page refresh refund reject release reverse save send_invoice
    submit_for_settlement void_invoice
    """.split()
)

#: What makes an object of which nearly all methods reach outside.
_CLIENTS: Final = """
    adyen.Adyen aio_pika.connect aio_pika.connect_robust aioapns.APNs aioboto3.Session
    aiobotocore.session.get_session().create_client aioftp.Client aiogram.Bot aiokafka.AIOKafkaProducer
    aiomqtt.Client airtable.Airtable algoliasearch.search_client.SearchClient.create alipay.AliPay
    anthropic.Anthropic anthropic.AsyncAnthropic apns2.client.APNsClient asana.Client asyncssh.SSHClientConnection
    azure.communication.email.EmailClient azure.communication.sms.SmsClient azure.storage.blob.BlobClient
    azure.storage.blob.BlobServiceClient azure.storage.blob.BlobServiceClient.from_connection_string
    azure.storage.blob.ContainerClient boto.connect_s3 boto.connect_ses boto.ses.connect_to_region boto3.client
    boto3.resource botocore.session.get_session().create_client brevo_python.TransactionalEmailsApi cohere.Client
    coinbase_commerce.client.Client confluent_kafka.admin.AdminClient consul.Consul cups.Connection docker.APIClient
    docker.DockerClient docker.from_env dropbox.Dropbox dropbox.dropbox.Dropbox easywebdav.connect
    elasticsearch.AsyncElasticsearch elasticsearch.Elasticsearch escpos.printer.Network etcd3.client
    exchangelib.Account fabric.Connection facebook.GraphAPI firebase_admin.db.reference
    firebase_admin.firestore.client firebase_admin.storage.bucket fsspec.filesystem ftplib.FTP ftplib.FTP_TLS
    ftputil.FTPHost ftputil.host.FTPHost gcsfs.GCSFileSystem geoip2.webservice.Client git.Git git.cmd.Git
    github.Github gitlab.Gitlab gnupg.GPG gocardless_pro.Client google.cloud.bigquery.Client
    google.cloud.firestore.Client google.cloud.pubsub_v1.PublisherClient google.cloud.storage.Client
    google.cloud.tasks.CloudTasksClient google.cloud.tasks_v2.CloudTasksClient
    google.cloud.translate.TranslationServiceClient google.cloud.translate_v2.Client
    google.cloud.vision.ImageAnnotatorClient google.genai.Client google.generativeai.GenerativeModel
    googleapiclient.discovery.build googlemaps.Client groq.AsyncGroq groq.Groq gspread.authorize
    gspread.service_account hubspot.HubSpot huggingface_hub.HfApi huggingface_hub.InferenceClient hvac.Client
    imagekitio.ImageKit imap_tools.MailBox imapclient.IMAPClient imaplib.IMAP4 imaplib.IMAP4_SSL
    influxdb.InfluxDBClient influxdb_client.InfluxDBClient jenkins.Jenkins jira.JIRA
    kazoo.client.KazooClient kubernetes.client.AppsV1Api kubernetes.client.BatchV1Api kubernetes.client.CoreV1Api
    ldap.initialize ldap3.Connection libcloud.compute.providers.get_driver() libcloud.dns.providers.get_driver()
    libcloud.storage.providers.get_driver() mailchimp_marketing.Client mailchimp_transactional.Client
    mailjet_rest.Client mastodon.Mastodon meilisearch.Client mercadopago.SDK messagebird.Client
    midtransclient.CoreApi midtransclient.Snap minio.Minio mistralai.Mistral mixpanel.Mixpanel
    msal.ConfidentialClientApplication msal.PublicClientApplication nats.connect netmiko.ConnectHandler nexmo.Client
    notion_client.Client nylas.Client ollama.AsyncClient ollama.Client onesignal_sdk.client.Client
    openai.AsyncOpenAI openai.OpenAI openrouteservice.Client opensearchpy.OpenSearch oss2.Bucket
    paramiko.SFTPClient.from_transport paramiko.SSHClient().open_sftp paramiko.Transport pika.BlockingConnection
    pinecone.Pinecone plaid.api.plaid_api.PlaidApi plivo.RestClient poplib.POP3 poplib.POP3_SSL posthog.Posthog
    postmarker.core.PostmarkClient praw.Reddit pulsar.Client pyairtable.Api pyairtable.Table pyfcm.FCMNotification
    pygsheets.authorize pyowm.OWM pysftp.Connection pysolr.Solr python_http_client.Client pyzabbix.ZabbixAPI
    quickbooks.QuickBooks razorpay.Client replicate.Client s3fs.S3FileSystem selenium.webdriver.Chrome
    selenium.webdriver.Firefox selenium.webdriver.Remote sendgrid.SendGridAPIClient
    sendgrid.sendgrid.SendGridAPIClient sib_api_v3_sdk.ContactsApi sib_api_v3_sdk.TransactionalEmailsApi
    simple_salesforce.Salesforce slack.WebClient slack_sdk.WebClient slack_sdk.web.WebClient
    slack_sdk.web.async_client.AsyncWebClient slack_sdk.webhook.WebhookClient slackclient.SlackClient
    smb.SMBConnection.SMBConnection smtplib.SMTP smtplib.SMTP_SSL sparkpost.SparkPost spotipy.Spotify
    square.client.Client stomp.Connection stripe.StripeClient suds.client.Client swiftclient.Connection
    swiftclient.client.Connection taxjar.Client telebot.TeleBot telegram.Bot telethon.TelegramClient
    telnetlib.Telnet trello.TrelloClient tweepy.API tweepy.Client twilio.rest.Client typesense.Client vonage.Client
    vonage.Vonage webdav3.client.Client woocommerce.API xmlrpc.client.Server xmlrpc.client.ServerProxy zeep.Client
    zenpy.Zenpy
"""

#: What makes an object whose methods reach outside: those that are named, or (empty) all but a few.
OBJECTS: Final = dict.fromkeys(_CLIENTS.split(), "") | {
    "aiohttp.ClientSession": f"{_HTTP} ws_connect",
    "aiosmtplib.SMTP": "connect login send_message sendmail",
    "authlib.integrations.httpx_client.AsyncOAuth2Client": f"{_HTTP} fetch_token refresh_token send",
    "authlib.integrations.httpx_client.OAuth2Client": f"{_HTTP} fetch_token refresh_token send",
    "authlib.integrations.requests_client.OAuth1Session": f"{_HTTP} fetch_access_token fetch_request_token send",
    "authlib.integrations.requests_client.OAuth2Session": f"{_HTTP} fetch_token refresh_token revoke_token send",
    "cas.CASClient": "verify_ticket",
    "celery.Celery": "control.broadcast control.inspect control.ping control.purge control.revoke send_task",
    "channels.layers.get_channel_layer": "group_send send",
    "cloudscraper.create_scraper": _HTTP,
    "confluent_kafka.Consumer": "consume list_topics poll subscribe",
    "confluent_kafka.Producer": "produce flush",
    "curl_cffi.requests.AsyncSession": _HTTP,
    "curl_cffi.requests.Session": _HTTP,
    "discord.Webhook.from_url": "send",
    "discord_webhook.DiscordWebhook": "execute",
    "django.core.mail.EmailMessage": "send",
    "django.core.mail.EmailMultiAlternatives": "send",
    "django.core.mail.backends.smtp.EmailBackend": "open send_messages",
    "django.core.mail.get_connection": "open send_messages",
    "django.core.mail.message.EmailMessage": "send",
    "django.core.mail.message.EmailMultiAlternatives": "send",
    "django_redis.get_redis_connection": "lpush publish rpush xadd",
    "dns.asyncresolver.Resolver": "query resolve",
    "dns.resolver.Resolver": "query resolve",
    "emails.Message": "send",
    "exchangelib.Message": "send send_and_save",
    "exponent_server_sdk.PushClient": "publish publish_multiple",
    "geopy.geocoders.Nominatim": "geocode reverse",
    "google.auth.transport.requests.AuthorizedSession": _HTTP,
    "gql.Client": "execute execute_async",
    "greenstalk.Client": "put",
    "http.client.HTTPConnection": "connect request",
    "http.client.HTTPSConnection": "connect request",
    "httplib2.Http": "request",
    "httpx.AsyncClient": f"{_HTTP} send stream",
    "httpx.Client": f"{_HTTP} send stream",
    "jwt.PyJWKClient": "fetch_data get_jwk_set get_signing_key get_signing_key_from_jwt get_signing_keys",
    "kafka.KafkaConsumer": "poll subscribe",
    "kafka.KafkaProducer": "send flush",
    "kombu.Connection().Producer": "publish",
    "kombu.Connection().SimpleQueue": "put",
    "kombu.Producer": "publish",
    "mechanize.Browser": "open submit",
    "niquests.AsyncSession": f"{_HTTP} send",
    "niquests.Session": f"{_HTTP} send",
    "oauth2client.client.OAuth2WebServerFlow": "step2_exchange",
    "openid.consumer.consumer.Consumer": "begin complete",
    "paho.mqtt.client.Client": "connect connect_async publish reconnect subscribe",
    "paramiko.SSHClient": "connect exec_command invoke_shell open_sftp",
    "paramiko.client.SSHClient": "connect exec_command invoke_shell open_sftp",
    "paypalcheckoutsdk.core.PayPalHttpClient": "execute",
    "paypalhttp.HttpClient": "execute",
    "postmark.PMMail": "send",
    "pusher.Pusher": "trigger trigger_batch",
    "pycurl.Curl": "perform perform_rb perform_rs",
    "pymsteams.connectorcard": "send",
    "pyrad.client.Client": "SendPacket",
    "pywebpush.WebPusher": "send",
    "redis.Redis": "lpush publish rpush xadd",
    "redis.Redis.from_url": "lpush publish rpush xadd",
    "redis.StrictRedis": "lpush publish rpush xadd",
    "redis.asyncio.Redis": "lpush publish rpush xadd",
    "redis.asyncio.from_url": "lpush publish rpush xadd",
    "redis.from_url": "lpush publish rpush xadd",
    "requests.Session": f"{_HTTP} send",
    "requests.session": f"{_HTTP} send",
    "requests.sessions.Session": f"{_HTTP} send",
    "requests_cache.CachedSession": f"{_HTTP} send",
    "requests_futures.sessions.FuturesSession": _HTTP,
    "requests_html.HTMLSession": _HTTP,
    "requests_oauthlib.OAuth1Session": f"{_HTTP} fetch_access_token fetch_request_token send",
    "requests_oauthlib.OAuth2Session": f"{_HTTP} fetch_token refresh_token send",
    "requests_toolbelt.sessions.BaseUrlSession": f"{_HTTP} send",
    "shopify.Session": "request_token",
    "socket.socket": "connect connect_ex sendmsg sendto",
    "tornado.httpclient.AsyncHTTPClient": "fetch",
    "tornado.httpclient.HTTPClient": "fetch",
    "urllib.request.OpenerDirector": "open",
    "urllib.request.build_opener": "open",
    "urllib.robotparser.RobotFileParser": "read",
    "urllib3.HTTPConnectionPool": "request urlopen",
    "urllib3.HTTPSConnectionPool": "request urlopen",
    "urllib3.PoolManager": "request urlopen",
    "urllib3.ProxyManager": "request urlopen",
    "urllib3.poolmanager.PoolManager": "request urlopen",
    "websocket.WebSocket": "connect send",
    "yagmail.SMTP": "send",
    "youtube_dl.YoutubeDL": "download extract_info",
    "yt_dlp.YoutubeDL": "download extract_info",
    "zmq.Context().socket": "connect send send_json send_multipart send_string",
}
#: Packages of which each class makes such an object that is named like this at its end.
FAMILIES: Final = (
    ("azure.", "Client"),
    ("geopy.geocoders.", ""),
    ("google.cloud.", "Client"),
    ("kubernetes.client.", "Api"),
)

#: Methods of such objects, and functions of such packages, that reach nothing outside: they sign, check, name a part,
#: prepare and describe.
IDLE: Final = frozenset(
    """
    add_header add_headers add_service_client batch blob bucket can_paginate close collection configure construct_event
    construct_from copy_with_options create_message document from_blob_url generate_presigned_post
    generate_presigned_url generate_signed_url get_blob_client get_container_client get_directory_client
    get_file_client get_paginator get_queue_client get_service_resource get_share_client get_table_client
    get_topic_sender get_transport get_type get_waiter init_index load_host_keys load_system_host_keys mount
    new_batch_http_request
    parse_event_notification parse_thin_event prepare_request quit register set_app_info set_debuglevel
    set_default_soapheaders set_missing_host_key_policy set_ns_prefix set_options set_pasv topic_path verify_header
    with_options
    """.split()
)
#: Parts of such objects that make values, and reach nothing: of SOAP clients.
IDLE_PARTS: Final = frozenset(("factory", "type_factory", "wsdl"))
#: Objects whose methods are what a server calls them, with capitals too; those of all others make a part.
CALLED_BY_SERVERS: Final = ("suds.", "xmlrpc.", "zeep.")

#: What connects when it is made, if it is told where to.
CONNECTING: Final = frozenset(
    """
    ftplib.FTP ftplib.FTP_TLS imaplib.IMAP4 imaplib.IMAP4_SSL jira.JIRA pika.BlockingConnection poplib.POP3
    poplib.POP3_SSL pysftp.Connection smtplib.SMTP smtplib.SMTP_SSL suds.client.Client telnetlib.Telnet zeep.Client
    """.split()
)

#: Methods of such objects that give a part of them, which reaches outside as they do.
PARTS: Final = frozenset(
    """
    batch blob bucket collection copy_with_options create_bucket create_container create_topic create_queue document
    from_blob_url get_blob get_blob_client get_bucket get_container_client get_directory_client get_file_client
    get_paginator get_queue_by_name get_queue_client get_share_client get_table_client get_topic_sender get_transport
    get_waiter index init_index initiate_multipart_upload invoke_shell open_sftp queue with_options
    """.split()
)

#: Methods that say by their name alone what they do: of Django's users, of Stripe's lists.
SAID_BY_NAME: Final = {
    "auto_paging_iter": "stripe.ListObject().auto_paging_iter",
    "email_user": "django.contrib.auth.models.AbstractUser().email_user",
}
