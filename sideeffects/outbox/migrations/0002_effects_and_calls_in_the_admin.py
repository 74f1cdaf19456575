from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("sideeffects_outbox", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Effect",
            fields=[],
            options={
                "verbose_name": "effect",
                "default_permissions": ("view",),
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("sideeffects_outbox.pause",),
        ),
        migrations.CreateModel(
            name="LedgerCall",
            fields=[],
            options={
                "verbose_name": "call",
                "default_permissions": ("view",),
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("sideeffects_outbox.heldcall",),
        ),
    ]
