"""Names of values that are secret wherever they appear: `password`, `HTTP_AUTHORIZATION`, `awsSessionToken`.

A name is split into words, and what it ends in tells: `user_token` is a token, `token_count` is a count, and
`cache_key` is no key that opens anything.
"""

from __future__ import annotations

import functools
import re
from typing import Final, cast


@functools.lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """`X-Api-Key`, `apiKey` and `api_key` are one name."""
    return "_".join(_words(name))


def is_sensitive(name: object, more: frozenset[str]) -> bool:
    """Whether `name`, as a whole, names a secret. `more` are further names, normalised."""
    kind = type(name)
    if kind is bytes:
        text = cast(bytes, name).decode("ascii", "replace")
    elif issubclass(kind, str):
        # Header names come as texts of many kinds: case-insensitive ones, Django's safe ones, members of an `Enum`.
        text = str.__str__(cast(str, name))
    else:
        return False
    return _is_secret(text) or (bool(more) and normalise(text) in more)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: Words that name a secret, where a name ends in them.
_SECRETS: Final = _set(
    """
    apikey apitoken aspxauth auth authorization bearer bindpw cardno cardnum cardnumber ccno ccnum ccnumber cookie
    cookiejar cookies credential credentials creds csc csrf cvc cvv dbpass dsn hmac jwt mfa mnemonic otp pass passcode
    passkeys passphrase passwd passwds password passwords passwrd pem pgpass phpsessid pin pins psk psw pswd puk pw pwd
    rootpw samlresponse secret secrets sessid sessionid sessionkey sid sig signature smtppass ssn token totp userpass
    xsrf
    """
)
#: What words that are written together end in.
_ENDINGS: Final = _set(
    """
    accesskey apikey authkey authorization cookie credential credentials passkey passphrase passwd password privatekey
    pwd secret secretkey sessid sessionid sessionkey signingkey token
    """
)
#: Pairs of words that name a secret: the last one, with those before it that make it one.
_PAIRS: Final = {
    "key": _set(
        """
        access account activation admin aes algolia anthropic api apns app auth authentication authorization aws azure
        bot brevo cipher client consumer credential crypt crypto datadog decrypt decryption deepl deploy dev developer
        encrypt encryption fcm fernet functions google gpg hmac integration jwt kaggle kms licence license mailchimp
        mailgun mandrill mapbox master openai otp pass password pem pgp postmark private recovery reset root rsa
        secret secure security sendgrid sentry server service session shared sign signature signing ssh ssl stripe
        subscription symmetric tls totp twilio vapid wallet webhook write
        """
    ),
    "code": _set(
        """
        2fa access activation auth authentication authorization backup card challenge confirm confirmation device
        email factor fa login magic mfa oauth otp pairing pass pin recovery reset security sms time totp unlock
        verification verify
        """
    ),
    "tokens": _set("access api auth bearer csrf device oauth push refresh session user"),
    "number": _set("card cc creditcard debitcard security"),
    "card": _set("credit debit"),
    "id": _set("sess session"),
    "url": _set("amqp broker database db mongo mongodb mysql postgres postgresql rabbitmq redis"),
    "string": _set("connection"),
    "phrase": _set("mnemonic pass recovery secret seed"),
    "salt": _set("password secret"),
    "verifier": _set("code oauth"),
    "assertion": _set("client jwt saml"),
    "answer": _set("secret security"),
    "hint": _set("token"),
    "json": _set("account"),
    "pat": _set("devops github gitlab"),
    "response": _set("saml"),
}
_PAIRS["keys"], _PAIRS["codes"] = _PAIRS["key"], _PAIRS["code"]
_PAIRS["no"] = _PAIRS["nr"] = _PAIRS["num"] = _PAIRS["pan"] = _PAIRS["number"]
#: The same words in names of what is no secret: `next_page_token`, `function_signature`, `account_sid`.
_NO_SECRETS: Final = {
    "token": _set(
        """
        bos cancel cancellation class cls continuation current cursor end eos first last lexer mask next pad page
        pagination paging prompt resume sep special start stop string sub sync syntax unk word
        """
    ),
    "signature": _set("base call email file function key mail method time type virus"),
    "auth": _set("contrib django factor mutual social"),
    "pin": _set("clock data gpio input led map output rx tx"),
    "pass": _set("boarding day first forward high low render season second single"),
    "sid": _set("account call conversation message service"),
    "cookies": _set("party"),
    "sig": _set("function"),
}
#: Words at the beginning that make a flag or a number of the rest.
_FLAGS: Final = _set(
    """
    accept accepts allow allows can disable enable has have hide is max min must n need needs no num number require
    requires should show support supports total use uses validate with without
    """
)
#: Words at the end that say in which form the secret is, without their numbers: `base64`, `sha256`.
_FORMS: Final = _set(
    """
    again b base binary bytes confirm confirmation digest ed encoded encrypted fallback fallbacks hash hashed header
    headers hex jar json md pem plain plaintext raw repeat sha str string text value
    """
)


#: Pairs whose second word is not just a form of the first.
_WHOLE: Final = (("connection", "string"), ("account", "json"), ("private", "pem"))


@functools.lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word)


@functools.lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    # `password1`, `X-Hub-Signature-256`: numbers tell one from another.
    words = [bare for word in _words(name) if (bare := word.rstrip("0123456789"))]
    while len(words) > 1 and words[-1] in _FORMS and tuple(words[-2:]) not in _WHOLE:
        words.pop()
    if not words or words[0] in _FLAGS:
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if before in _NO_SECRETS.get(last, ()):
        return False
    if last in _SECRETS or before in _PAIRS.get(last, ()):
        return True
    return any(last.endswith(ending) and last[: -len(ending)] not in _NO_SECRETS["token"] for ending in _ENDINGS)
