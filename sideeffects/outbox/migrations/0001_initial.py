import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="HeldCall",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "call_id",
                    models.CharField(
                        help_text="The call's id; it stays the same over retries.", max_length=64, unique=True
                    ),
                ),
                ("effect", models.CharField(max_length=255)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "held"),
                            ("released", "released"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("unknown", "unknown (perhaps done)"),
                            ("rejected", "rejected"),
                        ],
                        default="held",
                        max_length=10,
                    ),
                ),
                ("shown", models.TextField(help_text="What is shown of the call, as JSON.")),
                ("payload", models.TextField(help_text="The true arguments, for executing the call.")),
                ("is_encrypted", models.BooleanField(default=False)),
                ("reason", models.TextField(help_text="Why it was held.")),
                (
                    "decided_by",
                    models.TextField(
                        blank=True,
                        help_text="Where the rule stands that held it: a setting, file and line, or a pause.",
                    ),
                ),
                ("caller", models.TextField(help_text="The file and line that called.")),
                (
                    "origin",
                    models.TextField(blank=True, help_text="What set the code going: a request, a command, a task."),
                ),
                ("run_id", models.CharField(blank=True, help_text="Its run list.", max_length=255)),
                ("at", models.DateTimeField(help_text="When it was held.")),
                ("by", models.CharField(blank=True, help_text="Who released or rejected it last.", max_length=255)),
                ("changed_at", models.DateTimeField(blank=True, help_text="When its state changed last.", null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("error", models.TextField(blank=True, help_text="What went wrong last, redacted.")),
                (
                    "duration",
                    models.FloatField(blank=True, help_text="Seconds that the last execution took.", null=True),
                ),
                (
                    "worker",
                    models.CharField(
                        blank=True, help_text="The process that executes it, or did so last.", max_length=255
                    ),
                ),
                (
                    "alive_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When that process was last known to be at work, by the database's clock.",
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name": "held call",
                "ordering": ("id",),
                "indexes": [
                    models.Index(fields=["state", "id"], name="sideeffects_outbox_state"),
                    models.Index(fields=["effect", "state"], name="sideeffects_outbox_effect"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Pause",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "pattern",
                    models.CharField(help_text="The name of an effect, or a glob such as sms.*", max_length=255),
                ),
                (
                    "mode",
                    models.CharField(
                        choices=[("hold", "hold"), ("record", "record"), ("raise", "refuse")],
                        default="hold",
                        max_length=10,
                    ),
                ),
                ("why", models.TextField()),
                ("paused_by", models.CharField(blank=True, max_length=255)),
                ("paused_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "until",
                    models.DateTimeField(
                        blank=True, help_text="When it ends by itself; empty: when somebody resumes.", null=True
                    ),
                ),
                ("resumed_by", models.CharField(blank=True, max_length=255)),
                (
                    "resumed_at",
                    models.DateTimeField(
                        blank=True, help_text="When somebody ended it; empty while it is in force.", null=True
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["resumed_at"], name="sideeffects_outbox_paused")],
            },
        ),
    ]
