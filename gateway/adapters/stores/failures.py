"""What a database's failure means for whoever must act: read off its code, never off its words.

What a database says in words may hold values of the row; its codes do not. SQLite's are the names of its result codes
(https://sqlite.org/rescode.html), PostgreSQL's the SQLSTATEs of its manual's appendix A.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from typing import Final

import asyncpg
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

FAILURES: Final = (
    SQLAlchemyError,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    sqlite3.Error,
)
"""What a database's failure is raised as: SQLAlchemy passes on what the driver says while it connects."""


_OF_VALUES: Final = (IntegrityError, DataError, sqlite3.IntegrityError, sqlite3.DataError)


class Trouble(StrEnum):
    """What is the matter with a database, in words for its operator."""

    DISK_FULL = "has no room left on its disk; make room, and it goes on by itself 磁盘已满，腾出空间后自动恢复"
    READ_ONLY = "cannot be written: its file, disk or server is read-only 文件、磁盘或数据库服务器只读"
    NOT_SYNCED = (
        "could not be synced to its disk, so it takes no more changes; see to the disk, then restart the gateway "
        "无法落盘，已停止写入；请检查磁盘后重启网关"
    )
    DAMAGED = "is damaged; restore the last backup 数据库已损坏，请恢复备份"
    DISK_ERROR = "cannot be written or read: its disk fails, or allows no more 磁盘读写失败或超出限额"
    REFUSED = (
        "turns the gateway away: see user, password, name and rights of the database "
        "拒绝访问，请检查数据库的用户、口令、库名与权限"
    )
    UNREACHABLE = "cannot be reached or is busy 无法访问或繁忙"


_BY_CODE: Final = (
    ("SQLITE_FULL", Trouble.DISK_FULL),
    ("SQLITE_READONLY", Trouble.READ_ONLY),
    ("SQLITE_IOERR_FSYNC", Trouble.NOT_SYNCED),
    ("SQLITE_IOERR_DIR_FSYNC", Trouble.NOT_SYNCED),
    ("SQLITE_CORRUPT", Trouble.DAMAGED),
    ("SQLITE_NOTADB", Trouble.DAMAGED),
    ("SQLITE_IOERR", Trouble.DISK_ERROR),
    ("53100", Trouble.DISK_FULL),  # disk_full
    ("25006", Trouble.READ_ONLY),  # read_only_sql_transaction
    ("28", Trouble.REFUSED),  # invalid_authorization_specification, invalid_password
    ("3D000", Trouble.REFUSED),  # invalid_catalog_name
    ("42501", Trouble.REFUSED),  # insufficient_privilege
    ("XX001", Trouble.DAMAGED),  # data_corrupted
    ("XX002", Trouble.DAMAGED),  # index_corrupted
    ("58030", Trouble.DISK_ERROR),  # io_error
)
"""The first that a failure's code begins with holds: extended result codes begin with their primary one."""


def trouble_of(error: BaseException) -> Trouble:
    """Gives what a failure means."""
    code = _code(error)
    return next((trouble for begin, trouble in _BY_CODE if code.startswith(begin)), Trouble.UNREACHABLE)


def is_of_values(error: BaseException) -> bool:
    """Whether a failure is of what was to be written or looked for, so that it says nothing of the database.

    The dialect of asyncpg has no class of its own for what PostgreSQL calls a data exception (class 22 of its codes).
    """
    return isinstance(error, _OF_VALUES) or _code(error).startswith("22")


def cause_of(error: BaseException) -> str:
    """Gives what a failure is called: the class of what the driver raised, and its code where that says more."""
    inner = _inner(error)
    if isinstance(inner, TimeoutError):
        return "TimeoutError"
    code = _code(error)
    name = type(inner.__cause__ or inner).__name__
    return f"{name}, {code}" if code.startswith("SQLITE_") else name


def _inner(error: BaseException) -> BaseException:
    orig = getattr(error, "orig", None)
    return orig if isinstance(orig, BaseException) else error


def _code(error: BaseException) -> str:
    inner = _inner(error)
    for one in (inner, inner.__cause__):
        code = getattr(one, "sqlite_errorname", None) or getattr(one, "sqlstate", None)
        if isinstance(code, str):
            return code
    return ""
