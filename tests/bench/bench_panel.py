"""A panel of the debug toolbar that does nothing, beside which ours is measured."""

from debug_toolbar.panels import Panel


class NothingPanel(Panel):
    title = "Nothing"
    content = ""
    is_async = True
