"""The outbox in Django's admin: effects, pauses, held calls, and the calls of the shared ledger."""

from django.contrib import admin

from sideeffects.outbox.models import Effect, HeldCall, LedgerCall, Pause
from sideeffects.outbox.pages.effects import EffectAdmin
from sideeffects.outbox.pages.held_calls import HeldCallAdmin
from sideeffects.outbox.pages.ledger_calls import LedgerCallAdmin
from sideeffects.outbox.pages.pauses import PauseAdmin

admin.site.register(Effect, EffectAdmin)
admin.site.register(HeldCall, HeldCallAdmin)
admin.site.register(LedgerCall, LedgerCallAdmin)
admin.site.register(Pause, PauseAdmin)
