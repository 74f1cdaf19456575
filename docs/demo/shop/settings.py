"""Settings of the shop. What differs between installations comes from the environment."""

import os
from pathlib import Path

import django

from sideeffects import budget

HTTP_PORT = int(os.environ.get("SHOP_HTTP_PORT", "8026"))
SMTP_PORT = int(os.environ.get("SHOP_SMTP_PORT", "8025"))
STAGE = os.environ.get("SHOP_STAGE", "production")

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "nothing is signed in this shop")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["shop", "sideeffects", "sideeffects.outbox"]
# No sessions and no cookies: orders come from machines, and there is nothing that a forged request could ride on.
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "shop.urls"
DATABASE = Path(os.environ.get("SHOP_DATABASE", Path(__file__).parent.parent / "shop.sqlite3"))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(DATABASE),
        # A file, not memory: the processes that race in `test_paying_at_once.py` must see it.
        "TEST": {"NAME": str(DATABASE.with_name("test_shop.sqlite3"))},
    }
}
# Where the texts of a day are counted; a shop on several machines has a Redis here.
CACHES = {"default": {"BACKEND": "shop.caches.CountingFileCache", "LOCATION": f"{DATABASE}.cache"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# -- What is outside

SMS_GATEWAY = f"http://127.0.0.1:{HTTP_PORT}/sms"
CARD_GATEWAY = f"http://127.0.0.1:{HTTP_PORT}/charges"
WAREHOUSE_WEBHOOK = f"http://127.0.0.1:{HTTP_PORT}/warehouse"

DEFAULT_FROM_EMAIL = "orders@shop.example"
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": SMTP_PORT},
        }
    }
else:
    EMAIL_HOST = "127.0.0.1"
    EMAIL_PORT = SMTP_PORT

# -- What happens to calls that reach it. In production all of them execute, in tests none.

SIDE_EFFECTS: dict[str, object] = {
    # SHOP_FORCE_RUN="sms.send" pytest: lets these out in a whole test run.
    "FORCE_RUN": os.environ.get("SHOP_FORCE_RUN", "").split(),
    # What reaches outside in a test, and is not declared, is refused.
    "GUARD": "raise",
    # The page of probes, /probes/, is for this machine alone.
    "PROBES": {"ALLOWED_IPS": ["127.0.0.1"]},
}
# SHOP_SMS_BUDGET=3: that many texts a day, and the others are held until somebody has looked at them.
if SMS_BUDGET := os.environ.get("SHOP_SMS_BUDGET"):
    SIDE_EFFECTS["POLICY"] = {"sms.*": budget(int(SMS_BUDGET), per="day", then="HOLD")}
if STAGE == "staging":
    SIDE_EFFECTS["POLICY"] = {
        "card.charge": "record",
        "mail.*": "record",
        "sms.send": "shop.policies.only_our_phones",
    }
