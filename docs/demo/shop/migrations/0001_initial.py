"""The orders."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """The first table."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("email", models.EmailField(max_length=254)),
                ("phone", models.CharField(max_length=30)),
                ("total_cents", models.PositiveIntegerField()),
                (
                    "receipt",
                    models.CharField(
                        blank=True, help_text="The card processor's id; empty until it is paid.", max_length=50
                    ),
                ),
            ],
        ),
    ]
