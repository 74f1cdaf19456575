"""Explored races in a project: views by Django's test client, sessions, logins, models, both runners, two databases."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import Project

FILES = {
    "manage.py": """
        import os
        import sys

        from django.core.management import execute_from_command_line

        os.environ["DJANGO_SETTINGS_MODULE"] = "config"
        execute_from_command_line(sys.argv)
        """,
    "config.py": """
        import json
        import os

        SECRET_KEY = "no secret"
        USE_TZ = True
        ROOT_URLCONF = "shop.views"
        ALLOWED_HOSTS = ["*"]
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        INSTALLED_APPS = [
            "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "shop", "sideeffects"
        ]
        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ]
        PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        DATABASES = {
            "default": json.loads(os.environ["DATABASE"]),
            "other": {
                "ENGINE": "django.db.backends.sqlite3", "NAME": "other.sqlite3", "TEST": {"NAME": "test_other.sqlite3"}
            },
        }
        CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "rows": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached"},
        }
        """,
    "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = config\n",
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models


        class Order(models.Model):
            user_id = models.IntegerField()
            paid = models.BooleanField(default=False)


        class Tag(models.Model):
            name = models.CharField(max_length=20)


        class Label(models.Model):
            name = models.CharField(max_length=20, unique=True)
            uses = models.IntegerField(default=1)
        """,
    "shop/views.py": """
        from django.contrib.auth.decorators import login_required
        from django.db import transaction
        from django.http import HttpResponse
        from django.urls import path
        from sideeffects import side_effect

        from shop.models import Order


        @side_effect(name="card.charge", async_ok=True, returns="ch_1")
        def charge(order): ...


        @side_effect(name="mail.confirm", on_commit=True)
        def confirm(order): ...


        @login_required
        def pay(request):
            request.session["seen"] = request.session.get("seen", 0) + 1
            order = Order.objects.get(user_id=request.user.pk)
            if order.paid:
                return HttpResponse("paid already", status=409)
            charge(order.pk)
            order.paid = True
            order.save()
            return HttpResponse("paid")


        def pay_once(request):
            with transaction.atomic():
                order = Order.objects.select_for_update().get()
                if order.paid:
                    return HttpResponse("paid already", status=409)
                charge.enqueue(order.pk)
                order.paid = True
                order.save()
                confirm(order.pk)
            return HttpResponse("paid")


        urlpatterns = [path("pay/", pay), path("pay-once/", pay_once)]
        """,
    "racing.py": """
        from django.contrib.auth.models import User
        from django.core.cache import caches
        from django.db import transaction
        from django.db.models import F
        from django.test import Client
        from shop.models import Label, Order, Tag


        def order():
            user = User.objects.create_user("ann", password="secret")
            Order.objects.create(user_id=user.pk)
            client = Client()
            client.force_login(user)
            return {"cookies": client.cookies}


        def post(path, cookies=None):
            client = Client()
            if cookies is not None:
                client.cookies = cookies
            return client.post(path).status_code


        def tag(name, using=None):
            return Tag.objects.using(using).get_or_create(name=name)[1]


        def tag_again(name):
            return Tag.objects.update_or_create(name=name, defaults={"name": name})[1]


        def use(name):
            return Label.objects.update_or_create(name=name, create_defaults={}, defaults={"uses": F("uses") + 1})[1]


        def tag_on_both(name):
            if not Tag.objects.using("other").exists():
                Tag.objects.create(name=name)
                Tag.objects.using("other").create(name=name)


        def add_up(cookies=None):
            with transaction.atomic():
                try:
                    with transaction.atomic():
                        Order.objects.update(user_id=F("user_id"))
                        raise ValueError
                except ValueError:
                    pass
                Tag.objects.create(name="new")
            return True


        def once(alias, name, **_):
            return caches[alias].add(name, 1)


        def count(alias, name, **_):
            caches[alias].set(name, caches[alias].get(name, 0) + 1)
        """,
}
TESTS = """
    from django.core.cache import caches
    from racing import add_up, count, once, order, post, tag, tag_again, tag_on_both, use
    from shop.models import Label, Order, Tag
    from sideeffects.testing import Race


    def explore_views():
        def charged_once(result):
            return result.calls.count("card.charge") <= 1

        race = Race(explore=True, setup=order, check=charged_once, databases=["default"])
        broken = race.call_concurrently(2, post, path="/pay/")
        assert broken.failures, broken.summary()
        assert "django_session" in broken.timeline() and "auth_user" in broken.timeline()
        again = race.configured(explore=False, schedule=broken.schedule).call_concurrently(2, post, path="/pay/")
        assert again.failures
        Order.objects.all().delete()
        order_of_all = Race(explore=True, check=charged_once, databases=["default"], setup=lambda: order() and None)
        from django.contrib.auth.models import User
        User.objects.all().delete()
        mended = order_of_all.call_concurrently(2, post, path="/pay-once/")
        assert mended.complete and not mended.failures, mended.summary()
        assert sorted(mended) == [200, 409]
        (charged,) = mended.calls.named("card.charge")
        assert charged.is_async
        assert not Order.objects.exists()


    def explore_orm():
        def one_tag(result):
            return Tag.objects.count() == 1

        race = Race(explore=True, check=one_tag)
        assert race.configured(databases=["default"]).call_concurrently(2, tag, name="a").failures
        assert race.configured(databases=["default"]).call_concurrently(2, tag_again, name="a").failures
        used = Race(explore=True, databases=["default"], check=lambda _: Label.objects.get().uses == 2)
        found = used.call_concurrently(2, use, name="a")
        assert found.complete and not found.failures, found.summary()
        across = race.call_concurrently(2, tag_on_both, name="a")
        assert across.complete and 0 < across.failures < across.schedules, across.summary()
        assert not Tag.objects.exists() and not Tag.objects.using("other").exists()
        both = Race(explore=True, check=lambda result: all(result)).make_concurrent_calls(
            (tag, {"name": "a"}), (tag, {"name": "a", "using": "other"})
        )
        assert both.complete and both.schedules == 1 and not both.failures, both.summary()
        writing = Race(explore=True, setup=order, check=lambda result: Tag.objects.count() == 2)
        found = writing.configured(databases=["default"]).call_concurrently(2, add_up)
        assert found.complete and not found.failures, found.summary()


    def explore_caches():
        for alias in ("default", "rows"):
            caches[alias].set("there", 10)
            race = Race(explore=True, databases=["default"], check=lambda result: sum(result) == 1)
            found = race.call_concurrently(2, once, alias=alias, name="lock")
            assert found.complete and not found.failures, found.summary()
            assert "cache.add('lock')" in found.timeline()
            race = Race(explore=True, databases=["default"], check=lambda result: caches[alias].get("there") == 12)
            lost = race.call_concurrently(2, count, alias=alias, name="there")
            assert lost.failures, lost.summary()
            assert caches[alias].get("there") == 10 and caches[alias].get("lock") is None
    """


@pytest.mark.processes
def test_under_both_runners(tmp_path: Path, postgres: dict[str, Any]) -> None:
    """`TransactionTestCase` and `django_db(transaction=True)` show the same."""
    project = Project(tmp_path)
    for path, source in FILES.items():
        project.write(path, source)
    project.write("exploring.py", TESTS)
    project.write(
        "test_exploring.py",
        """
        from django.core.management import call_command
        from django.test import TransactionTestCase
        from exploring import explore_caches, explore_orm, explore_views


        class Exploring(TransactionTestCase):
            databases = {"default", "other"}

            def test_views(self):
                explore_views()

            def test_orm(self):
                explore_orm()

            def test_caches(self):
                call_command("createcachetable")
                explore_caches()
        """,
    )
    project.write(
        "test_with_pytest.py",
        """
        import pytest
        from django.core.management import call_command
        from exploring import explore_caches, explore_views


        @pytest.mark.django_db(transaction=True)
        @pytest.mark.parametrize("explore", [explore_views, explore_caches])
        def test_all(explore):
            call_command("createcachetable")
            explore()
        """,
    )
    environment = {"DATABASE": json.dumps(postgres)}
    project.run("manage.py", "test", "test_exploring", "--noinput", environment=environment)
    project.run("-m", "pytest", "-q", "-x", "test_with_pytest.py", "--create-db", environment=environment)
