"""Django's backend for MySQL by PyMySQL, in whatever process: by mysqlclient where that is installed."""

import importlib.util

if importlib.util.find_spec("MySQLdb") is None:
    import pymysql

    pymysql.version_info = (2, 2, 8, "final", 0)  # that of mysqlclient, for which Django asks
    pymysql.install_as_MySQLdb()

from django.db.backends.mysql.base import DatabaseWrapper

__all__ = ["DatabaseWrapper"]
