"""How the processes are, and which of them does what only one should do at a time."""

from datetime import datetime

from sqlalchemy import Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base

_NOW = func.clock_timestamp()


class LoopReportRow(Base):
    """A background loop of a process, or one part of it, that keeps failing or is late; no row: it is well."""

    __tablename__ = "loop_reports"

    process: Mapped[str] = mapped_column(primary_key=True)
    loop: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(Integer())
    error: Mapped[str] = mapped_column(server_default="")
    since: Mapped[datetime] = mapped_column(server_default=_NOW)
    reported_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class Lease(Base):
    """Work that `holder` does until `until`, so that no other process does it meanwhile; afterwards it is free."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[datetime]


class WorkerReportRow(Base):
    """A worker that runs: what keeps it from writing (empty: nothing), and when it last committed a decision."""

    __tablename__ = "worker_reports"

    process: Mapped[str] = mapped_column(primary_key=True)
    trouble: Mapped[str] = mapped_column(server_default="")
    decided_at: Mapped[datetime | None]
    reported_at: Mapped[datetime] = mapped_column(server_default=_NOW)
