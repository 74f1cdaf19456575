"""How Sphinx builds these pages: `make docs`, in which every warning is an error."""

import importlib
import importlib.metadata
import logging
import re
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer

sys.path.insert(0, str(Path(__file__).parent))
import drawings
import messages

# The reference is read off the docstrings of the imported package, parts of which import Django models.
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "sideeffects"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SECRET_KEY="docs",  # noqa: S106 - nothing is signed here
    USE_TZ=True,
)
django.setup()

project = "sideeffects"
DOORS = tuple(f"sideeffects{name}" for name in ("", *".errors .testing .probes .dryrun .ledgers .saferunner".split()))
author = "sideeffects contributors"
project_copyright = "2026, sideeffects contributors"
release = importlib.metadata.version(project)
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "demo"]
source_suffix = {".md": "markdown"}
nitpicky = True
default_role = "code"  # in docstrings too, `name` is code

copybutton_exclude = ".linenos, .gp, .go"  # prompts and output stay where they are

html_theme = "furo"
html_title = f"sideeffects {release}"
html_copy_source = False
html_search_scorer = str(Path(__file__).parent / "search_scorer.js")
html_static_path = ["static"]
html_js_files = ["reachable.js"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# A kind of page may have none yet. `suppress_warnings` cannot say so: Sphinx 9.0 gives the warning no type.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: getattr(record, "subtype", None) != "empty_glob"
)

# No inventory of Python's or Django's documentation is fetched: the build works without a network. Their
# names are shown as plain text; only names of this package must resolve.
nitpick_ignore_regex = [(r"py:.*", r"(?!sideeffects).*")]


def resolve_internal(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.Node | None:
    """Lead an annotation to where its class is documented.

    Annotations name a class by where it is defined, `sideeffects._core.calls.call.Call`; the page has it under the door
    that it is imported from, `sideeffects.Call`. What no door has (a `TypeVar`, say) is shown without a link.
    A name that does not exist stays unresolved, and is a warning.
    """
    module, _, name = node.get("reftarget", "").rpartition(".")
    if not module.startswith("sideeffects"):
        return None
    try:
        target: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return None
    python = env.get_domain("py")
    for door in DOORS:
        found = python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], f"{door}.{name}", node, contnode)
        if found is not None and getattr(importlib.import_module(door), name, None) is target:
            return found
    return contnode


def say_since_when(_app: Sphinx, _what: str, name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Add the version that brought it to what a door exports. A docstring says so itself if that was a later one."""
    if name.rpartition(".")[0] in DOORS and not any(line.startswith(".. versionadded::") for line in lines):
        lines += ["", ".. versionadded:: 0.1", ""]


def for_screen_readers(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Give the headings of the table of contents a level, and make no lists of definitions of long signatures."""
    if "furo_navigation_tree" in context:
        tree = context["furo_navigation_tree"]
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    if "body" in context:
        context["body"] = LONG_SIGNATURE.sub(
            r"<div>\1</div>", re.sub(r'<dd>(<em class="sig-param">.*)</dd>', SIGNATURE_LINE, context["body"])
        )


SIGNATURE_LINE = r'<div style="margin-left: 2rem">\1</div>'
LONG_SIGNATURE = re.compile(r'<dl>(\n(?:<div style="margin-left: 2rem">.*</div>\n)+)</dl>')


class Messages(Directive):
    """`{messages} errors.py:StubMismatch guard/hook.py`: the messages that stand there, as a list."""

    required_arguments = 1
    optional_arguments = 100

    def run(self) -> list[nodes.Node]:
        """Make the list."""
        found = messages.by_name(Path(self.state.document.current_source).read_text(encoding="utf-8"))
        texts = [message.text for named in self.arguments for message in found[named]]
        listed = nodes.bullet_list()
        for text in dict.fromkeys(texts):
            listed += nodes.list_item("", nodes.paragraph("", "", nodes.literal(text, text)))
        return [listed]


def setup(app: Sphinx) -> None:
    """Connect the above, and draw what the pages show."""
    app.add_directive("messages", Messages)
    decorator = ModuleAnalyzer.for_module("sideeffects._core.verbs.decorator")
    decorator.analyze()
    del decorator.overloads["side_effect"][:-1]  # those for type checkers, when it is used bare
    app.connect("missing-reference", resolve_internal)
    app.connect("autodoc-process-docstring", say_since_when)
    app.connect("html-page-context", for_screen_readers, priority=900)  # after Furo has made it
    drawings.draw(Path(__file__).parent / "_build" / "drawings")
