"""Probes that try to let a row or an effect out, in every way that we know of."""

ESCAPES = '''
    import asyncio
    import contextlib
    import threading
    import time
    import unittest
    from concurrent.futures import ThreadPoolExecutor

    from asgiref.sync import sync_to_async
    from django.db import connections, transaction

    import effects
    from shop.models import Row
    from sideeffects import forbid, force_run, stub
    from sideeffects.probes import SmokeTest

    POOL = ThreadPoolExecutor(1)
    POOL.submit(int).result()


    def insert(alias, name="escaped"):
        Row.objects.using(alias).create(name=name)


    def on(alias):
        class Rows(SmokeTest):
            """Each of these is an error of its own, and leaves nothing."""

            def connection(self):
                return connections[alias]

            def test_cursor_of_the_driver(self):
                insert(alias)
                self.connection().connection.cursor().execute("COMMIT")

            def test_cursor_inside_that_of_django(self):
                insert(alias)
                with self.connection().cursor() as cursor:
                    cursor.cursor.execute("COMMIT")

            def test_commit_swallowed_below_django(self):
                insert(alias)
                with contextlib.suppress(Exception):
                    self.connection().connection.cursor().execute("COMMIT")

            def test_another_connection(self):
                other = connections.create_connection(alias)
                with other.cursor() as cursor:
                    cursor.execute("INSERT INTO shop_row (name) VALUES ('escaped')")

            def test_copy_of_the_connection(self):
                copy = self.connection().copy()
                copy.connect()
                copy.connection.execute("INSERT INTO shop_row (name) VALUES ('escaped')")

            def test_deleted_connection(self):
                before = self.connection()
                try:
                    del connections[alias]
                    insert(alias)
                finally:
                    connections[alias] = before

            def test_closed_by_force(self):
                insert(alias)
                connection = self.connection()
                connection.close()
                connection.closed_in_transaction = False
                connection.in_atomic_block = connection.needs_rollback = False
                connection.connection = None
                insert(alias)
                connection.commit()

            def test_end_of_somebody_elses_block(self):
                block = transaction.atomic(using=alias)
                insert(alias)
                block.__exit__(None, None, None)

            def test_executor(self):
                POOL.submit(insert, alias).result()

            async def test_own_thread_of_async_code(self):
                await asyncio.to_thread(insert, alias)

            async def test_thread_of_async_code(self):
                await sync_to_async(insert, thread_sensitive=False)(alias)

        class Isolated(unittest.IsolatedAsyncioTestCase):
            async def test_isolated(self):
                effects.attempt("isolated")
                await Row.objects.using(alias).acreate(name="escaped")

        class Allowed(SmokeTest):
            """None of these is an error, and none leaves anything."""

            def setUp(self):
                insert(alias, "setUp")
                self.addCleanup(self.late)

            def tearDown(self):
                insert(alias, "tearDown")

            def late(self):
                self.assertEqual(Row.objects.using(alias).count(), 3)

            def test_parts(self):
                with self.subTest(), transaction.atomic(using=alias):
                    insert(alias, "part")

            def test_before_any_block(self):
                with transaction.atomic(using=alias, savepoint=False):
                    insert(alias, "x")

        for case in (Rows, Isolated, Allowed):
            case.__qualname__ = case.__name__ = f"{case.__name__}_{alias}"
            yield case


    for case in [case for alias in ("default", "other") for case in on(alias)]:
        globals()[case.__name__] = case
    del case


    class Driver(SmokeTest):
        """What psycopg can do before its first statement has begun the transaction."""

        def insert(self):
            connections["other"].connection.execute("INSERT INTO shop_row (name) VALUES ('escaped')")

        def test_1_connected(self):
            connections["other"].ensure_connection()

        def test_2_block_of_the_driver(self):
            connections["other"].ensure_connection()
            with connections["other"].connection.transaction():
                self.insert()

        def test_3_autocommit(self):
            connections["other"].ensure_connection()
            connections["other"].connection.autocommit = True
            self.insert()

        def test_4_hidden_in_a_string(self):
            insert("other")
            with connections["other"].cursor() as cursor:
                cursor.execute("SELECT E'\\\\''; COMMIT; --'")

        def test_5_in_a_procedure(self):
            insert("other")
            with connections["other"].cursor() as cursor:
                cursor.execute("DO $$ BEGIN COMMIT; END $$")

        def test_6_objects_that_spell_sql(self):
            from psycopg import sql

            insert("other")
            connections["other"].connection.execute(sql.SQL("{}").format(sql.SQL("COMMIT")))


        def test_7_a_sequence(self):
            with connections["other"].cursor() as cursor:
                cursor.execute("SELECT setval('shop_row_id_seq', 1000)")


    class Fixtures(SmokeTest):
        @classmethod
        def setUpClass(cls):
            insert("default")
            cls.addClassCleanup(insert, "default")

        @classmethod
        def tearDownClass(cls):
            insert("default")
            effects.attempt("tearDownClass")

        def test_nothing(self):
            self.assertEqual(Row.objects.count(), 0)


    def setUpModule():
        insert("default")
        effects.attempt("setUpModule")


    def tearDownModule():
        insert("other")
        transaction.commit(using="other")


    class Effects(SmokeTest):
        def test_forced_by_a_block(self):
            with force_run("__all__"):
                effects.attempt_all_shapes("a block")

        @force_run("shop.send")
        def test_forced_by_a_decorator(self):
            effects.attempt("a decorator")

        def test_stricter_inside(self):
            with stub("shop.send", returns="stubbed"):
                self.assertEqual(effects.send("stub"), "stubbed")
                with force_run("shop.send"):
                    effects.attempt("forced in a stub")
            with forbid("shop.send"):
                effects.send("forbidden")

        def test_executor(self):
            POOL.submit(effects.attempt, "an older executor").result()

        async def test_threads_of_async_code(self):
            await asyncio.to_thread(effects.attempt, "to_thread")
            await sync_to_async(effects.attempt, thread_sensitive=False)("another thread")
            await asyncio.get_running_loop().run_in_executor(None, effects.attempt, "run_in_executor")
            await asyncio.gather(effects.ring("a task"), asyncio.create_task(effects.ring("another task")))

        def test_cleanup(self):
            self.addCleanup(effects.attempt, "a cleanup")
            raise SystemExit(3)

        def test_message(self):
            class Chatty(Exception):
                def __str__(self):
                    effects.attempt("a message")
                    return "chatty"

            raise Chatty


    class Forced(SmokeTest):
        force_run = ["shop.*"]
        outliving = []

        def test_1_on_commit(self):
            effects.confirm("on commit, forced")
            insert("default")
            effects.confirm("on commit, forced, after a query")

        def test_2_outliving_thread(self):
            def work():
                time.sleep(0.3)
                effects.attempt("an outliving thread")

            thread = threading.Thread(target=work)
            thread.start()
            self.outliving.append(thread)

        def test_3_its_end(self):
            self.outliving[0].join()


    class Hangs(SmokeTest):
        timeout = 0.4
        force_run = ["shop.send"]

        async def test_task(self):
            try:
                await asyncio.sleep(60)
            finally:
                effects.attempt("a cancelled task")

        async def test_blocking_task(self):
            time.sleep(60)

        def test_executor(self):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(time.sleep, 60)

        def test_thread(self):
            threading.Thread(target=time.sleep, args=[60]).start()
            time.sleep(0.7)
            effects.attempt("after the timeout")


    class HangsHolding(SmokeTest):
        timeout = 0.4

        def test_hold(self):
            insert("default")
            insert("other")
            time.sleep(6)


    class HangsInSQLite(SmokeTest):
        timeout = 0.4

        def test_query(self):
            insert("default")
            with connections["default"].cursor() as cursor:
                cursor.execute("WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT max(n) FROM a")


    class HangsInPython(SmokeTest):
        """Inside SQLite, which calls a function in Python all the time."""

        timeout = 0.4

        def test_function(self):
            insert("default")
            connections["default"].connection.create_function("slowly", 1, lambda n: time.sleep(0.001) or n + 1)
            with connections["default"].cursor() as cursor:
                cursor.execute(
                    "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT slowly(n) FROM a) SELECT max(n) FROM a"
                )


    class HangsBetweenRows(SmokeTest):
        timeout = 0.4

        def test_rows(self):
            def rows():
                yield ["escaped"]
                time.sleep(1)
                yield ["escaped"]
                effects.note("attempted", "a late row")

            with connections["default"].cursor() as cursor:
                cursor.cursor.executemany("INSERT INTO shop_row (name) VALUES (?)", rows())


    class IsFree(SmokeTest):
        """While those still hang."""

        def sessions(self):
            with connections["other"].cursor() as cursor:
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid()"
                )
                return cursor.fetchone()[0]

        def test_free(self):
            insert("default")
            until = time.monotonic() + 5
            while self.sessions() and time.monotonic() < until:  # the server takes a moment
                time.sleep(0.02)
            self.assertEqual(self.sessions(), 0)
            time.sleep(1.2)  # until the late rows have been tried


    class Awaited(SmokeTest):
        async def setUp(self):
            pass

        def test_never(self):
            effects.note("attempted", "never")


    class PlainAsync(unittest.TestCase):
        async def test_plain(self):
            self.assertEqual(1, 2)
'''

SUITE = """
    import unittest

    import effects
    from shop.models import Row

    effects.attempt("import")


    class Picked(unittest.IsolatedAsyncioTestCase):
        async def test_picked(self):
            effects.attempt("picked")
            await Row.objects.acreate(name="escaped")


    def suite():
        effects.attempt("suite()")
        return unittest.TestSuite([Picked("test_picked")])
"""

WRITES_AT_IMPORT = """
    from shop.models import Row

    Row.objects.count()
    Row.objects.create(name="escaped")
"""
