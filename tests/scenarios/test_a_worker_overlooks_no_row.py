"""Whatever the tables are like, a worker completes a job only with the right rows, or says why it can't."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from sqlalchemy import create_engine

import migrations
from bot.jobs.models import Status
from bot.jobs.repository import JobRepository, Request, Requester
from bot.jobs.view import JobView
from copier import CopySpec, TableName
from dev.guard import Guard
from dev.postgres import PostgresServer
from dev.processes import Child
from dev.standby import Standby

from .scene import Office, until

#: Each has a table of its own, of its name, on both sides.
COPIES = (
    "altered",
    "truncated",
    "held",
    "standby",
    "far",
    "mixed",
    "hidden",
    "surplus",
    "composites",
    "shared",
    "cascades",
    "ruled",
    "stamped",
    "chains",
    "same",
)
CONFIG = "".join(
    f'[[copies]]\nname = "{name}"\nsource_table = "{name}"\ntarget_table = "{name}"\n' for name in COPIES
)
CONFIG += """
[[copies]]
name = "masked"
source_table = "masked"
target_table = "masked"
columns = { v = "mask" }
"""
WORK = """
[slack]
admin_users = ["U0ANA"]

[work]
chunk_rows = 100
parallel = 2
lock_timeout_seconds = 0.5
lease_seconds = 3
sweep_seconds = 0.2
retry_seconds = 0.2
"""
DATABASE = "tables"
NUMBERS = itertools.count(1)
PLAIN = "CREATE TABLE {} (id int PRIMARY KEY, liquidation_id int, v text);"
ROWS = "INSERT INTO {} SELECT g, 42, 'v' || g FROM generate_series(1, 500) g;"


@dataclass
class House:
    """Two databases, a worker, and jobs as a shell asks for them."""

    office: Office
    store: JobRepository
    prod: psycopg.Connection
    consulta: psycopg.Connection
    worker: Child | None = None

    def start_worker(self, prod: PostgresServer | None = None) -> None:
        """In the place of the one before; its prod is the database on this server."""
        if self.worker is not None:
            self.worker.kill()
        stack = self.office.stack
        settings = settings_of(self.office, prod or stack.prod)
        self.worker = stack.start_worker(
            f"worker-tables-{next(NUMBERS)}", ready="ready for action", env=settings
        )

    def both(self, statements: str) -> None:
        self.prod.execute(statements.encode())
        self.consulta.execute(statements.encode())

    def asked(self, name: str, liquidation: int = 42) -> int:
        """The number of a new job."""
        table = TableName.parse(name)
        spec = CopySpec(name, table, table, "liquidation_id")
        return self.store.create(Request(spec, liquidation, None, Requester("shell", "ops", "ops")))[0]

    def ended(self, job_id: int) -> JobView:
        def over() -> JobView | None:
            job = self.store.job(job_id)
            return None if job is None or job.status.is_live else job

        return until(over, what=f"the end of job {job_id}")

    def completed(self, name: str, liquidation: int = 42) -> JobView:
        """A job that is completed, with the same rows on both sides."""
        return self.is_completed(self.asked(name, liquidation), name)

    def is_completed(self, job_id: int, name: str) -> JobView:
        job = self.ended(job_id)
        assert job.status is Status.COMPLETED, job.error_message
        rows = f"SELECT {name}::text FROM {name} WHERE liquidation_id = {job.liquidation_id} ORDER BY id"
        assert fetched(self.consulta, rows) == fetched(self.prod, rows)
        return job

    def failed(self, name: str, code: str, liquidation: int = 42) -> str:
        """What the row of a job that failed for this says of it."""
        job = self.ended(self.asked(name, liquidation))
        assert job.status is Status.FAILED
        assert job.error is not None
        assert job.error.code == code, job.error_message
        return str(job.error_message)


def fetched(connection: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query.encode()).fetchall()


def settings_of(office: Office, prod: PostgresServer) -> dict[str, str]:
    path = office.stack.folder / "tables.toml"
    path.write_text(CONFIG + WORK, "utf-8")
    queue = office.stack.valkey.url.rpartition("/")[0] + "/5"  # the jobs' numbers are another database's
    return {
        "REDIS_URL": queue,
        "TRASPASO_CONFIG": str(path),
        "PROD_DATABASE_URL": prod.url(DATABASE),
        "CONSULTA_DATABASE_URL": office.stack.consulta.url(DATABASE),
    }


@pytest.fixture(scope="module")
def house(office: Office) -> Iterator[House]:
    stack = office.stack
    for server in (stack.prod, stack.consulta):
        server.create_database(DATABASE, template="template0")
    engine = create_engine(stack.consulta.url(DATABASE).replace("postgresql://", "postgresql+psycopg://", 1))
    migrations.upgrade(engine)
    with (
        psycopg.connect(stack.prod.url(DATABASE), autocommit=True) as prod,
        psycopg.connect(stack.consulta.url(DATABASE), autocommit=True) as consulta,
    ):
        house = House(office, JobRepository(engine), prod, consulta)
        house.start_worker()
        yield house
        if house.worker is not None:
            house.worker.kill()
    engine.dispose()
    for server in (stack.prod, stack.consulta):
        server.drop_database(DATABASE)


# ------------------------------------------------------------------------------ the snapshot sees the table

SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
#: Long enough for a session to be seen in each of its five chunks.
TAKES_ITS_TIME = """
    CREATE FUNCTION takes_its_time() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
    CREATE TRIGGER takes_its_time BEFORE INSERT ON standby
        FOR EACH STATEMENT EXECUTE FUNCTION takes_its_time()
"""
WAITS = """
    SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
     WHERE NOT l.granted AND l.mode = 'AccessShareLock' AND c.relname = '{}'
"""
REWRITES = {
    "altered": "ALTER TABLE altered ALTER v TYPE varchar(40) USING v || ''",
    "truncated": "TRUNCATE truncated;" + ROWS.format("truncated"),
}


@pytest.mark.parametrize(("name", "rewrite"), REWRITES.items())
def test_a_table_that_is_rewritten_when_the_worker_begins_arrives_whole(
    house: House, name: str, rewrite: str
) -> None:
    house.both(PLAIN.format(name))
    house.prod.execute(ROWS.format(name).encode())
    house.consulta.execute(ROWS.format(name).encode())
    with psycopg.connect(house.office.stack.prod.url(DATABASE)) as somebody:
        somebody.execute(rewrite.encode())
        job_id = house.asked(name)
        until(lambda: fetched(house.prod, WAITS.format(name)) != [(0,)], what="a worker that waits")
        somebody.commit()
    job = house.is_completed(job_id, name)
    assert (job.total, job.deleted) == (500, 0)


def test_a_card_says_that_the_table_is_being_altered_and_the_copy_goes_on_afterwards(house: House) -> None:
    house.both(PLAIN.format("held"))
    house.prod.execute(ROWS.format("held").encode())
    with psycopg.connect(house.office.stack.prod.url(DATABASE)) as somebody:
        somebody.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        job_id = house.asked("held")

        def said() -> bool:
            job = house.store.job(job_id)
            error = job.error if job else None
            return error is not None and (error.code, error.side) == ("altered", "prod")

        until(said, what="an attempt that has given up")
    house.is_completed(job_id, "held")


def test_a_standby_of_prod_is_read_in_one_session(house: House, guard: Guard) -> None:
    house.both(PLAIN.format("standby"))
    house.prod.execute(ROWS.format("standby").encode())
    house.consulta.execute(TAKES_ITS_TIME.encode())
    stack = house.office.stack
    with Standby(stack.prod, stack.folder, "standby-of-tables", guard=guard) as standby:
        standby.catch_up()
        try:
            house.start_worker(standby)
            with psycopg.connect(standby.url(DATABASE), autocommit=True) as there:
                most = 0
                job_id = house.asked("standby")
                while (job := house.store.job(job_id)) is not None and job.status.is_live:
                    [(sessions,)] = fetched(there, SESSIONS)
                    most = max(most, int(str(sessions)))
                house.is_completed(job_id, "standby")
        finally:
            house.start_worker()
        assert most == 1


@pytest.fixture
def far(house: House) -> Iterator[psycopg.Connection]:
    """Another database, which prod knows as the server ``far``."""
    server = house.office.stack.prod
    server.create_database("far", template="template0")
    house.prod.execute(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw "
        f"OPTIONS (host '127.0.0.1', port '{server.port}', dbname 'far'); "
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'postgres')".encode()
    )
    with psycopg.connect(server.url("far"), autocommit=True) as connection:
        yield connection
    house.prod.execute("DROP EXTENSION postgres_fdw CASCADE")
    server.drop_database("far")


def test_rows_of_a_foreign_table_are_of_one_moment(house: House, far: psycopg.Connection) -> None:
    """Money moves all the time between the first row and the last one."""
    far.execute("CREATE TABLE far (id int PRIMARY KEY, liquidation_id int, v int)")
    far.execute("INSERT INTO far SELECT g, 42, 1 FROM generate_series(1, 500) g")
    house.prod.execute("CREATE FOREIGN TABLE far (id int NOT NULL, liquidation_id int, v int) SERVER far")
    house.consulta.execute("CREATE TABLE far (id int PRIMARY KEY, liquidation_id int, v int)")
    job_id = house.asked("far")
    while (job := house.store.job(job_id)) is not None and job.status.is_live:
        far.execute("UPDATE far SET v = v + CASE id WHEN 1 THEN -1 ELSE 1 END WHERE id IN (1, 500)")
    assert house.ended(job_id).status is Status.COMPLETED
    assert fetched(house.consulta, "SELECT count(*), sum(v) FROM far") == [(500, 500)]


def test_rows_here_and_on_another_server_are_refused_in_words(house: House, far: psycopg.Connection) -> None:
    house.consulta.execute(PLAIN.format("mixed").encode())
    house.prod.execute(
        "CREATE TABLE mixed (id int, liquidation_id int, v text) PARTITION BY RANGE (id); "
        "CREATE TABLE low PARTITION OF mixed FOR VALUES FROM (0) TO (100); "
        "CREATE FOREIGN TABLE high PARTITION OF mixed FOR VALUES FROM (100) TO (900) SERVER far"
    )
    assert "high is on the server far, public.low is here" in house.failed("mixed", "several_moments")


# ----------------------------------------------------------------------------- a proof overlooks nothing


@pytest.mark.parametrize(("name", "side"), [("hidden", "prod"), ("surplus", "consulta")])
def test_rows_whose_key_is_null_are_no_part_of_a_completed_job(house: House, name: str, side: str) -> None:
    hiding = (
        f"CREATE TABLE {name} (id int, liquidation_id int, v text); CREATE UNIQUE INDEX ON {name} (id); "
        f"INSERT INTO {name} VALUES (NULL, 42, 'hidden'); ALTER TABLE {name} ADD NOT NULL id NOT VALID; "
    )
    house.prod.execute((hiding if side == "prod" else PLAIN.format(name)).encode())
    house.consulta.execute((hiding if side == "consulta" else PLAIN.format(name)).encode())
    house.prod.execute(ROWS.format(name).encode())
    assert f"is NULL in 1 row of table public.{name} of {side}" in house.failed(name, "no_key")


def test_a_type_of_the_same_name_that_means_something_else_is_refused(house: House) -> None:
    house.prod.execute("CREATE TYPE pay AS (gross int, net int)")
    house.consulta.execute("CREATE TYPE pay AS (net int, gross int)")
    house.both("CREATE TABLE composites (id int PRIMARY KEY, liquidation_id int, pay pay)")
    house.prod.execute("INSERT INTO composites VALUES (1, 42, (100, 80))")
    assert "pay" in house.failed("composites", "columns_differ")
    assert fetched(house.consulta, "SELECT count(*) FROM composites") == [(0,)]


def test_a_column_that_came_between_two_jobs_is_not_copied_without_a_rule(house: House) -> None:
    house.both(PLAIN.format("masked"))
    house.prod.execute(ROWS.format("masked").encode())
    assert house.ended(house.asked("masked")).status is Status.COMPLETED
    house.both("ALTER TABLE masked ADD phone text")
    house.prod.execute("UPDATE masked SET phone = 'PHONE'")
    assert "phone" in house.failed("masked", "new_columns")
    found = fetched(house.consulta, "SELECT DISTINCT v, phone FROM masked ORDER BY 1")
    assert found == [("***", None), ("v***", None)]


def test_a_row_stays_in_the_liquidation_in_which_prod_still_has_it(house: House) -> None:
    house.prod.execute(
        "CREATE TABLE shared (id int, liquidation_id int, v text, UNIQUE (liquidation_id, id))"
    )
    house.consulta.execute(PLAIN.format("shared").encode())
    for liquidation in (41, 42, 43):
        house.prod.execute(
            f"INSERT INTO shared SELECT g, {liquidation}, 'v' FROM generate_series(1, 200) g".encode()
        )
    house.completed("shared", 41)
    for liquidation in (42, 43):
        assert "key (id)" in house.failed("shared", "key_shared", liquidation)
    found = fetched(house.consulta, "SELECT liquidation_id, count(*) FROM shared GROUP BY 1")
    assert found == [(41, 200)]


def test_rows_of_other_tables_stay_whatever_refers_to_a_partition(house: House) -> None:
    house.prod.execute(PLAIN.format("cascades").encode() + ROWS.format("cascades").encode())
    house.consulta.execute(
        "CREATE TABLE cascades (id int PRIMARY KEY, liquidation_id int, v text) PARTITION BY RANGE (id); "
        "CREATE TABLE part PARTITION OF cascades FOR VALUES FROM (0) TO (1000); "
        "INSERT INTO cascades VALUES (0, 42, 'old'); "
        "CREATE TABLE remarks (id int REFERENCES part ON DELETE CASCADE); INSERT INTO remarks VALUES (0)"
    )
    assert "of public.remarks" in house.failed("cascades", "cascades")
    assert fetched(house.consulta, "SELECT id FROM remarks") == [(0,)]


def test_rows_of_other_tables_stay_whatever_a_rule_does(house: House) -> None:
    house.both(PLAIN.format("ruled"))
    house.prod.execute(ROWS.format("ruled").encode())
    house.consulta.execute(
        "INSERT INTO ruled VALUES (1, 42, 'old'); CREATE TABLE noted (id int); INSERT INTO noted VALUES (1); "
        "CREATE RULE also AS ON DELETE TO ruled DO ALSO DELETE FROM noted WHERE id = OLD.id"
    )
    assert "also on public.ruled" in house.failed("ruled", "rules")
    assert fetched(house.consulta, "SELECT id FROM noted") == [(1,)]


def test_a_trigger_that_alters_rows_is_named_as_the_cause(house: House) -> None:
    house.both(PLAIN.format("stamped"))
    house.prod.execute(ROWS.format("stamped").encode())
    house.consulta.execute("""
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v = 'x'; RETURN NEW; END $$;
        CREATE TRIGGER stamp BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION stamp()
    """)
    house.failed("stamped", "altered_by_trigger")
    [job, *_] = house.store.latest(1)
    assert job.error is not None
    assert job.error.lines[0] == "stamp on public.stamped"


def test_rows_that_refer_to_later_ones_are_copied_and_copied_again(house: House) -> None:
    house.both("CREATE TABLE chains (id int PRIMARY KEY, liquidation_id int, v int REFERENCES chains)")
    house.prod.execute("INSERT INTO chains SELECT g, 42, 500 FROM generate_series(1, 500) g")
    job = house.completed("chains")
    assert (job.total, job.copied, job.chunks_done) == (500, 500, 5)
    house.prod.execute("UPDATE chains SET v = 501 - id")
    assert house.completed("chains").updated == 499


def test_both_urls_to_one_table_fail_the_job(house: House) -> None:
    house.consulta.execute(PLAIN.format("same").encode() + ROWS.format("same").encode())
    house.start_worker(house.office.stack.consulta)
    assert "the same table public.same" in house.failed("same", "same_table")
    house.start_worker()
