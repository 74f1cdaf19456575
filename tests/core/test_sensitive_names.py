"""Which names are those of secrets: measured on 300 real ones, of which 100 are none."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import http.cookies
import inspect
import operator
import optparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sideeffects._core.values.describe import describe, jsonable
from sideeffects._core.values.redaction import redact
from sideeffects._core.values.scrubbing import secrets_in
from sideeffects._core.values.sensitive_names import is_sensitive

SECRETS = """
    password password1 password2 new_password new_password1 new_password2 old_password current_password
    confirm_password password_confirmation passwordConfirm user_password db_password DB_PASSWORD
    DATABASE_PASSWORD PGPASSWORD MYSQL_PWD MYSQL_ROOT_PASSWORD POSTGRES_PASSWORD REDIS_PASSWORD smtp_password
    EMAIL_HOST_PASSWORD admin_password root_password bind_password ldap_password sudo_pass passwd passphrase
    ssh_passphrase key_passphrase pwd user_pwd passcode userPassword newPassword oldPassword loginPassword
    keystore_password truststorePassword proxy_password wifi_password hashed_password password_hash passwordHash
    raw_password plain_password temp_password initial_password basic_auth_password http_password secret secrets
    client_secret clientSecret CLIENT_SECRET app_secret api_secret consumer_secret shared_secret SECRET_KEY
    secret_key secretKey django_secret_key webhook_secret stripe_webhook_secret totp_secret otp_secret
    jwt_secret JWT_SECRET_KEY session_secret oauth_client_secret GITHUB_CLIENT_SECRET aws_secret_access_key
    AWS_SECRET_ACCESS_KEY awsSecretAccessKey signing_secret hmac_secret cookie_secret user_secret secret_token
    token access_token accessToken refresh_token refreshToken id_token idToken auth_token authToken bearer_token
    session_token sessionToken aws_session_token AWS_SESSION_TOKEN csrf_token csrftoken csrfToken
    csrfmiddlewaretoken XSRF-TOKEN X-CSRFToken X-CSRF-Token X-XSRF-TOKEN HTTP_X_CSRFTOKEN HTTP_X_CSRF_TOKEN
    api_token apiToken API_TOKEN user_token device_token reset_token password_reset_token verification_token
    activation_token invite_token invitation_token confirm_token confirmation_token magic_token login_token
    one_time_token bot_token slack_token SLACK_BOT_TOKEN GITHUB_TOKEN github_token gitlab_token NPM_TOKEN
    pypi_token deploy_token personal_access_token oauth_token oauth_token_secret push_token fcm_token
    webhook_token service_account_token x-access-token X-Auth-Token HTTP_X_AUTH_TOKEN token_value api_key apiKey
    apikey API_KEY X-API-Key x_api_key HTTP_X_API_KEY stripe_api_key sendgrid_api_key OPENAI_API_KEY
    openaiApiKey google_api_key mailgun_api_key access_key accessKey private_key privateKey rsa_private_key
    ssh_key ssh_private_key encryption_key encryptionKey signing_key master_key service_key account_key
    storage_account_key shared_access_key auth_key license_key fernet_key session_key authorization
    Authorization HTTP_AUTHORIZATION Proxy-Authorization HTTP_PROXY_AUTHORIZATION auth basic_auth cookie Cookie
    HTTP_COOKIE Set-Cookie session_cookie cookies sessionid session_id sid credential credentials
    aws_credentials pin card_pin otp otp_code totp_code mfa_code verification_code cvv
""".split()
OTHERS = """
    max_tokens token_count tokens_used total_tokens prompt_tokens completion_tokens token_type token_expiry
    token_expires_at token_url next_page_token page_token continuation_token nextPageToken sync_token cache_key
    primary_key foreign_key sort_key partition_key public_key publicKey key keys key_id idempotency_key
    group_key lookup_key object_key s3_key routing_key password_changed_at password_reset_url password_length
    min_password_length has_password is_password_set password_validators password_reset_timeout password_policy
    reset_password_url secret_name secret_id has_secret secret_count secret_version cookie_name
    SESSION_COOKIE_NAME CSRF_COOKIE_NAME cookie_domain SESSION_COOKIE_AGE accept_cookies cookie_consent
    auth_method auth_type auth_user auth_url authorized authorization_url is_authenticated author authors
    author_id authority authentication_backend oauth_provider oauth_version session_count session_timeout
    session_duration signature_version pin_count pinned pinterest pincode_length shipping spinning compass
    bypass passenger passed pass_rate keyboard monkey turkey keyword keywords keystone tokenizer tokenize
    token_limit max_output_tokens api_key_id api_keys_count api_version card_type card_brand card_last4
    otp_length otp_enabled
""".split()


#: Tried later than the three hundred: what users of Django and of well-known services meet.
FRESH = """
    SECRET_KEY_FALLBACKS SECRET_KEY_BASE secretKeyBase CELERY_BROKER_URL BROKER_URL REDIS_URL amqp_url aspxauth sess_id
    ASP.NET_SessionId id_token_hint oauth_verifier HTTP_CF_ACCESS_JWT_ASSERTION X-Shopify-Hmac-Sha256 api_key_b64
    X-Signature-Ed25519 X-Hub-Signature-256 wpa_psk pre_shared_key private_pem PEM_KEY symmetricKey signature_key
    service_account_json card_code unlock_code verify_code confirmation_code secret_answer securityAnswer github_pat
    passkey password_reset_key apns_key mandrill_key bindpw rootpw password_sha256
    x_card_num cardNumber cardnumber cc_num ccNo card_no creditCardNumber
""".split()
FRESH_OTHERS = """
    publicKeyPem secret_question security_question publishable_key site_key private_key_path private_key_id product_key
    natural_key shard_key token_bucket token_symbol code_length pin_attempts session_state season_pass passkey_count
    service_account webhook_url callback_url redis_host broker_id auth_date card_holder country_code email_digest
    file_sha256 base_url code_base knowledge_base fallback_url answer_key csrf_exempt passport_country compass_heading
    order_no invoice_num num_cards card_count
""".split()


@pytest.mark.parametrize(("names", "is_secret"), [(FRESH, True), (FRESH_OTHERS, False)])
def test_names_of_newer_kinds(names: list[str], is_secret: bool) -> None:
    """Further names of both sides: forms and services that the three hundred do not have."""
    assert [name for name in names if is_sensitive(name, frozenset()) is not is_secret] == []


def test_no_secret_is_shown_and_little_else_is_hidden() -> None:
    """All names of secrets are known, in every spelling; of the others at most two are taken for some."""
    assert (len(set(SECRETS)), len(set(OTHERS))) == (200, 100)
    assert [name for name in SECRETS if not is_sensitive(name, frozenset())] == []
    assert len([name for name in OTHERS if is_sensitive(name, frozenset())]) <= 2


def bound() -> inspect.BoundArguments:
    """Arguments that a signature has bound."""
    return inspect.signature(lambda user, password: None).bind("ann", "s3cr3t")


class Interpolation:
    """What Python 3.14 makes of `{user!r:>10}` in a template string; elsewhere this stands for it."""

    __module__ = "string.templatelib"

    def __init__(self, value: object, expression: str, conversion: str | None = None, format_spec: str = "") -> None:
        self.value, self.expression, self.conversion, self.format_spec = value, expression, conversion, format_spec

    def __repr__(self) -> str:
        return f"Interpolation({self.value!r}, {self.expression!r})"


class Template:
    """As above, for the whole string."""

    __module__ = "string.templatelib"

    def __init__(self, *parts: object) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[object]:
        return iter(self.parts)

    def __repr__(self) -> str:
        return f"Template{self.parts!r}"


if sys.version_info >= (3, 14):
    from string.templatelib import Interpolation, Template  # type: ignore[assignment]


@dataclasses.dataclass
class Variable:
    """As environments are written down."""

    name: str
    value: str
    user: str = "ann"


def cookies() -> http.cookies.SimpleCookie:
    """Two, one of which is a secret."""
    found = http.cookies.SimpleCookie()
    found["language"], found["sessionid"] = "en", "s3cr3t"
    return found


HOLDERS: dict[str, Any] = {
    "cookies": cookies(),
    "template string": Template("Dear ", Interpolation("ann", "user", "r"), ", ", Interpolation("s3cr3t", "password")),
    "Namespace": argparse.Namespace(user="ann", password="s3cr3t"),
    "optparse": optparse.Values({"user": "ann", "password": "s3cr3t"}),
    "partial": functools.partial(print, "ann", password="s3cr3t"),
    "partialmethod": functools.partialmethod(print, "ann", password="s3cr3t"),
    "a name beside its value": [{"name": "USER", "value": "ann"}, {"name": "DB_PASSWORD", "value": "s3cr3t"}],
    "in capitals": {"ann": {"Key": "api_key", "Value": "s3cr3t"}},
    "of a dataclass": Variable("api_token", "s3cr3t"),
    "in a dict of another kind": collections.OrderedDict(key="password", value="s3cr3t", user="ann"),
    "methodcaller": operator.methodcaller("login", "ann", password="s3cr3t"),
    "BoundArguments": bound(),
    "UserDict": collections.UserDict(user="ann", password="s3cr3t"),
    "UserList": collections.UserList([{"user": "ann", "password": "s3cr3t"}]),
    "ChainMap": collections.ChainMap({"user": "ann"}, {"password": "s3cr3t"}),
    "items": {"user": "ann", "password": "s3cr3t"}.items(),
    "values": {1: {"user": "ann", "password": "s3cr3t"}}.values(),
    "nested": argparse.Namespace(user="ann", options=functools.partial(print, headers={"Cookie": "s3cr3t"})),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_what_holds_names_is_looked_into(name: str) -> None:
    """Values of the standard library that carry names show all but the secret, and stay what they are."""
    before = repr(HOLDERS[name])
    redacted = redact(HOLDERS[name], frozenset())
    for shown in (describe(redacted), str(jsonable(redacted))):
        assert "s3cr3t" not in shown
        assert "[redacted]" in shown
        assert "ann" in shown or name == "cookies"
    assert "s3cr3t" not in repr(redacted)
    assert repr(HOLDERS[name]) == before
    assert list(secrets_in(HOLDERS[name], frozenset())) == ["s3cr3t"]


def test_each_object_of_a_graph_is_looked_into_once() -> None:
    """Seven lists of eight lead to two million values by all paths, and are 56 objects."""
    graph: list[Any] = [{"password": "s3cr3t"} for _ in range(8)]
    for _ in range(6):
        graph = [graph for _ in range(8)]
    started = time.process_time()
    redacted = redact(graph, frozenset())
    assert "s3cr3t" not in describe(redacted)
    assert "s3cr3t" not in str(jsonable(redacted))
    assert time.process_time() - started < 5
