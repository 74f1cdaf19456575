"""What a database is made of, as far as one must know it to tell what a statement touches, and to take it back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(slots=True)
class Table:
    """One table.

    Attributes:
        name: its name, quoted, with its schema.
        columns: those that can be written, quoted.
        parents: the tables that its foreign keys refer to.
        cascades: the tables whose rows the database itself changes when rows of this one go or change.
        has_trigger: whether writing to it runs code of the database.
        sequences: what counts its keys up: names of sequences, quoted; empty where the table itself counts.
    """

    name: str
    columns: list[str] = field(default_factory=list)
    parents: set[str] = field(default_factory=set)
    cascades: set[str] = field(default_factory=set)
    has_trigger: bool = False
    sequences: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Catalog:
    """All of a database.

    Attributes:
        vendor: as Django calls it.
        place: tells this database from others; two aliases of one database have the same.
        tables: by name, in lower case.
        opaque: names, in lower case, of views and of functions of its own, which may touch anything.
    """

    vendor: str
    place: str
    tables: dict[str, Table] = field(default_factory=dict)
    opaque: set[str] = field(default_factory=set)

    def affected(self, written: Iterable[str]) -> set[str]:
        """The tables that change when these are written to: cascades too, and all where triggers may do anything."""
        found: set[str] = set()
        todo = [name for name in written if name in self.tables]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self.tables[name].cascades
        return set(self.tables) if any(self.tables[name].has_trigger for name in found) else found


def read(connection: Any) -> Catalog:
    """The catalog of a Django connection's database.

    Args:
        connection: one that is connected, in no transaction.
    """
    settings = connection.settings_dict
    catalog = Catalog(connection.vendor, "|".join(str(settings.get(key, "")) for key in ("NAME", "HOST", "PORT")))
    with connection.cursor() as cursor:
        _READERS[connection.vendor](catalog, cursor)
    return catalog


def _rows(cursor: Any, sql: str) -> list[Any]:
    cursor.execute(sql)
    return list(cursor.fetchall())


#: Of PostgreSQL's namespaces, those of the project.
_OWN: Final = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'"


def _postgresql(catalog: Catalog, cursor: Any) -> None:
    names: dict[int, str] = {}
    for oid, name, kind, quoted in _rows(
        cursor,
        "SELECT c.oid, c.relname, c.relkind::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname) "  # noqa: S608
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE {_OWN} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
    ):
        if kind == "r":
            names[oid] = name.lower()
            catalog.tables[name.lower()] = Table(quoted)
        else:  # views, and tables made of others, which stand for more than their name says
            catalog.opaque.add(name.lower())
    for oid, column in _rows(
        cursor,
        "SELECT attrelid, quote_ident(attname) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped "
        "AND attgenerated = '' ORDER BY attrelid, attnum",
    ):
        if oid in names:
            catalog.tables[names[oid]].columns.append(column)
    for child, parent, cascades in _rows(
        cursor,
        "SELECT conrelid, confrelid, confdeltype NOT IN ('a','r') OR confupdtype NOT IN ('a','r') "
        "FROM pg_constraint WHERE contype = 'f'",
    ):
        _refers(catalog, names.get(child), names.get(parent), cascades)
    for (oid,) in _rows(
        cursor,
        "SELECT tgrelid FROM pg_trigger WHERE NOT tgisinternal UNION "
        "SELECT ev_class FROM pg_rewrite WHERE rulename <> '_RETURN'",
    ):
        if oid in names:
            catalog.tables[names[oid]].has_trigger = True
    for oid, sequence in _rows(
        cursor,
        "SELECT d.refobjid, d.objid::regclass::text FROM pg_depend d JOIN pg_class c ON c.oid = d.objid "
        "WHERE c.relkind = 'S' AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0",
    ):
        if oid in names:
            catalog.tables[names[oid]].sequences.append(sequence)
    catalog.opaque |= {
        name.lower()
        for (name,) in _rows(
            cursor,
            f"SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OWN}",  # noqa: S608
        )
    }


def _refers(catalog: Catalog, child: str | None, parent: str | None, cascades: bool) -> None:
    if child is not None and parent is not None:
        catalog.tables[child].parents.add(parent)
        if cascades:
            catalog.tables[parent].cascades.add(child)


def _mysql(catalog: Catalog, cursor: Any) -> None:
    for name, kind in _rows(
        cursor, "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE()"
    ):
        if kind == "BASE TABLE":
            catalog.tables[name.lower()] = Table(f"`{name}`")
        else:
            catalog.opaque.add(name.lower())
    for name, column, extra in _rows(
        cursor,
        "SELECT table_name, column_name, extra FROM information_schema.columns WHERE table_schema = DATABASE() "
        "ORDER BY table_name, ordinal_position",
    ):
        held = catalog.tables.get(name.lower())
        if held is not None and "GENERATED" not in extra.upper().replace("DEFAULT_GENERATED", ""):
            held.columns.append(f"`{column}`")
            if "auto_increment" in extra.lower():
                held.sequences.append(held.name)
    for child, parent, on_delete, on_update in _rows(
        cursor,
        "SELECT table_name, referenced_table_name, delete_rule, update_rule "
        "FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()",
    ):
        cascades = not {on_delete, on_update} <= {"NO ACTION", "RESTRICT"}
        _refers(catalog, child.lower(), parent.lower(), cascades)
    for (name,) in _rows(
        cursor, "SELECT event_object_table FROM information_schema.triggers WHERE trigger_schema = DATABASE()"
    ):
        catalog.tables[name.lower()].has_trigger = True
    catalog.opaque |= {
        name.lower()
        for (name,) in _rows(
            cursor, "SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE()"
        )
    }


def _sqlite(catalog: Catalog, cursor: Any) -> None:
    for kind, name, of, sql in _rows(cursor, "SELECT type, name, tbl_name, sql FROM sqlite_master"):
        if kind == "table" and not name.startswith("sqlite_"):
            held = catalog.tables[name.lower()] = Table(_quoted(name))
            if "autoincrement" in sql.lower():
                held.sequences.append(name)
        elif kind == "view":
            catalog.opaque.add(name.lower())
        elif kind == "trigger" and of.lower() in catalog.tables:
            catalog.tables[of.lower()].has_trigger = True
    for name, held in catalog.tables.items():
        held.columns = [
            _quoted(column[1])
            for column in _rows(cursor, f"PRAGMA table_xinfo({held.name})")
            if column[6] == 0  # others are computed
        ]
        for key in _rows(cursor, f"PRAGMA foreign_key_list({held.name})"):
            parent = key[2].lower()
            _refers(catalog, name, parent if parent in catalog.tables else None, {*key[5:7]} != {"NO ACTION"})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_READERS: Final = {"postgresql": _postgresql, "mysql": _mysql, "sqlite": _sqlite}
#: Databases that can be explored.
VENDORS: Final = frozenset(_READERS)
